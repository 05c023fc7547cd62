"""The producer over aiokafka clients that fail on purpose: order, buffer, refusals, closing."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import (
    InvalidTimestampError,
    MessageSizeTooLargeError,
    NotLeaderForPartitionError,
    OutOfOrderSequenceNumber,
    PolicyViolationError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    UnknownError,
)

from streamer.config import build
from streamer.errors import BrokerError, BrokerGone
from streamer.kafka.messages import NO_PARTITION
from streamer.kafka.missing_topics import LOOKS, MissingTopics
from streamer.kafka.producer import BUFFER_BYTES, BUFFER_RECORDS, Producer
from streamer.kafka.refusals import SMALL_LETTER_BYTES, InvalidRecordError
from streamer.kafka.topics import WINDOWS
from tests.made_records import score, window


class FakeClient:
    """An aiokafka producer that keeps what is sent, and acknowledges or fails on request."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, asyncio.Future[Any]]] = []
        self.stopped = False
        self.missing: set[str] = set()
        cluster = SimpleNamespace(
            brokers=set,
            partitions_for_topic=lambda topic: None if topic in self.missing else {0},
            unauthorized_topics=set(),
        )
        self.client = SimpleNamespace(_metadata_update=None, cluster=cluster)
        self._sender = SimpleNamespace(_send_produce_req=None)
        self.topics: list[str] = []

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        self.stopped = True

    async def send(self, topic: str, *, value: bytes, **_: Any) -> asyncio.Future[Any]:
        delivery = asyncio.get_running_loop().create_future()
        self.topics.append(topic)
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
        self._missing = MissingTopics(self._look, self._leave, lambda _: asyncio.sleep(0))
        self._looks = asyncio.Semaphore(0)

    async def _look(self, topic: str) -> bool | None:
        await self._looks.acquire()
        return topic not in self.client.missing

    def let_look(self, times: int) -> None:
        """Let the broker be asked for a missing topic."""
        for _ in range(times):
            self._looks.release()

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


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    pytest.fail("the condition never held")


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


REFUSALS = [
    MessageSizeTooLargeError(),
    RecordListTooLargeError(),
    InvalidRecordError(),
    InvalidTimestampError(),
    PolicyViolationError(),
    TopicAuthorizationFailedError("sentiment.windows.v1"),
    UnknownError(),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda error: type(error).__name__)
async def test_a_refused_record_is_a_dead_letter_and_the_others_are_sent(refusal: Any) -> None:
    #  sent         0 1 2      one batch, which the broker refuses because of 1
    #  sent alone   0 1* 2     1 is refused again
    #  and then     1 as a dead letter
    async with ProducerOverFakes(broker="127.0.0.1:1", connect_timeout_s=0.1) as producer:
        sent = [await producer.publish_soon(window(k)) for k in range(3)]
        await run_tasks()
        client = producer.client
        for place in range(3):
            client.fail(place, refusal)
        await run_tasks()
        client.acknowledge(3)
        await run_tasks()
        client.fail(4, refusal)
        await until(lambda: len(client.sent) == 6)
        client.acknowledge(5)
        await until(lambda: len(client.sent) == 7)
        client.acknowledge(6)
        places = await asyncio.gather(*sent)
    assert [place.partition for place in places] == [0, NO_PARTITION, 0]
    assert client.topics[3:] == [
        "sentiment.windows.v1",
        "sentiment.windows.v1",
        "sentiment.dead-letter.v1",
        "sentiment.windows.v1",
    ]
    assert client.sent[5][0] == client.sent[1][0]  # the letter's value is the record's
    assert producer.clients == [client]
    assert producer.counters["refused"] == producer.counters["dead_lettered"] == 1


async def test_a_record_that_the_dead_letter_topic_refuses_too_is_logged_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with ProducerOverFakes(max_message_bytes=400_000) as producer:
        sent = await producer.publish_soon(window(0, audio=bytes(100_000)))
        for place in range(4):  # in a batch, alone, as a letter, as a cut letter
            await until(lambda place=place: len(producer.client.sent) > place)  # type: ignore[misc]
            producer.client.fail(place, MessageSizeTooLargeError())
        assert (await sent).partition == NO_PARTITION
        after = await producer.publish_soon(window(1))
        await until(lambda: len(producer.client.sent) == 5)
        producer.client.acknowledge(4)
        await after
    assert [len(value) > 100_000 for value, _ in producer.client.sent[:3]] == [True] * 3
    assert len(producer.client.sent[3][0]) == SMALL_LETTER_BYTES
    assert producer.counters["lost"] == 1 and len(producer.clients) == 1
    assert "sentiment.windows.v1 standup/ana/0/0 is lost" in caplog.text


async def test_a_record_over_the_clients_limit_is_a_cut_dead_letter() -> None:
    async with ProducerOverFakes(max_message_bytes=300_000) as producer:
        sent = await producer.publish_soon(window(0, audio=bytes(300_000)))
        await run_tasks()
        assert producer.client.topics == ["sentiment.dead-letter.v1"]
        assert len(producer.client.sent[0][0]) < 300_000
        producer.client.acknowledge(0)
        assert (await sent).partition == NO_PARTITION


async def test_refused_times_are_explained_once(caplog: pytest.LogCaptureFixture) -> None:
    async with ProducerOverFakes(broker="127.0.0.1:1", connect_timeout_s=0.1) as producer:
        sent = [await producer.publish_soon(window(k)) for k in range(2)]
        await run_tasks()
        for place in range(6):
            await until(lambda place=place: len(producer.client.sent) > place)  # type: ignore[misc]
            producer.client.fail(place, InvalidTimestampError())
        await asyncio.gather(*sent)
    assert caplog.text.count("This machine's clock is") == 1
    assert producer.counters["lost"] == 2 and len(producer.clients) == 1


async def test_a_missing_topic_holds_up_no_other_and_its_records_are_dead_letters(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with ProducerOverFakes() as producer:
        client = producer.client
        client.missing.add("sentiment.scores.v1")
        sent = [await producer.publish_soon(each) for each in (score(0), window(0), score(1))]
        await run_tasks()
        assert client.topics == ["sentiment.windows.v1"]
        producer.let_look(LOOKS)
        await until(lambda: len(client.sent) == 3)
        client.acknowledge(0, 1, 2)
        assert [(await each).partition for each in sent] == [NO_PARTITION, 0, NO_PARTITION]
        assert client.topics[1:] == ["sentiment.dead-letter.v1"] * 2
        assert "the topic sentiment.scores.v1 does not exist; `streamer topics" in caplog.text
        later = await producer.publish_soon(score(2))
        producer.let_look(1)  # it was waited for already
        await until(lambda: len(client.sent) == 4)
        client.acknowledge(3)
        assert (await later).partition == NO_PARTITION
        client.missing.clear()
        await producer.publish_soon(score(3))
        await until(lambda: len(client.sent) == 5)
        client.acknowledge(4)
    assert client.topics[4] == "sentiment.scores.v1"
    assert producer.counters["refused"] == producer.counters["dead_lettered"] == 3
    assert producer.clients == [client]


async def test_records_that_wait_for_their_topic_are_sent_in_order_once_it_exists() -> None:
    async with ProducerOverFakes() as producer:
        client = producer.client
        first = await producer.publish_soon(window(0))
        await run_tasks()
        client.missing.add("sentiment.windows.v1")  # it is deleted
        sent = [await producer.publish_soon(window(k)) for k in (1, 2)]
        await run_tasks()
        client.fail(0, NotLeaderForPartitionError())
        producer.let_look(3)
        await run_tasks()
        assert client.indices == [0] and not first.done()
        client.missing.clear()
        producer.let_look(1)
        await until(lambda: len(client.sent) == 4)
        client.acknowledge(1, 2, 3)
        await asyncio.gather(first, *sent)
        assert client.indices == [0, 0, 1, 2]
    assert producer.counters == {"published": 3}


async def test_without_a_dead_letter_topic_either_a_record_is_lost_and_counted() -> None:
    async with ProducerOverFakes() as producer:
        producer.client.missing |= {"sentiment.scores.v1", "sentiment.dead-letter.v1"}
        sent = await producer.publish_soon(score(0))
        producer.let_look(2 * LOOKS)
        assert (await sent).partition == NO_PARTITION
    assert producer.counters["lost"] == 1 and not producer.client.sent


async def test_closing_names_the_topic_that_it_would_wait_for() -> None:
    with pytest.raises(
        BrokerError, match=r"because the topic sentiment\.scores\.v1 does not exist"
    ):
        async with ProducerOverFakes(connect_timeout_s=0.1) as producer:
            producer.client.missing.add("sentiment.scores.v1")
            await producer.publish_soon(score(0))


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
