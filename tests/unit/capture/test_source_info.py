"""SourceInfo: what recordings and devices contain, before they are read."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from streamer import capture
from streamer.capture.probe import transcript_beside
from streamer.config import Config
from streamer.errors import ConfigError, SourceError
from streamer.records import NS_PER_S, AudioChunk
from tests import media
from tests.media import Audio, Video


def spec(*sources: object) -> capture.ParticipantSpec:
    return capture.ParticipantSpec("ana", tuple(str(source) for source in sources))


def test_info_describes_a_recording(tmp_path: Path) -> None:
    path = media.write(
        tmp_path / "a.mp4", Audio(codec="aac"), Video(),
        metadata={"creation_time": "2024-05-06T07:08:09Z"},
    )  # fmt: skip
    info = capture.info(spec(path))
    assert (info.live, info.has_audio, info.has_video) == (False, True, True)
    assert info.duration_s == pytest.approx(3.0, abs=0.05)
    assert info.start_unix_ns == 1_714_979_289 * NS_PER_S
    assert info.path == path


def test_a_recording_without_a_creation_time_ends_at_its_modification_time(tmp_path: Path) -> None:
    path = media.write(tmp_path / "a.wav", Audio())
    os.utime(path, ns=(1, 1_600_000_000 * NS_PER_S))
    assert capture.info(spec(path)).start_unix_ns == 1_599_999_997 * NS_PER_S  # 3 s long


@pytest.mark.parametrize(
    ("name", "start_unix_s", "origin"),
    [
        ("GMT20260503-090000_Recording_640x360.mp4", 1_777_798_800, "name"),
        ("GMT20269903-090000_Recording.mp4", 1_714_979_289, "creation"),
    ],
)
def test_a_recording_of_zooms_cloud_begins_when_its_name_says(
    tmp_path: Path, name: str, start_unix_s: int, origin: str
) -> None:
    """The container's own time is that of the file."""
    metadata = {"creation_time": "2024-05-06T07:08:09Z"}
    info = capture.info(spec(media.write(tmp_path / name, Audio(codec="aac"), metadata=metadata)))
    assert (info.start_unix_ns, info.start_origin) == (start_unix_s * NS_PER_S, origin)


@pytest.mark.parametrize("name", ["10:30.mp4", "http:talk.mp4", "-dash.mp4", "concat:a|b.mp4"])
def test_a_file_is_a_file_whatever_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    media.write(tmp_path / "plain.mp4", Audio(codec="aac"))
    (tmp_path / "plain.mp4").rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert capture.info(spec(name)).has_audio


def test_a_transcript_beside_a_recording_is_found(tmp_path: Path) -> None:
    path = media.write(tmp_path / "a.wav", Audio())
    assert capture.info(spec(path)).subtitle_path is None
    (tmp_path / "a.vtt").write_text("WEBVTT\n")
    assert capture.info(spec(path)).subtitle_path == tmp_path / "a.vtt"


def test_a_transcript_can_be_named_as_a_source(tmp_path: Path) -> None:
    path = media.write(tmp_path / "a.wav", Audio())
    words = tmp_path / "other.srt"
    words.write_text("")
    assert capture.info(spec(path, words)).subtitle_path == words
    chunks = capture.read(spec(path, words), Config(), threading.Event(), 5)
    assert sum(len(c.samples) for c in chunks if isinstance(c, AudioChunk)) == 48_000
    with pytest.raises(SourceError, match="no subtitle file"):
        capture.info(spec(path, tmp_path / "gone.vtt"))


def test_a_text_subtitle_stream_inside_a_recording_is_found(tmp_path: Path) -> None:
    path = media.write_with_subtitles(tmp_path / "a.mkv", Audio(), Video())
    assert capture.info(spec(path)).subtitle_stream == 2


def test_devices_are_live_and_are_not_opened() -> None:
    info = capture.info(spec("webcam:77", "mic:default"))
    assert (info.live, info.has_audio, info.has_video) == (True, True, True)
    assert info.duration_s is None
    assert info.start_unix_ns is None


def test_live_sources_and_recordings_together_are_refused(tmp_path: Path) -> None:
    path = media.write(tmp_path / "a.wav", Audio())
    with pytest.raises(ConfigError, match="mixes live sources and recordings"):
        capture.info(spec("webcam:0", path))


def test_a_participant_without_audio_and_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.vtt").write_text("WEBVTT\n")
    with pytest.raises(ConfigError, match="no source"):
        capture.info(spec(tmp_path / "a.vtt"))


def test_a_transcript_has_the_stem_of_its_recording_and_perhaps_a_language(tmp_path: Path) -> None:
    recording = tmp_path / "talk.one.mp4"
    assert transcript_beside(recording) is None
    assert transcript_beside(tmp_path / "no folder" / "a.mp4") is None
    for name in ("talk.vtt", "talk.one.b.srt", "talk.one.draft.vtt"):
        (tmp_path / name).touch()
    assert transcript_beside(recording) is None
    for more in ("en-GB.vtt", "transcript.srt", "transcript.vtt", "srt", "vtt"):
        (tmp_path / f"talk.one.{more}").touch()
        assert transcript_beside(recording) == tmp_path / f"talk.one.{more}"


@pytest.mark.parametrize("size", ["_640x360", "_gallery_1280x720", "_avo_as_640x360", ""])
def test_zooms_image_size_is_not_in_the_name_of_its_transcript(tmp_path: Path, size: str) -> None:
    transcript = tmp_path / "GMT20260105-090000_Recording.transcript.vtt"
    transcript.touch()
    (tmp_path / "talk.transcript.vtt").touch()
    recording = tmp_path / f"GMT20260105-090000_Recording{size}.mp4"
    assert transcript_beside(recording) == transcript
    assert transcript_beside(tmp_path / "talk_640x360.mp4") is None


def test_the_path_of_a_camera_is_a_camera() -> None:
    info = capture.info(spec("/dev/video0"))
    assert (info.live, info.has_video, info.has_audio) == (True, True, False)
