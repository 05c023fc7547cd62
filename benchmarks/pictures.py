"""CPU time to decode a recording's pictures: all of them, and those that capture needs.

    python benchmarks/pictures.py RECORDING [RECORDING …] [--rounds 3]

Five pictures a second are returned in both cases, the same ones. The variants take turns; printed
are the medians, the ratio, and how many pictures the decoder gave.
"""

import argparse
import statistics
import time
from pathlib import Path

import av

from streamer.capture.files import ContainerReader, SelectedStreams, select_streams
from streamer.capture.tracks import VideoTrack
from streamer.records import NS_PER_S, VideoFrame

RATE_HZ = 5.0


class Track(VideoTrack):
    """A track that counts the decoded pictures, and may want all of them."""

    def __init__(self, *, wants_all: bool) -> None:
        super().__init__(0, RATE_HZ)
        self.decoded = 0
        self._wants_all = wants_all

    def wants(self, at_ns: int, duration_ns: int) -> bool:
        """Return whether to decode a packet."""
        return super().wants(at_ns, duration_ns) or self._wants_all

    def push(
        self, frame: av.VideoFrame, time_ns: int | None, duration_ns: int, pixel_aspect: float = 1.0
    ) -> VideoFrame | None:
        """Count a decoded picture."""
        self.decoded += 1
        return super().push(frame, time_ns, duration_ns, pixel_aspect)


def read(recording: Path, *, wants_all: bool) -> tuple[float, int]:
    """Read the pictures; return the CPU seconds and the number of decoded ones."""
    track = Track(wants_all=wants_all)
    begin_s = time.process_time()
    with av.open(str(recording)) as container:
        video = SelectedStreams(video=select_streams(container, recording.name).video)
        for _ in ContainerReader(container, video, recording.name, 0, NS_PER_S, video=track).read():
            pass
    return time.process_time() - begin_s, track.decoded


def main() -> None:
    """Print one line per recording."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recordings", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for recording in options.recordings:
        rounds = [
            [read(recording, wants_all=wants_all) for wants_all in (True, False)]
            for _ in range(options.rounds)
        ]
        every_s, needed_s = (statistics.median(each[at][0] for each in rounds) for at in (0, 1))
        (_, every), (_, needed) = rounds[0]
        print(
            f"{recording.name:30} {every_s * 1000:6.0f} ms for {every:4}, "
            f"{needed_s * 1000:6.0f} ms for {needed:4}   x{every_s / needed_s:.2f}"
        )


if __name__ == "__main__":
    main()
