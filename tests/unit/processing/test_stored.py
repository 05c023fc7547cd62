"""A key of a table never goes back, whoever writes to the changelog."""

from __future__ import annotations

from typing import Any

import msgspec
from faust.types import TP, Message

from streamer.config import build
from streamer.processing import app
from streamer.processing.stored import StoredState, changes_in, may_replace, monotonic
from streamer.smoothing import ParticipantState
from streamer.testing import FakePolicies, FakeProducer

RETENTION_MS = 1000


def value(changes: int, *, touched_ms: int = 5_000, next_index: int = 0) -> bytes:
    state = ParticipantState(next_index=next_index)
    return msgspec.msgpack.encode(StoredState(state, 0, touched_ms, changes=changes))


def test_a_value_is_replaced_by_one_that_is_as_far_or_farther() -> None:
    assert may_replace(None, value(3), 0, RETENTION_MS)
    assert may_replace(value(3), value(4), 0, RETENTION_MS)
    assert may_replace(value(3), value(3, next_index=9), 0, RETENTION_MS)
    assert not may_replace(value(4), value(3), 0, RETENTION_MS)


def test_a_key_is_deleted_once_it_is_old() -> None:
    assert not may_replace(value(1), None, 5_999, RETENTION_MS)
    assert may_replace(value(1), None, 6_000, RETENTION_MS)
    assert may_replace(None, None, 0, RETENTION_MS)


def test_a_value_of_a_version_that_did_not_count_is_the_least_far() -> None:
    before = msgspec.msgpack.encode([{"next_index": 7}, 0, 5_000, []])
    assert changes_in(before) == 0
    assert may_replace(before, before, 0, RETENTION_MS)
    assert may_replace(before, value(1), 0, RETENTION_MS)
    assert not may_replace(value(1), before, 0, RETENTION_MS)
    for unreadable in (b"\xc1", b""):
        assert changes_in(unreadable) == 0
        assert may_replace(unreadable, value(1), 0, RETENTION_MS)


class PlainEvent:
    """A changelog event."""

    def __init__(self, message: Message) -> None:
        self.message = message


class PlainApp:
    """Makes events that hold their message only."""

    def create_event(self, key: bytes, change: bytes | None, _: Any, message: Message) -> Any:
        return PlainEvent(message)


class Place:
    """Writes changelog messages of one partition."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.offset = 0

    def events(self, *changes: tuple[bytes, bytes | None], at_ms: int = 5_000) -> list[Any]:
        return [self._event(key, change, at_ms) for key, change in changes]

    def _event(self, key: bytes, change: bytes | None, at_ms: int) -> Any:
        self.offset += 1
        message = Message(
            "changelog",
            0,
            self.offset,
            timestamp=at_ms / 1000,
            timestamp_type=0,
            headers=None,
            key=key,
            value=change,
            checksum=None,
            tp=TP("changelog", 0),
        )
        return self.app.create_event(key, change, None, message)


def table_and_place() -> tuple[Any, Place]:
    config = build({"kafka": {"broker": "a:1", "retention_ms": RETENTION_MS}})
    counts = {"sentiment.scores.v1": 1, "sentiment.session-input.v1": 1}
    built = app.build_app(config, FakeProducer(), FakePolicies(), counts, embedded=False)  # type: ignore[arg-type]
    return built.app.tables["participants"], Place(built.app)


async def test_what_a_paused_worker_had_queued_is_skipped_by_a_recovery() -> None:
    """The owner's 798th change is in the changelog, then come 65 and 66 of the paused worker."""
    table, place = table_and_place()
    table.apply_changelog_batch(place.events((b"s/ana", value(798)), (b"s/bo", value(1))))
    table.apply_changelog_batch(
        place.events((b"s/ana", value(65)), (b"s/bo", value(2)), (b"s/ana", value(66)))
    )
    assert changes_in(table.get(b"s/ana")) == 798
    assert changes_in(table.get(b"s/bo")) == 2


async def test_a_paused_worker_does_not_expire_what_others_changed() -> None:
    table, place = table_and_place()
    table.apply_changelog_batch(place.events((b"s/ana", value(4)), (b"s/bo", value(4))))
    table.apply_changelog_batch(place.events((b"s/ana", None), at_ms=5_100))
    table.apply_changelog_batch(place.events((b"s/bo", None), (b"s/bo", value(1)), at_ms=6_100))
    assert changes_in(table.get(b"s/ana")) == 4
    assert changes_in(table.get(b"s/bo")) == 1, "deleted, and begun anew"


def test_within_a_batch_too_no_value_goes_back() -> None:
    place = Place(PlainApp())
    changes = [2, 1, 3, 2]
    events = place.events(*((b"k", value(number)) for number in changes))
    rows: dict[bytes, bytes] = {}
    after = [changes_in(each) for _, each in monotonic(events, rows.get, RETENTION_MS)]
    assert after == [2, 2, 3, 3]
