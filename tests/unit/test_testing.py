"""The fakes that streamer gives to its users' tests, and that its own tests use."""

import asyncio
import re
from pathlib import Path

import msgspec
import pytest

import streamer
from streamer.errors import BrokerError, UnreadableRecord
from streamer.kafka.topics import SCORES, SESSION_INPUT, SMOOTHED, WINDOWS
from streamer.testing import FakeBroker, FakeConsumer, FakeProducer, Journal, received
from tests.made_records import score, sentiment, session, window

ROOT = Path(__file__).resolve().parents[2]


def test_a_fake_broker_returns_published_records_in_order() -> None:
    with FakeBroker() as broker:
        broker.publish(sentiment(0), score(0), sentiment(1))
        broker.publish(sentiment(2), topic=SESSION_INPUT)
        assert broker.records(SMOOTHED) == [sentiment(0), sentiment(1)]
        assert broker.records(SCORES) == [score(0)]
        assert broker.records(SESSION_INPUT) == [sentiment(2)]
        assert broker.records(WINDOWS) == []
        assert broker.dead_letters() == []


async def test_a_fake_broker_can_be_used_while_an_event_loop_runs() -> None:
    with FakeBroker() as broker:
        broker.publish(session(), sentiment(0))
        records = streamer.subscribe(broker.address, start="earliest")
        assert await anext(records) == sentiment(0)
        await records.aclose()


def test_a_fake_broker_refuses_a_record_that_contradicts_itself() -> None:
    with FakeBroker() as broker, pytest.raises(UnreadableRecord, match="window_id is not"):
        broker.publish(msgspec.structs.replace(sentiment(0), window_id="elsewhere"))


def test_the_documented_test_passes() -> None:
    text = (ROOT / "docs/testing.md").read_text("utf-8")
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert code is not None
    names: dict[str, object] = {}
    exec(compile(code[1], "docs/testing.md", "exec"), names)
    test = names["test_my_program_sees_the_alert"]
    with FakeBroker() as broker:
        test(broker)  # type: ignore[operator]


async def test_a_fake_consumer_returns_each_record_once_and_notes_commits() -> None:
    journal: Journal = []
    consumer = FakeConsumer(WINDOWS, [window(k) for k in range(3)], journal)
    first = await consumer.batch(2, 1)
    assert [item.record for item in first] == [window(0), window(1)]
    assert not consumer.exhausted.is_set()
    second = await consumer.batch(2, 1)
    assert await consumer.batch(2, 1) == []
    assert consumer.exhausted.is_set() and consumer.lag() == 3
    await consumer.commit(first)
    assert consumer.lag() == 1 and not consumer.finished.is_set()
    await consumer.commit()
    assert consumer.finished.is_set()
    assert consumer.committed == [*first, *second]
    assert journal == [("committed", "windows", window(k)) for k in range(3)]


async def test_a_fake_message_decodes_to_its_record() -> None:
    message = received(WINDOWS, window(7), 41, [("capture_latency_ms", b"1.5")])
    assert WINDOWS.decode(message.value) == message.record == window(7)
    assert message.headers["capture_latency_ms"] == b"1.5"
    assert (message.topic, message.offset) == ("sentiment.windows.v1", 41)


async def test_a_fake_producer_keeps_records_and_acknowledges_them_later() -> None:
    producer = FakeProducer()
    done = await producer.publish_soon(sentiment(0))
    assert not done.done()
    assert (await done).topic == "sentiment.smoothed.v1"
    assert (await producer.publish(sentiment(1), topic=SESSION_INPUT)).offset == 0
    assert producer.records(SMOOTHED) == [sentiment(0)]
    assert [action for action, _, _ in producer.journal] == ["published", "acknowledged"] * 2


async def test_a_fake_producer_fails_on_request() -> None:
    def refuse(record: object) -> None:
        raise UnreadableRecord("refused")

    producer = FakeProducer()
    producer.failure = BrokerError("no broker")
    with pytest.raises(BrokerError):
        await producer.publish(sentiment(0))
    producer.failure, producer.broker_away = None, True
    waiting = await producer.publish_soon(sentiment(1))
    done, _ = await asyncio.wait([waiting], timeout=0.01)
    assert not done
    waiting.cancel()
    producer.check = refuse
    with pytest.raises(UnreadableRecord):
        await producer.publish_soon(sentiment(2))
    assert producer.records(SMOOTHED) == [sentiment(0), sentiment(1)]
