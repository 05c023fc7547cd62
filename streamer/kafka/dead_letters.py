"""What nobody could read: looked through, looked at, and sent again.

What enters: the dead-letter topic. What leaves: its letters, once each, and on demand the original
message on the topic that it came from, byte for byte, under its original key and headers. Sending
again is safe: what was used before is known by its `window_id`. Knows nothing of what is inside.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

from streamer.config import Config
from streamer.errors import ConfigError
from streamer.kafka.consumer import Consumer
from streamer.kafka.messages import RawMessage, Received
from streamer.kafka.producer import Producer
from streamer.kafka.topics import DEAD_LETTER
from streamer.records import NS_PER_MS, DeadLetter, wall_clock

__all__ = ["Letter", "find", "letters", "retry"]

_ORIGINAL = "original_header_"
SHOWN_BYTES = 256


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter with what its headers tell besides.

    Attributes:
        letter: reason, origin and bytes.
        headers: the original message's headers, as far as they were kept.
        full_bytes: length of the original value; more than `letter.value` holds when it was cut.
    """

    letter: DeadLetter
    headers: dict[str, bytes]
    full_bytes: int

    @property
    def letter_id(self) -> str:
        """Where the message lay: `topic/partition/offset`."""
        return f"{self.letter.topic}/{self.letter.partition}/{self.letter.offset}"

    @property
    def written_at(self) -> datetime:
        """When the original message was written to its topic."""
        return wall_clock(self.letter.timestamp_ms * NS_PER_MS, 0)

    @property
    def whole(self) -> bool:
        """Whether the value is all there; one that was too large was cut."""
        return len(self.letter.value or b"") == self.full_bytes

    def preview(self, limit: int = SHOWN_BYTES) -> str:
        """The value's beginning: as text where it is text, else in hexadecimal with its ASCII."""
        head = (self.letter.value or b"")[:limit]
        text = head.decode("utf-8", "ignore")
        if text.encode() in (head, head[:-1], head[:-2], head[:-3]) and text.isprintable():
            return text
        return "\n".join(_hex_line(head, at) for at in range(0, len(head), 16))


async def letters(config: Config, reason: str = "") -> AsyncGenerator[Letter, None]:
    """Every letter that lies on the topic now, oldest first within a partition, each once.

    Args:
        config: where the broker is.
        reason: only those whose reason holds this text.

    Raises:
        BrokerError: the broker cannot be reached.
    """
    seen: set[str] = set()
    async with Consumer(config, DEAD_LETTER) as consumer:
        async for received in consumer.snapshot():
            letter = _letter(received)
            if letter.letter_id not in seen and reason in letter.letter.reason:
                seen.add(letter.letter_id)
                yield letter


async def find(config: Config, letter_id: str) -> Letter:
    """The letter with this id.

    Raises:
        ConfigError: there is none.
    """
    async with aclosing(letters(config)) as found:
        async for letter in found:
            if letter.letter_id == letter_id:
                return letter
    raise _unknown(letter_id)


async def retry(config: Config, letter_ids: Collection[str] | None, reason: str = "") -> list[str]:
    """Send messages to their topics again; what is still unreadable comes back as a new letter.

    Args:
        config: where the broker is.
        letter_ids: which ones; None for all.
        reason: only those whose reason holds this text.

    Returns:
        The ids of the letters sent, each acknowledged by the broker.

    Raises:
        ConfigError: an id is unknown, or a named letter's bytes were cut and cannot be sent.
    """
    chosen = [
        letter
        async for letter in letters(config, reason)
        if (letter.whole if letter_ids is None else letter.letter_id in letter_ids)
    ]
    missing = sorted(set(letter_ids or ()) - {letter.letter_id for letter in chosen})
    if missing:
        raise _unknown(missing[0])
    for letter in chosen:
        if not letter.whole:
            raise ConfigError(
                f"The dead letter {letter.letter_id} keeps only {len(letter.letter.value or b'')} "
                f"of its {letter.full_bytes} bytes and cannot be sent again."
            )
    async with Producer(config) as producer:
        for letter in chosen:
            await producer.send_again(_original(letter))
    return [letter.letter_id for letter in chosen]


def _letter(received: Received[DeadLetter]) -> Letter:
    kept = len(received.record.value or b"")
    headers = {
        name.removeprefix(_ORIGINAL): value
        for name, value in received.headers.items()
        if name.startswith(_ORIGINAL)
    }
    return Letter(received.record, headers, int(received.headers.get("original_bytes", kept)))


def _original(letter: Letter) -> RawMessage:
    old = letter.letter
    return RawMessage(
        topic=old.topic,
        partition=old.partition,
        offset=old.offset,
        timestamp_ms=old.timestamp_ms,
        key=old.key,
        value=old.value,
        headers=letter.headers,
    )


def _hex_line(data: bytes, at: int) -> str:
    row = data[at : at + 16]
    plain = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
    return f"{at:04x}  {row.hex(' '):<47}  {plain}"


def _unknown(letter_id: str) -> ConfigError:
    return ConfigError(
        f"There is no dead letter {letter_id!r}; `streamer dead-letter list` names those there are."
    )
