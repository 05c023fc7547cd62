"""A recorder's lane over a fake consumer and a fake writer."""

import asyncio
import threading
from collections import Counter
from typing import Any

import pytest

from streamer.kafka.topics import SMOOTHED
from streamer.recording.recorder import _Lane
from streamer.records import Sentiment
from streamer.testing import FakeConsumer
from tests.made_records import sentiment


def consumer(*, broker_away: bool = False) -> FakeConsumer[Sentiment]:
    """Return a consumer of one record whose commits wait without end while the broker is away."""
    fake = FakeConsumer(SMOOTHED, [sentiment(0)])
    fake.broker_away = broker_away
    return fake


class Writer:
    """Keeps records, one thread at a time; `free` lets `flush` go on."""

    def __init__(self) -> None:
        self.kept: list[Any] = []
        self.entered, self.free = threading.Event(), threading.Event()
        self.free.set()
        self._alone = threading.Lock()

    def add(self, record: Any) -> None:
        self.kept.append(record)

    def flush(self) -> None:
        assert self._alone.acquire(blocking=False), "two threads in the writer"
        self.entered.set()
        self.free.wait()
        self._alone.release()


def lane(reader: FakeConsumer[Sentiment], writer: Writer) -> Any:
    return _Lane(reader, writer, asyncio.Lock(), frozenset(), False, Counter())  # type: ignore[arg-type]


async def test_what_came_is_kept_and_committed_at_the_stop() -> None:
    reader, writer, stop = consumer(), Writer(), asyncio.Event()
    task = asyncio.create_task(lane(reader, writer).run(stop))
    await reader.exhausted.wait()
    stop.set()
    await task
    assert (len(writer.kept), len(reader.committed)) == (1, 1)


async def test_a_cancelled_lane_keeps_what_came_all_the_same() -> None:
    reader, writer = consumer(), Writer()
    task = asyncio.create_task(lane(reader, writer).run(asyncio.Event()))
    await reader.exhausted.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (len(writer.kept), len(reader.committed)) == (1, 0)


async def test_a_lane_whose_commit_waits_in_vain_has_kept_what_came() -> None:
    reader, writer, stop = consumer(broker_away=True), Writer(), asyncio.Event()
    task = asyncio.create_task(lane(reader, writer).run(stop))
    await reader.exhausted.wait()
    stop.set()
    await asyncio.to_thread(writer.entered.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(writer.kept) == 1


async def test_cancelling_waits_for_the_thread_that_writes() -> None:
    reader, writer, stop = consumer(), Writer(), asyncio.Event()
    writer.free.clear()
    task = asyncio.create_task(lane(reader, writer).run(stop))
    await reader.exhausted.wait()
    stop.set()
    await asyncio.to_thread(writer.entered.wait)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=0.05)
    assert not done
    writer.free.set()
    with pytest.raises(asyncio.CancelledError):
        await task
