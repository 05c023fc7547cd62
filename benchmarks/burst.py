"""A burst of windows through the worker: when each result is there, and the CPU of all of them.

    python benchmarks/burst.py [--participants 10] [--bursts 12] [--dtype float32]
        [--against CHECKOUT] [--rounds 3] [--json]

The windows of all participants of a meeting close at the same moment of every second. Here the
first participant speaks, and the others have only a face. As in a session, four fifths of a window
were in the one before. The broker is not there: it acknowledges and commits after `--broker-ms`.
Of the first five bursts, which begin a session, nothing is counted. `--against` measures another
checkout of this repository in turn, with the packages of this one. CPU holds on a busy machine,
times need an idle core.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
import numpy as np
from inference import overlapping

from streamer.config import Config, build
from streamer.inference.batches import Scorer, load_predictor, scored_alone
from streamer.inference.worker import Worker
from streamer.kafka.messages import Received
from streamer.records import Presence, Score, Window
from streamer.testing import FakePolicies

HERE = Path(__file__).resolve().parents[1]
FIRST = 5


@dataclass(frozen=True)
class Burst:
    """Milliseconds from the delivery of a burst to its scores, and the CPU of this process."""

    median_ms: float
    speaker_ms: float
    last_ms: float
    cpu_ms: float


class Meeting:
    """Consumer and producer without a broker: one burst after another, then the worker's end."""

    def __init__(self, bursts: Sequence[Sequence[Window]], broker_s: float) -> None:
        self.stop = asyncio.Event()
        self.found: list[Burst] = []
        self._bursts = list(bursts)
        self._broker_s = broker_s
        self._given_s = self._cpu_s = 0.0
        self._left = 0
        self._scored_ms: dict[str, float] = {}

    async def batch(self, max_records: int, max_wait_ms: int) -> list[Received[Window]]:
        """Return the next burst, once the one before is committed."""
        if self._left or not self._bursts:
            await asyncio.sleep(self._broker_s)
            return []
        burst = self._bursts.pop(0)
        assert len(burst) <= max_records
        self._left, self._scored_ms = len(burst), {}
        self._given_s, self._cpu_s = time.perf_counter(), time.process_time()
        return [
            Received("windows", 0, at, 0, b"", b"", {}, record=window)
            for at, window in enumerate(burst)
        ]

    async def publish_soon(self, record: Score, /) -> Awaitable[object]:
        """Encode the score and note when."""
        msgspec.json.encode(record)
        elapsed_s = time.perf_counter() - self._given_s
        self._scored_ms[record.participant_id] = elapsed_s * 1000
        return asyncio.ensure_future(asyncio.sleep(self._broker_s))

    async def commit(self, received: Sequence[Received[Window]], /) -> None:
        """Take the scores of a burst down; after the last burst, stop the worker."""
        await asyncio.sleep(self._broker_s)
        self._left -= len(received)
        if not self._left:
            cpu_ms = (time.process_time() - self._cpu_s) * 1000
            times = sorted(self._scored_ms.values())
            self.found.append(
                Burst(statistics.median(times), self._scored_ms["p0"], times[-1], cpu_ms)
            )
            if not self._bursts:
                self.stop.set()

    async def dead_letter(self, received: Received[Window], reason: str, /) -> None:
        """Fail: every window is readable.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(f"{received.record.window_id}: {reason}")


def meeting(participants: int, bursts: int) -> list[list[Window]]:
    """Return the windows of each second: one speaker's, then the listeners'."""
    rng = np.random.default_rng(0)
    series = [overlapping(bursts, rng) for _ in range(participants)]
    return [
        [
            msgspec.structs.replace(window, participant_id=f"p{at}")
            if at == 0
            else msgspec.structs.replace(
                window, participant_id=f"p{at}", words=(), presence=Presence(vision=1.0)
            )
            for at, window in enumerate(windows)
        ]
        for windows in zip(*series, strict=True)
    ]


async def work(config: Config, bursts: Sequence[Sequence[Window]], broker_s: float) -> list[Burst]:
    """Have a worker score the bursts; return what each took."""
    model = load_predictor(config)
    scorer = Scorer(model, alone=scored_alone(config, model))
    scorer.warm_up()
    here = Meeting(bursts, broker_s)
    with ThreadPoolExecutor(2) as model_threads:
        worker = Worker(config, scorer, here, here, FakePolicies(), model_threads)
        await worker.run(here.stop)
    return here.found[FIRST:]


def measure(options: argparse.Namespace) -> Burst:
    """Measure this process's code: medians over bursts."""
    config = build({"inference": {"device": "cpu", "dtype": options.dtype}})
    bursts = meeting(options.participants, FIRST + options.bursts)
    found = asyncio.run(work(config, bursts, options.broker_ms / 1000))
    return medians(found)


def medians(bursts: Sequence[Burst]) -> Burst:
    """Return the median of each figure."""
    rows = [asdict(burst) for burst in bursts]
    return Burst(**{name: statistics.median(row[name] for row in rows) for name in rows[0]})


def measure_in(checkout: Path, arguments: Sequence[str]) -> Burst:
    """Measure the code of a checkout in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    command = [sys.executable, __file__, *arguments, "--alone"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return Burst(**json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Read the command line and print a row for each checkout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--participants", type=int, default=10)
    parser.add_argument("--bursts", type=int, default=12)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--broker-ms", type=float, default=2.0)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.alone:
        print(json.dumps(asdict(measure(options))))
        return
    checkouts = [HERE] if options.against is None else [HERE, options.against.absolute()]
    found: list[list[Burst]] = [[] for _ in checkouts]
    for _ in range(options.rounds):
        for checkout, bursts in zip(checkouts, found, strict=True):
            bursts.append(measure_in(checkout, sys.argv[1:]))
    for name, bursts in zip(("now", "against"), found, strict=False):
        row = {key: round(value, 1) for key, value in asdict(medians(bursts)).items()}
        print(json.dumps({"checkout": name, **row}) if options.json else (name, row), flush=True)


if __name__ == "__main__":
    main()
