"""How fast a session's records come, compared with the session's own time."""

from __future__ import annotations

from collections import deque

SPEED_MS = 30_000
"""Time of publication over which the speed is taken."""
SHORTEST_MS = 10_000
"""Time of publication below which it is not told."""


class Speed:
    """Session time per time of publication, over the newest records; 1 is real time."""

    def __init__(self) -> None:
        """Without a record."""
        self._records: deque[tuple[int, int]] = deque()

    def add(self, timestamp_ms: int, end_ms: int) -> None:
        """Note that the session was at `end_ms` when a record was published at `timestamp_ms`.

        A record that was published before the newest one adds nothing.
        """
        if self._records and timestamp_ms < self._records[-1][0]:
            return
        self._records.append((timestamp_ms, end_ms))
        while timestamp_ms - self._records[0][0] > SPEED_MS:
            self._records.popleft()

    def value(self) -> float | None:
        """Return the speed; None while there is too little to tell."""
        if not self._records:
            return None
        (from_ms, before_ms), (to_ms, after_ms) = self._records[0], self._records[-1]
        if to_ms - from_ms < SHORTEST_MS:
            return None
        return (after_ms - before_ms) / (to_ms - from_ms)
