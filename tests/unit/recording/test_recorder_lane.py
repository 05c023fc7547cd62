"""A recorder's lane over a reader and a writer that tell what happens to them."""

import asyncio
import threading
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from streamer.recording.recorder import _Lane


class Reader:
    """Gives one record, then nothing; `commit` waits for ever when the broker is gone."""

    def __init__(self, *, gone: bool) -> None:
        self.committed = 0
        self.given = asyncio.Event()
        self._gone = gone

    async def __aenter__(self) -> "Reader":
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def batch(self, max_records: int, max_wait_ms: int) -> list[Any]:
        await asyncio.sleep(0.001)
        if self.given.is_set():
            return []
        self.given.set()
        return [SimpleNamespace(value=b"{}", record=SimpleNamespace(session_id="s"))]

    async def commit(self) -> None:
        if self._gone:
            await asyncio.Event().wait()
        self.committed += 1


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


def lane(reader: Reader, writer: Writer) -> Any:
    return _Lane(reader, writer, asyncio.Lock(), frozenset(), False, Counter())  # type: ignore[arg-type]


async def test_what_came_is_kept_and_committed_at_the_stop() -> None:
    reader, writer, stop = Reader(gone=False), Writer(), asyncio.Event()
    task = asyncio.create_task(lane(reader, writer).run(stop))
    await reader.given.wait()
    stop.set()
    await task
    assert (len(writer.kept), reader.committed) == (1, 1)


async def test_a_cancelled_lane_keeps_what_came_all_the_same() -> None:
    reader, writer = Reader(gone=False), Writer()
    task = asyncio.create_task(lane(reader, writer).run(asyncio.Event()))
    await reader.given.wait()
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (len(writer.kept), reader.committed) == (1, 0)


async def test_a_lane_whose_commit_waits_in_vain_has_kept_what_came() -> None:
    reader, writer, stop = Reader(gone=True), Writer(), asyncio.Event()
    task = asyncio.create_task(lane(reader, writer).run(stop))
    await reader.given.wait()
    stop.set()
    await asyncio.to_thread(writer.entered.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(writer.kept) == 1


async def test_cancelling_waits_for_the_thread_that_writes() -> None:
    reader, writer, stop = Reader(gone=False), Writer(), asyncio.Event()
    writer.free.clear()
    task = asyncio.create_task(lane(reader, writer).run(stop))
    await reader.given.wait()
    stop.set()
    await asyncio.to_thread(writer.entered.wait)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=0.05)
    assert not done
    writer.free.set()
    with pytest.raises(asyncio.CancelledError):
        await task
