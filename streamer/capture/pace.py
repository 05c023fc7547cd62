"""The speed of a replay: event time against a clock, with pauses.

Input: the event time of the next record. Output: a wait until that time is due.
This module does not depend on records or sources.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from streamer.records import NS_PER_S

__all__ = ["Pace"]

POLL_S = 0.2
"""How often a wait checks for a stop."""
BEHIND_S = 10.0
"""A replay that is so much later than its speed asks for is reported as slow."""


class Pace:
    """One clock for all participants of a replay, so that they stay together, also in a pause.

    Every method may be called from any thread. Live sources need no Pace, because they cannot wait.
    """

    def __init__(self, speed: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Start unpaused.

        Args:
            speed: 1 as recorded, 4 four times as fast, 0 without waiting (except in a pause).
            clock: seconds that pass.
        """
        self._speed = speed
        self._clock = clock
        self._changed = threading.Condition()
        self._started_s: float | None = None
        self._paused_s: float | None = None
        self._reported = False

    @property
    def paused(self) -> bool:
        """Whether the replay is paused."""
        return self._paused_s is not None

    def toggle(self) -> bool:
        """Pause, or resume at the same event time; return whether the replay is paused now."""
        with self._changed:
            now_s = self._clock()
            if self._paused_s is None:
                self._paused_s = now_s
            else:
                if self._started_s is not None:
                    self._started_s += now_s - self._paused_s
                self._paused_s = None
            self._changed.notify_all()
            return self.paused

    def remaining_s(self, event_time_ns: int) -> float:
        """Return the seconds until `event_time_ns` is due, 0 or less when it is, inf in a pause.

        The first call outside a pause starts the clock, unless the speed is 0.
        """
        if self._paused_s is not None:
            return float("inf")
        if self._speed == 0:
            return 0.0
        now_s = self._clock()
        if self._started_s is None:
            self._started_s = now_s
        return self._started_s + event_time_ns / NS_PER_S / self._speed - now_s

    def slow_speed(self, event_time_ns: int) -> float | None:
        """Return the speed so far, once, when the replay is BEHIND_S too late; else None."""
        with self._changed:
            left_s = self.remaining_s(event_time_ns)
            if self._reported or self._started_s is None or left_s > -BEHIND_S:
                return None
            self._reported = True
            return event_time_ns / NS_PER_S / (self._clock() - self._started_s)

    def wait(self, event_time_ns: int, stop: threading.Event) -> None:
        """Return when `event_time_ns` is due and the replay is not paused, or `stop` is set."""
        with self._changed:
            while not stop.is_set():
                left_s = self.remaining_s(event_time_ns)
                if left_s <= 0:
                    return
                self._changed.wait(min(left_s, POLL_S))
