"""The dead letters of a system: list them, find one, and publish the original messages again.

Publishing again is safe: duplicates of a message that was used before have the same `ce_id`. This
module does not interpret the messages.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import datetime

from streamer.config import Config
from streamer.errors import ConfigError
from streamer.kafka.codec import FULL_BYTES, ORIGINAL_HEADER
from streamer.kafka.consumer import Consumer
from streamer.kafka.messages import NO_PARTITION, RawMessage, Received
from streamer.kafka.producer import Producer
from streamer.kafka.topics import DEAD_LETTER, TOPICS
from streamer.records import NS_PER_MS, DeadLetter, wall_clock

__all__ = ["Letter", "find", "letters", "retry"]

PREVIEW_BYTES = 256


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter.

    Attributes:
        reason: why the message could not be used.
        original: the message as it was on its topic, with those headers that were kept.
        full_bytes: length of the original value; `original.value` is shorter if it was cut.
    """

    reason: str
    original: RawMessage
    full_bytes: int

    @property
    def letter_id(self) -> str:
        """Position of the original message, `topic/partition/offset`."""
        return self.original.id

    @property
    def written_at(self) -> datetime:
        """Kafka's timestamp of the original message, UTC."""
        return wall_clock(self.original.timestamp_ms * NS_PER_MS, 0)

    @property
    def complete(self) -> bool:
        """Whether the whole value was kept; a value that is too large is cut."""
        return len(self.original.value or b"") == self.full_bytes

    def preview(self, limit: int = PREVIEW_BYTES) -> str:
        """Return the beginning of the value: as text if it is text, else as a hex dump."""
        head = (self.original.value or b"")[:limit]
        text = head.decode("utf-8", "ignore")
        # `limit` may cut the last character, which has up to four bytes.
        if text.encode() in (head, head[:-1], head[:-2], head[:-3]) and text.isprintable():
            return text
        return "\n".join(_hex_line(head, start) for start in range(0, len(head), 16))


async def letters(config: Config, reason: str = "") -> AsyncGenerator[Letter, None]:
    """Yield each dead letter that is on the topic now, oldest first within a partition.

    A topic of several gigabytes takes minutes; each letter comes as soon as it is read.

    Args:
        config: where the broker is.
        reason: yield only letters whose reason contains this text.

    Raises:
        BrokerError: the broker cannot be reached.
    """
    yielded: set[str] = set()
    async with Consumer(config, DEAD_LETTER) as consumer:
        async for received in consumer.snapshot():
            letter = _letter(received)
            if letter.letter_id not in yielded and reason in letter.reason:
                yielded.add(letter.letter_id)
                yield letter


async def find(config: Config, letter_id: str) -> Letter:
    """Return the letter with this id.

    Raises:
        ConfigError: there is none.
    """
    async with aclosing(letters(config)) as candidates:
        async for letter in candidates:
            if letter.letter_id == letter_id:
                return letter
    raise _unknown(letter_id)


async def retry(config: Config, letter_ids: Collection[str] | None, reason: str = "") -> list[str]:
    """Publish messages on their topics again; one that is still no use gives a new letter.

    Args:
        config: where the broker is.
        letter_ids: which ones; None for all that are complete.
        reason: only letters whose reason contains this text.

    Returns:
        The ids of the published letters, each acknowledged by the broker; one that it refuses is
        logged and missing here.

    Raises:
        ConfigError: an id is unknown, or a named letter was cut and cannot be published again, or
            it names a topic that is not one of this system.
    """
    chosen: set[str] = set()
    async for letter in letters(config, reason):
        if letter.complete if letter_ids is None else letter.letter_id in letter_ids:
            _check(letter, config)
            chosen.add(letter.letter_id)
    missing = sorted(set(letter_ids or ()) - chosen)
    if missing:
        raise _unknown(missing[0])
    published = []
    async with Producer(config) as producer:
        async for letter in letters(config, reason):  # again: all at once can be gigabytes
            if letter.letter_id in chosen:
                place = await producer.publish_again(letter.original)
                if place.partition != NO_PARTITION:
                    published.append(letter.letter_id)
    return published


def _check(letter: Letter, config: Config) -> None:
    if not letter.complete:
        raise ConfigError(
            f"The dead letter {letter.letter_id} contains only "
            f"{len(letter.original.value or b'')} of {letter.full_bytes} bytes and cannot be "
            "published again."
        )
    if letter.original.topic not in {t.full_name(config.kafka.topic_prefix) for t in TOPICS}:
        raise ConfigError(
            f"The dead letter {letter.letter_id} names the topic {letter.original.topic}, "
            "which is not one of this system; nothing was published."
        )


def _letter(received: Received[DeadLetter]) -> Letter:
    record = received.record
    headers = {
        name.removeprefix(ORIGINAL_HEADER): value
        for name, value in received.headers.items()
        if name.startswith(ORIGINAL_HEADER)
    }
    original = RawMessage(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp_ms,
        key=record.key,
        value=record.value,
        headers=headers,
    )
    full_bytes = len(record.value or b"")
    with suppress(KeyError, ValueError):
        full_bytes = int(received.headers[FULL_BYTES])
    return Letter(record.reason, original, full_bytes)


def _hex_line(data: bytes, start: int) -> str:
    row = data[start : start + 16]
    text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
    return f"{start:04x}  {row.hex(' '):<47}  {text}"


def _unknown(letter_id: str) -> ConfigError:
    return ConfigError(
        f"There is no dead letter {letter_id!r}; `streamer dead-letter list` lists them."
    )
