"""From finished windows to the broker: the send queue and the windows in flight.

A live participant's send queue drops its oldest window when it is full, adds it to the next one's
`skipped` and counts it, because a meeting cannot be paused; revisions of windows that are out give
way first. A replay's makes its thread wait. On the embedded broker `InFlight` also waits while too
many bytes are sent and not yet scored.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Coroutine
from itertools import takewhile
from typing import Any

import msgspec

from streamer import metrics
from streamer.counted import counted
from streamer.errors import BrokerGone, ExitCode, StreamerError
from streamer.kafka.connection import wait_for_broker
from streamer.kafka.messages import NO_PARTITION, Headers
from streamer.kafka.producer import Producer
from streamer.records import (
    Window,
    window_id,
)

Sent = tuple[str, int]
"""What is accounted for by itself: a window's id and its revision."""


class NoProgress(StreamerError):
    """Windows went out, and no stage answered them in time."""

    exit_code = ExitCode.STAGE


_MAY_BE_REVISED = 64
"""Dropped windows that are remembered; a revision comes a few windows after its window."""


class SendQueue:
    """One participant's finished windows on their way to the broker, bounded.

    Full: `drop_oldest` drops a revision, or else the oldest window, which it adds to the next one's
    `skipped`; without it `put` waits. While a window waits here, its revision takes its place and
    number; of a window that was dropped, no revision goes out.

    Attributes:
        dropped: how many windows were dropped.
        dropped_revisions: how many windows that are out keep the words they went out with.
    """

    def __init__(self, capacity: int, *, drop_oldest: bool) -> None:
        """Hold up to `capacity` windows; belongs to one event loop."""
        self.dropped = self.dropped_revisions = 0
        self._counters: Counter[str] = Counter()
        metrics.watch("capture", self._counters)
        self._capacity = capacity
        self._drop_oldest = drop_oldest
        self._windows: deque[Window] = deque()
        self._lost: deque[int] = deque(maxlen=_MAY_BE_REVISED)
        self._closed = False
        self._abandoned = False
        self._changed = asyncio.Condition()

    async def put(self, window: Window) -> None:
        """Add a window, dropping or waiting when full."""
        async with self._changed:
            if window.revision and (self._replaced(window) or window.window_index in self._lost):
                return
            if self._drop_oldest and len(self._windows) == self._capacity:
                if self._drop_revision(window):
                    return
                window = self._make_room(window)
            await self._changed.wait_for(
                lambda: len(self._windows) < self._capacity or self._abandoned
            )
            if not self._abandoned:
                self._windows.append(window)
            self._changed.notify_all()

    async def close(self) -> None:
        """Close the queue; iteration ends after its last window."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()

    async def abandon(self) -> None:
        """Nobody will take windows any more: what is here is let go, and `put` never waits."""
        async with self._changed:
            self._abandoned = self._closed = True
            self._windows.clear()
            self._changed.notify_all()

    async def __aiter__(self) -> AsyncIterator[Window]:
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._windows or self._closed)
                if not self._windows:
                    return
                window = self._windows.popleft()
                self._changed.notify_all()
            yield window

    def _replaced(self, newer: Window) -> bool:
        """Put a revision in the place of its window, if that is here; return whether it is."""
        for at, waiting in enumerate(self._windows):
            if waiting.window_index == newer.window_index:
                self._windows[at] = msgspec.structs.replace(
                    newer, revision=waiting.revision, skipped=waiting.skipped
                )
                return True
        return False

    def _drop_revision(self, newest: Window) -> bool:
        """Drop the oldest revision, if there is one; return whether it is the newest itself."""
        at = next((at for at, each in enumerate([*self._windows, newest]) if each.revision), None)
        if at is None:
            return False
        self.dropped_revisions += 1
        self._counters["dropped_revisions"] += 1
        if at == len(self._windows):
            return True
        del self._windows[at]
        return False

    def _make_room(self, newest: Window) -> Window:
        """Drop the oldest window unless there is room by now; return the newest as it is to go."""
        if len(self._windows) < self._capacity:
            return newest
        oldest = self._windows.popleft()
        self._lost.append(oldest.window_index)
        self.dropped += 1
        self._counters["dropped_windows"] += 1
        heir = self._windows[0] if self._windows else newest
        heir = msgspec.structs.replace(heir, skipped=heir.skipped + oldest.skipped + 1)
        if not self._windows:
            return heir
        self._windows[0] = heir
        return newest


class InFlight:
    """What became of each window sent: in flight, scored, published, or dead-lettered.

    Each revision of a window is accounted for by itself. Smoothing may leave one out: a revision
    that comes too late, or a window whose revision came while it waited. That is certain once what
    was sent later is published.

    Bounds what is sent and not yet scored to `limit_bytes` (None: the broker's disk is the
    bound); a lone larger window still passes. Belongs to one event loop.
    """

    def __init__(self, limit_bytes: int | None) -> None:
        """Start empty."""
        self.dead_letters = 0
        self._limit = limit_bytes
        self._sizes: dict[Sent, int] = {}
        self._total = 0
        self._open: dict[Sent, None] = {}
        self._places: dict[tuple[int, int], Sent] = {}
        self._place_of: dict[Sent, tuple[int, int]] = {}
        self._dead_places: set[tuple[int, int]] = set()
        self._changed = asyncio.Condition()

    @property
    def open_windows(self) -> int:
        """How many windows were sent and neither published nor dead-lettered."""
        return len(self._open)

    async def room(self, sent: Sent, size_bytes: int) -> None:
        """Wait until `size_bytes` fit, then account for the window."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: (
                    self._limit is None
                    or not self._sizes
                    or self._total + size_bytes <= self._limit
                )
            )
            self._open[sent] = None
            self._sizes[sent] = size_bytes
            self._total += size_bytes

    async def sent(self, sent: Sent, partition: int, kafka_offset: int) -> None:
        """Remember the window's place on the topic: a dead letter names nothing else."""
        place = (partition, kafka_offset)
        if place in self._dead_places:
            self._dead_places.discard(place)
            await self._dead(sent)
        elif sent in self._open:
            self._places[place] = sent
            self._place_of[sent] = place

    async def scored(self, sent: Sent) -> None:
        """Its bytes are free again. Unknown ids change nothing."""
        async with self._changed:
            self._total -= self._sizes.pop(sent, 0)
            self._changed.notify_all()

    async def published(self, sent: Sent) -> None:
        """The window's sentiment is out: nothing more is expected of it."""
        for earlier in self._left_out_by(sent):
            await self._end(earlier)
        await self._end(sent)

    def _left_out_by(self, sent: Sent) -> list[Sent]:
        """What was sent earlier and is not published any more, now that this is."""
        if sent not in self._open:
            return []
        person = sent[0].rpartition("/")[0]
        return [
            (name, revision)
            for name, revision in takewhile(lambda each: each != sent, self._open)
            if name == sent[0] or (revision and name.rpartition("/")[0] == person)
        ]

    async def _end(self, sent: Sent) -> None:
        await self.scored(sent)
        self._open.pop(sent, None)
        place = self._place_of.pop(sent, None)
        if place is not None:
            self._places.pop(place, None)

    async def dead(self, partition: int, kafka_offset: int) -> None:
        """The record at this place of the windows topic was dead-lettered."""
        sent = self._places.get((partition, kafka_offset))
        if sent is None:
            self._dead_places.add((partition, kafka_offset))
        else:
            await self._dead(sent)

    async def refused(self, sent: Sent) -> None:
        """The broker stored the window, or its score, as a dead letter only, or not at all."""
        if sent in self._open:
            await self._dead(sent)

    async def _dead(self, sent: Sent) -> None:
        self.dead_letters += 1
        await self._end(sent)


async def deliver(
    window: Window,
    publisher: Producer,
    in_flight: InFlight,
    stop: threading.Event,
    headers: Callable[[], Headers] = tuple,
) -> None:
    """Send a window when there is room in flight, with `headers()` of that moment; wait for it.

    Raises:
        NoProgress: after `stop`, no room was made for `kafka.connect_timeout_s`.
        BrokerGone: after `stop`, the broker did not answer for so long.
    """
    sent = window.window_id, window.revision
    size = len(window.audio or b"") + sum(len(face.jpeg) for face in window.faces)
    room = in_flight.room(sent, size + 1024 + 64 * len(window.words))
    try:
        await wait_for_delivery(room, publisher, stop)
    except BrokerGone:
        raise NoProgress(
            f"No score came for {counted(in_flight.open_windows, 'window')} of "
            f"{window.session_id} within {publisher.kafka.connect_timeout_s:g} s after the stop, "
            "and the end of the session is lost; look whether inference and processing run "
            "against this broker."
        ) from None

    async def send() -> None:
        place = await publisher.publish(window, extra_headers=headers())
        if place.partition == NO_PARTITION:
            await in_flight.refused(sent)
        else:
            await in_flight.sent(sent, place.partition, place.offset)

    await wait_for_delivery(send(), publisher, stop)


async def wait_for_delivery(
    work: Coroutine[Any, Any, object], publisher: Producer, stop: threading.Event
) -> None:
    """Wait for what a source sends; as `connection.wait_for_broker`."""
    loss = "the end of the session is lost"
    await wait_for_broker(work, stop.is_set, publisher.kafka, loss)


def session_window_id(session_id: str, window_index: int) -> str:
    """Identity of a session-level record: `session_id/*/window_index`."""
    return window_id(session_id, "*", window_index)
