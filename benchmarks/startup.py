"""Time from a command to its first record, and the CPU time that each stage takes to start.

    python benchmarks/startup.py RECORDING [--against CHECKOUT] [--rounds 3] [--json]

Each start is a process of its own. `replay` is `streamer replay RECORDING --broker embedded --speed
0 --json`: its wall time ends at the first record, its CPU time (all stages together) at its own
end, so take a recording of a few seconds. The stages import, load and use their models once.
`--against` measures another checkout of this repository in turn, with the packages of this one.
CPU times hold on a busy machine; wall times need idle cores.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parents[1]
STAGES = {
    "capture": (
        "import numpy, streamer.session.running\n"
        "from streamer.config import build\n"
        "from streamer.speech.activity import Silero\n"
        "from streamer.speech.whisper import Whisper\n"
        "Silero().probabilities(numpy.zeros((1, 512), numpy.float32))\n"
        "Whisper(build({}).asr)"
    ),
    "inference": (
        "import streamer.inference.worker\n"
        "from streamer.config import build\n"
        "from streamer.inference.batches import Scorer, load_predictor\n"
        "Scorer(load_predictor(build({'inference': {'device': 'cpu'}}))).warm_up()"
    ),
    "processing": "import streamer.processing.worker",
    "command line": "import streamer.cli.main",
}


@dataclass(frozen=True)
class Start:
    """One start: seconds of CPU, and seconds to the first record."""

    cpu_s: float
    first_s: float | None = None


def start(command: list[str], checkout: Path) -> Start:
    """Run a command of a checkout to its end; its first line is the first record."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began_s = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(checkout), "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        first_s = time.monotonic() - began_s if first else None
        _, error = process.communicate()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {error.strip()[-400:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Start(cpu_s, first_s)


def commands(recording: Path) -> dict[str, list[str]]:
    """Return the command of every start."""
    replay = [sys.executable, "-P", "-m", "streamer", "replay", str(recording)]
    replay += ["--broker", "embedded", "--speed", "0", "--json"]
    return {
        "replay": replay,
        **{name: [sys.executable, "-P", "-c", code] for name, code in STAGES.items()},
    }


def row(name: str, starts: list[Start], others: list[Start]) -> dict[str, object]:
    """Return the medians of a start, and the ratios to another checkout's."""
    cpu_s = statistics.median(each.cpu_s for each in starts)
    found: dict[str, object] = {"start": name, "cpu_s": round(cpu_s, 2)}
    firsts_s = [each.first_s for each in starts if each.first_s is not None]
    if firsts_s:
        found["first_record_s"] = round(statistics.median(firsts_s), 2)
    if others:
        other_s = statistics.median(each.cpu_s for each in others)
        found |= {"cpu_s_against": round(other_s, 2), "ratio": round(other_s / cpu_s, 2)}
    return found


def main() -> None:
    """Read the command line and print one row for each start."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recording", type=Path)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--only", nargs="*", choices=["replay", *STAGES])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    checkouts = [HERE] if options.against is None else [HERE, options.against.absolute()]
    for name, command in commands(options.recording.absolute()).items():
        if options.only and name not in options.only:
            continue
        rounds = [
            [start(command, checkout) for checkout in checkouts] for _ in range(options.rounds)
        ]
        found = row(name, [each[0] for each in rounds], [each[1] for each in rounds if each[1:]])
        print(json.dumps(found) if options.json else _line(found), flush=True)


def _line(found: dict[str, object]) -> str:
    figures = ", ".join(f"{name} {value}" for name, value in found.items() if name != "start")
    return f"{found['start']:<14} {figures}"


if __name__ == "__main__":
    main()
