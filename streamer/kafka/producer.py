"""Sends records to their topics, in order and at least once, over outages of the broker.

aiokafka's producer gives up on a record after a time and cannot continue after some errors. This
one keeps every record until the broker has acknowledged it, and replaces aiokafka's when it fails.

librdkafka's producer (confluent-kafka) was tried and takes no less code: ARCHITECTURE.md.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    UnknownTopicOrPartitionError,
)

from streamer import metrics
from streamer.config import Config
from streamer.counted import counted
from streamer.errors import BrokerError, BrokerGone
from streamer.kafka.codec import encode_dead_letter
from streamer.kafka.connection import RepeatFilter, close, restart, start
from streamer.kafka.messages import (
    ENVELOPE_BYTES,
    NO_PARTITION,
    EncodedRecord,
    Headers,
    Position,
    RawMessage,
)
from streamer.kafka.missing_topics import MissingTopics
from streamer.kafka.refusals import (
    SMALL_LETTER_BYTES,
    clock_sentence,
    cut_letter,
    explain,
    is_refusal,
    letter_of,
    recount_refused,
)
from streamer.kafka.security import aiokafka_settings
from streamer.kafka.topic_ids import exists, is_known
from streamer.kafka.topics import DEAD_LETTER, Topic, topic_of

log = logging.getLogger(__name__)
lost_log = logging.getLogger(f"{__name__}.lost")
lost_log.addFilter(RepeatFilter())

R = TypeVar("R", bound=msgspec.Struct)

BUFFER_BYTES = 8 * 1024 * 1024
"""Most bytes that a Producer holds unacknowledged; when it is full, publishing waits."""
BUFFER_RECORDS = 1000
_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)


@dataclass(eq=False, slots=True)
class _Unsent:
    """A record that no broker has acknowledged.

    Attributes:
        number: how many records the Producer had before it.
        topic: the full name of the topic.
        message: what to send.
        timestamp_ms: Kafka's timestamp; None for the time of sending.
        acknowledged: done when the record is stored, or refused and its dead letter stored.
        alone: the broker refused a batch with it, so it is sent once more without others.
        refusal: why the record cannot be stored; empty if it can, as far as is known.
        letter: the dead letter to send in its place, once it is refused.
    """

    number: int
    topic: str
    message: EncodedRecord
    timestamp_ms: int | None
    acknowledged: asyncio.Future[Position]
    alone: bool = False
    refusal: str = ""
    letter: EncodedRecord | None = None

    @property
    def name(self) -> str:
        """The record's topic and identity."""
        identity = dict(self.message.headers).get("ce_id", b"without an id")
        return f"{self.topic} {identity.decode('utf-8', 'replace')}"

    @property
    def size(self) -> int:
        return (self.letter or self.message).size


class Producer:
    """Sends records in order and reports when the broker has stored them.

    Use it with `async with`, in one event loop. It keeps every unacknowledged record, up to
    BUFFER_BYTES and BUFFER_RECORDS. While the broker is away publishing waits without limit, and
    the callers' bounded queues decide what happens then; when the broker is back, all
    unacknowledged records are sent again in the same order. Idempotence prevents duplicates from
    retries, except after such a reconnection. Leaving the `async with` waits up to
    `kafka.connect_timeout_s` for the last acknowledgements.

    A record that the broker refuses for its own sake (its size, its timestamp, the topic's rights
    or policy) becomes a dead letter, and the others are sent as before. So does a record whose
    topic does not exist, after a wait (`missing_topics`) in which the records of other topics are
    sent. If the dead-letter topic refuses too, the record is logged and counted as `lost`.

    Attributes:
        kafka: the settings of the broker.
        counters: `published`, `dead_lettered`, `refused` (by the broker, or larger than
            `kafka.max_message_bytes`), `lost` (refused as a dead letter too), `reconnected`.
    """

    def __init__(self, config: Config, gather_ms: int = 0) -> None:
        """Store the settings; after a request, records are gathered `gather_ms` for the next."""
        self._gather_ms = gather_ms
        self.counters: Counter[str] = Counter()
        metrics.watch("publisher", self.counters)
        self.kafka = config.kafka
        self._settings = aiokafka_settings(config.kafka)
        self._unsent: deque[_Unsent] = deque()
        self._in_flight: dict[_Unsent, None] = {}
        self._bytes = 0
        self._freed = asyncio.Event()
        self._wake = asyncio.Event()
        self._broken: BaseException | None = None
        self._again: list[_Unsent] = []
        self._numbers = itertools.count()
        self._missing = MissingTopics[_Unsent](self._look, self._leave)
        self._refused_timestamps: dict[str, bool] = {}
        self._producer: Any = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Connect; raise BrokerError if no broker answers within `kafka.connect_timeout_s`."""
        self._producer = await start(self._make_producer, self.kafka)
        recount_refused(self._producer)
        self._task = asyncio.create_task(self._pump(), name="producer")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Wait for the last acknowledgements and close.

        Raises:
            BrokerError: records could not be delivered in time (not if another error is raised).
        """
        limit_s = 0 if isinstance(error, BrokerGone) else self.kafka.connect_timeout_s
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._wait_until(lambda: not self._waiting())
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._missing.close()
        lost = self._waiting()
        for unsent in lost:
            unsent.acknowledged.cancel()
        await close(self._producer)
        if lost and error is None:
            missing = ", ".join(self._missing.topics())
            reason = (
                f"the topic {missing} does not exist"
                if missing
                else f"it did not answer for {self.kafka.connect_timeout_s:g} s"
            )
            raise BrokerError(
                f"{counted(len(lost), 'record')} could not be delivered to {self.kafka.broker} "
                f"because {reason}; what was not delivered is lost."
            )

    async def publish(
        self,
        record: R,
        extra_headers: Headers = (),
        timestamp_ms: int | None = None,
        *,
        topic: Topic[R] | None = None,
    ) -> Position:
        """Send a record and wait until the broker has stored it; see `publish_soon`."""
        return await (await self.publish_soon(record, extra_headers, timestamp_ms, topic=topic))

    async def publish_soon(
        self,
        record: R,
        extra_headers: Headers = (),
        timestamp_ms: int | None = None,
        *,
        topic: Topic[R] | None = None,
    ) -> asyncio.Future[Position]:
        """Send a record after all those before it; wait only while the buffer is full.

        Args:
            record: the record to send.
            extra_headers: added to the CloudEvents headers.
            timestamp_ms: Kafka's timestamp, Unix milliseconds; by default the time of sending,
                which retention depends on. The event time is in the record and in `ce_time`.
            topic: where to send it; by default the topic of its type.

        Returns:
            A future of the record's position, done when the broker has acknowledged the record.
            The position's partition is NO_PARTITION if the record was refused and is a dead letter.

        Raises:
            UnreadableRecord: no reader would accept the record.
        """
        topic = topic or topic_of(record)
        message = topic.encode(record)
        message.headers.extend(extra_headers)
        return await self.publish_encoded(topic, record, message, timestamp_ms)

    async def publish_encoded(
        self,
        topic: Topic[R],
        record: R,
        message: EncodedRecord,
        timestamp_ms: int | None = None,
    ) -> asyncio.Future[Position]:
        """Send a record that `topic.encode` has encoded; else as `publish_soon`."""
        metrics.sent(record, topic.kind)
        return await self._put(self._full_name(topic), message, timestamp_ms)

    def _full_name(self, topic: Topic[Any]) -> str:
        return topic.full_name(self.kafka.topic_prefix)

    async def dead_letter(self, message: RawMessage, reason: str) -> None:
        """Publish an unusable message as a dead letter and wait until it is stored.

        It is kept byte for byte if it fits; see `codec.encode_dead_letter`.
        """
        limit = self.kafka.max_message_bytes - 2 * ENVELOPE_BYTES
        letter = encode_dead_letter(message, reason, limit)
        place = await (await self._put(self._full_name(DEAD_LETTER), letter))
        if place.partition != NO_PARTITION:
            self.counters["dead_lettered"] += 1
            log.warning("Dead letter %s: %s.", message.id, reason)

    async def publish_again(self, original: RawMessage) -> Position:
        """Publish a message on its topic again, byte for byte, and wait until it is stored.

        Its partition and offset are ignored: the key selects the partition, as before. If the
        broker refuses it, it is a dead letter again and has no partition.
        """
        headers = list(original.headers.items())
        message = EncodedRecord(original.key, original.value or b"", headers)
        return await (await self._put(original.topic, message))

    async def _put(
        self,
        topic: str,
        message: EncodedRecord,
        timestamp_ms: int | None = None,
    ) -> asyncio.Future[Position]:
        if self._task is None:
            raise RuntimeError("a Producer works inside `async with`")
        size, limit = message.size, self.kafka.max_message_bytes
        acknowledged = asyncio.get_running_loop().create_future()
        unsent = _Unsent(next(self._numbers), topic, message, timestamp_ms, acknowledged)
        if size > limit:
            self._refuse(
                unsent,
                f"a record of {size:,} bytes exceeds kafka.max_message_bytes = {limit:,}; shorten "
                "windows.length_s or lower faces.rate_hz, or raise the limit here and on the "
                "broker",
            )
        if not self._fits(size := unsent.size):
            await self._wait_until(lambda: self._fits(size))
        self._bytes += size
        self._unsent.append(unsent)
        self._wake.set()
        return unsent.acknowledged

    async def _wait_until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._freed.clear()
            await self._freed.wait()

    def _fits(self, size: int) -> bool:
        """Return whether the buffer has room; a single record always fits."""
        count = len(self._missing) + len(self._again) + len(self._in_flight) + len(self._unsent)
        return not count or (count < BUFFER_RECORDS and self._bytes + size <= BUFFER_BYTES)

    def _waiting(self) -> list[_Unsent]:
        return [*self._missing.records(), *self._again, *self._in_flight, *self._unsent]

    def _make_producer(self) -> Any:
        compression = self.kafka.compression
        return AIOKafkaProducer(
            acks="all",
            enable_idempotence=True,
            linger_ms=self._gather_ms,
            compression_type=None if compression == "none" else compression,
            max_request_size=self.kafka.max_message_bytes + ENVELOPE_BYTES,
            **self._settings,
        )

    async def _pump(self) -> None:
        """Send the buffered records in order until cancelled; reconnect when the broker fails."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._broken is not None:
                await self._reconnect()
            while self._broken is None and (self._again or self._unsent):
                self._unsent.extendleft(reversed(self._again))
                self._again.clear()
                await self._send(self._unsent.popleft())
                await self._explain_timestamps()

    async def _send(self, unsent: _Unsent) -> None:
        """Give a record to aiokafka; one to be sent alone goes without others in its batch."""
        target = self._target(unsent)
        if target in self._missing or not is_known(self._producer.client, target):
            self._missing.add(target, unsent)
            return
        if unsent.alone:
            await self._wait_until(lambda: self._has_sent_all(target) or self._broken is not None)
        self._in_flight[unsent] = None
        message = unsent.letter or unsent.message
        try:
            delivery = await self._producer.send(
                target,
                value=message.value,
                key=message.key,
                headers=message.headers,
                timestamp_ms=None if unsent.letter else unsent.timestamp_ms,
            )
        except (KafkaError, OSError) as error:
            unsent.alone = True  # the answer is about this record, not about a batch
            self._fail(unsent, error)
            return
        delivery.add_done_callback(lambda done: self._delivered(unsent, done))
        if unsent.alone:
            await self._wait_until(lambda: delivery.done() or self._broken is not None)

    def _target(self, unsent: _Unsent) -> str:
        """Return the topic that a record, or its letter, is to be sent to."""
        return unsent.topic if unsent.letter is None else self._full_name(DEAD_LETTER)

    def _has_sent_all(self, topic: str) -> bool:
        return all(self._target(each) != topic for each in self._in_flight)

    async def _look(self, topic: str) -> bool | None:
        return await exists(self._producer.client, topic)

    def _leave(self, records: list[_Unsent], is_there: bool) -> None:
        """Send the records that waited for a topic, or refuse them."""
        records.sort(key=lambda unsent: unsent.number)
        if is_there:
            self._again.extend(records)
        else:
            self._in_flight |= dict.fromkeys(records)
            for unsent in records:
                self._refused(unsent, UnknownTopicOrPartitionError())
        self._freed.set()
        self._wake.set()

    def _delivered(self, unsent: _Unsent, delivery: asyncio.Future[Any]) -> None:
        if delivery.cancelled():
            return
        if error := delivery.exception():
            self._fail(unsent, error)
        elif unsent in self._in_flight:
            metadata = delivery.result()
            self.counters["published"] += 1
            if unsent.letter is None:
                self._done(unsent, Position(metadata.topic, metadata.partition, metadata.offset))
            else:
                self.counters["dead_lettered"] += 1
                log.warning("Dead letter of %s: %s.", unsent.name, unsent.refusal)
                self._done(unsent, Position(unsent.topic, NO_PARTITION, metadata.offset))

    def _fail(self, unsent: _Unsent, error: BaseException) -> None:
        if unsent not in self._in_flight:
            return
        if not is_refusal(error):
            target = self._target(unsent)
            if not is_known(self._producer.client, target):  # it was deleted
                del self._in_flight[unsent]
                self._missing.add(target, unsent)
            elif self._broken is None:
                self._broken = error
        elif not unsent.alone:
            del self._in_flight[unsent]
            unsent.alone = True
            self._again.append(unsent)
        else:
            self._refused(unsent, error)
        self._freed.set()
        self._wake.set()

    def _refused(self, unsent: _Unsent, error: BaseException) -> None:
        """Send the record's dead letter instead; a letter that is too large is cut once."""
        if isinstance(error, InvalidTimestampError):
            self._refused_timestamps.setdefault(unsent.topic, False)
        letters, size = self._full_name(DEAD_LETTER), unsent.size
        letter = unsent.letter or (unsent.message if unsent.topic == letters else None)
        if letter is None:
            self._refuse(unsent, _why(unsent.topic, error))
        elif isinstance(error, _TOO_LARGE) and len(letter.value) > SMALL_LETTER_BYTES:
            unsent.letter = cut_letter(letter)
        else:
            self._lose(unsent, error)
            return
        del self._in_flight[unsent]
        self._bytes += unsent.size - size
        self._again.append(unsent)

    def _refuse(self, unsent: _Unsent, why: str) -> None:
        self.counters["refused"] += 1
        unsent.refusal = why
        timestamp_ms = unsent.timestamp_ms or round(time.time() * 1000)
        limit = self.kafka.max_message_bytes - 2 * ENVELOPE_BYTES
        unsent.letter = letter_of(unsent.topic, unsent.message, timestamp_ms, why, limit)

    def _lose(self, unsent: _Unsent, error: BaseException) -> None:
        self.counters["lost"] += 1
        lost_log.error(
            f"%s is lost, because {unsent.refusal or 'nothing could read it'} and the dead-letter "
            f"topic refuses it too ({type(error).__name__}); others like it are counted only.",
            unsent.name,
        )
        self._done(unsent, Position(unsent.topic, NO_PARTITION, -1))

    def _done(self, unsent: _Unsent, place: Position) -> None:
        del self._in_flight[unsent]
        self._bytes -= unsent.size
        self._freed.set()
        if not unsent.acknowledged.done():
            unsent.acknowledged.set_result(place)

    async def _explain_timestamps(self) -> None:
        """Log once per topic how far the clocks differ, where the broker refused a timestamp."""
        for topic, explained in list(self._refused_timestamps.items()):
            if not explained:
                self._refused_timestamps[topic] = True
                log.error(
                    "The broker refuses the time of records on %s. %s",
                    topic,
                    await clock_sentence(self.kafka, topic),
                )

    async def _reconnect(self) -> None:
        """Connect a new producer, trying without end; unacknowledged records are sent first."""
        waiting = len(self._waiting())
        log.warning(
            "The broker at %s failed: %r; %d records are waiting.",
            self.kafka.broker,
            self._broken,
            waiting,
        )
        await close(self._producer)
        self._producer = await restart(self._make_producer, self.kafka)
        recount_refused(self._producer)
        self._unsent.extendleft(reversed(self._in_flight))
        self._in_flight.clear()
        self._broken = None
        self._wake.set()
        self.counters["reconnected"] += 1
        log.warning("The broker at %s answers again.", self.kafka.broker)


def _why(topic: str, error: BaseException) -> str:
    if isinstance(error, UnknownTopicOrPartitionError):
        return f"the topic {topic} does not exist; `streamer topics create` makes it"
    return f"the broker refuses it ({explain(error)})"
