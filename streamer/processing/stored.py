"""What a table and its changelog hold of a key, and which value may follow which.

A worker that was paused, and whose partitions others took over meanwhile, may still write what it
had queued. So a value carries how far it is, and one function decides whether it may replace
another: where a change is applied to the table, and where a recovery reads the changelog.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

import faust
import msgspec
from faust.types import Message

S = TypeVar("S", bound=msgspec.Struct)


class StoredState(msgspec.Struct, Generic[S], frozen=True, array_like=True):
    """A table's value.

    Attributes:
        state: the smoothing state.
        partition: of the input topic and of the changelog; a key stays in its partition.
        touched_ms: wall clock of the last change, for expiry.
        outbox: outputs of a flush that the broker may not have yet, kind and JSON.
        changes: how many values the key had up to this one. It is counted from the state before
            and not taken from an offset, which begins anew when a topic is made again.
    """

    state: S
    partition: int
    touched_ms: int
    outbox: tuple[tuple[str, bytes], ...] = ()
    changes: int = 0


class _Header(msgspec.Struct, array_like=True):
    """The parts of a StoredState that are the same whatever its state is."""

    state: msgspec.Raw
    partition: int
    touched_ms: int
    outbox: msgspec.Raw = msgspec.Raw(b"\x90")
    changes: int = 0


_decode_header = msgspec.msgpack.Decoder(_Header).decode


def changes_in(value: bytes | None) -> int:
    """Return how far a table's value is; 0 for none and for one that cannot be read."""
    header = _header(value)
    return 0 if header is None else header.changes


def may_replace(
    before: bytes | None, after: bytes | None, at_ms: float, retention_ms: float
) -> bool:
    """Return whether a table's value may become another one; None: the key is not in the table.

    No value is replaced by one that is less far. One that is as far replaces it: it is the same,
    or both are of a version that did not count. A key is deleted once it is older than the
    retention, not when a worker that knew only an older value of it wanted to.

    Args:
        before: the value in the table.
        after: the value in the changelog.
        at_ms: wall clock at which `after` was written, Unix milliseconds.
        retention_ms: how long a key is kept after its last change.
    """
    present = _header(before)
    if present is None:
        return True
    if after is None:
        return present.touched_ms + retention_ms <= at_ms
    following = _header(after)
    return following is None or following.changes >= present.changes


def _header(value: bytes | None) -> _Header | None:
    if value is None:
        return None
    try:
        return _decode_header(value)
    except msgspec.DecodeError:
        return None


def monotonic(
    events: Iterable[Any], row: Callable[[bytes], bytes | None], retention_ms: float
) -> Iterator[tuple[Any, bytes | None]]:
    """Yield each changelog event with the value that its key has after it.

    Args:
        events: Faust's, in the changelog's order.
        row: the table's value of a key before them.
        retention_ms: how long a key is kept after its last change.
    """
    rows: dict[bytes, bytes | None] = {}
    for event in events:
        message = event.message
        before = rows[message.key] if message.key in rows else row(message.key)
        at_ms = message.timestamp * 1000
        if not may_replace(before, message.value, at_ms, retention_ms):
            yield event, before
            continue
        rows[message.key] = message.value
        yield event, message.value


class MonotonicTable(faust.Table):  # type: ignore[misc]
    """Faust's table, in which no key ever goes back."""

    logger = logging.getLogger("faust.tables")

    def __init__(self, app: Any, *, retention_ms: float, **options: Any) -> None:
        super().__init__(app, **options)
        self._retention_ms = retention_ms

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Apply changes; one that is less far than the table counts as applied."""
        super().apply_changelog_batch(
            [
                event if value == event.message.value else self._with_value(event, value)
                for event, value in monotonic(batch, self.get, self._retention_ms)
            ]
        )

    def _with_value(self, event: Any, value: bytes | None) -> Any:
        """Return the event with another value, at the same place in the changelog."""
        old = event.message
        message = Message(
            old.topic,
            old.partition,
            old.offset,
            timestamp=old.timestamp,
            timestamp_type=old.timestamp_type,
            headers=old.headers,
            key=old.key,
            value=value,
            checksum=None,
            tp=old.tp,
        )
        return self.app.create_event(old.key, value, None, message)
