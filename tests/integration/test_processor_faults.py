"""The stream processor on a broker: what a fault must not do to the published sentiment.

Every test starts real workers (processes of their own) and compares what lies on the topics with
what the pure smoothing gives for the same scores: every window once or more, and by window_id and
revision one value only.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource

from streamer.config import Config, load
from streamer.kafka.admin import ensure_topics
from streamer.kafka.consumer import Consumer
from streamer.kafka.embedded import EmbeddedBroker
from streamer.kafka.groups import consumer_group
from streamer.kafka.producer import Producer
from streamer.kafka.topics import (
    ALERTS,
    DEAD_LETTER,
    SCORES,
    SESSION_INPUT,
    SESSION_SMOOTHED,
    SMOOTHED,
    Topic,
)
from streamer.processing import app
from streamer.records import Score, Sentiment
from streamer.smoothing import participant
from tests import made_records

WORKER = (
    "import logging, sys\n"
    "logging.basicConfig(level=logging.INFO, format='%(relativeCreated)d %(name)s %(message)s')\n"
    "from streamer import config, errors\nfrom streamer.processing import worker\n"
    "try:\n"
    "    worker.run(config.load(None, sys.argv[1:]))\n"
    "except errors.StreamerError as error:\n"
    "    print(error, file=sys.stderr)\n"
    "    sys.exit(error.exit_code)\n"
)
PATIENCE_S = 60.0


def score(session: str, participant: str, index: int, **changes: Any) -> Score:
    valence = ((index * 37 + len(participant) * 11) % 60 - 30) / 10
    changes = {"valence": valence} | changes
    return made_records.score(index, session_id=session, participant_id=participant, **changes)


def smoothed(scores: Sequence[Score], config: Config) -> dict[str, Sentiment]:
    """What the scores of one participant, in this order, must be published as."""
    state, given = None, dict[str, Sentiment]()
    for each in scores:
        state, outputs = participant.step(state, each, config.smoothing, config.alerts)
        given |= {out.window_id: plain(out) for out in outputs if isinstance(out, Sentiment)}
    return given


def plain(sentiment: Sentiment) -> Sentiment:
    """Without its latencies, which are measured anew when it is published again."""
    return msgspec.structs.replace(sentiment, latency_ms={})


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

    def said(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.logs.glob("worker-*.log")))

    @asynccontextmanager
    async def publisher(self) -> AsyncIterator[Producer]:
        async with Producer(self.config) as publisher:
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


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    with EmbeddedBroker() as embedded:
        yield embedded.address


@pytest.fixture
def bench(broker: str, tmp_path: Path) -> Iterator[Bench]:
    yield from benches(broker, tmp_path)


@pytest.fixture
def kafka_bench(kafka_broker: str, tmp_path: Path) -> Iterator[Bench]:
    yield from benches(kafka_broker, tmp_path)


def benches(address: str, logs: Path) -> Iterator[Bench]:
    bench = Bench(address, f"p{uuid.uuid4().hex[:10]}", logs)
    yield bench
    for worker in bench.workers:
        with suppress(ProcessLookupError):
            worker.kill()
        worker.wait()
        assert worker.stdout is not None
        worker.stdout.close()


def one_value_each(records: Sequence[Sentiment]) -> dict[str, Sentiment]:
    """The records by window; a window with two values is a failure."""
    values: dict[str, Sentiment] = {}
    for record in records:
        before = values.setdefault(record.window_id, plain(record))
        assert before == plain(record), f"{record.window_id} was published with two values"
    return values


def as_expected(records: Sequence[Sentiment], scores: Sequence[Score], bench: Bench) -> None:
    """Every score was published, with the value that smoothing gives it, whatever happened."""
    values = one_value_each(records)
    expected: dict[str, Sentiment] = {}
    for person in {each.participant_id for each in scores}:
        own = [each for each in scores if each.participant_id == person]
        expected |= smoothed(own, bench.config)
    assert values == expected


def finish(worker: subprocess.Popen[bytes]) -> None:
    """SIGTERM ends a worker by itself, quietly."""
    worker.send_signal(signal.SIGTERM)
    stdout, _ = worker.communicate(timeout=15)
    assert worker.returncode == 0
    assert stdout == b""


async def test_starts_before_its_topics_and_passes_tombstones_and_garbage(bench: Bench) -> None:
    bench.set("smoothing.idle_flush_s=1.0")
    worker = bench.start()
    await assigned(bench, 0)
    good = [score("s", "ana", index, session_participants=1) for index in range(6)]
    producer = AIOKafkaProducer(bootstrap_servers=bench.config.kafka.broker)
    await producer.start()
    try:
        for index, each in enumerate(good):
            key = b"s/ana"
            value = SCORES.encode(each).value
            await producer.send_and_wait(SCORES.full_name(bench.prefix), None, key=key)
            await producer.send_and_wait(SCORES.full_name(bench.prefix), b"{not json", key=key)
            if index != 4:
                await producer.send_and_wait(SCORES.full_name(bench.prefix), value, key=key)
            await producer.send_and_wait(SESSION_INPUT.full_name(bench.prefix), None, key=b"s")
            await producer.send_and_wait(SESSION_INPUT.full_name(bench.prefix), b"\xff", key=b"s")
    finally:
        await producer.stop()
    expected = {each.window_id for each in good if each.window_index != 4}
    async with reading(bench, SMOOTHED) as out, reading(bench, SESSION_SMOOTHED) as meeting:
        records = await out.windows(expected)  # window 5 by the flush after silence
        assert [each.window_index for each in records] == [0, 1, 2, 3, 5]
        assert all(each.latency_ms["total"] >= 30.0 for each in records)
        await meeting.windows({f"s/*/{index}" for index in (0, 1, 2, 3, 5)})
    finish(worker)
    assert await bench.committed(SCORES) == 17
    assert await bench.committed(SESSION_INPUT) == 12 + 5
    buried = await dead_letters(bench)
    assert len(buried) == 12
    origins = {(each["original_topic"], each["reason"][:16]) for each in buried}
    assert origins == {
        (SCORES.full_name(bench.prefix).encode(), b"not a record of "),
        (SESSION_INPUT.full_name(bench.prefix).encode(), b"not a record of "),
    }


async def dead_letters(bench: Bench) -> list[dict[str, bytes]]:
    async with Consumer(bench.config, DEAD_LETTER) as reader:
        return [dict(each.headers) async for each in reader.snapshot()]


async def test_killed_in_the_middle_publishes_every_window_with_one_value(bench: Bench) -> None:
    people, windows = ("ana", "bo", "cy", "di", "eve"), 240
    scores = [score("s", person, index) for index in range(windows) for person in people]
    async with bench.publisher() as publisher, reading(bench, SMOOTHED) as out:
        worker = bench.start()
        await bench.publish(publisher, scores[: len(scores) // 2])
        await out.until(lambda records: len(records) > 150)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        await bench.publish(publisher, scores[len(scores) // 2 :])
        second = bench.start()
        records = await out.windows({each.window_id for each in scores})
        finish(second)
    as_expected(records, scores, bench)


async def test_recovers_from_a_long_changelog(bench: Bench) -> None:
    people, windows = tuple(f"p{number}" for number in range(6)), 400
    scores = [score("s", person, index) for index in range(windows) for person in people]
    async with bench.publisher() as publisher, reading(bench, SMOOTHED) as out:
        worker = bench.start()
        await bench.publish(publisher, scores)
        await out.until(lambda records: len(records) == len(scores))
        finish(worker)
        worker = bench.start()
        again = scores[: len(people)] + scores[-len(people) :]
        more = [score("s", person, windows + index) for index in range(5) for person in people]
        await bench.publish(publisher, again + more)
        records = await out.windows({each.window_id for each in more})
        finish(worker)
    assert len(records) == len(scores) + len(more)
    as_expected(records, scores + more, bench)


async def test_a_worker_takes_over_from_one_that_is_killed(bench: Bench) -> None:
    async with reading(bench, SMOOTHED) as out:
        async with talking(bench, ("ana", "bo", "cy", "di")) as scores:
            first = bench.start()
            await out.until(lambda records: len(records) > 50)
            second = bench.start()
            await shared(bench, 1, out)
            first.send_signal(signal.SIGKILL)
            first.wait()
        records = await out.windows({each.window_id for each in scores})
    finish(second)
    as_expected(records, scores, bench)


@pytest.mark.kafka
async def test_workers_that_join_leave_and_die_lose_nothing(
    kafka_bench: Bench, tmp_path: Path
) -> None:
    pytest.importorskip("rocksdict")
    bench = kafka_bench
    bench.set("smoothing.store=rocksdb", f"smoothing.data_dir={tmp_path}/tables")
    async with reading(bench, SMOOTHED) as out:
        async with talking(bench, [f"p{number}" for number in range(8)]) as scores:
            first = bench.start()
            await out.until(lambda records: len(records) > 50)
            second = bench.start()
            await shared(bench, 1, out)
            third = bench.start()
            await shared(bench, 2, out)
            finish(second)
            third.send_signal(signal.SIGKILL)
            third.wait()
        records = await out.windows({each.window_id for each in scores})
    finish(first)
    as_expected(records, scores, bench)


@pytest.mark.kafka
async def test_changelogs_are_compacted_and_lie_in_as_many_partitions(kafka_bench: Bench) -> None:
    bench = kafka_bench
    bench.set("kafka.partitions=3", "kafka.compression=zstd")
    async with reading(bench, SMOOTHED) as out, talking(bench, ["ana"]):
        worker = bench.start()
        await out.until(lambda records: len(records) > 10)
    finish(worker)
    admin = AdminClient({"bootstrap.servers": bench.config.kafka.broker})
    for name in app.changelogs(bench.config):
        assert len(admin.list_topics(name, timeout=10).topics[name].partitions) == 3
        resource = ConfigResource(ConfigResource.Type.TOPIC, name)
        settings = admin.describe_configs([resource])[resource].result(timeout=10)
        assert settings["cleanup.policy"].value == "compact"


@asynccontextmanager
async def talking(bench: Bench, people: Sequence[str]) -> AsyncIterator[list[Score]]:
    """Publishes a score of each of these people every 50 ms while the block lasts."""
    scores: list[Score] = []
    stop = asyncio.Event()

    async def talk(publisher: Producer) -> None:
        while not stop.is_set():
            turn = [score("s", person, len(scores) // len(people)) for person in people]
            scores.extend(turn)
            await bench.publish(publisher, turn)
            await asyncio.sleep(0.05)

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
    deadline = time.monotonic() + PATIENCE_S
    while "Smoothing partitions" not in (bench.logs / f"worker-{number}.log").read_text():
        assert time.monotonic() < deadline, bench.said()
        await asyncio.sleep(0.2)


async def test_publishes_the_meeting_and_no_person_when_told_so(bench: Bench) -> None:
    bench.set("smoothing.publish=session", "smoothing.session_min_participants=2")
    people, windows = ("ana", "bo"), 40
    scores = [
        score("s", person, index, valence=-2.5, final=index == windows - 1)
        for index in range(windows)
        for person in people
    ]
    async with bench.publisher() as publisher, reading(bench, SESSION_SMOOTHED) as out:
        worker = bench.start()
        await bench.publish(publisher, scores)
        records = await out.windows({f"s/*/{index}" for index in range(windows)})
        finish(worker)
    assert records[-1].final
    async with reading(bench, SMOOTHED) as persons, reading(bench, ALERTS) as alerts:
        of_persons = [each.record async for each in persons.reader.snapshot()]
        found = await alerts.until(lambda records: len(records) > 0)
    assert of_persons == []
    assert {each.participant_id for each in found} == {None}


def test_an_unreachable_broker_is_one_sentence_and_exit_code_4(tmp_path: Path) -> None:
    bench = Bench("127.0.0.1:9", "nowhere", tmp_path)
    bench.set("kafka.connect_timeout_s=2")
    worker = bench.start()
    stdout, _ = worker.communicate(timeout=30)
    assert worker.returncode == 4
    assert stdout == b""
    assert "Traceback" not in bench.said()
    assert "127.0.0.1:9" in bench.said()
