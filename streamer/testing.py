"""Brokers and clients for the tests of programs that use streamer.

    with FakeBroker() as broker:
        broker.publish(session, sentiment)
        for record in streamer.subscribe_sync(broker.address, start="earliest"):
            ...

Every reader drops the records of a session whose own record, a `Session`, is not published.

`FakeBroker` is a real Kafka broker in this process, for a program as a whole. `FakeConsumer`,
`FakeProducer` and `FakePolicies` are in memory, for a component that is given such parts; the first
two also fail on request. Nothing here needs a network, a file or another process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, Self, TypeVar

import msgspec

from streamer.config import Config, build
from streamer.kafka.consumer import Consumer
from streamer.kafka.embedded import EmbeddedBroker
from streamer.kafka.messages import EncodedRecord, Headers, Position, RawMessage, Received
from streamer.kafka.producer import Producer
from streamer.kafka.topics import DEAD_LETTER, Topic, topic_of
from streamer.policy import Policy
from streamer.records import MODALITIES, DeadLetter

__all__ = [
    "ALL_ALLOWED",
    "FakeBroker",
    "FakeConsumer",
    "FakePolicies",
    "FakeProducer",
    "Journal",
    "received",
]

R = TypeVar("R", bound=msgspec.Struct)
T = TypeVar("T")
Journal = list[tuple[str, str, Any]]
"""What fakes did, in order: the action, the topic's kind, and the record or message.

The actions are `published`, `acknowledged`, `dead_lettered` and `committed`. Fakes that share one
journal show the order of their actions.
"""

PREFIX = "sentiment"
ALL_ALLOWED = Policy("participant", 1, MODALITIES)
"""The policy of a session that may show everything."""


class FakeBroker:
    """A Kafka broker in this process, with methods to publish records and to read them back.

    Use it with `with`; every Kafka client can connect to `address`. A topic stores 5 MB per
    partition, in memory. The methods block and can be called with or without a running event loop.

    Attributes:
        address: `host:port`.
        config: settings with this broker, for `Producer`, `Consumer` and `subscribe`.
    """

    def __init__(self, prefix: str = PREFIX) -> None:
        """Start the broker; topic names begin with `prefix`."""
        self._broker = EmbeddedBroker()
        self.address = self._broker.address
        self.config: Config = build({"kafka": {"broker": self.address, "topic_prefix": prefix}})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the broker and discard its records."""
        self._broker.close()

    def publish(self, *records: msgspec.Struct, topic: Topic[Any] | None = None) -> None:
        """Publish records in order and wait until they are stored.

        Args:
            records: of any type in `streamer.records` that has a topic.
            topic: where to; by default the topic of each record's type.

        Raises:
            UnreadableRecord: a record contradicts itself, so that no reader would accept it.
        """

        async def publish() -> None:
            async with Producer(self.config) as producer:
                for record in records:
                    await producer.publish(record, topic=topic)

        _run(publish())

    def records(self, topic: Topic[R]) -> list[R]:
        """Return the records that are on a topic now, in order within each partition."""

        async def read() -> list[R]:
            async with Consumer(self.config, topic) as consumer:
                return [message.record async for message in consumer.snapshot()]

        return _run(read())

    def dead_letters(self) -> list[DeadLetter]:
        """Return the messages that a stage could not read."""
        return self.records(DEAD_LETTER)


class FakeConsumer(Generic[R]):
    """A Consumer that returns the given records, from memory, and notes what is committed.

    Attributes:
        waiting: the messages that `batch` has not returned yet; more can be appended.
        committed: the messages that were committed, in order.
        exhausted: set once `batch` has returned every message.
        finished: set once every message is committed.
        broker_away: while True, `commit` waits without end.
        journal: gets ("committed", kind, record).
    """

    def __init__(
        self, topic: Topic[R], records: Iterable[R] = (), journal: Journal | None = None
    ) -> None:
        """Make a message of each record; they all are in partition 0."""
        self.topic = topic.full_name(PREFIX)
        self.waiting = [received(topic, record, offset) for offset, record in enumerate(records)]
        self.committed: list[RawMessage] = []
        self.exhausted = asyncio.Event()
        self.finished = asyncio.Event()
        self.broker_away = False
        self.journal: Journal = [] if journal is None else journal
        self._kind = topic.kind
        self._returned: list[Received[R]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def batch(self, max_records: int, max_wait_ms: int) -> list[Received[R]]:
        """Return the next messages; an empty list after `max_wait_ms` if there are none."""
        await asyncio.sleep(0)
        if not self.waiting:
            self.exhausted.set()
            await asyncio.sleep(max_wait_ms / 1000)
            return []
        batch, self.waiting = self.waiting[:max_records], self.waiting[max_records:]
        self._returned += batch
        if not self.waiting:
            self.exhausted.set()
        return batch

    async def commit(self, used: Iterable[RawMessage] | None = None) -> None:
        """Note that messages were committed; None: all that were returned."""
        if self.broker_away:
            await asyncio.Event().wait()
        for message in list(self._returned) if used is None else used:
            self._returned = [item for item in self._returned if item.offset > message.offset]
            self.committed.append(message)
            self.journal.append(("committed", self._kind, getattr(message, "record", message)))
        if not self._returned and not self.waiting:
            self.finished.set()

    def lag(self) -> int:
        """Return how many messages are not committed yet."""
        return len(self.waiting) + len(self._returned)


class FakeProducer:
    """A Producer that keeps what it is given, in memory, and fails on request.

    Attributes:
        published: topic kind and record, in order.
        encoded: topic kind and value of records that came encoded, in order.
        dead_letters: message and reason, in order.
        journal: gets `published`, `acknowledged` and `dead_lettered`.
        check: called with each record before it is accepted; it may raise.
        failure: raised instead of an acknowledgement; None: records are acknowledged.
        broker_away: while True, records are accepted and not acknowledged.
        called: set once a record was accepted.
    """

    def __init__(self, journal: Journal | None = None) -> None:
        """Begin with nothing published."""
        self.published: list[tuple[str, Any]] = []
        self.encoded: list[tuple[str, bytes]] = []
        self.dead_letters: list[tuple[RawMessage, str]] = []
        self.journal: Journal = [] if journal is None else journal
        self.check: Callable[[Any], None] = lambda _: None
        self.failure: Exception | None = None
        self.broker_away = False
        self.called = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def records(self, topic: Topic[R]) -> list[R]:
        """Return the records that were published on a topic."""
        return [record for kind, record in self.published if kind == topic.kind]

    async def publish(
        self,
        record: R,
        extra_headers: Headers = (),
        timestamp_ms: int | None = None,
        *,
        topic: Topic[R] | None = None,
    ) -> Position:
        """Accept a record and wait for its acknowledgement."""
        return await (await self.publish_soon(record, extra_headers, timestamp_ms, topic=topic))

    async def publish_soon(
        self,
        record: R,
        extra_headers: Headers = (),
        timestamp_ms: int | None = None,
        *,
        topic: Topic[R] | None = None,
    ) -> asyncio.Future[Position]:
        """Accept a record; the future is done some turns of the event loop later."""
        return await self._accept(topic or topic_of(record), record)

    async def publish_encoded(
        self,
        topic: Topic[R],
        record: R,
        message: EncodedRecord,
        timestamp_ms: int | None = None,
    ) -> asyncio.Future[Position]:
        """Accept an encoded record, as `publish_soon` accepts one."""
        self.encoded.append((topic.kind, message.value))
        return await self._accept(topic, record)

    async def _accept(self, topic: Topic[R], record: R) -> asyncio.Future[Position]:
        self.check(record)
        position = Position(topic.full_name(PREFIX), 0, len(self.records(topic)))
        self.published.append((topic.kind, record))
        self.journal.append(("published", topic.kind, record))
        self.called.set()
        return asyncio.ensure_future(self._acknowledge(topic.kind, record, position))

    async def dead_letter(self, message: RawMessage, reason: str) -> None:
        """Keep a message and the reason why it could not be used."""
        self.dead_letters.append((message, reason))
        self.journal.append(("dead_lettered", DEAD_LETTER.kind, message))

    async def _acknowledge(self, kind: str, record: Any, position: Position) -> Position:
        for _ in range(5):
            await asyncio.sleep(0)
        if self.broker_away:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        self.journal.append(("acknowledged", kind, record))
        return position


class FakePolicies:
    """What sessions allow, from memory.

    Attributes:
        policies: by session id; None: the session's record is not there.
        default: of every other session.
    """

    def __init__(
        self,
        policies: Mapping[str, Policy | None] = {},
        default: Policy | None = ALL_ALLOWED,
    ) -> None:
        """Begin with these policies; by default every session allows everything."""
        self.policies = dict(policies)
        self.default = default

    async def policy(self, session_id: str) -> Policy | None:
        """Return what the session allows; None if its record is not there."""
        return self.policies.get(session_id, self.default)

    async def renewed(self, session_id: str) -> Policy | None:
        """Return the same."""
        return await self.policy(session_id)


def received(
    topic: Topic[R], record: R, offset: int = 0, extra_headers: Headers = ()
) -> Received[R]:
    """Return the message of a record as a Consumer would, in partition 0."""
    message = topic.encode(record)
    return Received(
        topic.full_name(PREFIX),
        partition=0,
        offset=offset,
        timestamp_ms=1_700_000_000_000,
        key=message.key,
        value=message.value,
        headers=dict([*message.headers, *extra_headers]),
        record=record,
    )


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a thread of its own, because the caller's may have a running loop."""
    with ThreadPoolExecutor(1, "fake-broker") as thread:
        return thread.submit(lambda: asyncio.run(work)).result()
