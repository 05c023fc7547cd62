"""Messages of a topic and the positions at which they are stored. Plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Generic, TypeVar

R = TypeVar("R")
Headers = Sequence[tuple[str, bytes]]
HeaderValues = Mapping[str, bytes]


def header_values(headers: Iterable[tuple[str, bytes | None]] | None) -> dict[str, bytes]:
    """Return the headers of a message by name; one without a value, as Kafka allows, is empty."""
    return {name: value or b"" for name, value in headers or ()}


ENVELOPE_BYTES = 4096
"""Space in a message for key, headers and batch framing, beyond `kafka.max_message_bytes`."""


@dataclass(frozen=True)
class EncodedRecord:
    """The key, value and headers of the message that carries a record.

    More headers may be added until its size is asked for.
    """

    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]

    @cached_property
    def size(self) -> int:
        """Bytes that the message takes in the producer's buffer."""
        headers = sum(len(name) + len(value) + 4 for name, value in self.headers)
        return len(self.key or b"") + len(self.value) + headers


NO_PARTITION = -1
"""The partition of a record that no topic contains, because the broker refused it."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a record is stored on the broker; nowhere if the partition is NO_PARTITION."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class RawMessage:
    """A message as it is on its topic, whatever its value contains."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: HeaderValues = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The message's position as text, `topic/partition/offset`."""
        return f"{self.topic}/{self.partition}/{self.offset}"


@dataclass(frozen=True, slots=True)
class Received(RawMessage, Generic[R]):
    """A message with the record that was decoded from it."""

    record: R = field(kw_only=True)
