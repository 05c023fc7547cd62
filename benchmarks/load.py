"""Latency, CPU and memory of live participants through all stages, and how many this machine takes.

    python benchmarks/load.py RECORDING [RECORDING …] --participants 4 [--to 16] [--talk turns|all]
        [--seconds 60] [--broker embedded|HOST:PORT] [--limit-ms 250] [--json]

Each participant is a live source: a recording that repeats at real speed. With `--talk turns` one
after another has sound, TURN_S each, and the others are silent with a face; with `all` everybody
has sound all the time. `streamer run` captures them, and its printed records are the subscriber's.
From one number of participants to `--to` each is measured in turn, until the 95th percentile passes
`--limit-ms` or something is dropped: the last one before that is the capacity.

A latency is from a window's end to its record on standard output, after WARM_UP_S; `first` counts
a window's first record, `last` its last revision. CPU is in seconds per second and participant, by
process: `capture` contains the subscriber, and the broker where it is the embedded one. It is read
from /proc, so this script needs Linux. Percentiles hold on idle cores only.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

WARM_UP_S = 15.0
TURN_S = 10
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
STAGES = {"infer": "inference", "process": "processing"}
LOSSES = "Losses:"


@dataclass
class Heard:
    """The records that came, and when: window id → its first and last latency in milliseconds."""

    first_ms: dict[str, float] = field(default_factory=dict)
    last_ms: dict[str, float] = field(default_factory=dict)
    records: int = 0

    def take(self, line: str, now_s: float) -> None:
        """Take a printed record."""
        record = json.loads(line)
        if "window_id" not in record:
            return
        self.records += 1
        late_ms = (now_s - datetime.fromisoformat(record["event_time"]).timestamp()) * 1000
        self.first_ms.setdefault(record["window_id"], late_ms)
        self.last_ms[record["window_id"]] = late_ms


def source(recording: Path, number: int, count: int, *, turns: bool) -> str:
    """Return the participant's option: a graph of FFmpeg that repeats a recording."""
    cycle_s, begin_s = TURN_S * count, TURN_S * number
    mute = f"volume=0:enable='not(between(mod(t,{cycle_s}),{begin_s},{begin_s + TURN_S}))',"
    return (
        f"p{number + 1}=lavfi:"
        f"movie={recording}:loop=0,setpts=N/FRAME_RATE/TB,format=yuv420p[out0];"
        f"amovie={recording}:loop=0,asetpts=N/SR/TB,{mute if turns else ''}"
        "aformat=sample_fmts=s16:channel_layouts=mono[out1]"
    )


def children(pid: int) -> list[int]:
    """Return the child processes of a process."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


def stage_of(pid: int) -> str | None:
    """Return the stage that a child process of `streamer run` is."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return None
    return next((stage for verb, stage in STAGES.items() if verb in words), None)


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process has used."""
    numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(numbers[11]) + int(numbers[12])) / TICKS_PER_S


def memory_mb(pid: int) -> float:
    """Return the most memory that a process has had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return the 50th, 95th and 99th percentile, rounded; empty without values."""
    ordered = sorted(values)
    if not ordered:
        return {}
    return {f"p{at}": round(ordered[min(len(ordered) - 1, len(ordered) * at // 100)]) for at in
            (50, 95, 99)}  # fmt: skip


def measure(options: argparse.Namespace, count: int) -> dict[str, object]:
    """Run `count` participants; return the figures."""
    command = [sys.executable, "-P", "-m", "streamer", "run", "--consent", "benchmark"]
    command += ["--json", "--no-page", "--broker", options.broker]
    for number in range(count):
        recording = options.recordings[number % len(options.recordings)].absolute()
        turns = options.talk == "turns"
        command += ["--participant", source(recording, number, count, turns=turns)]
    heard = Heard()
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        reader = threading.Thread(target=_read, args=(process, heard), daemon=True)
        reader.start()
        while not heard.records and process.poll() is None:
            time.sleep(0.1)
        time.sleep(WARM_UP_S)
        heard.first_ms, heard.last_ms = {}, {}
        pids = {"capture": process.pid}
        pids |= {stage: pid for pid in children(process.pid) if (stage := stage_of(pid))}
        before = {stage: cpu_s(pid) for stage, pid in pids.items()}
        begun_s = time.monotonic()
        time.sleep(options.seconds)
        length_s = time.monotonic() - begun_s
        used = {stage: cpu_s(pid) - before[stage] for stage, pid in pids.items()}
        memory = {stage: round(memory_mb(pid)) for stage, pid in pids.items()}
        first, last = list(heard.first_ms.values()), list(heard.last_ms.values())
        process.terminate()
        process.wait(120)
        reader.join(10)
        log.seek(0)
        lost = [line.strip() for line in log if LOSSES in line]
    per_s = {stage: round(seconds / length_s / count, 4) for stage, seconds in used.items()}
    return {
        "participants": count,
        "talk": options.talk,
        "windows": len(first),
        "expected": round(length_s * count),
        "first_ms": percentiles(first),
        "last_ms": percentiles(last),
        "cpu_per_participant": {**per_s, "all": round(sum(per_s.values()), 4)},
        "memory_mb": memory,
        "losses": lost,
    }


def _read(process: subprocess.Popen[str], heard: Heard) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        heard.take(line, time.time())


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
    capacity = 0
    for count in range(options.participants, (options.to or options.participants) + 1):
        row = measure(options, count)
        print(json.dumps(row) if options.json else _lines(row), flush=True)
        first = row["first_ms"]
        assert isinstance(first, dict)
        if row["losses"] or not first or first["p95"] > options.limit_ms:
            break
        capacity = count
    print(json.dumps({"capacity": capacity}) if options.json else f"Capacity: {capacity}")


def _lines(row: dict[str, object]) -> str:
    return "\n".join(f"{name:<20} {value}" for name, value in row.items()) + "\n"


if __name__ == "__main__":
    main()
