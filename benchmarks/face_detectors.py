"""In how many frames each face detector has a face, and what a frame costs.

    python benchmarks/face_detectors.py RECORDING [RECORDING …]

Tracked as in capture, five frames a second; the first frame never has a face.
"""

import argparse
import threading
import time
from pathlib import Path

from streamer import capture
from streamer.config import Config, build
from streamer.faces import FaceTracker
from streamer.records import VideoFrame

DETECTORS = ("cascade", "blazeface")


def frames_of(recording: Path) -> list[VideoFrame]:
    """Decode five frames a second of a recording."""
    spec = capture.ParticipantSpec("bench", (str(recording),))
    chunks = capture.read(spec, Config(), threading.Event(), 5, modalities={"vision"})
    return [chunk for chunk in chunks if isinstance(chunk, VideoFrame)]


def main() -> None:
    """Print one line per recording and detector."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recordings", type=Path, nargs="+")
    for recording in parser.parse_args().recordings:
        frames = frames_of(recording)
        for name in DETECTORS:
            tracker = FaceTracker(build({"faces": {"detector": name}}).faces)
            begin_s = time.process_time()
            crops = sum(tracker.push(frame) is not None for frame in frames)
            ms = (time.process_time() - begin_s) * 1000 / max(len(frames), 1)
            print(f"{recording.name:30} {name:10} {crops:4} of {len(frames):4} {ms:6.1f} ms")


if __name__ == "__main__":
    main()
