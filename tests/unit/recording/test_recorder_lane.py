"""A recorder's lane over a fake consumer and a fake writer."""

import asyncio
import threading
from collections import Counter
from typing import Any

import pytest

from streamer.kafka.topics import SESSIONS, SMOOTHED, WINDOWS, Topic
from streamer.policy import Policy
from streamer.recording.recorder import _Lane
from streamer.records import MODALITIES, Sentiment
from streamer.testing import ALL_ALLOWED, FakeConsumer, FakePolicies
from tests.made_records import sentiment, session, window


def consumer(*, broker_away: bool = False) -> FakeConsumer[Sentiment]:
    """Return a consumer of one record whose commits wait without end while the broker is away."""
    fake = FakeConsumer(SMOOTHED, [sentiment(0)])
    fake.broker_away = broker_away
    return fake


class Writer:
    """Keeps records, one thread at a time; `free` lets `flush` go on."""

    def __init__(self) -> None:
        self.kept: list[Any] = []
        self.media: list[Any] = []
        self.entered, self.free = threading.Event(), threading.Event()
        self.free.set()
        self._alone = threading.Lock()

    def add(self, record: Any) -> None:
        self.kept.append(record)

    def keep_media(self, session: Any) -> None:
        self.media.append(session)

    def flush(self) -> None:
        assert self._alone.acquire(blocking=False), "two threads in the writer"
        self.entered.set()
        self.free.wait()
        self._alone.release()


def lane(reader: FakeConsumer[Any], writer: Writer, *, policy: Policy | None = ALL_ALLOWED) -> Any:
    policies = FakePolicies(default=policy)
    return _Lane(reader, writer, asyncio.Lock(), policies, frozenset(), True, Counter())  # type: ignore[arg-type]


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


@pytest.mark.parametrize(
    ("policy", "kept", "media"),
    [
        (ALL_ALLOWED, ["window", "session"], 1),
        (Policy("session", 2, MODALITIES), ["session"], 0),
        (None, ["session"], 0),
    ],
    ids=["persons", "meeting only", "unknown session"],
)
async def test_a_lane_stores_what_the_session_allows_and_commits_all(
    policy: Policy | None, kept: list[str], media: int
) -> None:
    records: dict[str, tuple[Topic[Any], Any]] = {
        "window": (WINDOWS, window()),
        "session": (SESSIONS, session()),
    }
    writer, committed = Writer(), 0
    for topic, record in records.values():
        reader, stop = FakeConsumer[Any](topic, [record]), asyncio.Event()
        task = asyncio.create_task(lane(reader, writer, policy=policy).run(stop))
        await reader.exhausted.wait()
        stop.set()
        await task
        committed += len(reader.committed)
    assert writer.kept == [records[name][1] for name in kept]
    assert (len(writer.media), committed) == (media, 2)
