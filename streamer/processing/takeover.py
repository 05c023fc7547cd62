"""Whether taking over partitions has come to a standstill.

After a rebalance Faust reads the changelogs of its partitions before it goes on. Now and then it
waits there for something that has already happened, while its membership stays alive: nobody
smooths these partitions then. The stage starts over instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

LOOK_S = 1.0
PATIENCE_S = 45.0
"""More than `broker_rebalance_timeout`: for so long the group may wait for its other members."""


class Takeover:
    """Watches how far taking over is; one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is being taken over yet."""
        self._clock = clock
        self._place: Any = None
        self._moved_at_s = clock()

    def stands_still(self, place: Any) -> bool:
        """Return whether `place` has been the same for PATIENCE_S.

        Args:
            place: how far taking over is, in values that can be compared; None outside of one.
        """
        if place is None or place != self._place:
            self._place, self._moved_at_s = place, self._clock()
        return self._clock() - self._moved_at_s >= PATIENCE_S
