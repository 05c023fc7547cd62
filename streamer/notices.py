"""What a user should know of this process's work: each notice is given once.

What enters: sentences, from any thread. What leaves: the same ones, to the log (and so to the
terminal) at once, and to the live page that this process serves. Knows no stage.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence

from streamer.plain_text import without_secrets

log = logging.getLogger(__name__)

MAX_NOTICES = 50
"""The newest are kept for the page."""


class Notices:
    """The notices of one process: PROCESS; a test makes its own."""

    def __init__(self) -> None:
        """Start without any."""
        self._once: set[str] = set()
        self._newest: deque[str] = deque(maxlen=MAX_NOTICES)

    def give(self, text: str, *, once: bool = False) -> bool:
        """Log a notice and keep it for the page; with `once` only if it was not given before.

        Secrets of addresses in it are removed.

        Returns:
            Whether it was given.
        """
        text = without_secrets(text)
        if once and text in self._once:
            return False
        if once:
            self._once.add(text)
        log.warning("%s", text)
        if text in self._newest:
            self._newest.remove(text)
        self._newest.append(text)
        return True

    def newest(self) -> Sequence[str]:
        """Return the newest MAX_NOTICES notices, each once, in order."""
        return list(self._newest)


PROCESS = Notices()
