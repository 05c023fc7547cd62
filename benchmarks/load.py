"""Latency, CPU and memory of live participants through all stages, and how many this machine takes.

    python benchmarks/load.py RECORDING [RECORDING …] --participants 4 [--to 16] [--talk turns|all]
        [--seconds 60] [--broker embedded|HOST:PORT] [--limit-ms 250] [--json]

Each participant is a live stream: a recording that repeats at real speed. With `--talk turns` one
after another has sound, 10 s each, and the others are silent with a face; with `all` everybody has
sound all the time. `streamer run` captures them, and its printed records are the subscriber's.
From one number of participants to `--to` each is measured in turn, until the 95th percentile passes
`--limit-ms` or something is dropped or missing: the last one before that is the capacity.

A latency is from a window's end to its record on standard output, after a warm-up of 15 s; `first`
counts a window's first record, `last` its last revision; `word` is from a word's end to the first
record that carries it with its time. A `stage` is of the first records: `capture` until the window
is sent, `queue` until inference takes it, `inference`, `smoothing` from the score's writing on, and
`delivery`, the rest of the way to the reader; the broker's waits are in `queue`, `smoothing` and
`delivery`. `latest` is the mean over the latest 5 % of the records: these sum up to the mean of
their latencies, and so explain a missed 95th percentile. CPU is in seconds per second and
participant, by process: `capture` contains the subscriber, and the broker where it is the embedded
one. `source_cpu` is what this script itself takes, which sends the streams; it is not in the sum.
CPU is read from /proc, so this script needs Linux. Percentiles hold on idle cores only.
`streamer bench` measures the same for a machine of your own.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from streamer.capacity.figures import Figures
from streamer.capacity.live_load import Load, measure


def main() -> None:
    """Read the command line; print one row per number of participants, then the capacity."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recordings", type=Path, nargs="+")
    parser.add_argument("--participants", type=int, default=2)
    parser.add_argument("--to", type=int)
    parser.add_argument("--talk", choices=["turns", "all"], default="turns")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--broker", default="embedded")
    parser.add_argument("--limit-ms", type=float, default=250.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    arguments = ("--broker", options.broker)
    capacity = 0
    for count in range(options.participants, (options.to or options.participants) + 1):
        figures = measure(
            Load(options.recordings, count, options.talk, options.seconds, arguments=arguments)
        )
        print(json.dumps(asdict(figures)) if options.json else _lines(figures), flush=True)
        late_ms = figures.first_ms.get("p95", options.limit_ms + 1)
        if not figures.keeps_up or late_ms > options.limit_ms:
            break
        capacity = count
    print(json.dumps({"capacity": capacity}) if options.json else f"Capacity: {capacity}")


def _lines(figures: Figures) -> str:
    values = asdict(figures)
    stages = {f"stage {name}": spent for name, spent in values.pop("stages_ms").items()}
    return "\n".join(f"{name:<20} {value}" for name, value in (values | stages).items()) + "\n"


if __name__ == "__main__":
    main()
