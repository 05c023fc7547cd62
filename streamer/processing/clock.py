"""The times that a stage reads and its waits, in one place, so that a test can give its own."""

from __future__ import annotations

import asyncio
import time


class Clock:
    """The machine's clocks."""

    def monotonic_s(self) -> float:
        """Return seconds that only grow, from an arbitrary start."""
        return time.monotonic()

    def wall_ms(self) -> float:
        """Return the wall clock, Unix milliseconds."""
        return time.time() * 1000

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
