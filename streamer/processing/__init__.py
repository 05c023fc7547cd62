"""The stream processor: a Faust app that turns scores into the published sentiment.

What enters: `Score` records. What leaves: `Sentiment`, `SessionSentiment` and `Alert` records.
Two stages, each an agent with a keyed table: scores by participant; participants' sentiment by
session, over the internal topic session-input. What smoothing means is in `smoothing`; what a
record looks like on a topic is in `topics`.

At least once, in this order: outputs acknowledged by the broker, then the table's changelog, then
the table, then the offset commit. A crash in between repeats the same outputs from the same state,
so a record may come twice but never with another value (`latency_ms` alone is measured anew).
A flush after silence does not follow from the scores, so its outputs are first written down in the
changelog, with the state, and sent from there: after a crash they go out as written.
"""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import json
import logging
import shutil
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import faust
import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
)
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Transport
from faust.types import TP, Message
from mode.threads import WorkerThread

from streamer import metrics, smoothing
from streamer.config import Config, KafkaConfig
from streamer.errors import BrokerError, ConfigError, UnreadableRecord
from streamer.kafka.admin import ensure_topics, on_embedded
from streamer.kafka.connection import close, pause_between_updates
from streamer.kafka.consumer import FETCH_WAIT_MS, delay_assignment
from streamer.kafka.groups import consumer_group
from streamer.kafka.messages import RawMessage
from streamer.kafka.probe import answers
from streamer.kafka.producer import Producer
from streamer.kafka.security import aiokafka_settings, faust_settings
from streamer.kafka.topics import (
    ALERTS,
    SCORES,
    SESSION_INPUT,
    SESSION_SMOOTHED,
    SMOOTHED,
    Topic,
    topic_named,
)
from streamer.records import Alert, Score, Sentiment, SessionSentiment

log = logging.getLogger("streamer.processor")

Output = Sentiment | SessionSentiment | Alert
S = TypeVar("S", bound=msgspec.Struct)

IN_HAND = 256
"""Messages of one stage that are smoothed and not yet acknowledged; beyond it the agent waits."""
TEND_S = 0.5
"""How often silence is looked for."""
EXPIRE_S = 60.0
"""How often old keys are looked for."""
SESSION_TIMEOUT_S = 10.0
"""After so long without a heartbeat a worker is dead and its partitions go to the others."""
EMBEDDED_SESSION_TIMEOUT_S = 6.0
"""On the embedded broker, where every rebalance takes that time less one second."""
LET_GO_S = 3.0
STOP_S = 15.0
RESTARTS, RESTARTS_WITHIN_S = 5, 120.0
"""So often the app starts over before the worker gives up."""
SCORED_AT = "scored_at_unix_ms"
"""Kept with the latencies while a score waits in the state: Kafka's time of the score."""


# --- what is kept of a key ----------------------------------------------------------------------


class Kept(msgspec.Struct, Generic[S], frozen=True, array_like=True):
    """A table's value.

    Attributes:
        state: the smoothing state.
        partition: of the input topic and of the changelog; a key stays in its partition.
        touched_ms: wall clock of the last change, for expiry.
        outbox: outputs of a flush that the broker may not have yet, kind and JSON.
    """

    state: S
    partition: int
    touched_ms: int
    outbox: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True)
class Rules(Generic[S]):
    """What a stage does with its records; every function is pure.

    Attributes:
        topic: the input topic.
        state: the type of the state.
        key: the table's key of a record.
        step: from state (None at first) and record to state and outputs.
        flush: gives out what the state holds back.
        holds: whether the state holds anything back.
        routes: the topics on which an output is published; none: not at all.
    """

    topic: Topic[Any]
    state: type[S]
    key: Callable[[Any], bytes]
    step: Callable[[S | None, Any], tuple[S, Iterable[Output]]]
    flush: Callable[[S], tuple[S, Iterable[Output]]]
    holds: Callable[[S], bool]
    routes: Callable[[Output], tuple[Topic[Any], ...]]


def participant_rules(config: Config) -> Rules[smoothing.ParticipantState]:
    """Scores by participant; in session mode nothing of a single person goes to a public topic."""
    persons = config.smoothing.publish == "participant"

    def routes(output: Output) -> tuple[Topic[Any], ...]:
        if isinstance(output, Sentiment):
            return (SMOOTHED, SESSION_INPUT) if persons else (SESSION_INPUT,)
        return (ALERTS,) if persons else ()

    return Rules(
        topic=SCORES,
        state=smoothing.ParticipantState,
        key=lambda score: SCORES.partition_key(score).encode(),
        step=lambda state, score: smoothing.step(state, score, config.smoothing, config.alerts),
        flush=lambda state: smoothing.flush(state, config.smoothing, config.alerts),
        holds=lambda state: bool(state.held),
        routes=routes,
    )


def session_rules(config: Config) -> Rules[smoothing.SessionState]:
    """Participants' sentiment by session."""
    return Rules(
        topic=SESSION_INPUT,
        state=smoothing.SessionState,
        key=lambda sentiment: SESSION_INPUT.partition_key(sentiment).encode(),
        step=lambda state, sentiment: smoothing.session_step(
            state, sentiment, config.smoothing, config.alerts
        ),
        flush=lambda state: smoothing.session_flush(state, config.smoothing, config.alerts),
        holds=lambda state: bool(state.pending),
        routes=lambda output: (
            (SESSION_SMOOTHED,) if isinstance(output, SessionSentiment) else (ALERTS,)
        ),
    )


# --- latency ------------------------------------------------------------------------------------


def arrived(score: Score, timestamp_ms: int) -> Score:
    """The score with the time at which it was written to its topic among its latencies."""
    latency_ms = {**score.latency_ms, SCORED_AT: float(timestamp_ms)}
    return msgspec.structs.replace(score, latency_ms=latency_ms)


def stamped(output: Output, now_ms: float) -> Output:
    """The output with `smoothing` (since the score was written) and `total` (all stages)."""
    if not isinstance(output, Sentiment) or SCORED_AT not in output.latency_ms:
        return output
    stages = {
        name: value
        for name, value in output.latency_ms.items()
        if name not in (SCORED_AT, "smoothing", "total")
    }
    stages["smoothing"] = max(now_ms - output.latency_ms[SCORED_AT], 0.0)
    stages["total"] = sum(stages.values())
    rounded = {name: round(value, 3) for name, value in stages.items()}
    return msgspec.structs.replace(output, latency_ms=rounded)


def _now_ms() -> float:
    return time.time() * 1000


# --- one stage ----------------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class _Step:
    """A message in hand: what it sent and what it leaves to be kept."""

    event: Any
    sent: list[asyncio.Future[Any]] = field(default_factory=list)
    key: bytes | None = None
    kept: Kept[Any] | None = None


@dataclass(slots=True)
class _Clock:
    """A partition's time: Kafka's time of the newest message, and it goes on in silence."""

    stream_ms: float
    heard_at_s: float

    def now_ms(self, idle_s: float) -> float:
        silent_s = time.monotonic() - self.heard_at_s
        return self.stream_ms + (silent_s * 1000 if silent_s >= idle_s else 0.0)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A key that holds outputs back, and when it was last heard of (`_Clock` time)."""

    partition: int
    since_ms: float


class Stage(Generic[S]):
    """One agent and its table.

    `consume` is the agent's body: it smooths in order, hands outputs to the publisher and goes on;
    `settle` waits for the broker and then keeps the states, many at a time; `tend` flushes what
    is silent and forgets what is old. All run in one event loop. At most IN_HAND messages are in
    hand; when they are, the agent waits. Nothing ends by itself: the owner cancels.

    Attributes:
        kind: the records of the input topic.
        counters: `records`, `outputs`, `duplicates`, `unreadable`, `failed`, `tombstones`,
            `flushed`, `expired`, `states_lost`, `gaps`.
    """

    def __init__(
        self, app: _App, table: Any, rules: Rules[S], publisher: Producer, config: Config
    ) -> None:
        """Join an app and a table that the app knows; no I/O."""
        self.counters: Counter[str] = Counter()
        self.kind = rules.topic.kind
        metrics.watch(f"smoothing {self.kind}", self.counters)
        metrics.watch_lag(self.kind, self.lag)
        self._app = app
        self._table = table
        self._rules = rules
        self._topic = rules.topic.full_name(config.kafka.topic_prefix)
        self._publisher = publisher
        self._idle_s = config.smoothing.idle_flush_s
        self._keep_ms = config.kafka.retention_ms
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Kept[rules.state]).decode  # type: ignore[name-defined]
        self._json = msgspec.json.Encoder()
        self._lock = asyncio.Lock()
        self._steps: asyncio.Queue[_Step] = asyncio.Queue(IN_HAND)
        self._live: dict[bytes, Kept[S]] = {}
        self._clocks: dict[int, _Clock] = {}
        self._waiting: dict[bytes, _Waiting] = {}
        self._next: dict[int, int] = {}
        self._open = False
        self._expired_at_s = time.monotonic()
        app.on_partitions_revoked.connect(self._close)
        table.on_recover(self._reopen)

    def lag(self) -> int:
        """Messages of the input topic that have not come to the agent, as last heard of."""
        behind = 0
        for partition, following in list(self._next.items()):
            end = self._app.consumer.highwater(TP(self._topic, partition))
            behind += max((end or 0) - following, 0)
        return behind

    async def consume(self, stream: Any) -> None:
        """The agent: smooth what comes; acknowledging is left to `settle`."""
        async for event in stream.noack().events():
            async with self._lock:
                if self._follows(event.message):
                    await self._steps.put(await self._take(event))

    async def settle(self) -> None:
        """Keep the states whose outputs are safe, then let the offsets be committed, in order."""
        while True:
            steps = [await self._steps.get()]
            while not self._steps.empty():
                steps.append(self._steps.get_nowait())
            await asyncio.gather(*(sent for step in steps for sent in step.sent))
            await self._keep(
                {step.key: step.kept for step in steps if step.key and step.kept is not None}
            )
            for step in steps:
                step.event.ack()
                self._steps.task_done()

    async def tend(self) -> None:
        """Look after keys of which nothing is heard any more."""
        while True:
            await asyncio.sleep(TEND_S)
            async with self._lock:
                for key in self._silent():
                    await self._flush(key)
                if time.monotonic() - self._expired_at_s >= EXPIRE_S:
                    self._expired_at_s = time.monotonic()
                    await self._expire()

    # one message

    def _follows(self, message: Any) -> bool:
        """Whether no message was skipped before this one; if one was, the app must start over.

        Faust can lose sight of a message in a rebalance and would commit beyond it. A gap that
        is still there after starting over is the log's own, as after deletion.
        """
        if self._app.ended.done():
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
        self._clocks[message.partition] = _Clock(timestamp_ms, time.monotonic())
        if message.value is None:
            self.counters["tombstones"] += 1
            return _Step(event)
        try:
            record = self._rules.topic.decode(message.value)
        except UnreadableRecord as error:
            self.counters["unreadable"] += 1
            return _Step(event, [self._bury(message, error.reason)])
        try:
            return await self._smooth(event, record, timestamp_ms)
        except Exception as error:
            self.counters["failed"] += 1
            log.exception("A record of %s cannot be smoothed.", message.topic)
            return _Step(event, [self._bury(message, f"smoothing failed: {error!r}")])

    async def _smooth(self, event: Any, record: Any, timestamp_ms: int) -> _Step:
        self.counters["records"] += 1
        key = self._rules.key(record)
        before = self._recall(key)
        if before and before.outbox:
            await self._flush(key)
            before = self._recall(key)
        if isinstance(record, Score):
            record = arrived(record, timestamp_ms)
        state, outputs = self._rules.step(before.state if before else None, record)
        now_ms = _now_ms()
        sent = [
            await self._publisher.publish_soon(stamped(output, now_ms), topic=topic)
            for output in outputs
            for topic in self._rules.routes(output)
        ]
        self.counters["outputs"] += len(sent)
        self._note(key, state, event.message.partition, timestamp_ms)
        if before and state == before.state:
            self.counters["duplicates"] += 1
            return _Step(event, sent)
        kept = Kept(state, event.message.partition, round(now_ms))
        self._live[key] = kept
        return _Step(event, sent, key, kept)

    def _bury(self, message: Any, reason: str) -> asyncio.Future[Any]:
        raw = RawMessage(
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            timestamp_ms=round(message.timestamp * 1000),
            key=message.key,
            value=message.value,
            headers=dict(message.headers or ()),
        )
        return asyncio.ensure_future(self._publisher.dead_letter(raw, reason))

    def _note(self, key: bytes, state: S, partition: int, since_ms: float) -> None:
        if self._rules.holds(state):
            self._waiting[key] = _Waiting(partition, since_ms)
        else:
            self._waiting.pop(key, None)

    # the table

    def _recall(self, key: bytes) -> Kept[S] | None:
        if key in self._live:
            return self._live[key]
        return self._read(key, self._table.get(key))

    def _read(self, key: bytes, value: bytes | None) -> Kept[S] | None:
        if value is None:
            return None
        try:
            return self._decode(value)
        except msgspec.DecodeError as error:
            self.counters["states_lost"] += 1
            log.warning("The state of %r is of another version, smoothing anew: %s.", key, error)
            return None

    async def _keep(self, changes: Mapping[bytes, Kept[S]]) -> None:
        """Write states to the changelog, wait for the broker, then put them into the table."""
        await self._write(
            {key: (kept.partition, self._encode(kept)) for key, kept in changes.items()}
        )
        for key, kept in changes.items():
            if self._live.get(key) is kept:
                del self._live[key]

    async def _write(self, values: Mapping[bytes, tuple[int, bytes | None]]) -> None:
        changelog = self._table.changelog_topic
        sent = [
            await changelog.send(
                key=key,
                value=value,
                partition=partition,
                key_serializer="raw",
                value_serializer="raw",
                force=True,
            )
            for key, (partition, value) in values.items()
        ]
        places = await asyncio.gather(*sent)
        self._table.apply_changelog_batch(
            [
                self._changelog_event(key, value, place)
                for (key, (_, value)), place in zip(values.items(), places, strict=True)
            ]
        )

    def _changelog_event(self, key: bytes, value: bytes | None, place: Any) -> Any:
        """The change as a recovering worker would read it, so that both keep the same table."""
        message = Message(
            place.topic,
            place.partition,
            place.offset,
            timestamp=time.time(),
            timestamp_type=0,
            headers=None,
            key=key,
            value=value,
            checksum=None,
            tp=TP(place.topic, place.partition),
        )
        return self._app.create_event(key, value, None, message)

    # silence and age

    def _silent(self) -> list[bytes]:
        if not self._open or self._app.rebalancing:
            return []
        return [
            key
            for key, waiting in self._waiting.items()
            if self._clocks[waiting.partition].now_ms(self._idle_s) - waiting.since_ms
            >= self._idle_s * 1000
        ]

    async def _flush(self, key: bytes) -> None:
        """Give out what a key holds back, by way of the outbox; the caller holds the lock."""
        await self._steps.join()
        kept = self._recall(key)
        self._waiting.pop(key, None)
        if kept is None:
            return
        if not kept.outbox:
            state, outputs = self._rules.flush(kept.state)
            now_ms = _now_ms()
            outbox = tuple(
                (topic.kind, self._json.encode(stamped(output, now_ms)))
                for output in outputs
                for topic in self._rules.routes(output)
            )
            kept = Kept(state, kept.partition, round(now_ms), outbox)
            await self._keep({key: kept})
        sent = [
            await self._publisher.publish_soon(topic.decode(value), topic=topic)
            for topic, value in ((topic_named(kind), value) for kind, value in kept.outbox)
        ]
        await asyncio.gather(*sent)
        self.counters["flushed"] += len(sent)
        await self._keep({key: msgspec.structs.replace(kept, outbox=())})

    async def _expire(self) -> None:
        """Forget keys that nothing has changed for the topics' retention."""
        if not self._open or self._app.rebalancing:
            return
        await self._steps.join()
        oldest_ms = _now_ms() - self._keep_ms
        old = {
            key: kept.partition
            for key, kept in self._all()
            if kept.touched_ms < oldest_ms and kept.partition in self._clocks
        }
        await self._write({key: (partition, None) for key, partition in old.items()})
        for key in old:
            self._waiting.pop(key, None)
        self.counters["expired"] += len(old)

    def _all(self) -> list[tuple[bytes, Kept[S]]]:
        read = [(key, self._read(key, value)) for key, value in self._table.items()]
        return [(key, kept) for key, kept in read if kept is not None]

    # rebalancing

    async def _close(self, *_: Any, **__: Any) -> None:
        """Partitions leave: finish what is in hand and forget it."""
        async with self._lock:
            await self._steps.join()
            self._open = False
            self._live.clear()
            self._clocks.clear()
            self._waiting.clear()
            self._next.clear()

    async def _reopen(self) -> None:
        """The tables are as the changelogs say: find the keys that hold something back.

        Faust goes on from here by resuming the input and then seeking to the committed offsets
        and emptying its queues, which loses what came in between. So the flow is stopped until
        Faust resumes it after that.
        """
        consumer = self._app.consumer
        consumer.stop_flow()
        self._app.flow_control.suspend()
        changelog = self._table.changelog_topic_name
        counts = consumer.topic_partitions(self._topic), consumer.topic_partitions(changelog)
        if all(counts) and counts[0] != counts[1]:  # 0 or None: not heard of yet
            self._app.give_up(
                f"The topic {self._topic} has {counts[0]} partitions but {changelog} has "
                f"{counts[1]}; give it as many, or set another smoothing.consumer_group."
            )
        committed = await consumer.seek_to_committed()
        self._next = {
            tp.partition: offset
            for tp, offset in committed.items()
            if tp.topic == self._topic and offset
        }
        now_ms, now_s = _now_ms(), time.monotonic()
        changelog = self._table.changelog_topic_name
        mine = {
            tp.partition for tp in self._app.assignor.assigned_actives() if tp.topic == changelog
        }
        self._clocks = {partition: _Clock(now_ms, now_s) for partition in mine}
        self._waiting.clear()
        for key, kept in self._all():
            if kept.partition not in mine:
                continue
            if kept.outbox:
                self._waiting[key] = _Waiting(kept.partition, -float("inf"))
            else:
                self._note(key, kept.state, kept.partition, now_ms)
        self._open = True
        log.info("Smoothing partitions %s of %s.", sorted(mine), self.kind)


# --- the app ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Processor:
    """The Faust app and its two stages; `app.start()` after `publisher` is entered."""

    app: Any
    stages: tuple[Stage[Any], ...]

    @property
    def counters(self) -> Counter[str]:
        """All counters, as `<input topic>.<counter>`."""
        return Counter(
            {
                f"{stage.kind}.{name}": count
                for stage in self.stages
                for name, count in stage.counters.items()
            }
        )


class _Thread(WorkerThread):  # type: ignore[misc]
    """Does not keep the process alive when stopping was cut short."""

    def __init__(self, service: Any, **options: Any) -> None:
        super().__init__(service, **options)
        self.daemon = True


class _ConsumerThread(AIOKafkaConsumerThread):  # type: ignore[misc]
    """Faust's consumer, mended in five places.

    Faust lets a fetch wait up to 1.5 s for data, and the embedded broker, unlike a real one, does
    not end the wait when data come. And after an error while joining the group aiokafka waits for
    a new subscription, which Faust never makes, so that the worker would stand still for ever: it
    tries again instead, or ends the app where the broker forbids the group. The others are
    `pause_between_updates`, `close` and, on the embedded broker, `delay_assignment`.
    """

    Worker = _Thread
    logger = logging.getLogger("faust.transport")

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    async def on_start(self) -> None:
        await super().on_start()
        pause_between_updates(self._consumer._client)
        self._consumer._coordinator._push_error_to_user = self._join_again
        if self.app.embedded:
            delay_assignment(self._consumer._coordinator)

    async def on_thread_stop(self) -> None:
        await super(AIOKafkaConsumerThread, self).on_thread_stop()  # past its `consumer.stop()`
        if self._consumer is not None:
            await close(self._consumer)

    async def _join_again(self, error: BaseException) -> None:
        if isinstance(error, (GroupAuthorizationFailedError, TopicAuthorizationFailedError)):
            why = (
                f"The broker does not allow the consumer group {self.app.conf.id} ({error}); "
                "grant it to this user, or set smoothing.consumer_group."
            )
            self.app.loop.call_soon_threadsafe(self.app.give_up, why)
            await asyncio.sleep(STOP_S)
        log.warning("Joining the consumer group failed (%r); trying again.", error)
        await asyncio.sleep(1.0)
        self._consumer._coordinator.request_rejoin()


class _Consumer(Transport.Consumer):  # type: ignore[misc]
    logger = logging.getLogger("faust.transport")

    def _new_consumer_thread(self) -> Any:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)


class _Producer(Transport.Producer):  # type: ignore[misc]
    logger = logging.getLogger("faust.transport")

    async def on_start(self) -> None:
        await super().on_start()
        pause_between_updates(self._producer.client)


class _Transport(Transport):  # type: ignore[misc]
    Consumer = _Consumer
    Producer = _Producer


class _App(faust.App):  # type: ignore[misc]
    """Faust's app with our transport, and no data folder where the tables are in memory.

    Attributes:
        ended: done when the app must not go on: fails with a BrokerError for good, or holds why
            it must start over.
        embedded: the broker is an embedded one.
        known_gaps: gaps in the offsets of an input that are the log's own.
    """

    logger = logging.getLogger("faust.app")

    def __init__(
        self,
        app_id: str,
        known_gaps: set[tuple[Any, int]] | None = None,
        *,
        embedded: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(app_id, **settings)
        self.embedded = embedded
        self.ended: asyncio.Future[str] = asyncio.Future()
        self.known_gaps: set[tuple[Any, int]] = set() if known_gaps is None else known_gaps

    def start_over(self, why: str) -> None:
        if not self.ended.done():
            self.ended.set_result(why)

    def give_up(self, why: str) -> None:
        if not self.ended.done():
            self.ended.set_exception(BrokerError(why))

    def _new_transport(self) -> Any:
        return _Transport(self.conf.broker_consumer, self)

    async def on_first_start(self) -> None:
        if str(self.conf.store).startswith("rocksdb"):
            self.conf.datadir.parent.mkdir(parents=True, exist_ok=True)
            await super().on_first_start()


def changelogs(config: Config) -> tuple[str, str]:
    """Names of the changelog topics, participants' and sessions'."""
    app_id = consumer_group(config, "smoothing")
    return f"{app_id}-participants-changelog", f"{app_id}-sessions-changelog"


def build_app(
    config: Config,
    publisher: Producer,
    partitions: Mapping[str, int],
    *,
    embedded: bool,
    folder: Path | None = None,
    known_gaps: set[tuple[Any, int]] | None = None,
) -> Processor:
    """Put the app together; no I/O, inside a running event loop.

    Args:
        config: the settings; `kafka.broker` is an address.
        publisher: where outputs go; must be entered before the app starts.
        partitions: how many the scores and session-input topics have.
        embedded: the broker creates topics on first use and knows no CreateTopics.
        folder: of this worker alone, for RocksDB.
        known_gaps: of an app before this one.
    """
    settings = _faust_settings(config, folder or Path(), embedded=embedded)
    app = _App(consumer_group(config, "smoothing"), known_gaps, embedded=embedded, **settings)
    stages: list[Stage[Any]] = []
    for table_name, rules in (
        ("participants", participant_rules(config)),
        ("sessions", session_rules(config)),
    ):
        topic_name = rules.topic.full_name(config.kafka.topic_prefix)
        table = app.Table(
            table_name,
            key_type=bytes,
            value_type=bytes,
            partitions=partitions[topic_name],
            help=f"Smoothing state of the {table_name}.",
        )
        stage: Stage[Any] = Stage(app, table, rules, publisher, config)
        source = app.topic(
            topic_name,
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
            allow_empty=True,
        )
        app.agent(source, name=f"streamer.{table_name}")(stage.consume)
        stages.append(stage)
    return Processor(app, tuple(stages))


def _faust_settings(config: Config, folder: Path, *, embedded: bool) -> dict[str, Any]:
    kafka, compression = config.kafka, config.kafka.compression
    return {
        **faust_settings(kafka),
        "broker_session_timeout": EMBEDDED_SESSION_TIMEOUT_S if embedded else SESSION_TIMEOUT_S,
        "broker_heartbeat_interval": 1.5,
        "broker_request_timeout": 40.0,
        "broker_rebalance_timeout": 30.0,
        "broker_commit_interval": 1.0,
        "producer_compression_type": None if compression == "none" else compression,
        "producer_max_request_size": kafka.max_message_bytes,
        "consumer_auto_offset_reset": "earliest",
        "stream_wait_empty": True,
        "stream_recovery_delay": 0.0,
        "topic_allow_declare": not embedded,
        "topic_disable_leader": True,
        "topic_replication_factor": kafka.replication,
        "table_standby_replicas": 0,
        "store": _store(config),
        "datadir": folder,
        "web_enabled": False,
        "worker_redirect_stdouts": False,
    }


def _store(config: Config) -> str:
    if config.smoothing.store == "memory":
        return "memory://"
    try:
        import rocksdict  # noqa: F401
    except ImportError:
        raise ConfigError(
            'smoothing.store = "rocksdb" needs the rocksdb extra: '
            "install streamer[rocksdb], or set it to memory."
        ) from None
    return "rocksdb://?driver=rocksdict"


# --- running it ---------------------------------------------------------------------------------


def run(config: Config) -> None:
    """Smooth until SIGINT or SIGTERM; then finish what is in hand, commit and leave the group.

    Blocks; for a process of its own. An outage of the broker is waited for, except at the start.

    Raises:
        BrokerError: no broker answers at the start, or Faust gives it up later.
        ConfigError: a setting does not fit.
    """
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(_until_signal(config))
    finally:
        _let_go(loop)


def _let_go(loop: asyncio.AbstractEventLoop) -> None:
    """Close the loop within LET_GO_S: tasks of Faust may wait for ever for a broker that is gone.

    `asyncio.run` would wait with them.
    """
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=LET_GO_S))
    loop.set_exception_handler(lambda *_: None)
    loop.close()


async def _until_signal(config: Config) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await metrics.watched(config, "processing", serve(config, stop), answers)


async def serve(config: Config, stop: asyncio.Event) -> None:
    """As `run`, until `stop` is set."""
    _quieten(config)
    embedded = await on_embedded(config)
    await ensure_topics(config)
    inputs = [topic.full_name(config.kafka.topic_prefix) for topic in (SCORES, SESSION_INPUT)]
    touched = [*inputs, *(changelogs(config) if embedded else ())]
    partitions = await _partitions(config.kafka, touched)
    known_gaps: set[tuple[Any, int]] = set()
    starts: deque[float] = deque(maxlen=RESTARTS)
    why = ""
    with _folder(config, embedded=embedded) as folder:
        async with Producer(config) as publisher:
            while not stop.is_set():
                if len(starts) == RESTARTS and time.monotonic() - starts[0] < RESTARTS_WITHIN_S:
                    raise BrokerError(
                        f"The stream processor started over {RESTARTS} times within "
                        f"{RESTARTS_WITHIN_S:g} s, last because {why}; nothing is lost, see to the "
                        "broker and start it again."
                    )
                starts.append(time.monotonic())
                processor = build_app(
                    config,
                    publisher,
                    partitions,
                    embedded=embedded,
                    folder=folder,
                    known_gaps=known_gaps,
                )
                why = await _work(processor, stop)
                log.info("Stream processor stopped: %s", json.dumps(processor.counters))
                if not stop.is_set():
                    log.warning("Starting over: %s.", why)
                    await _answers(config.kafka, stop)


async def _work(processor: Processor, stop: asyncio.Event) -> str:
    """Start the app and keep its stages going until `stop` is set; else says why it ended.

    Raises:
        BrokerError: there is no use in starting over.
        Exception: a fault of ours, in a stage.
    """
    app = processor.app

    async def live() -> str:
        try:
            await app.start()
            log.info("Stream processor ready.")
            metrics.ready()
            await app.wait_until_stopped()
        except (KafkaError, OSError) as error:
            return repr(error)
        return repr(app.crash_reason)

    stopping = asyncio.create_task(stop.wait())
    living = asyncio.create_task(live())
    stages = [
        asyncio.create_task(work)
        for stage in processor.stages
        for work in (stage.settle(), stage.tend())
    ]
    waited = [app.ended, living, stopping, *stages]
    await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    cause = next(each for each in (*stages, *waited) if each.done())
    app.conf.stream_wait_empty = cause is stopping
    living.cancel()
    ending = asyncio.create_task(app.stop())
    ended, _ = await asyncio.wait({ending}, timeout=STOP_S)
    if not ended:  # a cancellation would be swallowed, so what hangs is left behind
        log.warning("Stopping took over %g s and was cut short; nothing is lost.", STOP_S)
        logging.getLogger("faust").setLevel(logging.CRITICAL)
    for each in waited:
        each.cancel()
    await asyncio.wait(waited, timeout=LET_GO_S)
    for each in ended:
        each.result()
    return str(cause.result())


@contextmanager
def _folder(config: Config, *, embedded: bool) -> Iterator[Path | None]:
    """A folder for RocksDB that no other worker of this machine has; None where none is needed.

    The first that is free, so that a worker which starts again finds its tables. The embedded
    broker keeps no changelog beyond its own end, so neither are its tables kept.
    """
    if config.smoothing.store == "memory":
        yield None
        return
    base = Path(config.smoothing.data_dir).expanduser() / consumer_group(config, "smoothing")
    for number in itertools.count():
        folder = base / f"worker-{number}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = (folder / "lock").open("wb")
        except OSError as error:
            raise ConfigError(
                f"The folder {folder} cannot be used ({error.strerror}); set smoothing.data_dir."
            ) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            tables = folder / "tables"
            if embedded:
                shutil.rmtree(tables, ignore_errors=True)
            yield tables
            return


async def _answers(kafka: KafkaConfig, stop: asyncio.Event) -> None:
    """Wait until the broker answers again, or `stop` is set."""
    while not stop.is_set():
        try:
            async with asyncio.timeout(kafka.connect_timeout_s):
                await _partitions(kafka, ())
            return
        except (KafkaError, OSError, TimeoutError):
            await asyncio.sleep(1.0)


async def _partitions(kafka: KafkaConfig, names: Iterable[str]) -> dict[str, int]:
    """How many partitions topics have; the embedded broker makes them by this."""
    producer = AIOKafkaProducer(**aiokafka_settings(kafka))
    try:
        await producer.start()
        return {name: len(await producer.partitions_for(name)) for name in names}
    finally:
        await producer.stop()


def _quieten(config: Config) -> None:
    """What Faust says of its own working is for whoever has everything logged."""
    if config.log.level != "debug":
        for name in ("faust", "mode", "aiokafka"):
            logging.getLogger(name).setLevel(logging.ERROR)
