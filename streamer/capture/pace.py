"""How fast a replay goes: event time against the wall clock, with a pause in between.

Knows no record and no source: it is told the event time of what comes next, and waits.
"""

from __future__ import annotations

import threading
import time

from streamer.records import NS_PER_S

__all__ = ["Pace"]

LOOK_S = 0.2
"""How soon a wait notices a stop."""


class Pace:
    """One clock for all participants of a replay, so that they stay together, paused too.

    Every method may be called from any thread. Live sources need none: they cannot wait.
    """

    def __init__(self, speed: float) -> None:
        """`speed`: 1 as recorded, 4 four times as fast, 0 without waiting (but for a pause)."""
        self._speed = speed
        self._changed = threading.Condition()
        self._started_s: float | None = None
        self._paused_s: float | None = None

    @property
    def paused(self) -> bool:
        """Whether it stands still."""
        return self._paused_s is not None

    def toggle(self) -> bool:
        """Pause, or go on where it was; returns whether it stands still now."""
        with self._changed:
            now_s = time.monotonic()
            if self._paused_s is None:
                self._paused_s = now_s
            else:
                if self._started_s is not None:
                    self._started_s += now_s - self._paused_s
                self._paused_s = None
            self._changed.notify_all()
            return self.paused

    def wait(self, event_time_ns: int, stop: threading.Event) -> None:
        """Return when `event_time_ns` is due and it is not paused, or `stop` is set.

        The clock starts at the first call.
        """
        with self._changed:
            while not stop.is_set():
                left_s = self._left_s(event_time_ns)
                if left_s <= 0:
                    return
                self._changed.wait(min(left_s, LOOK_S))

    def _left_s(self, event_time_ns: int) -> float:
        if self._paused_s is not None:
            return LOOK_S
        if self._speed == 0:
            return 0.0
        now_s = time.monotonic()
        if self._started_s is None:
            self._started_s = now_s
        return self._started_s + event_time_ns / NS_PER_S / self._speed - now_s
