"""A table's changelog whose broker refuses some values: the others are stored, and work goes on."""

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError

from streamer.processing.changelog import Changelog
from streamer.processing.clock import Clock


class Table:
    """A table and its changelog topic; a batch with a value over `limit` is refused whole."""

    changelog_topic_name = "changelog"

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.changelog_topic = self
        self.rows: dict[bytes, bytes | None] = {}
        self.error: Exception = MessageSizeTooLargeError()
        self._batch: list[tuple[bytes | None, asyncio.Future[Any]]] = []

    async def send(self, *, value: bytes | None, partition: int, **_: Any) -> Any:
        answer = asyncio.get_running_loop().create_future()
        self._batch.append((value, answer))
        if len(self._batch) == 1:
            asyncio.get_running_loop().call_soon(self._end_batch, partition)
        return answer

    def _end_batch(self, partition: int) -> None:
        batch, self._batch = self._batch, []
        too_large = any(len(value or b"") > self.limit for value, _ in batch)
        for _, answer in batch:
            if too_large:
                answer.set_exception(self.error)
            else:
                place = SimpleNamespace(topic="changelog", partition=partition, offset=0)
                answer.set_result(place)

    def apply_changelog_batch(self, events: list[Any]) -> None:
        self.rows.update({event.key: event.value for event in events})


def changelog(table: Table) -> tuple[Changelog, Counter[str]]:
    counters: Counter[str] = Counter()
    app = SimpleNamespace(
        create_event=lambda key, value, _, message: SimpleNamespace(key=key, value=value)
    )
    return Changelog(app, table, Clock(), counters), counters


async def test_a_value_that_the_broker_refuses_leaves_the_others_stored(
    caplog: pytest.LogCaptureFixture,
) -> None:
    table = Table(limit=10)
    log, counters = changelog(table)
    stored = await log.write({b"a": (0, b"1"), b"b": (0, b"2" * 11), b"c": (0, None)})
    assert stored == {b"a", b"c"} and table.rows == {b"a": b"1", b"c": None}
    assert counters == {"states_refused": 1}
    assert "refuses the state of b'b' for changelog (MessageSizeTooLarge" in caplog.text


async def test_a_broker_that_cannot_store_at_the_moment_is_an_error() -> None:
    table = Table(limit=10)
    table.error = KafkaConnectionError()
    log, _ = changelog(table)
    with pytest.raises(KafkaConnectionError):
        await log.write({b"b": (0, b"2" * 11)})
