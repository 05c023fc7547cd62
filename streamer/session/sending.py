"""From finished windows to the broker: the send queue and the windows in flight.

A live participant's send queue drops its oldest window when it is full, adds it to the next one's
`skipped` and counts it, because a meeting cannot be paused. A replay's makes its thread wait. On
the embedded broker `InFlight` also waits while too many bytes are sent and not yet scored.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import msgspec

from streamer import metrics
from streamer.errors import BrokerGone, ExitCode, StreamerError
from streamer.kafka.connection import wait_for_broker
from streamer.kafka.messages import NO_PARTITION, Headers
from streamer.kafka.producer import Producer
from streamer.records import (
    Window,
    window_id,
)


class NoProgress(StreamerError):
    """Windows went out, and no stage answered them in time."""

    exit_code = ExitCode.STAGE


class SendQueue:
    """One participant's finished windows on their way to the broker, bounded.

    Full: `drop_oldest` drops the oldest and adds it to the next one's `skipped`; else `put` waits.
    """

    def __init__(self, capacity: int, *, drop_oldest: bool) -> None:
        """Hold up to `capacity` windows; belongs to one event loop."""
        self.dropped = 0
        self._counters: Counter[str] = Counter()
        metrics.watch("capture", self._counters)
        self._capacity = capacity
        self._drop_oldest = drop_oldest
        self._windows: deque[Window] = deque()
        self._closed = False
        self._abandoned = False
        self._changed = asyncio.Condition()

    async def put(self, window: Window) -> None:
        """Add a window, dropping or waiting when full."""
        async with self._changed:
            if self._drop_oldest and len(self._windows) == self._capacity:
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

    def _make_room(self, newest: Window) -> Window:
        oldest = self._windows.popleft()
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

    Bounds what is sent and not yet scored to `limit_bytes` (None: the broker's disk is the
    bound); a lone larger window still passes. Belongs to one event loop.
    """

    def __init__(self, limit_bytes: int | None) -> None:
        """Start empty."""
        self.dead_letters = 0
        self._limit = limit_bytes
        self._sizes: dict[str, int] = {}
        self._total = 0
        self._open: set[str] = set()
        self._places: dict[tuple[int, int], str] = {}
        self._place_of: dict[str, tuple[int, int]] = {}
        self._dead_places: set[tuple[int, int]] = set()
        self._changed = asyncio.Condition()

    @property
    def open_windows(self) -> int:
        """How many windows were sent and neither published nor dead-lettered."""
        return len(self._open)

    async def room(self, window_id: str, size_bytes: int) -> None:
        """Wait until `size_bytes` fit, then account for the window."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: (
                    self._limit is None
                    or not self._sizes
                    or self._total + size_bytes <= self._limit
                )
            )
            self._open.add(window_id)
            self._sizes[window_id] = size_bytes
            self._total += size_bytes

    async def sent(self, window_id: str, partition: int, kafka_offset: int) -> None:
        """Remember the window's place on the topic: a dead letter names nothing else."""
        place = (partition, kafka_offset)
        if place in self._dead_places:
            self._dead_places.discard(place)
            await self._dead(window_id)
        elif window_id in self._open:
            self._places[place] = window_id
            self._place_of[window_id] = place

    async def scored(self, window_id: str) -> None:
        """Its bytes are free again. Unknown ids change nothing."""
        async with self._changed:
            self._total -= self._sizes.pop(window_id, 0)
            self._changed.notify_all()

    async def published(self, window_id: str) -> None:
        """The window's sentiment is out: nothing more is expected of it."""
        await self.scored(window_id)
        self._open.discard(window_id)
        place = self._place_of.pop(window_id, None)
        if place is not None:
            self._places.pop(place, None)

    async def dead(self, partition: int, kafka_offset: int) -> None:
        """The record at this place of the windows topic was dead-lettered."""
        window_id = self._places.get((partition, kafka_offset))
        if window_id is None:
            self._dead_places.add((partition, kafka_offset))
        else:
            await self._dead(window_id)

    async def refused(self, window_id: str) -> None:
        """The broker stored the window, or its score, as a dead letter only, or not at all."""
        if window_id in self._open:
            await self._dead(window_id)

    async def _dead(self, window_id: str) -> None:
        self.dead_letters += 1
        await self.published(window_id)


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
    size = len(window.audio or b"") + sum(len(face.jpeg) for face in window.faces)
    room = in_flight.room(window.window_id, size + 1024 + 64 * len(window.words))
    try:
        await wait_for_delivery(room, publisher, stop)
    except BrokerGone:
        raise NoProgress(
            f"{in_flight.open_windows} windows of {window.session_id} were not scored for "
            f"{publisher.kafka.connect_timeout_s:g} s after the stop, and the end of the session "
            "is lost; look whether inference and processing run against this broker."
        ) from None

    async def send() -> None:
        place = await publisher.publish(window, extra_headers=headers())
        if place.partition == NO_PARTITION:
            await in_flight.refused(window.window_id)
        else:
            await in_flight.sent(window.window_id, place.partition, place.offset)

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
