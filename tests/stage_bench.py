"""A stage of the stream processor on fakes: a broker, a table and a clock of its own."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from faust.types import TP, Message

from streamer.config import Config, build
from streamer.kafka.topics import SCORES
from streamer.processing import spec
from streamer.processing.clock import Clock
from streamer.processing.faust_app import Evicted
from streamer.processing.inputs import Start
from streamer.processing.lease import Lease
from streamer.processing.stage import Stage
from streamer.records import Score, Sentiment
from streamer.testing import FakePolicies, FakeProducer
from tests import made_records


class Journal(list[tuple[Any, ...]]):
    """What the broker and the stage did, in order."""

    def of(self, verb: str) -> list[tuple[Any, ...]]:
        return [entry[1:] for entry in self if entry[0] == verb]


class Crash(Exception):
    """The process ends here."""


class Table:
    """A table whose changelog and rows outlive the stage."""

    changelog_topic_name = "changelog"

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.rows: dict[bytes, bytes] = {}
        self.changelog_topic = self
        self.recovered: Any = None

    def on_recover(self, callback: Any) -> None:
        self.recovered = callback

    async def send(self, *, key: bytes, value: bytes | None, partition: int, **_: Any) -> Any:
        async def arrive() -> Any:
            self.journal.append(("changelog", key, value))
            return SimpleNamespace(topic="changelog", partition=partition, offset=0)

        return asyncio.ensure_future(arrive())

    def apply_changelog_batch(self, events: Iterable[Any]) -> None:
        for event in events:
            self.journal.append(("table", event.key, event.value))
            self.rows.pop(event.key, None)
            if event.value is not None:
                self.rows[event.key] = event.value

    def get(self, key: bytes) -> bytes | None:
        return self.rows.get(key)

    def items(self) -> list[tuple[bytes, bytes]]:
        return list(self.rows.items())


class App:
    """As much of Faust's app as a stage sees."""

    rebalancing = False

    def __init__(self) -> None:
        self.known_gaps: set[Any] = set()
        self.why: list[str] = []
        self.closing: list[Any] = []
        self.on_partitions_revoked = SimpleNamespace(connect=self.closing.append)
        self.flow_control = SimpleNamespace(suspend=lambda: None)
        self.partitions = {"sentiment.scores.v1": 4, "changelog": 4}
        self.ended: asyncio.Future[str] = asyncio.Future()
        self.lease = Lease(math.inf)
        self.consumer = SimpleNamespace(
            stop_flow=lambda: None,
            starts=self.starts,
            topic_partitions=self.partitions.get,
        )
        self.assignor = SimpleNamespace(assigned_actives=lambda: {TP("changelog", 0)})
        self.offset = 0

    async def starts(self) -> dict[TP, Start]:
        return {TP("sentiment.scores.v1", 0): Start(self.offset)}

    def create_event(self, key: bytes, value: bytes, _: None, message: Message) -> Any:
        return SimpleNamespace(key=key, value=value, message=message)

    def start_over(self, why: str) -> None:
        self.why.append(why)

    def may_write(self) -> bool:
        return not self.ended.done()

    def check_may_write(self) -> None:
        if not self.may_write():
            raise Evicted

    def evict(self) -> None:
        self.ended.set_result("the process stood still")

    def give_up(self, error: Exception) -> None:
        self.ended.set_exception(error)


class ManualClock(Clock):
    """A clock that only `sleep` and the test advance; `sleep` does not wait."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def monotonic_s(self) -> float:
        return self.now_s

    def wall_ms(self) -> float:
        return made_records.START.timestamp() * 1000 + self.now_s * 1000

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        await asyncio.sleep(0)


class Bench:
    """A stage on fakes, the participants' by default; `restart` gives a new one on its table."""

    def __init__(
        self,
        rules: Callable[[Config], spec.StageSpec[Any]] = spec.participant_spec,
        **settings: Any,
    ) -> None:
        self.rules = rules
        self.config = build({"smoothing": {"idle_flush_s": 0.05}, **settings})
        self.journal = Journal()
        self.table = Table(self.journal)
        self.clock = ManualClock()
        self.policies = FakePolicies()
        self.offset = 0
        self.restart()

    def restart(self) -> None:
        self.app = App()
        self.app.offset = self.offset
        self.producer = FakeProducer(self.journal)
        self.stage: Stage[Any] = Stage(
            self.app,  # type: ignore[arg-type]
            self.table,
            self.rules(self.config),
            self.producer,  # type: ignore[arg-type]
            self.policies,
            self.config,
            self.clock,
        )

    def event(self, value: bytes | None, *, at_ms: int = 1_000, offset: int | None = None) -> Any:
        number = self.offset if offset is None else offset
        self.offset = number + 1
        message = Message(
            "sentiment.scores.v1",
            0,
            number,
            timestamp=at_ms / 1000,
            timestamp_type=0,
            headers=[("ce_id", b"x")],
            key=b"s/ana",
            value=value,
            checksum=None,
            tp=TP("sentiment.scores.v1", 0),
        )
        return SimpleNamespace(message=message, ack=lambda: self.commit(number))

    def commit(self, number: int) -> None:
        self.journal.append(("committable", number))
        self.app.offset = number + 1

    async def feed(self, *events: Any) -> None:
        await self.stage.consume(Stream(events))

    @asynccontextmanager
    async def working(self, *, maintained: bool = False) -> AsyncIterator[None]:
        await self.table.recovered()
        works = [self.stage.commit_loop(), *([self.stage.maintenance_loop()] if maintained else [])]
        tasks = [asyncio.create_task(work) for work in works]
        yield
        if not maintained:
            await self.stage._steps.join()
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


class Stream:
    """Faust's stream of events."""

    def __init__(self, events: Sequence[Any]) -> None:
        self._events = events

    def noack(self) -> Stream:
        return self

    async def events(self) -> AsyncIterator[Any]:
        for event in self._events:
            yield event


def score(index: int, valence: float = -2.5, **changes: Any) -> Score:
    return made_records.score(index, valence, session_id="s", **changes)


def wire(*indices: int) -> list[bytes]:
    return [SCORES.encode(score(index)).value for index in indices]


def windows(journal: Journal, kind: str = "smoothed") -> list[int]:
    return [record.window_index for sent, record in journal.of("acknowledged") if sent == kind]


async def eventually(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it never came about")


def plain(sentiment: Sentiment) -> Sentiment:
    return msgspec.structs.replace(sentiment, latency_ms={})
