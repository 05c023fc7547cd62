"""A damaged index: neither a timestamp nor a duration gives a recording hours that it has not."""

import struct
import threading
from pathlib import Path
from typing import Any

import pytest

from streamer import capture
from streamer.capture.files import ContainerReader, open_file, select_streams
from streamer.capture.timeline import Timeline
from streamer.capture.tracks import AudioTrack, VideoTrack
from streamer.config import Config
from streamer.records import NS_PER_S, AudioChunk, StreamEnd, VideoFrame
from tests import media

LENGTH_S = 3
LATEST_S = LENGTH_S + 10.5
"""The recording's length and `capture.max_gap_s`."""


@pytest.mark.parametrize("kind", ["audio", "video"])
@pytest.mark.parametrize("by_s", [86_400, -86_400, 20])
def test_the_first_timestamp_is_bounded_as_the_others(
    tmp_path: Path, kind: str, by_s: float
) -> None:
    path = media.write(tmp_path / "a.mkv", media.Audio(), media.Video())
    with open_file(path) as container:
        streams = select_streams(container, "a.mkv")
        displaced = media.Displaced(container, kind, by_s)
        tracks: dict[str, Any] = {"audio": AudioTrack(0), "video": VideoTrack(0, 5)}
        reader = ContainerReader(displaced, streams, "a.mkv", 0, 10 * NS_PER_S, **tracks)
        for chunk in reader.read():
            if isinstance(chunk, AudioChunk | VideoFrame):
                assert 0 <= chunk.event_time_ns <= LATEST_S * NS_PER_S
        assert reader.end_ns <= LATEST_S * NS_PER_S


@pytest.mark.parametrize("timescale", [1, 100])
def test_a_damaged_time_scale_gives_no_hours(tmp_path: Path, timescale: int) -> None:
    """Every frame then lasts minutes, although the container is as long as before."""
    path = media.write(tmp_path / "a.mp4", media.Audio(seconds=3), media.Video(seconds=3))
    data = bytearray(path.read_bytes())
    at = data.rindex(b"mdhd") + 16
    before, _ = struct.unpack(">II", data[at : at + 8])
    data[at : at + 8] = struct.pack(">II", timescale, timescale * LENGTH_S)
    assert before > timescale
    path.write_bytes(data)
    spec = capture.ParticipantSpec("ana", (str(path),))
    ends = [
        chunk.event_time_ns
        for chunk in capture.read(spec, Config(), threading.Event(), 5)
        if isinstance(chunk, StreamEnd)
    ]
    assert 0 < max(ends) <= LATEST_S * NS_PER_S


def test_no_timestamp_is_after_the_limit() -> None:
    timeline = Timeline(0, 0, 10 * NS_PER_S, limit_ns=13 * NS_PER_S)
    for second in range(0, 100, 9):
        shift_ns = timeline.shift_for(0, second * NS_PER_S, NS_PER_S)
        assert second * NS_PER_S + shift_ns <= 13 * NS_PER_S
