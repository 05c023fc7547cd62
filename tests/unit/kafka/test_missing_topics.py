"""Waiting for topics that do not exist, with a broker that answers as it is told."""

import asyncio
from collections.abc import Sequence

import pytest

from streamer.kafka.missing_topics import LOOKS, MissingTopics


class Broker:
    """Gives its answers one after the other, and keeps what left the wait."""

    def __init__(self, answers: Sequence[bool | None]) -> None:
        self.answers = list(answers)
        self.left: list[tuple[list[int], bool]] = []
        self.pauses = 0
        self.has_left = asyncio.Event()

    async def look(self, topic: str) -> bool | None:
        return self.answers.pop(0)

    def leave(self, records: list[int], is_there: bool) -> None:
        self.left.append((records, is_there))
        self.has_left.set()

    async def sleep(self, _: float) -> None:
        self.pauses += 1
        await asyncio.sleep(0)

    async def wait(self, missing: MissingTopics[int], *records: int) -> None:
        self.has_left.clear()
        for record in records:
            missing.add("scores", record)
        assert missing.topics() == ["scores"] and len(missing) == len(records)
        async with asyncio.timeout(5):
            await self.has_left.wait()
        assert "scores" not in missing and not missing.records()

    def missing(self) -> MissingTopics[int]:
        return MissingTopics(self.look, self.leave, self.sleep)


async def test_records_leave_in_order_when_their_topic_exists(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = Broker([False, True])  # it is just being made
    await broker.wait(broker.missing(), 1, 2, 3)
    assert broker.left == [([1, 2, 3], True)]
    assert not caplog.messages


async def test_an_outage_of_the_broker_is_not_a_missing_topic() -> None:
    broker = Broker([None] * 3 * LOOKS + [True])
    await broker.wait(broker.missing(), 1)
    assert broker.left == [([1], True)]


async def test_a_topic_that_was_waited_for_in_vain_is_asked_for_once_for_each_record(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = Broker([False] * LOOKS + [False, True, False, False, True])
    missing = broker.missing()
    for record in (1, 2, 3):
        await broker.wait(missing, record)
    assert broker.left == [([1], False), ([2], False), ([3], True)]
    assert broker.pauses == LOOKS - 1
    await broker.wait(missing, 4)  # missing again: it is waited for again
    assert broker.left[-1] == ([4], True) and broker.pauses == LOOKS + 1
    lines = [line.partition(";")[0] for line in caplog.messages]
    gone, back = "The topic scores does not exist", "The topic scores exists now."
    assert lines == [gone, back, gone]


async def test_closing_ends_the_wait() -> None:
    broker = Broker([])

    async def never(_: str) -> bool | None:
        await asyncio.Event().wait()
        return None

    missing = MissingTopics[int](never, broker.leave)
    missing.add("scores", 1)
    await missing.close()
    assert missing.records() == [1] and not broker.left
