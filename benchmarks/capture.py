"""Speed from a recording to windows, as a multiple of real time, and the cost of each modality.

    python benchmarks/capture.py RECORDING [--rounds 3]

Without broker and model: reading, recognition, faces and windows in one thread, as in a replay at
full speed. A WebVTT or SRT file beside the recording is used by the `subtitles` variant.
"""

import argparse
import threading
from functools import partial
from pathlib import Path

from measure import compare, show

from streamer import capture
from streamer.config import build
from streamer.session.participant import Pipeline
from streamer.session.plan import make_plan

VARIANTS: dict[str, dict[str, object]] = {
    "audio only": {"modalities": ["audio"], "engine": "none"},
    "faces only": {"modalities": ["vision"], "engine": "none"},
    "audio and faces": {"modalities": ["audio", "vision"], "engine": "none"},
    "all, Whisper": {"modalities": ["audio", "text", "vision"], "engine": "whisper"},
    "text only, Whisper": {"modalities": ["text"], "engine": "whisper"},
}
SUBTITLED: dict[str, dict[str, object]] = {
    "all, subtitles": {"modalities": ["audio", "text", "vision"], "engine": "subtitles"},
}


def windows_of(recording: Path, settings: dict[str, object]) -> int:
    """Make the windows of a recording; return their number."""
    config = build(
        {
            "session": {"modalities": settings["modalities"]},
            "asr": {"engine": settings["engine"]},
        }
    )
    spec = capture.parse_participant(f"bench={recording}")
    plan = make_plan([spec], config, speed=0.0, session_id="bench")
    return sum(1 for _ in Pipeline(plan, spec, config).windows(threading.Event()))


def main() -> None:
    """Read the command line and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recording", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    source = capture.info(capture.parse_participant(f"bench={options.recording}"))
    length_s = source.duration_s or 0.0
    known = {**VARIANTS, **(SUBTITLED if source.subtitle_path else {})}
    variants = {
        name: (length_s, partial(windows_of, options.recording, settings))
        for name, settings in known.items()
    }
    results = compare(variants, options.rounds)
    show(f"Capture of {length_s:.1f} s", "recorded s", results, options.json)


if __name__ == "__main__":
    main()
