"""The publisher over a producer that fails on purpose: order, room, refusals, the end."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError, OutOfOrderSequenceNumber

from streamer.config import build
from streamer.errors import BrokerError, BrokerGone
from streamer.kafka import connection, topics
from streamer.kafka.topics import Publisher
from streamer.records import Window


class FakeProducer:
    """Stands for aiokafka's: keeps what is sent, acknowledges or fails when told."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, asyncio.Future[Any]]] = []
        self.stopped = False
        self.client = SimpleNamespace(_metadata_update=None)

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        self.stopped = True

    async def send(self, topic: str, *, value: bytes, **_: Any) -> asyncio.Future[Any]:
        delivery = asyncio.get_running_loop().create_future()
        self.sent.append((value, delivery))
        return delivery

    @property
    def indices(self) -> list[int]:
        return [topics.decode("windows", value).window_index for value, _ in self.sent]

    def acknowledge(self, *places: int) -> None:
        for place in places:
            metadata = SimpleNamespace(topic="t", partition=0, offset=100 + place)
            self.sent[place][1].set_result(metadata)

    def fail(self, place: int, error: Exception) -> None:
        self.sent[place][1].set_exception(error)


class FakePublisher(Publisher):
    """Makes FakeProducers; the newest is `producer`."""

    def __init__(self, **kafka: Any) -> None:
        super().__init__(build({"kafka": {"broker": "fake:1", **kafka}}))
        self.producers: list[FakeProducer] = []

    def _make_producer(self) -> FakeProducer:
        self.producers.append(FakeProducer())
        return self.producers[-1]

    @property
    def producer(self) -> FakeProducer:
        return self.producers[-1]


def window(k: int, size: int = 0) -> Window:
    return Window(
        session_id="s",
        participant_id="ana",
        window_index=k,
        session_start_unix_ns=0,
        start_ns=k,
        end_ns=k + 1,
        audio=bytes(size),
    )


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_an_acknowledgement_gives_the_place_of_its_record():
    async with FakePublisher() as publisher:
        first, second = [await publisher.publish_soon(window(k)) for k in range(2)]
        await settle()
        publisher.producer.acknowledge(1)
        await settle()
        assert second.result().offset == 101 and not first.done()
        publisher.producer.acknowledge(0)
        await settle()
        assert first.result().offset == 100
    assert publisher.counters["published"] == 2


async def test_after_a_failure_all_that_is_unacknowledged_goes_again_in_order():
    #  sent          0 1 2 3 4
    #  acknowledged  0 . 2 . .      1 fails, and with it the producer
    #  sent again      1   3 4
    async with FakePublisher() as publisher:
        sent = [await publisher.publish_soon(window(k)) for k in range(5)]
        await settle()
        broken = publisher.producer
        broken.acknowledge(0, 2)
        broken.fail(1, OutOfOrderSequenceNumber())
        await settle()
        assert broken.stopped and publisher.producer is not broken
        assert publisher.producer.indices == [1, 3, 4]
        sent.append(await publisher.publish_soon(window(5)))
        await settle()
        publisher.producer.acknowledge(0, 1, 2, 3)
        await asyncio.gather(*sent)
    assert publisher.counters == {"published": 6, "reconnected": 1}


async def test_an_answer_that_comes_after_the_failure_counts_once():
    async with FakePublisher() as publisher:
        first, second = [await publisher.publish_soon(window(k)) for k in range(2)]
        await settle()
        broken = publisher.producer
        broken.fail(0, OutOfOrderSequenceNumber())
        await settle()
        broken.acknowledge(1)
        publisher.producer.acknowledge(0, 1)
        await asyncio.gather(first, second)
    assert publisher.counters["published"] == 2


async def test_a_refused_record_fails_alone():
    async with FakePublisher() as publisher:
        first, second = [await publisher.publish_soon(window(k)) for k in range(2)]
        await settle()
        publisher.producer.fail(0, MessageSizeTooLargeError())
        publisher.producer.acknowledge(1)
        with pytest.raises(BrokerError, match=r"refuses a record for sentiment\.windows\.v1"):
            await first
        await second
        assert len(publisher.producers) == 1


async def test_a_full_buffer_makes_publishing_wait():
    size = topics.BUFFER_BYTES // 8
    async with FakePublisher(max_message_bytes=2 * size) as publisher:
        for k in range(7):
            await publisher.publish_soon(window(k, size))
        waiting = asyncio.create_task(publisher.publish_soon(window(7, size)))
        await settle()
        assert not waiting.done()
        publisher.producer.acknowledge(0)
        await settle()
        assert waiting.done()
        publisher.producer.acknowledge(*range(1, 8))


async def test_a_buffer_of_many_small_records_is_bounded_too():
    async with FakePublisher() as publisher:
        for k in range(topics.BUFFER_RECORDS):
            await publisher.publish_soon(window(k))
        waiting = asyncio.create_task(publisher.publish_soon(window(topics.BUFFER_RECORDS)))
        await settle()
        assert not waiting.done()
        publisher.producer.acknowledge(*range(topics.BUFFER_RECORDS))
        await waiting
        await settle()
        publisher.producer.acknowledge(topics.BUFFER_RECORDS)


async def test_the_end_waits_for_acknowledgements_and_tells_what_is_lost():
    with pytest.raises(BrokerError, match="2 records could not be delivered to fake:1"):
        async with FakePublisher(connect_timeout_s=0.05) as publisher:
            sent = [await publisher.publish_soon(window(k)) for k in range(3)]
            await settle()
            publisher.producer.acknowledge(1)
    assert [item.cancelled() for item in sent] == [True, False, True]
    assert publisher.producer.stopped


async def test_another_error_is_not_hidden_by_what_is_lost():
    with pytest.raises(ZeroDivisionError):
        async with FakePublisher(connect_timeout_s=0.05) as publisher:
            await publisher.publish_soon(window(0))
            raise ZeroDivisionError


async def test_after_a_stop_in_vain_the_end_does_not_wait_again():
    with pytest.raises(BrokerGone):
        async with FakePublisher(connect_timeout_s=3600) as publisher:
            await publisher.publish_soon(window(0))
            raise BrokerGone("no answer")
    assert publisher.producer.stopped


async def test_patience_has_no_end_before_a_stop_and_one_after():
    kafka = build({"kafka": {"broker": "fake:1", "connect_timeout_s": 0.1}}).kafka
    stop, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(topics.patiently(work(), stop.is_set, kafka, "it is lost"))
    done, _ = await asyncio.wait([task], timeout=4 * connection.STOP_POLL_S)
    assert not done
    stop.set()
    with pytest.raises(BrokerGone, match=r"for 0\.1 s after the stop; it is lost\."):
        await task
    assert ended.is_set()


async def test_patience_gives_what_the_work_gives():
    kafka = build({"kafka": {"broker": "fake:1"}}).kafka

    async def divided(by: int) -> float:
        return 1 / by

    assert await topics.patiently(divided(2), lambda: True, kafka, "") == 0.5
    with pytest.raises(ZeroDivisionError):
        await topics.patiently(divided(0), lambda: True, kafka, "")


class Connections:
    """The part of an aiokafka client that has the connections."""

    def __init__(self) -> None:
        self.closed = 0

    async def close(self) -> None:
        self.closed += 1


def client_ending(ending: BaseException | None) -> tuple[Any, Connections]:
    """A client whose farewell fails with `ending`, or never ends."""

    async def stop() -> None:
        if ending is not None:
            raise ending
        await asyncio.Event().wait()

    connections = Connections()
    return SimpleNamespace(stop=stop, client=connections), connections


@pytest.mark.parametrize("ending", [asyncio.CancelledError(), KafkaConnectionError(), OSError()])
async def test_a_client_that_fails_to_close_leaves_no_connection(ending):
    client, connections = client_ending(ending)
    await topics.close(client)
    assert connections.closed == 1


async def test_closing_can_be_cancelled_and_leaves_no_connection():
    client, connections = client_ending(None)
    task = asyncio.create_task(topics.close(client))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert connections.closed == 1
