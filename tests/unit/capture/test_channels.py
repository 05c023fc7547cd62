"""One channel of a source, and the notice on two channels with a speaker each."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import numpy as np
import pytest

from streamer import capture
from streamer.capture.probe import audio_channels
from streamer.config import Config
from streamer.errors import SourceError
from streamer.records import AudioChunk, Notice, VideoFrame
from tests import media
from tests.media import Audio, Video, beeps, side_by_side, silence, tone

LEVELS = side_by_side(*(tone(level=level) for level in (0.5, 0.25, 0.125, 0.0625)))


def read(*sources: str) -> list[capture.Chunk]:
    spec = capture.ParticipantSpec("ana", sources)
    return list(capture.read(spec, Config(), threading.Event(), 5.0))


def peak(chunks: list[capture.Chunk]) -> float:
    return max(float(np.abs(c.samples).max()) for c in chunks if isinstance(c, AudioChunk))


def notices(chunks: list[capture.Chunk]) -> list[str]:
    return [chunk.message for chunk in chunks if isinstance(chunk, Notice)]


def four(folder: Path) -> Path:
    return media.write(folder / "room.wav", Audio(seconds=0.5, layout="4.0", wave=LEVELS))


@pytest.mark.parametrize(
    ("channel", "level"), [("left", 0.5), ("right", 0.25), ("ch:0", 0.5), ("ch:3", 0.0625)]
)
def test_one_channel_of_a_file_is_read_alone(tmp_path: Path, channel: str, level: float) -> None:
    path = four(tmp_path)
    assert peak(read(f"{path}#{channel}")) == pytest.approx(level, abs=0.01)
    assert audio_channels(capture.ParticipantSpec("room", (str(path),))) == 4


def test_one_channel_of_another_rate_is_read_alone(tmp_path: Path) -> None:
    wave = side_by_side(tone(level=0.5), tone(level=0.25))
    sound = Audio(seconds=0.5, rate=44_100, layout="stereo", wave=wave)
    path = media.write(tmp_path / "call.wav", sound)
    assert peak(read(f"{path}#right")) == pytest.approx(0.25, abs=0.01)


def test_one_channel_of_a_folder_is_read_alone(tmp_path: Path) -> None:
    four(tmp_path)
    assert peak(read(f"{tmp_path}#right")) == pytest.approx(0.25, abs=0.01)


def test_one_channel_of_another_stream_is_read_alone(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    stereo = side_by_side(tone(level=0.5), tone(level=0.1))
    media.write(
        path,
        Audio(seconds=0.5, layout="4.0", wave=LEVELS),
        Audio(seconds=0.5, layout="stereo", wave=stereo, default=False),
    )
    assert peak(read(f"{path}#a:1#right")) == pytest.approx(0.1, abs=0.01)


def test_a_channel_that_a_source_has_not_is_refused(tmp_path: Path) -> None:
    path = four(tmp_path)
    with pytest.raises(SourceError, match=r"has 4 channels, counted from #ch:0; there is no #ch:4"):
        read(f"{path}#ch:4")
    mono = media.write(tmp_path / "mono.wav", Audio(seconds=0.5))
    with pytest.raises(SourceError, match=r"has 1 channel, .* no #right"):
        capture.info(capture.ParticipantSpec("ana", (f"{mono}#right",)))
    mute = media.write(tmp_path / "mute.mkv", Video(seconds=0.5))
    with pytest.raises(SourceError, match="has no audio, so there is no #left"):
        capture.info(capture.ParticipantSpec("ana", (f"{mute}#left",)))


def test_a_channel_has_no_picture_and_no_words_of_the_others(tmp_path: Path) -> None:
    path = tmp_path / "call.mkv"
    media.write(path, Audio(seconds=0.5, layout="stereo"), Video(seconds=0.5))
    path.with_suffix(".vtt").write_text("WEBVTT\n\n00:00.000 --> 00:00.500\nhello\n")
    spec = capture.ParticipantSpec("ana", (f"{path}#left",))
    assert (capture.info(spec).has_video, capture.info(spec).subtitle_path) == (False, None)
    chunks = read(f"{path}#left")
    assert not any(isinstance(chunk, VideoFrame) for chunk in chunks)
    [said] = notices(chunks)
    assert f"--participant ana={path}#left,{path}." in said
    both = read(f"{path}#left", str(path))
    assert any(isinstance(chunk, VideoFrame) for chunk in both)
    assert notices(both) == []


def call(folder: Path) -> Path:
    """Beeps for two seconds on the left, then on the right."""
    left, right = ([first + n / 4 for n in range(8)] for first in (0, 2))
    wave = side_by_side(beeps(left, 0.1), beeps(right, 0.1))
    return media.write(folder / "call.wav", Audio(seconds=4.0, layout="stereo", wave=wave))


def test_two_speakers_on_two_channels_give_one_notice_with_what_to_type(tmp_path: Path) -> None:
    path = call(tmp_path)
    said = [notice for notice in notices(read(str(path))) if "channels" in notice]
    assert len(said) == 1
    assert "--split channels" in said[0]
    named = re.findall(r"--participant (\S+=\S+#\w+)", said[0])
    specs = [capture.parse_participant(text) for text in named]
    assert [spec.media[0].channel for spec in specs] == [0, 1]
    assert {spec.media[0].address for spec in specs} == {str(path)}


def test_one_speaker_in_stereo_and_one_channel_give_no_notice(tmp_path: Path) -> None:
    wave = side_by_side(beeps([n / 4 for n in range(8)], 0.1), silence)
    one = media.write(tmp_path / "one.wav", Audio(seconds=2.0, layout="stereo", wave=wave))
    for source in (str(one), f"{call(tmp_path)}#left"):
        assert [notice for notice in notices(read(source)) if "channels" in notice] == []
