"""The grammar of participants and sources."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamer.capture.sources import (
    ParticipantSpec,
    Source,
    by_channel,
    parse_participant,
    parse_source,
    participant_of,
    split_sources,
)
from streamer.errors import ConfigError, SourceError
from streamer.plain_text import public_address


@pytest.mark.parametrize(
    ("text", "name", "sources"),
    [
        ("ana=webcam:0,mic:1", "ana", ("webcam:0", "mic:1")),
        ("bo=rtsp://camera/live?a=1,b", "bo", ("rtsp://camera/live?a=1", "b")),
        (r"bo=rtsp://camera/live?a=1\,b", "bo", ("rtsp://camera/live?a=1,b",)),
        ("Zoë Müller = /dev/video0 , mic:default", "Zoë Müller", ("/dev/video0", "mic:default")),
        (
            "t=lavfi:testsrc2=size=64x48,hue=s=0,mic:default",
            "t",
            ("lavfi:testsrc2=size=64x48,hue=s=0", "mic:default"),
        ),
        ("a=b=c.mp4", "a", ("b=c.mp4",)),
    ],
)
def test_participants_are_parsed(text: str, name: str, sources: tuple[str, ...]) -> None:
    assert parse_participant(text) == ParticipantSpec(name, sources)


def test_a_file_with_a_comma_in_its_name_is_one_source(tmp_path: Path) -> None:
    path = tmp_path / "hello, world.wav"
    path.touch()
    assert parse_participant(f"ana={path}").sources == (str(path),)


@pytest.mark.parametrize(
    "text", ["", "ana", "ana=", "=webcam:0", "a/b=x", "a\x00=x", "*=x", "a\nb=x", "n" * 201 + "=x"]
)
def test_invalid_participants_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_participant(text)


@pytest.mark.parametrize(
    ("text", "source", "name"),
    [
        ("webcam:0", Source("webcam", "0"), "webcam:0"),
        ("/dev/video2", Source("webcam", "/dev/video2"), "webcam:/dev/video2"),
        ("mic:default", Source("mic", "default"), "mic:default"),
        ("lavfi:sine=r=8000", Source("lavfi", "sine=r=8000"), "lavfi:sine=r=8000"),
        ("http://me:pw@host/a.mp4?k=1", Source("url", "http://me:pw@host/a.mp4?k=1"),
         "http://host/a.mp4"),
        ("http://host/a.mp4#a:2", Source("url", "http://host/a.mp4", 2), "http://host/a.mp4"),
        ("/nowhere/a.mp4#a:1", Source("file", "/nowhere/a.mp4", 1), "/nowhere/a.mp4"),
        ("/nowhere/a.wav#left", Source("file", "/nowhere/a.wav", None, 0), "/nowhere/a.wav"),
        ("/nowhere/a.wav#right", Source("file", "/nowhere/a.wav", None, 1), "/nowhere/a.wav"),
        ("/nowhere/a.wav#a:1#ch:3", Source("file", "/nowhere/a.wav", 1, 3), "/nowhere/a.wav"),
        ("http://host/a.wav?k=1#ch:0", Source("url", "http://host/a.wav?k=1", None, 0),
         "http://host/a.wav"),
        ("mic:1#right", Source("mic", "1", None, 1), "mic:1"),
        ("mic:Desk #4#ch:2", Source("mic", "Desk #4", None, 2), "mic:Desk #4"),
        ("mic:1#a:1", Source("mic", "1#a:1"), "mic:1#a:1"),
        ("lavfi:sine#left", Source("lavfi", "sine#left"), "lavfi:sine#left"),
        ("file:///nowhere/a.mp4", Source("file", "/nowhere/a.mp4"), "/nowhere/a.mp4"),
        ("webcam:0#face:left", Source("webcam", "0", face="left"), "webcam:0"),
        ("/dev/video2#face:2", Source("webcam", "/dev/video2", face="2"), "webcam:/dev/video2"),
        ("http://host/a.mp4?k=1#face:largest",
         Source("url", "http://host/a.mp4?k=1", face="largest"), "http://host/a.mp4"),
        ("/nowhere/a.mp4#a:1#left#face:right", Source("file", "/nowhere/a.mp4", 1, 0, "right"),
         "/nowhere/a.mp4"),
        ("/nowhere/a.mp4#face:0", Source("file", "/nowhere/a.mp4#face:0"), "/nowhere/a.mp4#face:0"),
        ("mic:1#face:left", Source("mic", "1#face:left"), "mic:1#face:left"),
        ("lavfi:sine#face:left", Source("lavfi", "sine#face:left"), "lavfi:sine#face:left"),
    ],
)  # fmt: skip
def test_sources_are_parsed(text: str, source: Any, name: str) -> None:
    assert parse_source(text) == source
    assert source.name == name


def test_a_folder_is_a_source(tmp_path: Path) -> None:
    assert parse_source(str(tmp_path)) == Source("folder", str(tmp_path))


@pytest.mark.parametrize("name", ["take#a:1", "take#left", "take#ch:2", "take#face:2"])
def test_a_file_whose_name_ends_like_a_fragment_is_read_whole(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.touch()
    assert parse_source(str(path)) == Source("file", str(path))
    assert parse_participant(f"ana={path}").identified_by == "source"
    assert participant_of(str(path)).participant_id == name


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("calls/monday.wav#left", "monday-left"),
        ("calls/monday.wav#a:1#right", "monday-right"),
        ("https://host/monday.wav?token=x#ch:3", "monday-ch3"),
    ],
)
def test_a_channel_names_its_participant_and_is_how_it_is_known(source: str, name: str) -> None:
    spec = participant_of(source)
    assert (spec.participant_id, spec.sources) == (name, (source,))
    assert spec.identified_by == "channel"
    assert parse_participant(f"ana={source}").identified_by == "channel"


def test_a_channel_may_begin_later(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    path.touch()
    spec = participant_of(f"{path}#left@+1.5s")
    assert (spec.sources, spec.begin_ns) == ((f"{path}#left",), 1_500_000_000)
    assert spec.participant_id == "call-left"


def test_channels_are_called_left_and_right_or_numbered_from_zero() -> None:
    spec = ParticipantSpec("call", ("call.wav#a:1",), begin_ns=5)
    two, three = by_channel(spec, 2), by_channel(spec, 3)
    assert [one.participant_id for one in two] == ["call-left", "call-right"]
    assert [one.sources for one in two] == [("call.wav#a:1#left",), ("call.wav#a:1#right",)]
    assert [one.participant_id for one in three] == ["call-ch0", "call-ch1", "call-ch2"]
    assert [one.media[0].channel for one in (*two, *three)] == [0, 1, 0, 1, 2]
    assert {(one.begin_ns, one.identified_by) for one in (*two, *three)} == {(5, "channel")}


def test_a_pipe_is_not_a_source(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="neither a file nor a folder"):
        parse_source(str(tmp_path / "pipe"))


def test_transcripts_are_separate_from_media_sources() -> None:
    spec = ParticipantSpec("ana", ("talk.mp4", "WORDS.VTT", "more.srt"))
    assert spec.media == [Source("file", "talk.mp4")]
    assert spec.transcript == Path("WORDS.VTT")
    assert ParticipantSpec("ana", ("talk.mp4",)).transcript is None


@pytest.mark.parametrize(
    ("file", "name", "sources"),
    [
        ("talks/ana.mp4", "ana", ("talks/ana.mp4",)),
        ("talks/day one/", "day one", ("talks/day one/",)),
        ("talks/a=b.c.mp4", "a-b.c", ("talks/a=b.c.mp4",)),
        ("/", "participant", ("/",)),
    ],
)
def test_a_bare_file_gives_its_participant_a_name(
    file: str, name: str, sources: tuple[str, ...]
) -> None:
    assert participant_of(file) == ParticipantSpec(name, sources)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://ana:secret@s3.test/b/head.mp4?X-Amz-Credential=AK/1&X-Amz-Signature=9f", "head"),
        ("https://cdn.test/t/a%20b.webm?token=secret#a:1", "a b"),
        ("rtsp://user:secret@camera.test:8554/", "camera"),
        ("https://s3.test/b/talk.mp4?name=x/secret.mp4", "talk"),
    ],
)
def test_no_secret_of_an_address_becomes_a_name(address: str, name: str) -> None:
    spec = participant_of(address)
    assert spec.participant_id == name
    assert "secret" not in public_address(address)
    assert "Signature" not in public_address(address)


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://ana:secret@camera/1",
        "rtsp://ana:sec=ret@camera/1",
        "rtsp://ana:12=secret@camera/1",
        "https://host/a.mp4?token=secret",
        "ana=",
    ],
)
def test_a_participant_that_is_only_an_address_is_refused_without_its_secrets(text: str) -> None:
    with pytest.raises(ConfigError, match="must look like name=source") as refused:
        parse_participant(text)
    assert "sec" not in str(refused.value).replace("source", "")


@pytest.mark.parametrize("address", ["https://ana:secret@[host/a.mp4", "http://secret@a\u2100b/x"])
def test_an_address_that_is_no_url_is_refused_without_its_secrets(address: str) -> None:
    with pytest.raises(ConfigError, match="is no URL") as refused:
        parse_source(address)
    assert "secret" not in str(refused.value)


def test_a_transcript_is_a_file_and_no_address() -> None:
    spec = ParticipantSpec("ana", ("https://ana:secret@host/words.vtt",))
    assert spec.transcript is None
    assert [source.name for source in spec.media] == ["https://host/words.vtt"]


def test_a_test_source_is_shown_without_the_secrets_in_it() -> None:
    source = parse_source(r"lavfi:movie=https\://ana\:secret@host/a.mp4?key=secret,hue=s=0")
    assert source.name == r"lavfi:movie=https\://host/a.mp4"


def test_a_file_that_cannot_name_a_participant_is_refused_with_what_to_type() -> None:
    with pytest.raises(ConfigError, match=r"participant's name .* as in .-p ana=a") as refused:
        participant_of("a\x7fb.mp4")
    assert parse_participant("ana=a\x7fb.mp4").sources == ("a\x7fb.mp4",)
    assert "\x7f" not in str(refused.value)


def test_the_place_of_a_face_names_its_participant() -> None:
    spec = participant_of("talks/panel.mp4#face:2")
    assert (spec.participant_id, spec.sources) == ("panel-2", ("talks/panel.mp4#face:2",))
    assert spec.identified_by == "source"


@pytest.mark.parametrize("text", ["x" * 5000, "a\0b.mp4", "lavfi:" + "sine," * 300 + "anull"])
def test_a_name_that_no_file_can_have_is_no_fault_of_the_parser(text: str) -> None:
    assert split_sources(text)
    assert parse_source(text).kind in ("file", "lavfi")


@pytest.mark.parametrize("parse", [parse_source, participant_of])
def test_a_broken_address_is_refused(parse: Callable[[str], object]) -> None:
    with pytest.raises(ConfigError, match="is no URL"):
        parse("http://[::1/talk.mp4")
