"""The join link's token, until it expires."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable

from streamer.room.people import Refused

TOKEN_BYTES = 16


class JoinToken:
    """A secret that lets people in for some time.

    Attributes:
        text: the secret.
    """

    def __init__(
        self,
        valid_s: float,
        text: str | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start its time.

        Args:
            valid_s: how long it is valid.
            text: the secret; None: a random one.
            now_s: a clock.
        """
        self.text = text or secrets.token_urlsafe(TOKEN_BYTES)
        self._now_s = now_s
        self._until_s = now_s() + valid_s

    @property
    def valid(self) -> bool:
        """Whether its time is not over."""
        return self._now_s() < self._until_s

    def check(self, shown: str) -> None:
        """Raise Refused unless `shown` is the secret and its time is not over."""
        if not hmac.compare_digest(shown.encode("utf-8", "replace"), self.text.encode()):
            raise Refused(401, "This link is not complete; open the join link that you were sent.")
        if not self.valid:
            raise Refused(401, "This join link has expired; ask the host for a new session.")
