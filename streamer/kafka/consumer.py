"""Reads the records of one topic, in a consumer group or alone, over outages of the broker.

aiokafka's consumer cannot go on after some errors of its group; this one then joins anew and reads
from the last commit.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Generic, Literal, Self, TypeVar

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    GroupAuthorizationFailedError,
    IllegalStateError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from streamer import metrics
from streamer.config import Config
from streamer.errors import BrokerError, ConfigError, UnreadableRecord
from streamer.kafka.admin import on_embedded
from streamer.kafka.connection import (
    close,
    delay_assignment,
    restart,
    start,
    unreachable,
)
from streamer.kafka.header_names import accept_any_header_name
from streamer.kafka.messages import ENVELOPE_BYTES, RawMessage, Received, header_values
from streamer.kafka.producer import Producer
from streamer.kafka.progress import Progress, TopicChanges
from streamer.kafka.security import RETRY_S, aiokafka_settings
from streamer.kafka.topic_ids import topic_states
from streamer.kafka.topics import DEAD_LETTER, SESSIONS, SMOOTHED, WINDOWS, Topic

log = logging.getLogger(__name__)
accept_any_header_name()  # for Faust's consumer in processing/ too, which imports this module

R = TypeVar("R", bound=msgspec.Struct)
Start = Literal["earliest", "latest"] | datetime

REVOKE_WAIT_S = 10.0
"""Longest time that a rebalance waits for the commit of records in use."""
SNAPSHOT_RECORDS = 500
FETCH_WAIT_MS = 50
"""Longest wait of one fetch; the embedded broker answers only at its end, if there was nothing."""
HURRIED_WAIT_MS, SELDOM_WAIT_MS = 20, 200
"""The same where a published record waits for it, and where records are rare."""
WAITS_MS: dict[Topic[Any], int] = {
    WINDOWS: HURRIED_WAIT_MS,
    SMOOTHED: HURRIED_WAIT_MS,
    SESSIONS: SELDOM_WAIT_MS,
    DEAD_LETTER: SELDOM_WAIT_MS,
}
FOLLOW_S = 2.0
"""Time after which a consumer without a group looks for new partitions again."""
FINAL = (TopicAuthorizationFailedError, GroupAuthorizationFailedError)
"""Errors that no retry solves."""


class Consumer(Generic[R]):
    """Reads the records of one topic.

    Use it with `async with`, in one event loop, from one task at a time. In a consumer group the
    members share the partitions, only `commit` commits, and a rebalance waits up to REVOKE_WAIT_S
    until the records in use are committed; the new owner reads the others again. Without a group
    it reads every partition, commits nothing and stores its positions in memory. It waits for a
    broker that goes away and continues where it was.

    A log that was cut beyond the commits, or a topic that was made again, is read from its
    beginning, and new partitions from theirs; each is logged and counted.

    An unreadable message is counted and, in a group, dead-lettered; a tombstone is counted. Neither
    is returned, and neither stops progress.

    Attributes:
        topic: the topic's full name.
        counters: `read`, `unreadable`, `tombstones`, `rebalances`, `rejoined`, `commits_lost` (the
            partition had moved to another consumer), `deleted` (messages that were deleted before
            they were read), `made_again` (partitions).
    """

    def __init__(
        self,
        config: Config,
        topic: Topic[R],
        *,
        group: str | None = None,
        start: Start = "earliest",
    ) -> None:
        """Store the settings; entering the context connects.

        Args:
            config: where the broker is, and the prefix of topic names.
            topic: the topic to read.
            group: the consumer group, or None to read every partition and commit nothing.
            start: where to begin if the group has committed nothing or there is no group; a
                datetime is compared with Kafka's timestamp, the time of publication.

        Raises:
            ConfigError: `start` is a time without a time zone.
        """
        if isinstance(start, datetime) and start.tzinfo is None:
            raise ConfigError(f"The start {start} must have a time zone, as in 2026-01-31T09:00Z.")
        self.topic = topic.full_name(config.kafka.topic_prefix)
        self.counters: Counter[str] = Counter()
        metrics.watch(f"reader {topic.kind}", self.counters)
        metrics.watch_lag(topic.kind, self.lag)
        self._config = config
        self._topic = topic
        self._group = group
        self._start = start
        self._start_ms = round(start.timestamp() * 1000) if isinstance(start, datetime) else 0
        self._embedded = False
        self._started_by_time: set[Any] = set()
        self._progress: dict[TopicPartition, Progress] = {}
        self._reached: dict[TopicPartition, int] = {}
        self._rebalancing = False
        self._committed = asyncio.Event()
        self._topic_id = ""  # of the topic that is read
        self._looked_for_partitions_s = -math.inf
        self._first_partitions: int | None = None
        self._changes = TopicChanges(self.topic, self.counters)
        self._consumer: Any = None
        self._dead_letters: Producer | None = None

    async def __aenter__(self) -> Self:
        """Connect and join the group; raise BrokerError if no broker answers in time."""
        kafka = self._config.kafka
        if self._start_ms or self._group is not None:
            self._embedded = await on_embedded(self._config)
        self._consumer = await start(self._make_consumer, kafka)
        if self._group is not None:
            self._subscribe()
            return self
        try:
            await self._assign_new_partitions(self._start)
        except (KafkaError, OSError) as error:
            await close(self._consumer)
            raise unreachable(kafka, error) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave the group at once; uncommitted messages will be read again."""
        await close(self._consumer)
        if self._dead_letters is not None:
            await self._dead_letters.__aexit__(None, None, None)

    async def batch(self, max_records: int, max_wait_ms: int) -> list[Received[R]]:
        """Return up to `max_records`, waiting up to `max_wait_ms` for the first.

        The list is empty if none arrived. Records of a partition are in order.

        Raises:
            BrokerError: reading is not allowed, or a consumer without a group cannot continue.
        """
        if time.monotonic() - self._looked_for_partitions_s > FOLLOW_S:
            await self._follow()
        self._changes.look(self._consumer.partitions_for_topic(self.topic))
        try:
            if not await self._assigned_within(max_wait_ms / 1000):
                return []
            fetched = await self._consumer.getmany(timeout_ms=max_wait_ms, max_records=max_records)
        except (KafkaError, OSError) as error:
            await self._rejoin(error)
            return []
        received = [
            record
            for partition, messages in fetched.items()
            for record in await self._decode_all(partition, messages)
        ]
        if not received and fetched and self._group is not None:
            await self._commit_progress()
        self.counters["read"] += len(received)
        return received

    async def snapshot(self) -> AsyncGenerator[Received[R], None]:
        """Yield the records that are on the topic now, then end; only without a group.

        Raises:
            BrokerError: the broker does not answer.
        """
        try:
            ends = await self.ends()
            while await self.is_before(ends):
                for received in await self.batch(SNAPSHOT_RECORDS, FETCH_WAIT_MS):
                    partition = TopicPartition(received.topic, received.partition)
                    if received.offset < ends.get(partition, 0):
                        yield received
        except (KafkaError, OSError) as error:
            raise unreachable(self._config.kafka, error) from error

    async def ends(self) -> dict[TopicPartition, int]:
        """Return the offset after the last message of each partition; only without a group.

        Raises:
            KafkaError: the broker does not answer.
        """
        await self._assign_new_partitions("earliest")
        ends: dict[TopicPartition, int] = await self._consumer.end_offsets(
            self._consumer.assignment()
        )
        return ends

    async def is_before(self, ends: Mapping[TopicPartition, int]) -> bool:
        """Return whether `batch` has not returned all that is before these offsets."""
        positions = [(await self._consumer.position(at), end) for at, end in ends.items()]
        return any(position < end for position, end in positions)

    async def commit(self, used: Iterable[RawMessage] | None = None) -> None:
        """Commit everything up to and including `used` (None: all records that were returned).

        Waits for the broker. A partition that has moved to another consumer is skipped. Without a
        group this only advances the positions in memory.
        """
        if used is None:
            for progress in self._progress.values():
                progress.finish_all()
        else:
            for message in used:
                partition = TopicPartition(message.topic, message.partition)
                if partition in self._progress:
                    self._progress[partition].finish(message.offset)
        if self._group is not None:
            await self._commit_progress()

    def lag(self) -> int:
        """Return how many messages of the assigned partitions are not yet used."""
        lag = 0
        for partition in self._consumer.assignment():
            progress = self._progress.get(partition)
            end = self._consumer.highwater(partition)
            if progress is not None and progress.next_offset is not None and end is not None:
                lag += max(end - progress.next_offset, 0)
        return lag

    # --- one aiokafka consumer after another

    def _make_consumer(self) -> Any:
        kafka = self._config.kafka
        return AIOKafkaConsumer(
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # after a deletion; the start is sought explicitly
            metadata_max_age_ms=int(FOLLOW_S * 1000),
            fetch_max_wait_ms=WAITS_MS.get(self._topic, FETCH_WAIT_MS),
            max_partition_fetch_bytes=kafka.max_message_bytes + ENVELOPE_BYTES,
            **aiokafka_settings(kafka),
        )

    def _subscribe(self) -> None:
        self._consumer.subscribe([self.topic], listener=_RebalanceListener(self))
        if self._embedded:
            delay_assignment(self._consumer._coordinator)

    async def _assigned_within(self, max_wait_s: float) -> bool:
        """Return whether partitions are assigned in time; `getmany` would wait without end."""
        deadline = time.monotonic() + max_wait_s
        while self._rebalancing or not self._consumer.assignment():
            self._consumer._coordinator.check_errors()
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            await asyncio.sleep(min(left_s, FETCH_WAIT_MS / 1000))
        return True

    async def _rejoin(self, error: BaseException) -> None:
        """Join the group with a new consumer after an error that stopped aiokafka's.

        The embedded broker causes one in a member that syncs while another one joins. Uncommitted
        messages will be read again.
        """
        if self._group is None or isinstance(error, FINAL):
            raise BrokerError(f"{self.topic} cannot be read: {error!r}.") from error
        self.counters["rejoined"] += 1
        log.warning("Reading %s again from the last commit after an error: %r", self.topic, error)
        await close(self._consumer)
        self._progress.clear()
        self._committed.set()
        await asyncio.sleep(RETRY_S)
        self._consumer = await restart(self._make_consumer, self._config.kafka)
        self._subscribe()

    # --- messages

    async def _decode_all(self, partition: Any, messages: Sequence[Any]) -> list[Received[R]]:
        progress = self._progress.setdefault(partition, Progress())
        decoded = []
        self._changes.jump(partition.partition, progress.jump(messages[0].offset))
        for message in messages:
            if message.timestamp < self._start_ms and partition in self._started_by_time:
                progress.read(message.offset, done=True)
                continue
            received = await self._decode(message)
            progress.read(message.offset, done=received is None)
            if received is not None:
                decoded.append(received)
        return decoded

    async def _decode(self, message: Any) -> Received[R] | None:
        raw = RawMessage(
            message.topic,
            message.partition,
            message.offset,
            message.timestamp,
            message.key,
            message.value,
            header_values(message.headers),
        )
        try:
            record = self._topic.decode(raw.value, raw.headers, raw.key)
        except UnreadableRecord as error:
            self.counters["unreadable"] += 1
            await self._refuse(raw, error.reason)
            return None
        if record is None:
            self.counters["tombstones"] += 1
            return None
        return Received(
            raw.topic,
            raw.partition,
            raw.offset,
            raw.timestamp_ms,
            raw.key,
            raw.value,
            raw.headers,
            record=record,
        )

    async def _refuse(self, raw: RawMessage, reason: str) -> None:
        if self._group is None or self._topic is DEAD_LETTER:
            log.warning("Skipped %s: %s.", raw.id, reason)
            return
        if self._dead_letters is None:
            self._dead_letters = await Producer(self._config).__aenter__()
        await self._dead_letters.dead_letter(raw, reason)

    # --- a group's commits and rebalances

    async def _commit_progress(self) -> None:
        offsets = {
            partition: progress.next_offset
            for partition, progress in self._progress.items()
            if progress.next_offset is not None
        }
        while offsets:
            offsets = {at: offset for at, offset in offsets.items() if at in self._progress}
            try:
                await self._consumer.commit(offsets)
                self._reached |= offsets
                break
            except (CommitFailedError, IllegalStateError) as error:
                self.counters["commits_lost"] += 1
                log.info("A commit failed because its partitions have moved: %s", error)
                break
            except (KafkaError, OSError) as error:
                log.warning("A commit waits for the broker: %r", error)
                await asyncio.sleep(RETRY_S)
        self._committed.set()

    async def on_revoked(self, partitions: Iterable[Any]) -> None:
        """Wait until the records in use are committed; the rebalance waits for this."""
        self._rebalancing = True
        leaving = set(partitions)
        if leaving:
            self.counters["rebalances"] += 1
        with suppress(TimeoutError):
            async with asyncio.timeout(REVOKE_WAIT_S):
                while any(self._progress[at].pending for at in leaving & self._progress.keys()):
                    self._committed.clear()
                    await self._committed.wait()
        for partition in leaving:
            self._progress.pop(partition, None)

    async def on_assigned(self, partitions: Iterable[Any]) -> None:
        """Begin to read the partitions, at the committed offset or at the configured start."""
        consumer = self._consumer
        if self._first_partitions is None and (
            numbers := consumer.partitions_for_topic(self.topic)
        ):
            self._first_partitions = len(numbers)
        self._progress = {partition: Progress() for partition in partitions}
        try:
            if not self._topic_id:
                await self._learn_id()
            for at, progress in self._progress.items():
                committed = await consumer.committed(at)
                # A topic that is deleted takes its commits along.
                progress.expected = self._reached.get(at) if committed is None else committed
            new = [
                at
                for at, progress in self._progress.items()
                if progress.expected is None and at.partition < (self._first_partitions or 0)
            ]
            if self._start != "earliest":
                for at, offset in (await self._offsets_at(new, self._start)).items():
                    consumer.seek(at, offset)
                    self._progress[at].expected = offset
        finally:
            self._rebalancing = False

    # --- without a group: every partition, and later ones from their beginning

    async def _follow(self) -> None:
        """Read a topic that was made again from its beginning, and partitions that were added."""
        self._looked_for_partitions_s = time.monotonic()
        with suppress(KafkaError, OSError):
            if self._group is None:
                await self._assign_new_partitions("earliest")
            elif not self._rebalancing:
                await self._begin_again_if_made_again()

    async def _assign_new_partitions(self, start: Start) -> None:
        """Add the partitions that are not read yet, beginning at `start`."""
        self._looked_for_partitions_s = time.monotonic()
        consumer = self._consumer
        if consumer.partitions_for_topic(self.topic) is None:
            # Asking for all topics creates none; asking for this one could create it.
            if self.topic not in await consumer.topics():
                return
            await consumer._client.add_topic(self.topic)
        await self._begin_again_if_made_again()
        numbers = consumer.partitions_for_topic(self.topic) or set()
        assigned = consumer.assignment()
        new = sorted({TopicPartition(self.topic, number) for number in numbers} - assigned)
        if not new:
            return
        offsets = {at: await consumer.position(at) for at in assigned}
        first = await self._offsets_at(new, start)
        self._progress |= {at: Progress(offset) for at, offset in first.items()}
        offsets |= first
        consumer.assign(sorted(offsets))
        for partition, offset in offsets.items():
            consumer.seek(partition, offset)

    async def _begin_again_if_made_again(self) -> None:
        """Read a topic with another id than before from its beginning.

        Where it already has more records than the one before had, no offset tells.
        """
        known, consumer = self._topic_id, self._consumer
        await self._learn_id()
        assigned = consumer.assignment()
        if known not in ("", self._topic_id) and assigned:
            log.warning("The topic %s was made again; reading its beginning.", self.topic)
            self._progress = {at: Progress() for at in assigned}
            self._reached.clear()
            await consumer.seek_to_beginning(*assigned)

    async def _learn_id(self) -> None:
        """Ask for the topic's id; without an answer it stays as it was."""
        with suppress(KafkaError, OSError):
            state = (await topic_states(self._consumer._client, [self.topic])).get(self.topic)
            if state is not None and state.id:
                self._topic_id = state.id

    async def _offsets_at(self, partitions: Sequence[Any], start: Start) -> dict[Any, int]:
        """Return the offsets at which reading from `start` begins."""
        consumer = self._consumer
        if start not in ("earliest", "latest"):
            self._started_by_time.update(partitions)
        if start == "earliest" or (start != "latest" and self._embedded):
            beginnings: dict[Any, int] = await consumer.beginning_offsets(partitions)
            return beginnings
        ends: dict[Any, int] = await consumer.end_offsets(partitions)
        if start == "latest":
            return ends
        at_time = await consumer.offsets_for_times(dict.fromkeys(partitions, self._start_ms))
        return ends | {at: entry.offset for at, entry in at_time.items() if entry is not None}


class _RebalanceListener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Passes a group's rebalances to a Consumer."""

    def __init__(self, consumer: Consumer[Any]) -> None:
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        await self._consumer.on_revoked(revoked)

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        await self._consumer.on_assigned(assigned)
