"""The producer over aiokafka clients that fail on purpose: order, buffer, refusals, closing."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import MessageSizeTooLargeError, OutOfOrderSequenceNumber

from streamer.config import build
from streamer.errors import BrokerError, BrokerGone
from streamer.kafka.producer import BUFFER_BYTES, BUFFER_RECORDS, Producer
from streamer.kafka.topics import WINDOWS
from tests.made_records import window


class FakeClient:
    """An aiokafka producer that keeps what is sent, and acknowledges or fails on request."""

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
        windows = [WINDOWS.decode(value) for value, _ in self.sent]
        return [window.window_index for window in windows if window is not None]

    def acknowledge(self, *places: int) -> None:
        for place in places:
            metadata = SimpleNamespace(topic="t", partition=0, offset=100 + place)
            self.sent[place][1].set_result(metadata)

    def fail(self, place: int, error: Exception) -> None:
        self.sent[place][1].set_exception(error)


class ProducerOverFakes(Producer):
    """Connects FakeClients; the newest is `client`."""

    def __init__(self, **kafka: Any) -> None:
        super().__init__(build({"kafka": {"broker": "fake:1", **kafka}}))
        self.clients: list[FakeClient] = []

    def _make_producer(self) -> FakeClient:
        self.clients.append(FakeClient())
        return self.clients[-1]

    @property
    def client(self) -> FakeClient:
        return self.clients[-1]


async def run_tasks() -> None:
    """Let every task run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_an_acknowledgement_gives_the_position_of_its_record() -> None:
    async with ProducerOverFakes() as producer:
        first, second = [await producer.publish_soon(window(k)) for k in range(2)]
        await run_tasks()
        producer.client.acknowledge(1)
        await run_tasks()
        assert second.result().offset == 101 and not first.done()
        producer.client.acknowledge(0)
        await run_tasks()
        assert first.result().offset == 100
    assert producer.counters["published"] == 2


async def test_after_a_failure_unacknowledged_records_are_sent_again_in_order() -> None:
    #  sent          0 1 2 3 4
    #  acknowledged  0 . 2 . .      1 fails, and with it the producer
    #  sent again      1   3 4
    async with ProducerOverFakes() as producer:
        sent = [await producer.publish_soon(window(k)) for k in range(5)]
        await run_tasks()
        broken = producer.client
        broken.acknowledge(0, 2)
        broken.fail(1, OutOfOrderSequenceNumber())
        await run_tasks()
        assert broken.stopped and producer.client is not broken
        assert producer.client.indices == [1, 3, 4]
        sent.append(await producer.publish_soon(window(5)))
        await run_tasks()
        producer.client.acknowledge(0, 1, 2, 3)
        await asyncio.gather(*sent)
    assert producer.counters == {"published": 6, "reconnected": 1}


async def test_an_acknowledgement_after_the_failure_counts_once() -> None:
    async with ProducerOverFakes() as producer:
        first, second = [await producer.publish_soon(window(k)) for k in range(2)]
        await run_tasks()
        broken = producer.client
        broken.fail(0, OutOfOrderSequenceNumber())
        await run_tasks()
        broken.acknowledge(1)
        producer.client.acknowledge(0, 1)
        await asyncio.gather(first, second)
    assert producer.counters["published"] == 2


async def test_a_refused_record_fails_alone() -> None:
    async with ProducerOverFakes() as producer:
        first, second = [await producer.publish_soon(window(k)) for k in range(2)]
        await run_tasks()
        producer.client.fail(0, MessageSizeTooLargeError())
        producer.client.acknowledge(1)
        with pytest.raises(BrokerError, match=r"refuses a record for sentiment\.windows\.v1"):
            await first
        await second
        assert len(producer.clients) == 1


async def test_a_full_buffer_makes_publishing_wait() -> None:
    size = BUFFER_BYTES // 8
    async with ProducerOverFakes(max_message_bytes=2 * size) as producer:
        for k in range(7):
            await producer.publish_soon(window(k, audio=bytes(size)))
        waiting = asyncio.create_task(producer.publish_soon(window(7, audio=bytes(size))))
        await run_tasks()
        assert not waiting.done()
        producer.client.acknowledge(0)
        await run_tasks()
        assert waiting.done()
        producer.client.acknowledge(*range(1, 8))


async def test_the_number_of_buffered_records_is_limited_too() -> None:
    async with ProducerOverFakes() as producer:
        for k in range(BUFFER_RECORDS):
            await producer.publish_soon(window(k))
        waiting = asyncio.create_task(producer.publish_soon(window(BUFFER_RECORDS)))
        await run_tasks()
        assert not waiting.done()
        producer.client.acknowledge(*range(BUFFER_RECORDS))
        await waiting
        await run_tasks()
        producer.client.acknowledge(BUFFER_RECORDS)


async def test_closing_waits_for_acknowledgements_and_counts_lost_records() -> None:
    with pytest.raises(BrokerError, match="2 records could not be delivered to fake:1"):
        async with ProducerOverFakes(connect_timeout_s=0.05) as producer:
            sent = [await producer.publish_soon(window(k)) for k in range(3)]
            await run_tasks()
            producer.client.acknowledge(1)
    assert [item.cancelled() for item in sent] == [True, False, True]
    assert producer.client.stopped


async def test_lost_records_do_not_hide_another_error() -> None:
    with pytest.raises(ZeroDivisionError):
        async with ProducerOverFakes(connect_timeout_s=0.05) as producer:
            await producer.publish_soon(window(0))
            raise ZeroDivisionError


async def test_closing_does_not_wait_again_after_the_broker_is_given_up() -> None:
    with pytest.raises(BrokerGone):
        async with ProducerOverFakes(connect_timeout_s=3600) as producer:
            await producer.publish_soon(window(0))
            raise BrokerGone("no answer")
    assert producer.client.stopped
