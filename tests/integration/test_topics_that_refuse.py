"""Records that a real broker refuses for their own sake, and topics that change under a stage."""

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streamer.config import Config, build
from streamer.kafka.admin import ensure_topics
from streamer.kafka.connection import connected
from streamer.kafka.consumer import Consumer
from streamer.kafka.messages import NO_PARTITION, RawMessage
from streamer.kafka.producer import Producer
from streamer.kafka.topics import ALERTS, DEAD_LETTER, WINDOWS, Topic
from tests.made_records import score, window

pytestmark = [pytest.mark.timeout(120), pytest.mark.kafka, pytest.mark.slow]


@pytest.fixture
def config(kafka_broker: str) -> Config:
    prefix = f"t{uuid.uuid4().hex[:12]}"
    return build({"kafka": {"broker": kafka_broker, "topic_prefix": prefix}})


def name_of(config: Config, topic: Topic[Any]) -> str:
    return topic.full_name(config.kafka.topic_prefix)


async def read(config: Config, topic: Topic[Any], count: int) -> list[Any]:
    """Return the records of the first `count` messages."""
    taken: list[Any] = []
    async with asyncio.timeout(60), Consumer(config, topic) as consumer:
        while len(taken) < count:
            taken += [received.record for received in await consumer.batch(100, 200)]
    assert len(taken) == count
    return taken


async def make_topic(config: Config, topic: Topic[Any], **settings: str) -> None:
    """Make a topic with settings of its own; in their names, `_` stands for a dot."""
    values = {name.replace("_", "."): value for name, value in settings.items()}
    async with connected(
        lambda: AIOKafkaAdminClient(bootstrap_servers=config.kafka.broker), config.kafka
    ) as admin:
        await admin.create_topics([NewTopic(name_of(config, topic), 2, 1, topic_configs=values)])


async def test_records_that_the_broker_refuses_are_dead_letters_and_the_others_go_on(
    config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    """By size, by time and without a key: no other record waits, and nothing reconnects."""
    limits = {"message_timestamp_after_max_ms": "60000", "max_message_bytes": "20000"}
    await make_topic(config, WINDOWS, **limits)
    await make_topic(config, ALERTS, cleanup_policy="compact")
    await ensure_topics(config)
    ahead_ms = round(datetime.now(UTC).timestamp() * 1000) + 3_600_000
    async with Producer(config) as producer:
        sent = [await producer.publish_soon(window(0))]
        await asyncio.gather(*sent)  # the broker now expects the partition's next number
        for k in range(1, 10):
            size, time_ms = {3: (30_000, None), 6: (0, ahead_ms)}.get(k, (0, None))
            sent.append(
                await producer.publish_soon(window(k, audio=bytes(size)), timestamp_ms=time_ms)
            )
        places = await asyncio.gather(*sent)
        keyless = RawMessage(name_of(config, ALERTS), 0, 0, 0, None, b"{}")
        assert (await producer.publish_again(keyless)).partition == NO_PARTITION
        assert producer.counters["refused"] == producer.counters["dead_lettered"] == 3
        assert not producer.counters["reconnected"] and not producer.counters["lost"]
    assert [place.partition == NO_PARTITION for place in places] == [k in (3, 6) for k in range(10)]
    received = await read(config, WINDOWS, 8)
    assert sorted(record.window_index for record in received) == [0, 1, 2, 4, 5, 7, 8, 9]
    letters = {letter.key: letter for letter in await read(config, DEAD_LETTER, 3)}
    assert "InvalidRecordError" in letters[None].reason
    assert "more than 60 s ahead of the broker's" in caplog.text


async def test_a_producer_with_every_topic_refusing_its_clock_goes_on(
    config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    """No topic takes a time more than 0 ms behind the broker's."""
    for topic in (WINDOWS, DEAD_LETTER):
        await make_topic(config, topic, message_timestamp_before_max_ms="0")
    await ensure_topics(config)
    async with Producer(config) as producer:
        behind = [await producer.publish_soon(window(k), timestamp_ms=1) for k in range(20)]
        assert {(await place).partition for place in behind} == {NO_PARTITION}
        await producer.publish(score(0))
        assert producer.counters["refused"] == 20 and not producer.counters["reconnected"]
    assert "behind the broker's" in caplog.text


async def test_a_missing_topic_holds_up_no_other_and_gets_its_records_once_it_is_made(
    config: Config,
) -> None:
    """Deleted while the producer uses it; the records on their way to it wait too."""
    await ensure_topics(config)
    async with Producer(config) as producer:
        await producer.publish(window(0))
        async with connected(
            lambda: AIOKafkaAdminClient(bootstrap_servers=config.kafka.broker), config.kafka
        ) as admin:
            await admin.delete_topics([name_of(config, WINDOWS)])
            async with asyncio.timeout(30):
                while name_of(config, WINDOWS) in await admin.list_topics():
                    pass
        waiting = [await producer.publish_soon(window(k)) for k in range(1, 4)]
        async with asyncio.timeout(5):  # aiokafka waits 40 s for a topic
            assert (await producer.publish(score(0))).partition != NO_PARTITION
        await ensure_topics(config)
        places = await asyncio.gather(*waiting)
        assert NO_PARTITION not in {place.partition for place in places}
        assert not producer.counters["refused"]
    received = await read(config, WINDOWS, 3)
    assert [record.window_index for record in received] == [1, 2, 3]
