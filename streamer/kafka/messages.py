"""Messages of a topic and the positions at which they are stored. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

R = TypeVar("R")

ENVELOPE_BYTES = 4096
"""Space in a message for key, headers and batch framing, beyond `kafka.max_message_bytes`."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a record is stored on the broker."""

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
    headers: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Received(RawMessage, Generic[R]):
    """A message with the record that was decoded from it."""

    record: R = field(kw_only=True)
