"""Scores to sentiment, from topic to topic: scores a second of one worker, and CPU of each.

    python benchmarks/processing.py --broker HOST:PORT [--scores 20000] [--sessions 20]
        [--people 10] [--against CHECKOUT] [--workers 1 2 4] [--rounds 1] [--json]

The scores of live sessions, as many of each participant, are on their topic before a worker
(`streamer process`) starts. It publishes them smoothed, the sessions as a whole, and writes its
changelogs. Counted is from a tenth of all records on to the last one. One score in sixteen is a
revision. `--against` measures another checkout of this repository in turn, with the packages of
this one. With `--workers` the scores come once all of so many workers have their partitions, and
CPU is that of all of them. CPU holds on a busy machine, the rate needs two idle cores: the broker
and this reader work too. It reads /proc, so it needs Linux.
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient
from smoothing import make_scores

from streamer.capacity.live_load import cpu_s
from streamer.config import Config, build
from streamer.kafka.admin import ensure_topics
from streamer.kafka.consumer import Consumer
from streamer.kafka.groups import consumer_group
from streamer.kafka.producer import Producer
from streamer.kafka.topics import SESSION_SMOOTHED, SMOOTHED
from streamer.records import MODALITIES, Participant, Score, Sentiment, Session, SessionSentiment

HERE = Path(__file__).parents[1]
PATIENCE_S = 120.0
REVISED_EVERY = 16


@dataclass(frozen=True)
class Work:
    """How many scores of how many sessions, each of how many people."""

    scores: int
    sessions: int
    people: int

    @property
    def windows(self) -> int:
        """Windows of each participant."""
        return self.scores // (self.sessions * self.people)

    @property
    def meetings(self) -> int:
        """Windows of all sessions."""
        return self.windows * self.sessions


def session(name: str, people: int) -> Session:
    """Return the record of a session whose people all agreed."""
    return Session(
        session_id=name,
        state="started",
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        live=True,
        consent="generated participants of a measurement",
        modalities=MODALITIES,
        participants=tuple(Participant(f"p{number}", ("made",)) for number in range(people)),
        asr="none",
        publish="participant",
        min_participants=1,
    )


def scores_of(name: str, person: str, work: Work) -> list[Score]:
    """Return a participant's scores; every REVISED_EVERY-th comes again after the next one."""
    scores: list[Score] = []
    for score in make_scores(work.windows, person, work.people, session=name):
        scores.append(score)
        if score.window_index % REVISED_EVERY == 1:
            scores.append(msgspec.structs.replace(scores[-2], revision=1))
    return scores


async def fill(config: Config, work: Work) -> None:
    """Publish all scores, window by window."""
    names = [f"made-{number}" for number in range(work.sessions)]
    async with Producer(config) as producer:
        for name in names:
            await producer.publish(session(name, work.people))
        of_all = [
            scores_of(name, f"p{number}", work) for name in names for number in range(work.people)
        ]
        for at_once in zip(*of_all, strict=True):
            for score in at_once:
                await producer.publish_soon(score)


class Seen:
    """The windows that are out."""

    def __init__(self) -> None:
        self.windows: set[str] = set()
        self.meetings: set[str] = set()

    async def follow(self, config: Config) -> None:
        """Read until cancelled."""
        async with (
            Consumer(config, SMOOTHED) as smoothed,
            Consumer(config, SESSION_SMOOTHED) as meetings,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(self._read(smoothed, self.windows))
            tasks.create_task(self._read(meetings, self.meetings))

    async def _read(
        self, reader: Consumer[Sentiment] | Consumer[SessionSentiment], seen: set[str]
    ) -> None:
        while True:
            for received in await reader.batch(200, 100):
                seen.add(received.record.window_id)

    async def at_least(
        self, windows: int, meetings: int, processes: list[subprocess.Popen[bytes]]
    ) -> None:
        """Wait until so many are out.

        Raises:
            SystemExit: a worker ended, or nothing came for PATIENCE_S.
        """
        before, deadline_s = -1, 0.0
        while len(self.windows) < windows or len(self.meetings) < meetings:
            if (now := len(self.windows) + len(self.meetings)) > before:
                before, deadline_s = now, time.monotonic() + PATIENCE_S
            ended = any(process.poll() is not None for process in processes)
            if ended or time.monotonic() > deadline_s:
                sys.exit(f"{len(self.windows)} of {windows} windows came, and no more.")
            await asyncio.sleep(0.02)


async def measure(
    config: Config, work: Work, checkout: Path, workers: int | None
) -> tuple[float, float]:
    """Smooth from new topics; return scores a second, and CPU milliseconds of each.

    Without a number of workers there is one, and the scores are there before it.
    """
    own = f"made-{uuid.uuid4().hex[:8]}"
    config = build(
        {
            "kafka": {"broker": config.kafka.broker, "topic_prefix": own},
            "smoothing": {"consumer_group": own},
        }
    )
    await ensure_topics(config)
    if workers is None:
        await fill(config, work)
    seen = Seen()
    with contextlib.ExitStack() as running:
        log = running.enter_context(tempfile.TemporaryFile()).fileno()
        processes = [
            running.enter_context(worker(config, checkout, log)) for _ in range(workers or 1)
        ]
        tasks = [asyncio.create_task(seen.follow(config))]
        try:
            if workers is not None:
                await asyncio.to_thread(wait_for_all, config, workers)
                tasks.append(asyncio.create_task(fill(config, work)))
            await seen.at_least(work.scores // 10, 0, processes)
            begun_s, first = time.monotonic(), len(seen.windows)
            before_s = sum(cpu_s(process.pid) for process in processes)
            everyone = work.windows * work.sessions * work.people
            await seen.at_least(everyone, work.meetings, processes)
            length_s = time.monotonic() - begun_s
            used_s = sum(cpu_s(process.pid) for process in processes) - before_s
            count = len(seen.windows) - first
        finally:
            for task in tasks:
                task.cancel()
            for process in processes:
                process.terminate()
    if not count:
        sys.exit("All records came before the first was counted; raise --scores.")
    return count / length_s, used_s * 1000 / count


def wait_for_all(config: Config, workers: int) -> None:
    """Wait until each of the workers has partitions.

    Raises:
        SystemExit: they have not within PATIENCE_S.
    """
    admin = AdminClient({"bootstrap.servers": config.kafka.broker})
    group, deadline_s = consumer_group(config, "smoothing"), time.monotonic() + PATIENCE_S
    while True:
        found = admin.describe_consumer_groups([group])[group].result()
        having = [each for each in found.members if each.assignment.topic_partitions]
        if found.state == ConsumerGroupState.STABLE and len(having) == workers:
            return
        if time.monotonic() > deadline_s:
            sys.exit(f"{len(having)} of {workers} workers have partitions.")
        time.sleep(0.5)


def worker(config: Config, checkout: Path, log: int) -> subprocess.Popen[bytes]:
    """Start `streamer process` of a checkout."""
    settings = [
        f"kafka.broker={json.dumps(config.kafka.broker)}",
        f"kafka.topic_prefix={json.dumps(config.kafka.topic_prefix)}",
        f"smoothing.consumer_group={json.dumps(config.smoothing.consumer_group)}",
        "metrics.enabled=false",
    ]
    command = [sys.executable, "-P", "-m", "streamer", "process"]
    return subprocess.Popen(
        [*command, *(word for each in settings for word in ("--set", each))],
        stdout=log,
        stderr=log,
        env={**os.environ, "PYTHONPATH": str(checkout)},
    )


def main() -> None:
    """Read the command line; print one row for each checkout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--broker", required=True)
    parser.add_argument("--scores", type=int, default=20_000)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--people", type=int, default=10)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--workers", type=int, nargs="+")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    work = Work(options.scores, options.sessions, options.people)
    config = build({"kafka": {"broker": options.broker}})
    checkouts = [HERE] if options.against is None else [HERE, options.against.absolute()]
    cases = [(path, workers) for workers in options.workers or [None] for path in checkouts]
    found: dict[tuple[Path, int | None], list[tuple[float, float]]] = {case: [] for case in cases}
    for _ in range(options.rounds):
        for case in cases:
            found[case].append(asyncio.run(measure(config, work, *case)))
    for (path, workers), figures in found.items():
        row = {
            "checkout": "now" if path == HERE else "against",
            **({} if workers is None else {"workers": workers}),
            "scores_per_s": round(statistics.median(rate for rate, _ in figures)),
            "cpu_ms_per_score": round(statistics.median(cost for _, cost in figures), 3),
        }
        print(json.dumps(row) if options.json else row, flush=True)


if __name__ == "__main__":
    main()
