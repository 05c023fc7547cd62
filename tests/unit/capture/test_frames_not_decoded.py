"""Frames that no slot needs are not decoded, and the others are the same as without that."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from streamer.capture.files import ContainerReader, select_streams
from streamer.capture.tracks import SLOTS_KEPT, VideoTrack
from streamer.records import NS_PER_MS, NS_PER_S, VideoFrame
from tests import media

RATE_HZ = 5.0
FRAME_NS = 40 * NS_PER_MS


class Counting(VideoTrack):
    """Counts the decoded frames; `all_wanted` wants every packet."""

    def __init__(self, *, all_wanted: bool) -> None:
        super().__init__(0, RATE_HZ)
        self.decoded = 0
        self._all_wanted = all_wanted

    def wants(self, at_ns: int, duration_ns: int) -> bool:
        return super().wants(at_ns, duration_ns) or self._all_wanted

    def push(
        self, frame: av.VideoFrame, time_ns: int | None, duration_ns: int, pixel_aspect: float = 1.0
    ) -> VideoFrame | None:
        self.decoded += 1
        return super().push(frame, time_ns, duration_ns, pixel_aspect)


def frames(path: Path, *, all_wanted: bool) -> tuple[list[VideoFrame], Counting, int]:
    track = Counting(all_wanted=all_wanted)
    with av.open(str(path)) as container:
        streams = select_streams(container, path.name)
        reader = ContainerReader(container, streams, path.name, 0, 10 * NS_PER_S, video=track)
        found = [chunk for chunk in reader.read() if isinstance(chunk, VideoFrame)]
        return found, track, reader.end_ns


@pytest.mark.parametrize(
    ("name", "codec", "options", "most"),
    [
        ("b-frames.mp4", "libx264", {"bf": "2", "b-pyramid": "none", "g": "50"}, 0.6),
        ("pyramid.mkv", "libx264", {"bf": "3", "b-pyramid": "strict", "g": "50"}, 0.8),
        ("without-b-frames.mp4", "libx264", {"bf": "0"}, 1.0),
        ("mpeg4.mp4", "mpeg4", {"bf": "2"}, 0.6),
        ("motion.avi", "mjpeg", {}, 1.0),
        ("motion.mkv", "mjpeg", {}, 0.25),
    ],
)
def test_the_frames_are_the_same_and_fewer_are_decoded(
    tmp_path: Path, name: str, codec: str, options: dict[str, str], most: float
) -> None:
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    video = media.Video(
        seconds=4.0, rate=25, codec=codec, options=options, pixels=pixels, draw=media.face()
    )
    path = media.write(tmp_path / name, video)
    ours, track, end_ns = frames(path, all_wanted=False)
    theirs, everything, their_end_ns = frames(path, all_wanted=True)
    assert [frame.event_time_ns for frame in ours] == [frame.event_time_ns for frame in theirs]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(ours, theirs, strict=True))
    assert (len(ours), end_ns) == (20, their_end_ns)
    assert track.decoded <= most * everything.decoded


def test_only_a_packet_that_may_be_first_of_its_slot_is_wanted() -> None:
    track = VideoTrack(0, RATE_HZ)
    ask = [(ms, track.wants(ms * NS_PER_MS, FRAME_NS)) for ms in (40, 120, 0, 80, 240, 200, 280)]
    assert [ms for ms, wanted in ask if wanted] == [40, 0, 240, 200]
    assert track.end_ns == 280 * NS_PER_MS + FRAME_NS


def test_after_damage_the_next_packet_is_wanted() -> None:
    track = VideoTrack(0, RATE_HZ)
    assert track.wants(0, FRAME_NS)
    assert not track.wants(FRAME_NS, FRAME_NS)
    track.lost()
    assert track.wants(2 * FRAME_NS, FRAME_NS)


def test_the_slots_that_are_remembered_are_bounded() -> None:
    track = VideoTrack(0, RATE_HZ)
    for slot in range(3 * SLOTS_KEPT):
        assert track.wants(slot * 200 * NS_PER_MS, FRAME_NS)
    assert len(track._earliest_ns) == SLOTS_KEPT
