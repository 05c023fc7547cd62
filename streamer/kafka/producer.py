"""Sends records to their topics, in order and at least once, over outages of the broker.

aiokafka's producer gives up on a record after a time and cannot continue after some errors. This
one keeps every record until the broker has acknowledged it, and replaces aiokafka's when it fails.

librdkafka's producer (confluent-kafka) was tried. Without recovery from fatal errors it passed the
broker tests, except for the wording of one error; with it, it takes no less code: the bounded
buffer, refusals of single records and sending again after a fatal error remain, a thread and its
hand-over to the event loop are added, and the consumers need `connection` in any case.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
)

from streamer import metrics
from streamer.config import Config
from streamer.errors import BrokerError, BrokerGone
from streamer.kafka.codec import encode_dead_letter
from streamer.kafka.connection import close, restart, start
from streamer.kafka.messages import ENVELOPE_BYTES, EncodedRecord, Headers, Position, RawMessage
from streamer.kafka.security import aiokafka_settings
from streamer.kafka.topics import DEAD_LETTER, Topic, topic_of

log = logging.getLogger(__name__)

R = TypeVar("R", bound=msgspec.Struct)

BUFFER_BYTES = 8 * 1024 * 1024
"""Most bytes that a Producer holds unacknowledged; when it is full, publishing waits."""
BUFFER_RECORDS = 1000
_REFUSALS = (MessageSizeTooLargeError, TopicAuthorizationFailedError)


@dataclass(eq=False, slots=True)
class _Unsent:
    topic: str
    message: EncodedRecord
    timestamp_ms: int | None
    acknowledged: asyncio.Future[Position]


class Producer:
    """Sends records in order and reports when the broker has stored them.

    Use it with `async with`, in one event loop. It keeps every unacknowledged record, up to
    BUFFER_BYTES and BUFFER_RECORDS. While the broker is away publishing waits without limit, and
    the callers' bounded queues decide what happens then; when the broker is back, all
    unacknowledged records are sent again in the same order. Idempotence prevents duplicates from
    retries, except after such a reconnection. Leaving the `async with` waits up to
    `kafka.connect_timeout_s` for the last acknowledgements.

    Attributes:
        kafka: the settings of the broker.
        counters: `published`, `dead_lettered`, `refused` (too large or not allowed),
            `reconnected`.
    """

    def __init__(self, config: Config) -> None:
        """Store the settings; entering the context connects."""
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
        self._producer: Any = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Connect; raise BrokerError if no broker answers within `kafka.connect_timeout_s`."""
        self._producer = await start(self._make_producer, self.kafka)
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
                await self._wait_until(lambda: not self._in_flight and not self._unsent)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        lost = [*self._in_flight, *self._unsent]
        for unsent in lost:
            unsent.acknowledged.cancel()
        await close(self._producer)
        if lost and error is None:
            raise BrokerError(
                f"{len(lost)} records could not be delivered to {self.kafka.broker} because it "
                f"did not answer for {self.kafka.connect_timeout_s:g} s; they are lost."
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
            It fails with BrokerError if the broker refuses this record for good.

        Raises:
            UnreadableRecord: no reader would accept the record.
            BrokerError: the record is larger than `kafka.max_message_bytes`.
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
        await (await self._put(self._full_name(DEAD_LETTER), letter))
        self.counters["dead_lettered"] += 1
        log.warning("Dead letter %s: %s.", message.id, reason)

    async def publish_again(self, original: RawMessage) -> Position:
        """Publish a message on its topic again, byte for byte, and wait until it is stored.

        Its partition and offset are ignored: the key selects the partition, as before.
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
        if size > limit:
            raise BrokerError(
                f"A record of {size:,} bytes for {topic} exceeds "
                f"kafka.max_message_bytes = {limit:,}; shorten windows.length_s or lower "
                "faces.rate_hz, or raise the limit here and on the broker."
            )
        await self._wait_until(lambda: self._fits(size))
        acknowledged: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        self._bytes += size
        self._unsent.append(_Unsent(topic, message, timestamp_ms, acknowledged))
        self._wake.set()
        return acknowledged

    async def _wait_until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._freed.clear()
            await self._freed.wait()

    def _fits(self, size: int) -> bool:
        """Return whether the buffer has room; a single record always fits."""
        count = len(self._unsent) + len(self._in_flight)
        return not count or (count < BUFFER_RECORDS and self._bytes + size <= BUFFER_BYTES)

    def _make_producer(self) -> Any:
        compression = self.kafka.compression
        return AIOKafkaProducer(
            acks="all",
            enable_idempotence=True,
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
            while self._unsent and self._broken is None:
                await self._send(self._unsent.popleft())

    async def _send(self, unsent: _Unsent) -> None:
        self._in_flight[unsent] = None
        try:
            delivery = await self._producer.send(
                unsent.topic,
                value=unsent.message.value,
                key=unsent.message.key,
                headers=unsent.message.headers,
                timestamp_ms=unsent.timestamp_ms,
            )
        except (KafkaError, OSError) as error:
            self._fail(unsent, error)
        else:
            delivery.add_done_callback(lambda done: self._delivered(unsent, done))

    def _delivered(self, unsent: _Unsent, delivery: asyncio.Future[Any]) -> None:
        if delivery.cancelled():
            return
        if error := delivery.exception():
            self._fail(unsent, error)
        elif unsent in self._in_flight:
            metadata = delivery.result()
            position = Position(metadata.topic, metadata.partition, metadata.offset)
            self.counters["published"] += 1
            self._done(unsent)
            if not unsent.acknowledged.done():
                unsent.acknowledged.set_result(position)

    def _fail(self, unsent: _Unsent, error: BaseException) -> None:
        if unsent not in self._in_flight:
            return
        if isinstance(error, _REFUSALS):
            self.counters["refused"] += 1
            self._done(unsent)
            if not unsent.acknowledged.done():
                reason = f"{type(error).__name__} {error}".strip()
                unsent.acknowledged.set_exception(
                    BrokerError(f"The broker refuses a record for {unsent.topic}: {reason}.")
                )
        elif self._broken is None:
            self._broken = error
            self._wake.set()

    def _done(self, unsent: _Unsent) -> None:
        del self._in_flight[unsent]
        self._bytes -= unsent.message.size
        self._freed.set()

    async def _reconnect(self) -> None:
        """Connect a new producer, trying without end; unacknowledged records are sent first."""
        waiting = len(self._in_flight) + len(self._unsent)
        log.warning(
            "The broker at %s failed: %r; %d records are waiting.",
            self.kafka.broker,
            self._broken,
            waiting,
        )
        await close(self._producer)
        self._producer = await restart(self._make_producer, self.kafka)
        self._unsent.extendleft(reversed(self._in_flight))
        self._in_flight.clear()
        self._broken = None
        self._wake.set()
        self.counters["reconnected"] += 1
        log.warning("The broker at %s answers again.", self.kafka.broker)
