"""The stream processor's workers on a broker, and what the pure smoothing makes of their scores."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from streamer.config import Config, load
from streamer.kafka.admin import ensure_topics
from streamer.kafka.connection import close
from streamer.kafka.consumer import Consumer
from streamer.kafka.groups import consumer_group
from streamer.kafka.producer import Producer
from streamer.kafka.topics import Topic
from streamer.processing.stored import changes_in
from streamer.records import Score, Sentiment, SessionSentiment
from streamer.smoothing import participant, session
from streamer.testing import ALL_ALLOWED
from tests import made_records

WORKER = (
    "import logging, sys\n"
    "logging.basicConfig(level=logging.INFO, format='%(relativeCreated)d %(name)s %(message)s')\n"
    "from streamer import config, errors\n"
    "from streamer.cli.terminal import until_signal\n"
    "from streamer.processing import worker\n"
    "settings = config.load(None, sys.argv[1:])\n"
    "try:\n"
    "    until_signal(lambda stop: worker.run(settings, stop), worker.on_own_loop)\n"
    "except errors.StreamerError as error:\n"
    "    print(error, file=sys.stderr)\n"
    "    sys.exit(error.exit_code)\n"
)
PATIENCE_S = 120.0


def score(session: str, participant: str, index: int, **changes: Any) -> Score:
    valence = ((index * 37 + len(participant) * 11) % 60 - 30) / 10
    changes = {"valence": valence} | changes
    return made_records.score(index, session_id=session, participant_id=participant, **changes)


def conversation(people: Sequence[str], first: int, last: int, *, final: bool) -> list[Score]:
    """Scores of windows `first` to `last` of a meeting, each of the first person's twice.

    A window is revised when the one two later is out, the last two before the final one.
    """
    of, reviser, scores = len(people), people[0], list[Score]()
    for index in range(first, last + 1):
        ends = final and index == last
        if ends:
            scores += [revision(reviser, k, of) for k in (index - 2, index - 1) if k >= 0]
        scores += [score("s", p, index, session_participants=of, final=ends) for p in people]
        if index >= 2 and not ends:
            scores.append(revision(reviser, index - 2, of))
    return scores


def revision(person: str, index: int, of: int) -> Score:
    other = ((index * 23) % 60 - 30) / 10
    return score("s", person, index, valence=other, revision=1, session_participants=of)


def smoothed(scores: Sequence[Score], config: Config) -> list[Sentiment]:
    """What the scores of one participant, in this order, must be published as."""
    state, given = None, list[Sentiment]()
    for each in scores:
        state, outputs = participant.step(state, each, config.smoothing, config.alerts)
        given += [plain(out) for out in outputs if isinstance(out, Sentiment)]
    return given


def plain(record: Any) -> Any:
    """Without its latencies, which are measured anew when it is published again."""
    if isinstance(record, SessionSentiment):
        return record
    return msgspec.structs.replace(record, latency_ms={})


class Bench:
    """Settings of one test's own topics, and its workers."""

    def __init__(self, broker: str, name: str, logs: Path) -> None:
        self.overrides = [
            f"kafka.broker={broker}",
            f"kafka.topic_prefix={name}",
            f"smoothing.consumer_group={name}-smoothing",
        ]
        self.config = load(None, self.overrides, environment={})
        self.prefix = name
        self.session = made_records.session(session_id="s")
        self.logs = logs
        self.workers: list[subprocess.Popen[bytes]] = []

    def set(self, *overrides: str) -> None:
        self.overrides += overrides
        self.config = load(None, self.overrides, environment={})

    def start(self) -> subprocess.Popen[bytes]:
        log = (self.logs / f"worker-{len(self.workers)}.log").open("wb")
        command = [sys.executable, "-c", WORKER, *self.overrides]
        worker = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        log.close()
        self.workers.append(worker)
        return worker

    def log(self, number: int) -> str:
        return (self.logs / f"worker-{number}.log").read_text()

    def said(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.logs.glob("worker-*.log")))

    @asynccontextmanager
    async def publisher(self) -> AsyncIterator[Producer]:
        """A producer that has published the session's record."""
        await ensure_topics(self.config)
        async with Producer(self.config) as publisher:
            await publisher.publish(self.session)
            yield publisher

    async def publish(self, publisher: Producer, scores: Sequence[Score]) -> None:
        await asyncio.gather(*[await publisher.publish_soon(each) for each in scores])

    async def committed(self, topic: Topic[Any]) -> int:
        """How many messages of a topic the group has done with, over all partitions."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.config.kafka.broker,
            group_id=consumer_group(self.config, "smoothing"),
            enable_auto_commit=False,
        )
        await consumer.start()
        try:
            name = topic.full_name(self.prefix)
            partitions = [TopicPartition(name, number) for number in range(4)]
            offsets = [await consumer.committed(partition) for partition in partitions]
            return sum(offset or 0 for offset in offsets)
        finally:
            await consumer.stop()


class Out:
    """Everything on one output topic so far."""

    def __init__(self, reader: Consumer[Any]) -> None:
        self.reader = reader
        self.records: list[Any] = []

    async def until(self, done: Callable[[list[Any]], bool]) -> list[Any]:
        deadline = time.monotonic() + PATIENCE_S
        while not done(self.records):
            assert time.monotonic() < deadline, f"{len(self.records)} records and no more"
            self.records += [each.record for each in await self.reader.batch(500, 200)]
        return self.records

    async def windows(self, expected: set[str]) -> list[Any]:
        """Read on until all of these are there; tells which are missing."""
        try:
            return await self.until(
                lambda records: expected <= {each.window_id for each in records}
            )
        except AssertionError:
            missing = sorted(expected - {each.window_id for each in self.records})
            pytest.fail(f"{len(missing)} windows are missing: {missing[:12]}")


@asynccontextmanager
async def reading(bench: Bench, topic: Topic[Any]) -> AsyncIterator[Out]:
    await ensure_topics(bench.config)
    async with Consumer(bench.config, topic, group=None, start="earliest") as reader:
        yield Out(reader)


def benches(address: str, logs: Path) -> Iterator[Bench]:
    bench = Bench(address, f"p{uuid.uuid4().hex[:10]}", logs)
    yield bench
    for worker in bench.workers:
        with suppress(ProcessLookupError):
            worker.kill()
        worker.wait()
        assert worker.stdout is not None
        worker.stdout.close()


def one_value_each(records: Sequence[Any]) -> dict[str, Any]:
    """The records by window and revision; one with two values is a failure."""
    values: dict[str, Any] = {}
    for record in records:
        name = f"{record.window_id}/{record.revision}"
        before = values.setdefault(name, plain(record))
        assert before == plain(record), f"{name} was published with two values"
    return values


def as_expected(records: Sequence[Sentiment], scores: Sequence[Score], bench: Bench) -> None:
    """Every score was published, with the value that smoothing gives it, whatever happened."""
    values = one_value_each(records)
    expected: list[Sentiment] = []
    for person in {each.participant_id for each in scores}:
        own = [each for each in scores if each.participant_id == person]
        expected += smoothed(own, bench.config)
    assert values == one_value_each(expected)


def undisturbed(scores: Sequence[Score], config: Config) -> dict[str, SessionSentiment]:
    """What the scores of one session must be published as in the end, by window."""
    reports: list[Sentiment] = []
    for person in {each.participant_id for each in scores}:
        own = [each for each in scores if each.participant_id == person]
        reports += {each.window_id: each for each in smoothed(own, config)}.values()
    state, outputs = None, list[Any]()
    for each in sorted(reports, key=lambda report: (report.window_index, report.participant_id)):
        state, published = session.session_step(
            state, each, config.smoothing, config.alerts, ALL_ALLOWED
        )
        outputs += published
    return highest(outputs)


def highest(records: Sequence[Any]) -> dict[str, SessionSentiment]:
    """The highest revision of each window of the meeting, with no regard to how high it is."""
    newest: dict[str, SessionSentiment] = {}
    for each in sorted(
        (each for each in records if isinstance(each, SessionSentiment)),
        key=lambda record: record.revision,
    ):
        newest[each.window_id] = msgspec.structs.replace(each, revision=0)
    return newest


async def meeting_as_expected(out: Out, scores: Sequence[Score], bench: Bench) -> None:
    """Wait until the meeting's records are what they are without any fault, `final` included."""
    expected = undisturbed(scores, bench.config)
    assert [each.final for each in expected.values()].count(True) == 1
    try:
        await out.until(lambda records: highest(records) == expected)
    except AssertionError:
        records = highest(out.records)
        different = sorted(
            (name for name in expected | records if records.get(name) != expected.get(name)),
            key=lambda name: int(name.split("/")[-1]),
        )
        pytest.fail(f"{len(different)} of {len(expected)} windows differ: {different[:12]}")
    one_value_each(out.records)


async def changelog(bench: Bench, name: str) -> dict[bytes, list[int]]:
    """How far each key's values in a changelog are, in the order of the changelog."""
    changes: dict[bytes, list[int]] = {}
    consumer = AIOKafkaConsumer(bootstrap_servers=bench.config.kafka.broker)
    await consumer.start()
    try:
        numbers = range(bench.config.kafka.partitions)
        partitions = [TopicPartition(name, number) for number in numbers]
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(partitions)
        for partition in partitions:
            while await consumer.position(partition) < ends[partition]:
                received = await consumer.getmany(partition, timeout_ms=200)
                for message in received.get(partition, ()):
                    changes.setdefault(message.key, []).append(changes_in(message.value))
    finally:
        await close(consumer)
    return changes


def finish(worker: subprocess.Popen[bytes]) -> None:
    """SIGTERM ends a worker by itself, quietly."""
    worker.send_signal(signal.SIGTERM)
    stdout, _ = worker.communicate(timeout=15)
    assert worker.returncode == 0
    assert stdout == b""


class Talk(list[Score]):
    """The scores of a meeting that goes on; `ahead` more windows are published at once, once."""

    windows = ahead = 0
    interval_s = 0.1


@asynccontextmanager
async def talking(
    bench: Bench, people: Sequence[str], held: Collection[str] = ()
) -> AsyncIterator[Talk]:
    """Publish a score of each of these people every `interval_s`; at the block's end final ones.

    The first one's windows are revised two windows later.

    The scores of people in `held` wait until they are taken out of it.
    """
    scores = Talk()
    waiting: list[Score] = []
    stop = asyncio.Event()

    async def turn(publisher: Producer, *, final: bool = False) -> None:
        first, last = scores.windows, scores.windows + scores.ahead
        scores.windows, scores.ahead = last + 1, 0
        said = conversation(people, first, last, final=final)
        scores.extend(said)
        waiting.extend(said)
        ready = [each for each in waiting if each.participant_id not in held]
        waiting[:] = [each for each in waiting if each.participant_id in held]
        await bench.publish(publisher, ready)

    async def talk(publisher: Producer) -> None:
        while not stop.is_set():
            await turn(publisher)
            await asyncio.sleep(scores.interval_s)
        await turn(publisher, final=True)

    async with bench.publisher() as publisher:
        task = asyncio.create_task(talk(publisher))
        yield scores
        stop.set()
        await task


async def shared(bench: Bench, number: int, out: Out) -> None:
    """Wait until a worker has partitions and much has been published since."""
    await assigned(bench, number)
    before = len(out.records)
    await out.until(lambda records: len(records) >= before + 100)


async def assigned(bench: Bench, number: int) -> None:
    """Wait until a worker has partitions."""
    await logged(bench, number, "Smoothing partitions")


async def logged(bench: Bench, number: int, text: str, times: int = 1) -> None:
    """Wait until a worker's log has this text (a pattern) so many times."""
    deadline = time.monotonic() + PATIENCE_S
    while len(re.findall(text, bench.log(number))) < times:
        assert time.monotonic() < deadline, bench.said()
        await asyncio.sleep(0.1)
