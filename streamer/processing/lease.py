"""Whether this worker may still write: it may not once it stood still for too long.

A process that is stopped (SIGSTOP, a suspended machine, swapping) learns from no broker that its
partitions went to others; it goes on with what it had queued. But its clock tells.
"""

from __future__ import annotations

import time
from collections.abc import Callable

RENEW_S = 0.5
"""Interval at which the event loop renews its lease."""


def elapsed_s() -> float:
    """Return seconds of a clock that goes on while the process or the machine is suspended."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class Lease:
    """Once begun, lost for good when it was not renewed for `limit_s`; one event loop.

    Attributes:
        gap_s: after the loss, how long it had not been renewed.
    """

    def __init__(self, limit_s: float, clock: Callable[[], float] = elapsed_s) -> None:
        """Not begun; `limit_s` is less than what makes a worker count as dead."""
        self.gap_s = 0.0
        self._limit_s = limit_s
        self._clock = clock
        self._renewed_at_s: float | None = None

    def begin(self) -> None:
        """Partitions are assigned, which others may get from now on."""
        if self._renewed_at_s is None:
            self._renewed_at_s = self._clock()

    def is_held(self) -> bool:
        """Return whether the event loop has been running; ask directly before writing."""
        if not self.gap_s and self._renewed_at_s is not None:
            gap_s = self._clock() - self._renewed_at_s
            self.gap_s = gap_s if gap_s > self._limit_s else 0.0
        return not self.gap_s

    def renew(self) -> bool:
        """Renew the lease; return False if it is lost."""
        if self._renewed_at_s is not None and self.is_held():
            self._renewed_at_s = self._clock()
        return not self.gap_s
