"""Speed from a file to published sentiment, as a multiple of real time.

    python benchmarks/end_to_end.py RECORDING [RECORDING …] [--rounds 2]

Each variant is `streamer replay … --broker embedded --speed 0 --json` in a process of its own,
which starts broker, inference and processing. Several recordings are several participants. The time
includes imports and the loading of the model; a long recording shows the steady rate.
"""

import argparse
import json
import subprocess
import sys
from functools import partial
from pathlib import Path

from measure import compare, show

from streamer import capture

VARIANTS: dict[str, list[str]] = {
    "as configured": [],
    "without recognition": ["asr.engine=none"],
    "text only": ['session.modalities=["text"]'],
    "audio only": ['session.modalities=["audio"]', "asr.engine=none"],
    "max_batch 1": ["inference.max_batch=1"],
    "PCM16": ["windows.audio_codec=pcm16"],
}


def replay(recordings: list[Path], settings: list[str]) -> int:
    """Replay at full speed; return the number of published participants' records."""
    options = [part for setting in settings for part in ("--set", setting)]
    files = [str(recording) for recording in recordings]
    command = [sys.executable, "-m", "streamer", "replay", *files, *options]
    command += ["--broker", "embedded", "--speed", "0", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {done.stderr.strip()[-400:]}")
    return sum("window_id" in json.loads(line) for line in done.stdout.splitlines())


def main() -> None:
    """Read the command line and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recordings", type=Path, nargs="+")
    parser.add_argument("--only", nargs="*", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    lengths = [
        capture.info(capture.parse_participant(f"bench={path}")).duration_s or 0.0
        for path in options.recordings
    ]
    variants = {
        name: (sum(lengths), partial(replay, options.recordings, VARIANTS[name]))
        for name in options.only
    }
    title = f"From file to sentiment, {sum(lengths):.1f} s in {len(lengths)} recordings"
    show(title, "recorded s", compare(variants, options.rounds), options.json)


if __name__ == "__main__":
    main()
