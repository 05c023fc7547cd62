"""Who is in the recordings that a replay is given."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streamer import audio
from streamer.capture import parse_participant
from streamer.config import load
from streamer.errors import ConfigError, SourceError
from streamer.records import Window
from streamer.session.participant import Pipeline
from streamer.session.plan import make_plan
from streamer.session.recordings import Naming, Split, people_of
from tests import media


def zoom_meeting(folder: Path, *names: str) -> Path:
    meeting = folder / "2026-01-05 09.00.00 Plan"
    (meeting / "Audio Record").mkdir(parents=True)
    for name in ("zoom_0.mp4", "audio_only.m4a", *(f"Audio Record/{name}" for name in names)):
        (meeting / name).touch()
    return meeting


def test_a_file_is_one_participant(tmp_path: Path) -> None:
    path = tmp_path / "ana.mp4"
    path.touch()
    people = people_of([str(path), f"{path}@+20s"])
    assert [spec.participant_id for spec in people.specs] == ["ana", "ana"]
    assert people.session is None


@pytest.mark.parametrize("inner", ["", "Audio Record"])
def test_each_file_of_a_zoom_folder_is_a_participant(tmp_path: Path, inner: str) -> None:
    meeting = zoom_meeting(
        tmp_path,
        "audioAnaBerg11234567890.m4a",
        "audioBoLi21234567890.m4a",
        "audioBoLi31234567890.m4a",
        "audioØyvindÅs41234567890.m4a",
        "notes.txt",
        "mix.m4a",
    )
    people = people_of([str(meeting / inner)])
    assert {spec.participant_id: spec.sources for spec in people.specs} == {
        name: (str(meeting / "Audio Record" / file),)
        for name, file in {
            "Ana Berg": "audioAnaBerg11234567890.m4a",
            "Bo Li": "audioBoLi21234567890.m4a",
            "Bo Li 2": "audioBoLi31234567890.m4a",
            "Øyvind Ås": "audioØyvindÅs41234567890.m4a",
        }.items()
    }
    assert {spec.begin_ns for spec in people.specs} == {0}
    assert people.session == meeting.name


def test_a_zoom_folder_may_begin_later(tmp_path: Path) -> None:
    meeting = zoom_meeting(tmp_path, "audioAna1.m4a", "audioBo2.m4a")
    specs = people_of([f"{meeting}@+20s"]).specs
    assert [spec.begin_ns for spec in specs] == [20 * 10**9] * 2


def test_another_folder_is_one_participant(tmp_path: Path) -> None:
    (tmp_path / "talk" / "Audio Record").mkdir(parents=True)
    assert [spec.participant_id for spec in people_of([str(tmp_path / "talk")]).specs] == ["talk"]


def cue(second: int, text: str) -> str:
    return f"00:00:{second:02d}.000 --> 00:00:{second + 1:02d}.000\n{text}\n\n"


NAMED = "WEBVTT\n\n" + cue(0, "<v Ana Berg>Good morning") + cue(2, "<v Bo/Li>Hello Ana")


def recording(folder: Path, transcript: str) -> Path:
    path = folder / "meeting.mp4"
    path.touch()
    path.with_suffix(".vtt").write_text(transcript, "utf-8")
    return path


def test_a_transcript_that_names_people_gives_a_participant_for_each(tmp_path: Path) -> None:
    path = recording(tmp_path, NAMED + cue(4, "and so on"))
    people = people_of([str(path)])
    assert [(spec.participant_id, spec.speaker) for spec in people.specs] == [
        ("Ana Berg", "Ana Berg"),
        ("Bo-Li", "Bo-Li"),
    ]
    assert {spec.sources for spec in people.specs} == {(str(path),)}
    assert {spec.begin_ns for spec in people.specs} == {0}
    assert {spec.identified_by for spec in people.specs} == {"transcript"}
    assert people.session == "meeting"
    assert [notice for notice in people.notices if "1 of 3 cues name nobody" in notice]
    assert [notice for notice in people.notices if "--split none" in notice]


def test_a_recording_is_one_participant_when_that_is_asked_for(tmp_path: Path) -> None:
    people = people_of([str(recording(tmp_path, NAMED))], Naming(split="none"))
    assert [(spec.participant_id, spec.speaker) for spec in people.specs] == [("meeting", None)]
    assert people.notices == ()


@pytest.mark.parametrize(
    "transcript",
    [
        "WEBVTT\n\n" + cue(0, "<v Ana>Hello") + cue(2, "<v Ana>again"),
        NAMED + "".join(cue(n, "and so on") for n in range(4, 9)),
        "WEBVTT\n\n" + cue(0, "Hello"),
    ],
    ids=["one name", "few names", "no name"],
)
def test_a_transcript_that_hardly_names_people_leaves_one_participant(
    tmp_path: Path, transcript: str
) -> None:
    specs = people_of([str(recording(tmp_path, transcript))]).specs
    assert [(spec.participant_id, spec.speaker) for spec in specs] == [("meeting", None)]


def test_a_stated_transcript_and_its_offset_count(tmp_path: Path) -> None:
    path = recording(tmp_path, NAMED)
    stated = tmp_path / "who.rttm"
    stated.write_text("SPEAKER talk 1 1.0 2.0 <NA> <NA> cy <NA> <NA>\n")
    (spec,) = people_of([str(path)], Naming(transcript=stated, offset_ns=-5)).specs
    assert (spec.participant_id, spec.transcript, spec.transcript_offset_ns) == ("cy", stated, -5)


def test_a_transcript_of_nothing_is_refused(tmp_path: Path) -> None:
    alone = tmp_path / "alone.mp4"
    alone.touch()
    path = recording(tmp_path, NAMED)
    with pytest.raises(ConfigError, match="has no transcript"):
        people_of([str(alone)], Naming(offset_ns=5))
    with pytest.raises(ConfigError, match="one recording"):
        people_of([str(alone), str(path)], Naming(offset_ns=5))
    with pytest.raises(SourceError, match="cannot be read"):
        people_of([str(path)], Naming(transcript=tmp_path / "none.vtt"))
    meeting = zoom_meeting(tmp_path, "audioAna1.m4a")
    with pytest.raises(ConfigError, match="for each person"):
        people_of([str(meeting)], Naming(offset_ns=5))


def test_a_transcript_that_is_shifted_out_of_the_recording_is_refused(tmp_path: Path) -> None:
    path = recording(tmp_path, NAMED)
    with pytest.raises(ConfigError, match=r"all of meeting\.vtt before the recording's start"):
        people_of([str(path)], Naming(offset_ns=-3600 * 10**9))


@pytest.mark.parametrize("split", ["transcript", "none"])
def test_a_transcript_outside_its_recording_has_one_notice(tmp_path: Path, split: Split) -> None:
    path = tmp_path / "meeting.wav"
    media.write(path, media.Audio(seconds=4.0))
    path.with_suffix(".vtt").write_text(NAMED.replace("00:00:", "01:00:"), "utf-8")
    config = load(None, [], environment={})
    naming = Naming(split)
    (notice,) = make_plan(people_of([str(path)], naming).specs, config, speed=0).notices
    assert "No cue of meeting.vtt is used" in notice
    assert "begins at 1:00:00 and the recording ends at 0:04; --transcript-offset -3600" in notice
    shifted = replace(naming, offset_ns=-3600 * 10**9)
    assert make_plan(people_of([str(path)], shifted).specs, config, speed=0).notices == ()


def loudness(window: Window) -> float:
    if window.audio is None:
        return 0.0
    return float(np.abs(audio.decode(window.audio, "pcm16")).max())


def test_a_participant_has_the_words_and_the_sound_of_one_person_and_no_face(
    tmp_path: Path,
) -> None:
    path = tmp_path / "meeting.mkv"
    media.write(path, media.Audio(seconds=4.0), media.Video(seconds=4.0, draw=media.face()))
    path.with_suffix(".vtt").write_text(NAMED, "utf-8")
    config = load(None, ["windows.length_s=1", "windows.audio_codec=pcm16"], environment={})
    people = people_of([str(path)], Naming(offset_ns=10**9))
    plan = make_plan(people.specs, config, speed=0)
    expected = {"Ana Berg": (1, "Good morning"), "Bo-Li": (3, "Hello Ana")}
    assert [spec.participant_id for spec in plan.participants] == list(expected)
    for spec in plan.participants:
        second, text = expected[spec.participant_id]
        windows = list(Pipeline(plan, spec, config).windows(threading.Event()))
        assert len(windows) == 4
        assert [n for n, window in enumerate(windows) if loudness(window) > 0.1] == [second]
        assert [window.text for window in windows] == [
            text if n == second else "" for n in range(4)
        ]
        assert not any(window.faces for window in windows)


def stereo(folder: Path, name: str = "call.wav") -> Path:
    return media.write(folder / name, media.Audio(seconds=1.0, layout="stereo"))


BY_CHANNEL = Naming(split="channels")


def test_each_channel_is_a_participant_when_that_is_asked_for(tmp_path: Path) -> None:
    path = stereo(tmp_path)
    path.with_suffix(".vtt").write_text(NAMED, "utf-8")
    people = people_of([str(path)], BY_CHANNEL)
    assert {spec.participant_id: spec.sources for spec in people.specs} == {
        "call-left": (f"{path}#left",),
        "call-right": (f"{path}#right",),
    }
    assert {spec.identified_by for spec in people.specs} == {"channel"}
    assert {spec.begin_ns for spec in people.specs} == {0}
    assert {spec.transcript for spec in people.specs} == {None}
    assert people.session == "call"
    assert any("call.vtt is not used" in notice for notice in people.notices)
    plan = make_plan(people.specs, load(None, [], environment={}), speed=0)
    assert plan.notice == ""
    assert [source.subtitle_path for source in plan.sources.values()] == [None, None]


def test_a_channel_that_is_named_has_neither_the_names_nor_the_channels_split(
    tmp_path: Path,
) -> None:
    path = stereo(tmp_path)
    path.with_suffix(".vtt").write_text(NAMED, "utf-8")
    for naming in (Naming(), BY_CHANNEL):
        people = people_of([f"{path}#right"], naming)
        assert [(s.participant_id, s.speaker) for s in people.specs] == [("call-right", None)]


def test_what_has_no_channels_to_split_is_refused(tmp_path: Path) -> None:
    mono = media.write(tmp_path / "mono.wav", media.Audio(seconds=1.0))
    with pytest.raises(ConfigError, match=r"mono\.wav has no two channels"):
        people_of([str(mono)], BY_CHANNEL)
    with pytest.raises(ConfigError, match="one source"):
        people_of([f"{mono},{mono}"], BY_CHANNEL)
    words = Naming(split="channels", transcript=tmp_path / "words.vtt")
    with pytest.raises(ConfigError, match="leave --transcript out"):
        people_of([str(stereo(tmp_path))], words)


def test_two_channels_of_one_recording_begin_together_without_a_guess(tmp_path: Path) -> None:
    path = stereo(tmp_path)
    specs = [parse_participant(f"ana={path}#left"), parse_participant(f"bo={path}#right")]
    plan = make_plan(specs, load(None, [], environment={}), speed=0)
    assert (dict(plan.begins_ns), plan.notice) == ({"ana": 0, "bo": 0}, "")


def test_windows_of_a_channel_have_its_sound_and_say_how_their_participant_is_known(
    tmp_path: Path,
) -> None:
    wave = media.side_by_side(media.tone(level=0.5), media.tone(level=0.125))
    path = media.write(tmp_path / "call.wav", media.Audio(seconds=1.0, layout="stereo", wave=wave))
    config = load(
        None, ["windows.audio_codec=pcm16", 'session.modalities=["audio"]'], environment={}
    )
    plan = make_plan(people_of([str(path)], BY_CHANNEL).specs, config, speed=0)
    for spec, level in zip(plan.participants, (0.5, 0.125), strict=True):
        [window] = Pipeline(plan, spec, config).windows(threading.Event())
        assert loudness(window) == pytest.approx(level, abs=0.01)
        assert window.identified_by == "channel"


@pytest.mark.parametrize("settings", [[], ['session.modalities=["text"]']])
def test_a_transcript_alone_gives_its_people_their_words(
    tmp_path: Path, settings: list[str]
) -> None:
    path = tmp_path / "meeting.vtt"
    path.write_text(NAMED, "utf-8")
    config = load(None, ["windows.length_s=1", *settings], environment={})
    people = people_of([str(path)])
    assert people.session == "meeting"
    assert any("with words alone" in notice for notice in people.notices)
    plan = make_plan(people.specs, config, speed=0)
    assert plan.notice == ""
    texts = {
        spec.participant_id: [
            window.text for window in Pipeline(plan, spec, config).windows(threading.Event())
        ]
        for spec in plan.participants
    }
    assert texts == {"Ana Berg": ["Good morning", "", ""], "Bo-Li": ["", "", "Hello Ana"]}


def test_a_transcript_without_words_is_no_participant(tmp_path: Path) -> None:
    path = tmp_path / "empty.vtt"
    path.write_text("WEBVTT\n", "utf-8")
    with pytest.raises(SourceError, match="contains no words"):
        make_plan(people_of([str(path)]).specs, load(None, [], environment={}), speed=0)
