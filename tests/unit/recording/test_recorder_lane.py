"""A recorder's lane over a fake consumer and a fake writer."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from streamer.kafka.topics import SESSIONS, SMOOTHED, WINDOWS, Topic
from streamer.policy import Policy
from streamer.recording.recorder import _Lane
from streamer.records import MODALITIES, RecordedTime, Sentiment
from streamer.testing import ALL_ALLOWED, FakeConsumer, FakePolicies
from tests.made_records import sentiment, session, window


def consumer(*, broker_away: bool = False) -> FakeConsumer[Sentiment]:
    """Return a consumer of one record whose commits wait without end while the broker is away."""
    fake = FakeConsumer(SMOOTHED, [sentiment(0)])
    fake.broker_away = broker_away
    return fake


class Writer:
    """Keeps records, in `disk`; `free` lets `flush` go on."""

    def __init__(self) -> None:
        self.disk = ThreadPoolExecutor(1)
        self.threads = set[int]()
        self.kept: list[Any] = []
        self.media: list[Any] = []
        self.passed: list[Any] = []
        self.entered, self.free = threading.Event(), threading.Event()
        self.free.set()

    def add(self, record: Any) -> None:
        self.kept.append(record)

    def pass_over(self, record: Any) -> None:
        self.passed.append(record)

    def keep_media(self, session: Any) -> None:
        self.media.append(session)

    def flush(self) -> None:
        self.threads.add(threading.get_ident())
        self.entered.set()
        self.free.wait()


def lane(
    reader: FakeConsumer[Any],
    writer: Writer,
    *,
    policies: FakePolicies | None = None,
    on_unrecorded: Callable[[str], None] = lambda session_id: None,
) -> Any:
    return _Lane(
        reader,  # type: ignore[arg-type]
        writer,  # type: ignore[arg-type]
        writer.disk,
        policies or FakePolicies(),
        frozenset(),
        True,
        Counter(),
        on_unrecorded=on_unrecorded,
    )


async def kept(topic: Topic[Any], *records: Any, **settings: Any) -> Writer:
    """Let a lane read the records to their end; return its writer."""
    writer, reader, stop = Writer(), FakeConsumer[Any](topic, records), asyncio.Event()
    task = asyncio.create_task(lane(reader, writer, **settings).run(stop))
    await reader.exhausted.wait()
    stop.set()
    await task
    assert len(reader.committed) == len(records)
    return writer


async def test_what_came_is_kept_and_committed_at_the_stop() -> None:
    reader, writer, stop = consumer(), Writer(), asyncio.Event()
    task = asyncio.create_task(lane(reader, writer).run(stop))
    await reader.exhausted.wait()
    stop.set()
    await task
    assert (len(writer.kept), len(reader.committed)) == (1, 1)


async def test_all_lanes_write_in_one_thread() -> None:
    writer, stop = Writer(), asyncio.Event()
    readers = [FakeConsumer[Any](SMOOTHED, [sentiment(k)]) for k in range(4)]
    tasks = [asyncio.create_task(lane(reader, writer).run(stop)) for reader in readers]
    for reader in readers:
        await reader.exhausted.wait()
    stop.set()
    await asyncio.gather(*tasks)
    assert (len(writer.kept), len(writer.threads)) == (4, 1)


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
        task = asyncio.create_task(
            lane(reader, writer, policies=FakePolicies(default=policy)).run(stop)
        )
        await reader.exhausted.wait()
        stop.set()
        await task
        committed += len(reader.committed)
    assert writer.kept == [records[name][1] for name in kept]
    assert (len(writer.media), committed) == (media, 2)


class LatePolicies(FakePolicies):
    """Policies of which `policy` knows an old state, until it is `renewed`."""

    def __init__(self, old: Policy, new: Policy) -> None:
        super().__init__(default=old)
        self.new, self.renewals = new, 0

    async def renewed(self, session_id: str) -> Policy | None:
        self.renewals += 1
        self.default = self.new
        return self.new


def recording(*times: RecordedTime) -> Policy:
    return Policy("participant", 1, MODALITIES, times)


async def test_a_lane_stores_nothing_of_a_time_that_is_not_recorded() -> None:
    policies = FakePolicies(default=recording(RecordedTime(0, 5_000), RecordedTime(20_000)))
    records = [sentiment(k) for k in range(40)]
    writer = await kept(SMOOTHED, *records, policies=policies)
    assert [each.window_index for each in writer.kept] == [*range(5), *range(24, 40)]


async def test_a_lane_looks_for_a_stop_after_a_record_has_come_once_for_a_batch() -> None:
    policies = LatePolicies(recording(RecordedTime(0)), recording(RecordedTime(0, 2_000)))
    records = [sentiment(k) for k in range(4)]
    writer = await kept(SMOOTHED, *records, policies=policies)
    assert ([each.window_index for each in writer.kept], policies.renewals) == ([0, 1], 1)


async def test_a_last_record_that_is_not_stored_is_noted() -> None:
    policies = FakePolicies(default=recording(RecordedTime(0, 2_000)))
    last = sentiment(3, final=True)
    writer = await kept(SMOOTHED, sentiment(0), sentiment(2), last, policies=policies)
    assert (writer.kept, writer.passed) == ([sentiment(0)], [last])


async def test_a_session_that_ends_without_having_been_recorded_is_not_waited_for() -> None:
    ended: list[str] = []
    policies = FakePolicies(default=recording())
    records = (session(), session("ended"))
    writer = await kept(SESSIONS, *records, policies=policies, on_unrecorded=ended.append)
    assert (writer.kept, ended) == ([], ["standup"])


async def test_where_the_host_has_no_say_no_lane_asks_again() -> None:
    policies = LatePolicies(ALL_ALLOWED, recording())
    writer = await kept(SMOOTHED, sentiment(0), policies=policies)
    assert (len(writer.kept), policies.renewals) == (1, 0)
