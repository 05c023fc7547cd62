"""Topics that an operator cuts, deletes, makes again or widens under running stages."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete

from streamer.config import Config, build
from streamer.errors import TopicChanged
from streamer.kafka.admin import ensure_topics
from streamer.kafka.consumer import Consumer
from streamer.kafka.policies import SessionPolicies
from streamer.kafka.producer import Producer
from streamer.kafka.topics import SCORES, SESSIONS, SMOOTHED, Topic
from streamer.processing import worker
from streamer.testing import ALL_ALLOWED
from tests.made_records import score
from tests.made_records import session as session_record

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.kafka,
    pytest.mark.slow,
    # Faust warns of the setting that the worker changes while it stops.
    pytest.mark.filterwarnings("ignore:Setting new value for configuration key"),
]

PARTITIONS = 8
PEOPLE = [f"p{number}" for number in range(24)]


@pytest.fixture
async def config(kafka_broker: str) -> Config:
    prefix = f"t{uuid.uuid4().hex[:12]}"
    chosen = build(
        {"kafka": {"broker": kafka_broker, "topic_prefix": prefix, "partitions": PARTITIONS}}
    )
    await ensure_topics(chosen)
    return chosen


@pytest.fixture
async def admin(kafka_broker: str) -> AsyncIterator[Any]:
    client = AIOKafkaAdminClient(bootstrap_servers=kafka_broker)
    await client.start()
    yield client
    await client.close()


def name_of(config: Config, topic: Topic[Any]) -> str:
    return topic.full_name(config.kafka.topic_prefix)


async def publish(config: Config, indices: Collection[int], session: str) -> None:
    async with Producer(config) as producer:
        await producer.publish(session_record(session_id=session))
        for index in indices:
            for person in PEOPLE:
                record = score(index, session_id=session, participant_id=person)
                await producer.publish_soon(record)


async def cut(config: Config, admin: Any) -> None:
    """Delete every score that is on the topic now."""
    topic = name_of(config, SCORES)
    async with Consumer(config, SCORES) as consumer:
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        ends = await consumer._consumer.end_offsets(partitions)
    await admin.delete_records({at: RecordsToDelete(end) for at, end in ends.items()})


async def make_again(config: Config, admin: Any, topic: Topic[Any] = SCORES) -> None:
    await admin.delete_topics([name_of(config, topic)])
    async with asyncio.timeout(30):
        while name_of(config, topic) in await admin.list_topics():
            pass
    await ensure_topics(config)


@asynccontextmanager
async def processing(config: Config) -> AsyncIterator[asyncio.Task[None]]:
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(config, stop))
    try:
        yield task
    finally:  # a worker that goes on would hold up the loop's end for ever
        stop.set()
        await task


async def until_read(reader: Consumer[Any], session: str, *, commit: bool = False) -> None:
    """Read until every person of the session has a record."""
    missing = set(PEOPLE)
    async with asyncio.timeout(60):
        while missing:
            for received in await reader.batch(500, 200):
                if received.record.session_id == session:
                    missing.discard(received.record.participant_id)
            if commit:
                await reader.commit()


async def test_processing_recovers_or_ends_at_once(
    config: Config, admin: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Cut beyond the commits of all partitions; made again, twice; then widened."""
    async with Consumer(config, SMOOTHED) as reader:
        await publish(config, range(3), "first")
        async with processing(config):
            await until_read(reader, "first")
        await publish(config, range(3), "lost")
        await cut(config, admin)
        await publish(config, range(3), "second")
        with pytest.raises(TopicChanged, match="has 9 partitions now and had 8"):
            async with processing(config) as running:
                await until_read(reader, "second")
                assert "were deleted before they were processed" in caplog.text
                assert "Starting over" not in caplog.text
                for session in ("third", "fourth"):
                    await make_again(config, admin)
                    await publish(config, range(3), session)
                    await until_read(reader, session)
                more = {name_of(config, SCORES): NewPartitions(PARTITIONS + 1)}
                await admin.create_partitions(more)
                async with asyncio.timeout(30):
                    await asyncio.wait({running})


async def test_the_sessions_of_a_topic_that_was_made_again_are_known(
    kafka_broker: str, admin: Any
) -> None:
    prefix = f"t{uuid.uuid4().hex[:12]}"
    config = build({"kafka": {"broker": kafka_broker, "topic_prefix": prefix, "partitions": 1}})
    await ensure_topics(config)
    async with asyncio.timeout(60), SessionPolicies(config) as policies:
        for name in ("first", "second", "third"):
            await publish(config, (), name)
        assert await policies.policy("third") == ALL_ALLOWED
        await make_again(config, admin, SESSIONS)
        await publish(config, (), "fourth")
        assert await policies.policy("fourth") == ALL_ALLOWED
        assert await policies.policy("fifth") is None


@pytest.mark.parametrize("group", ["g", None])
async def test_a_reader_follows_a_topic_that_is_cut_widened_and_made_again(
    config: Config, admin: Any, group: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """As inference, the recorder, the page and subscribers read; none starts anew for it."""

    start: Any = "earliest" if group else "latest"
    async with Consumer(config, SCORES, group=group, start=start) as reader:
        await publish(config, range(2), "first")
        await until_read(reader, "first", commit=True)
        await make_again(config, admin)
        await publish(config, range(1), "second")
        await until_read(reader, "second", commit=True)
        assert "was made again" in caplog.text
        more = {name_of(config, SCORES): NewPartitions(PARTITIONS + 4)}
        await admin.create_partitions(more)
        await publish(config, range(1), "third")
        await until_read(reader, "third", commit=True)
    if group is None:
        return
    await publish(config, range(1), "lost")
    await cut(config, admin)
    await publish(config, range(1), "fourth")
    async with Consumer(config, SCORES, group=group) as reader:
        await until_read(reader, "fourth", commit=True)
        assert reader.counters["deleted"] > 0 and "were deleted before" in caplog.text


@pytest.mark.parametrize("group", ["g", None])
async def test_a_topic_that_was_made_again_and_has_more_records_is_read_from_its_beginning(
    config: Config, admin: Any, group: str | None
) -> None:
    """Each partition reaches the reader's offset before the reader looks: no offset is missing."""
    missing = {(person, index) for person in PEOPLE for index in range(3)}
    async with Consumer(config, SCORES, group=group) as reader:
        await publish(config, range(1), "first")
        await until_read(reader, "first", commit=True)
        await make_again(config, admin)
        await publish(config, range(3), "first")
        async with asyncio.timeout(60):
            while missing:
                for received in await reader.batch(500, 200):
                    record = received.record
                    missing.discard((record.participant_id, record.window_index))
