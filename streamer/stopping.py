"""The request to end a command, and what the end still waits for.

What enters: a signal. What leaves: an event for whatever works, and a phrase for the terminal.
Knows neither signals nor stages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Stop(asyncio.Event):
    """Set when a user asks for an end.

    Attributes:
        waits_for: returns what the end waits for now, as "3 windows to be scored"; empty while
            nothing is known.
    """

    def __init__(self) -> None:
        """Create it unset; belongs to one event loop."""
        super().__init__()
        self.waits_for: Callable[[], str] = str

    def wait_for(self, what: str) -> None:
        """Set the phrase that `waits_for` returns from now on."""
        self.waits_for = lambda: what
