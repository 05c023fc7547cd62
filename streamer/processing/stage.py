"""One stage of the stream processor: an agent's body over a keyed table, exactly ordered.

What enters: messages of the stage's input topic. What leaves: outputs on their topics, and states
in the table. This module does not know what smoothing means (`spec`) nor how the app runs (`app`).
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeGuard

import msgspec
from aiokafka.errors import KafkaError
from faust.types import TP

from streamer import metrics
from streamer.config import Config
from streamer.errors import BrokerError, TopicChanged, UnreadableRecord
from streamer.kafka.messages import EncodedRecord, RawMessage, header_values
from streamer.kafka.policies import Policies
from streamer.kafka.producer import Producer
from streamer.kafka.topics import Topic, encoded, topic_named
from streamer.policy import UNKNOWN_SESSION, Policy
from streamer.processing.changelog import Changelog
from streamer.processing.clock import Clock
from streamer.processing.faust_app import App, Evicted
from streamer.processing.inputs import starting_offsets
from streamer.processing.silence import Silence
from streamer.processing.spec import StageSpec, arrived, stamped
from streamer.processing.stored import S, StoredState, changes_in
from streamer.processing.webhook import Announce
from streamer.records import Alert, Score

log = logging.getLogger(__name__)

IN_HAND = 256
"""Messages of one stage that are smoothed and not yet acknowledged; beyond it the agent waits."""
KNOWN_STATES = 1000
"""Stored states that are kept besides their bytes in the table."""
MAINTENANCE_S = 0.5
"""Interval of the search for keys that receive no more messages."""
EXPIRE_S = 60.0
"""Interval of the search for keys past the retention."""


@dataclass(frozen=True, slots=True)
class _Change:
    """A state to store, and its bytes."""

    stored: StoredState[Any]
    value: bytes


@dataclass(eq=False, slots=True)
class _Step:
    """A message being processed: its outputs, the state to store, and its published alerts."""

    event: Any
    sent: list[asyncio.Future[Any]] = field(default_factory=list)
    key: bytes | None = None
    change: _Change | None = None
    alerts: list[Alert] = field(default_factory=list)


class Stage(Generic[S]):
    """One agent and its table.

    `consume` is the agent's body: it smooths messages in order and gives their outputs to the
    producer. `commit_loop` waits for the broker and then stores the states, many at a time.
    `maintenance_loop` flushes keys without new messages and expires old ones. All run in one event
    loop, until the owner cancels them. The agent waits while IN_HAND messages are in progress.

    Attributes:
        kind: the records of the input topic.
        counters: `records`, `outputs`, `duplicates`, `unreadable`, `failed`, `tombstones`,
            `flushed`, `expired`, `states_lost`, `states_refused`, `gaps`.
    """

    def __init__(
        self,
        app: App,
        table: Any,
        spec: StageSpec[S],
        producer: Producer,
        policies: Policies,
        config: Config,
        clock: Clock,
        announce: Announce = lambda _: None,
    ) -> None:
        """Join an app and a table that the app knows; no I/O.

        `announce` is called with each published alert, once its state is stored.
        """
        self.counters: Counter[str] = Counter()
        self.kind = spec.topic.kind
        metrics.watch(f"smoothing {self.kind}", self.counters)
        metrics.watch_lag(self.kind, self.lag)
        self._app = app
        self._table = table
        self._changelog = Changelog(app, table, clock, self.counters)
        self._spec = spec
        self._topic = spec.topic.full_name(config.kafka.topic_prefix)
        self._producer = producer
        self._policies = policies
        self._clock = clock
        self._announce = announce
        self._retention_ms = config.kafka.retention_ms
        self._encode = msgspec.msgpack.Encoder().encode
        self._max_state_bytes = config.kafka.max_message_bytes // 2  # the outbox takes space too
        self._decode = msgspec.msgpack.Decoder(StoredState[spec.state]).decode  # type: ignore[name-defined]
        self._json = msgspec.json.Encoder()
        self._lock = asyncio.Lock()
        self._steps: asyncio.Queue[_Step] = asyncio.Queue(IN_HAND)
        self._live: dict[bytes, StoredState[S]] = {}
        self._known: dict[bytes, _Change] = {}
        self._silence = Silence()
        self._next: dict[int, int] = {}
        self._open = False
        self._expired_at_s = self._clock.monotonic_s()
        app.on_partitions_revoked.connect(self._close)
        table.on_recover(self._reopen)

    def lag(self) -> int:
        """Return how many messages of the input topic the agent has not received yet."""
        behind = 0
        for partition, following in list(self._next.items()):
            end = self._app.consumer.highwater(TP(self._topic, partition))
            behind += max((end or 0) - following, 0)
        return behind

    async def consume(self, stream: Any) -> None:
        """The agent: smooth each message; `commit_loop` acknowledges them."""
        async for event in stream.noack().events():
            async with self._lock:
                if self._follows(event.message):
                    with suppress(Evicted):  # not acknowledged, so it is read again
                        await self._steps.put(await self._take(event))

    async def commit_loop(self) -> None:
        """Store states once the broker has their outputs, then acknowledge the messages."""
        while True:
            steps = [await self._steps.get()]
            while not self._steps.empty():
                steps.append(self._steps.get_nowait())
            await asyncio.gather(*(sent for step in steps for sent in step.sent))
            await self._store(
                {step.key: step.change for step in steps if step.key and step.change is not None}
            )
            for step in steps:
                for alert in step.alerts:
                    self._announce(alert)
                step.event.ack()
                self._steps.task_done()

    async def maintenance_loop(self) -> None:
        """Flush keys that receive no more messages, and expire old ones."""
        while True:
            await self._clock.sleep(MAINTENANCE_S)
            async with self._lock:
                for key in self._silent():
                    await self._flush(key)
                if self._clock.monotonic_s() - self._expired_at_s >= EXPIRE_S:
                    self._expired_at_s = self._clock.monotonic_s()
                    await self._expire()

    # one message

    def _follows(self, message: Any) -> bool:
        """Whether no message was skipped before this one; if one was, the app must start over.

        Faust can skip a message in a rebalance and would commit beyond it. A gap that
        is still there after starting over is the log's own, as after deletion.
        """
        if not self._app.may_write():
            return False
        expected = self._next.get(message.partition, message.offset)
        self._next[message.partition] = max(expected, message.offset + 1)
        if message.offset <= expected or (message.tp, expected) in self._app.known_gaps:
            return True
        self._app.known_gaps.add((message.tp, expected))
        self._next[message.partition] = expected
        self.counters["gaps"] += 1
        self._app.start_over(f"messages {expected} to {message.offset - 1} of {message.tp} skipped")
        return False

    async def _take(self, event: Any) -> _Step:
        message = event.message
        timestamp_ms = round(message.timestamp * 1000)
        self._silence.receive(message.partition, timestamp_ms, self._clock.monotonic_s())
        if message.value is None:
            self.counters["tombstones"] += 1
            return _Step(event)
        try:
            record = self._spec.topic.decode(message.value)
            return await self._smooth(event, record, timestamp_ms)
        except Evicted:
            raise
        except UnreadableRecord as error:
            self.counters["unreadable"] += 1
            return _Step(event, [self._dead_letter(message, error.reason)])
        except BrokerError:
            raise
        except Exception as error:
            self.counters["failed"] += 1
            log.exception("A record of %s cannot be smoothed.", message.topic)
            return _Step(event, [self._dead_letter(message, f"smoothing failed: {error!r}")])

    async def _smooth(self, event: Any, record: Any, timestamp_ms: int) -> _Step:
        self.counters["records"] += 1
        key = self._spec.key(record)
        policy = await self._policy(key)
        if policy is None:
            raise UnreadableRecord(UNKNOWN_SESSION)
        before = self._recall(key)
        if before and before.outbox:
            await self._flush(key)
            before = self._recall(key)
        if isinstance(record, Score):
            record = arrived(record, timestamp_ms)
        state, outputs = self._spec.step(before.state if before else None, record, policy)
        now_ms = self._clock.wall_ms()
        change = None
        if before is None or state != before.state:
            changes = self._changes(key, before) + 1
            change = self._change(
                StoredState(state, event.message.partition, round(now_ms), changes=changes)
            )
        sent = [
            await self._producer.publish_encoded(topic, stamped_output, message)
            for output in outputs
            for stamped_output in (stamped(output, now_ms),)
            for topic, message in encoded(self._spec.routes(output, policy), stamped_output)
        ]
        self.counters["outputs"] += len(sent)
        self._note(key, state, event.message.partition, timestamp_ms)
        if change is None:
            self.counters["duplicates"] += 1
            return _Step(event, sent)
        self._live[key] = change.stored
        alerts = [each for each in outputs if _is_public(each, self._spec.routes(each, policy))]
        return _Step(event, sent, key, change, alerts)

    async def _policy(self, key: bytes) -> Policy | None:
        """Return what the session of a key allows; both stages' keys begin with its id."""
        return await self._policies.policy(key.decode().partition("/")[0])

    def _change(self, stored: StoredState[S]) -> _Change:
        """Return a state with its bytes; refuse the record if no changelog message can carry it.

        Without this the broker refuses the state after the record was used, at every start again.
        """
        try:
            value = self._encode(stored)
        except (OverflowError, TypeError, ValueError) as error:
            raise UnreadableRecord(f"the state that it makes cannot be stored: {error}") from None
        if len(value) > self._max_state_bytes:
            raise UnreadableRecord(
                f"the state that it makes takes {len(value)} bytes, more than "
                f"{self._max_state_bytes}"
            )
        return _Change(stored, value)

    def _dead_letter(self, message: Any, reason: str) -> asyncio.Future[Any]:
        raw = RawMessage(
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            timestamp_ms=round(message.timestamp * 1000),
            key=message.key,
            value=message.value,
            headers=header_values(message.headers),
        )
        return asyncio.ensure_future(self._producer.dead_letter(raw, reason))

    def _note(self, key: bytes, state: S, partition: int, since_ms: float) -> None:
        if self._spec.holds(state):
            self._silence.wait(key, partition, since_ms, self._spec.silence_s(state))
        else:
            self._silence.forget(key)

    # the table

    def _recall(self, key: bytes) -> StoredState[S] | None:
        if key in self._live:
            return self._live[key]
        value, known = self._table.get(key), self._known.get(key)
        if known is not None and known.value == value:
            return known.stored
        return self._read(key, value)

    def _read(self, key: bytes, value: bytes | None) -> StoredState[S] | None:
        if value is None:
            return None
        try:
            return self._decode(value)
        except msgspec.DecodeError as error:
            self.counters["states_lost"] += 1
            log.warning("The state of %r is of another version, smoothing anew: %s.", key, error)
            return None

    def _changes(self, key: bytes, stored: StoredState[S] | None) -> int:
        """How far a key is; a value of another version counts too, although it is not read."""
        return changes_in(self._table.get(key)) if stored is None else stored.changes

    async def _store(self, changes: Mapping[bytes, _Change]) -> None:
        """Write states to the changelog, wait for the broker, then put them into the table.

        A state that the broker refuses stays in memory, and the work goes on.

        Raises:
            Evicted: the partitions may be another worker's; nothing was written.
        """
        self._app.check_may_write()
        written = await self._changelog.write(
            {key: (change.stored.partition, change.value) for key, change in changes.items()}
        )
        for key in written:
            if self._live.get(key) is changes[key].stored:
                del self._live[key]
                self._know(key, changes[key])

    def _know(self, key: bytes, change: _Change) -> None:
        """Keep a stored state, which need not be read again while the table has these bytes."""
        self._known[key] = change
        if len(self._known) > KNOWN_STATES:
            del self._known[next(iter(self._known))]

    # silence and age

    def _silent(self) -> list[bytes]:
        if not self._open or self._app.rebalancing:
            return []
        return self._silence.due(self._clock.monotonic_s())

    async def _flush(self, key: bytes) -> None:
        """Publish what the state of a key holds back; the caller holds the lock.

        The outputs are written to the changelog before they are sent, and are sent as written.
        """
        await self._steps.join()
        stored = self._recall(key)
        self._silence.forget(key)
        policy = await self._policy(key)
        if stored is None or policy is None:
            return
        if stored.outbox:
            messages = [_stored_message(topic_named(kind), value) for kind, value in stored.outbox]
        else:
            now_ms = self._clock.wall_ms()
            state, flushed = self._spec.flush(stored.state, policy)
            outputs = [
                (topic, stamped(output, now_ms))
                for output in flushed
                for topic in self._spec.routes(output, policy)
            ]
            messages = [(topic, record, topic.encode(record)) for topic, record in outputs]
            outbox = tuple((topic.kind, message.value) for topic, _, message in messages)
            changes = stored.changes + 1
            stored = StoredState(state, stored.partition, round(now_ms), outbox, changes)
            self._live[key] = stored
            await self._store({key: _Change(stored, self._encode(stored))})
        sent = [
            await self._producer.publish_encoded(topic, record, message)
            for topic, record, message in messages
        ]
        await asyncio.gather(*sent)
        self.counters["flushed"] += len(sent)
        emptied = msgspec.structs.replace(stored, outbox=(), changes=stored.changes + 1)
        self._live[key] = emptied
        await self._store({key: _Change(emptied, self._encode(emptied))})
        for _, record, _ in messages:
            if isinstance(record, Alert):
                self._announce(record)

    async def _expire(self) -> None:
        """Forget keys that nothing has changed for the topics' retention."""
        if not self._open or self._app.rebalancing:
            return
        await self._steps.join()
        oldest_ms = self._clock.wall_ms() - self._retention_ms
        old = {
            key: stored.partition
            for key, stored in self._all()
            if stored.touched_ms < oldest_ms and self._silence.has(stored.partition)
        }
        self._app.check_may_write()
        await self._changelog.write({key: (partition, None) for key, partition in old.items()})
        for key in old:
            self._silence.forget(key)
        self.counters["expired"] += len(old)

    def _all(self) -> list[tuple[bytes, StoredState[S]]]:
        read = [(key, self._read(key, value)) for key, value in self._table.items()]
        return [(key, stored) for key, stored in read if stored is not None]

    # rebalancing

    async def _close(self, *_: Any, **__: Any) -> None:
        """Partitions are revoked: finish their messages and drop their states.

        Messages are not finished, and are read again, if the app starts over, as it does when the
        group went on without this worker.
        """
        log.info("Partitions of %s are given back.", self.kind)
        async with self._lock:
            if not self._open or self._app.may_write():
                await self._steps.join()
            self._open = False
            self._live.clear()
            self._known.clear()
            self._silence = Silence()
            self._next.clear()

    async def _reopen(self) -> None:
        """The tables have been recovered: find the keys that hold outputs back.

        Faust goes on from here by resuming the input and then seeking to the committed offsets
        and emptying its queues, which loses what came in between. So the flow is stopped until
        Faust resumes it after that.
        """
        consumer = self._app.consumer
        consumer.stop_flow()
        self._app.flow_control.suspend()
        changelog = self._table.changelog_topic_name
        counts = consumer.topic_partitions(self._topic), consumer.topic_partitions(changelog)
        if all(counts) and counts[0] != counts[1]:  # 0 or None: not known yet
            self._app.give_up(
                TopicChanged(
                    f"The topic {self._topic} has {counts[0]} partitions but {changelog} has "
                    f"{counts[1]}; give it as many, or set another smoothing.consumer_group."
                )
            )
        try:
            self._next = await starting_offsets(self._app, self._topic)
        except (KafkaError, OSError) as error:  # Faust would drop it
            self._app.start_over(f"the commits of {self._topic} cannot be read ({error!r})")
            return
        now_ms, now_s = self._clock.wall_ms(), self._clock.monotonic_s()
        changelog = self._table.changelog_topic_name
        mine = {
            tp.partition for tp in self._app.assignor.assigned_actives() if tp.topic == changelog
        }
        self._silence.begin(mine, now_ms, now_s)
        for key, stored in self._all():
            if stored.partition not in mine:
                continue
            if stored.outbox:
                self._silence.wait(key, stored.partition, -math.inf, 0.0)
            else:
                self._note(key, stored.state, stored.partition, now_ms)
        self._open = True
        self._app.lease.begin()
        log.info("Smoothing partitions %s of %s.", sorted(mine), self.kind)


def _is_public(output: Any, topics: tuple[Topic[Any], ...]) -> TypeGuard[Alert]:
    return isinstance(output, Alert) and bool(topics)


def _stored_message(topic: Topic[Any], value: bytes) -> tuple[Topic[Any], Any, EncodedRecord]:
    """Return a stored output with its message, which keeps the stored bytes."""
    record = topic.decode(value)
    return topic, record, replace(topic.encode(record), value=value)
