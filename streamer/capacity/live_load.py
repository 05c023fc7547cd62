"""Live participants through all stages for a while: latency, CPU and memory.

What enters: recordings, and how many participants repeat them at real speed. What leaves: the
figures of one `streamer run` in a process of its own, whose printed records are the subscriber's.
This process sends the participants' streams. It does not know which figures are good. CPU and
memory come from /proc, and are absent without it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO

from streamer.capacity.figures import Figures, Talk, by_stage, percentiles, stages_of
from streamer.capacity.senders import HasSound, Recording, always, in_turn, sending
from streamer.errors import ExitCode, StreamerError

Pids = Mapping[str, int]
"""The process of each stage; `capture` contains the subscriber and an embedded broker."""

WARM_UP_S = 15.0
START_S = 180.0
"""The longest wait for the first record."""
END_S = 120.0
SAMPLE_S = 1.0
STAGES = {"infer": "inference", "process": "processing"}
LOSSES = "Losses:"


class LoadFailed(StreamerError):
    """The measured session ended by itself or published nothing."""

    exit_code = ExitCode.STAGE


@dataclass(frozen=True)
class Load:
    """What is measured.

    Attributes:
        recordings: media files; participants take them in turn.
        participants: how many.
        talk: who has sound.
        seconds: how long is measured, after `warm_up_s` from the first record.
        arguments: further options of `streamer run`, such as `--broker`.
    """

    recordings: Sequence[Path]
    participants: int
    talk: Talk = "turns"
    seconds: float = 60.0
    warm_up_s: float = WARM_UP_S
    arguments: tuple[str, ...] = ()


@dataclass
class Arrivals:
    """The printed records: window id → its first and last latency in milliseconds.

    `words_ms` holds for each word the time from its end to the first record that carries it,
    `stages_ms` for each window where the time of its first record went.
    """

    first_ms: dict[str, float] = field(default_factory=dict)
    last_ms: dict[str, float] = field(default_factory=dict)
    words_ms: dict[tuple[str, int, str], float] = field(default_factory=dict)
    stages_ms: dict[str, dict[str, float]] = field(default_factory=dict)
    records: int = 0
    _carried: set[tuple[str, int, str]] = field(default_factory=set)

    def take(self, line: str, now_s: float) -> None:
        """Take one line that arrived at a Unix time."""
        record = json.loads(line)
        if "window_id" not in record:
            return
        self.records += 1
        late_ms = (now_s - datetime.fromisoformat(record["event_time"]).timestamp()) * 1000
        if record["window_id"] not in self.first_ms:
            self.first_ms[record["window_id"]] = late_ms
            self.stages_ms[record["window_id"]] = stages_of(record.get("latency_ms", {}), late_ms)
        self.last_ms[record["window_id"]] = late_ms
        for word in (record.get("spoken") or {}).get("words", ()):
            key = record["participant_id"], word["start_ms"], word["text"]
            if key not in self._carried:
                self._carried.add(key)
                self.words_ms[key] = late_ms + record["end_ms"] - word["end_ms"]

    def restart(self) -> None:
        """Discard what came so far; a word of it that a revision carries again is not new."""
        self.records = 0
        self.first_ms, self.last_ms, self.words_ms, self.stages_ms = {}, {}, {}, {}


def participants(load: Load) -> list[tuple[Recording, HasSound]]:
    """Return what each participant repeats, and when it has sound.

    Raises:
        SourceError: a recording cannot be read, or has no sound or no pictures.
    """
    recordings = [Recording.load(path) for path in load.recordings[: load.participants]]
    return [
        (
            recordings[number % len(recordings)],
            in_turn(number, load.participants) if load.talk == "turns" else always,
        )
        for number in range(load.participants)
    ]


def command(load: Load, addresses: Sequence[str]) -> list[str]:
    """Return the command of the measured session, with a participant for each address."""
    words = [sys.executable, "-P", "-m", "streamer", "run", "--json", "--no-page"]
    words += ["--consent", "generated participants of a measurement", *load.arguments]
    for number, address in enumerate(addresses, 1):
        words += ["--participant", f"p{number}={address}"]
    return words


def measure(load: Load, watch: Callable[[Pids], None] = lambda pids: None) -> Figures:
    """Run the participants and return the figures; blocks.

    Args:
        load: what to run.
        watch: called every SAMPLE_S of the measured time with the processes.

    Raises:
        LoadFailed: the session ended by itself, or no record came within START_S.
        SourceError: a recording cannot be read, or has no sound or no pictures.
    """
    with (
        sending(participants(load)) as addresses,
        tempfile.TemporaryDirectory(prefix="streamer-load-") as folder,
    ):
        log_path = Path(folder) / "run.log"
        with (
            log_path.open("w") as log,
            _running(command(load, addresses), log) as (process, arrivals),
        ):
            _wait_for_records(process, arrivals, log_path)
            _wait(load.warm_up_s, process, log_path)
            arrivals.restart()
            pids = processes_of(process.pid)
            before, own_s = _cpu(pids), time.process_time()
            begun_s = time.monotonic()
            _wait(load.seconds, process, log_path, lambda: watch(pids))
            length_s = time.monotonic() - begun_s
            used = {stage: after - before[stage] for stage, after in _cpu(pids).items()}
            own_s = time.process_time() - own_s
            first, last = list(arrivals.first_ms.values()), list(arrivals.last_ms.values())
            words = list(arrivals.words_ms.values())
            stages = list(arrivals.stages_ms.values())
            records = arrivals.records
            memory = {stage: mb for stage, pid in pids.items() if (mb := peak_memory_mb(pid))}
        losses = [line.strip() for line in log_path.read_text().splitlines() if LOSSES in line]
    return Figures(
        participants=load.participants,
        talk=load.talk,
        windows=len(first),
        expected=round(length_s * load.participants),
        windows_per_s=round(len(first) / length_s, 1),
        first_ms=percentiles(first),
        last_ms=percentiles(last),
        cpu_per_participant=_shares(used, length_s * load.participants),
        memory_mb=memory,
        losses=losses,
        word_ms=percentiles(words),
        records_per_window=round(records / max(1, len(first)), 2),
        source_cpu=round(own_s / (length_s * load.participants), 4),
        stages_ms=by_stage(stages),
    )


def processes_of(pid: int) -> dict[str, int]:
    """Return the processes of a `streamer run`; empty without /proc."""
    if not Path(f"/proc/{pid}").exists():
        return {}
    return {"capture": pid} | {
        stage: child for child in _children(pid) if (stage := _stage_of(child)) is not None
    }


def peak_memory_mb(pid: int) -> int | None:
    """Return the most resident memory that a process has had; None if it has ended."""
    return _memory_mb(pid, "VmHWM")


def memory_mb(pid: int) -> int | None:
    """Return the resident memory of a process; None if it has ended."""
    return _memory_mb(pid, "VmRSS")


def _memory_mb(pid: int, name: str) -> int | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next(
        (round(int(line.split()[1]) / 1024) for line in lines if line.startswith(name)), None
    )


def _cpu(pids: Pids) -> dict[str, float]:
    return {stage: cpu_s(pid) for stage, pid in pids.items()}


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process has used; 0 if it has ended."""
    try:
        numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")


def _shares(used_s: Mapping[str, float], participant_s: float) -> dict[str, float]:
    """Return CPU seconds per participant-second, and their sum in `all`; empty without any."""
    shares = {stage: round(seconds / participant_s, 4) for stage, seconds in used_s.items()}
    return {**shares, "all": round(sum(shares.values()), 4)} if shares else {}


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # a thread that has ended meanwhile
            found += map(int, task.read_text().split())
    return found


def _stage_of(pid: int) -> str | None:
    """Return the stage that a child process of `streamer run` is."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return None
    return next((stage for verb, stage in STAGES.items() if verb in words), None)


@contextmanager
def _running(
    words: Sequence[str], log: IO[str]
) -> Iterator[tuple[subprocess.Popen[str], Arrivals]]:
    """Run a session and read its records; end it after the block."""
    arrivals = Arrivals()
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, text=True)
    reader = threading.Thread(target=_read, args=(process, arrivals), daemon=True)
    reader.start()
    try:
        yield process, arrivals
    finally:
        process.terminate()
        try:
            with suppress(subprocess.TimeoutExpired):
                process.wait(END_S)
        finally:
            process.kill()
            process.wait()
            reader.join()
            assert process.stdout is not None
            process.stdout.close()


def _read(process: subprocess.Popen[str], arrivals: Arrivals) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        arrivals.take(line, time.time())


def _wait_for_records(process: subprocess.Popen[str], arrivals: Arrivals, log_path: Path) -> None:
    deadline_s = time.monotonic() + START_S
    while not arrivals.records:
        _check(process, log_path)
        if time.monotonic() > deadline_s:
            raise LoadFailed(
                f"No record came within {START_S:g} s; `streamer doctor` lists what is missing."
            )
        time.sleep(0.1)


def _wait(
    seconds: float,
    process: subprocess.Popen[str],
    log_path: Path,
    each: Callable[[], None] = lambda: None,
) -> None:
    end_s = time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        time.sleep(min(SAMPLE_S, left_s))
        _check(process, log_path)
        each()


def _check(process: subprocess.Popen[str], log_path: Path) -> None:
    """Raise LoadFailed if the session has ended."""
    if process.poll() is not None:
        lines = log_path.read_text("utf-8", "replace").strip().splitlines()
        last_line = lines[-1].removeprefix("streamer: ") if lines else "it logged nothing"
        raise LoadFailed(
            f"The measured session ended with exit code {process.returncode}: {last_line}"
        )
