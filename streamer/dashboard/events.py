"""Server-sent events: the position of a client in a session's records, and the wire format."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from streamer.dashboard.feed import SessionLog, join

log = logging.getLogger(__name__)

RECORDS_PER_MESSAGE = 1_000


class Cursor:
    """One client's place in a session's log."""

    def __init__(self, place: str | None) -> None:
        """Begin after `place`, or at the beginning."""
        self._place = place
        self._log: SessionLog | None = None
        self._number = 0
        self._caught_up = False

    def take(self, session: SessionLog) -> list[bytes]:
        """The next messages: `reset` where something is missing, records, `live` when all is out.

        `reset` says: forget what you have, everything that is left follows.
        """
        messages = []
        if session is not self._log:
            place = self._place if self._log is None else self._log.place(self._number)
            self._log = session
            self._number, complete = session.resume(place)
            if not complete:
                messages.append(message("reset", b"{}"))
        following, bodies = session.read(self._number, RECORDS_PER_MESSAGE)
        if bodies:
            if following - len(bodies) != self._number:
                messages.append(message("reset", b"{}"))
            self._number = following
            messages.append(message("records", join(bodies), session.place(following - 1)))
        if not self._caught_up and not self.behind(session):
            self._caught_up = True
            messages.append(message("live", b"{}"))
        return messages

    def behind(self, session: SessionLog) -> bool:
        """Whether there is more to take."""
        return bool(session.read(self._number, 1)[1])


def message(event: str, data: bytes, place: str | None = None) -> bytes:
    """One server-sent event; `data` is one line."""
    head = f"event: {event}\n" + (f"id: {place}\n" if place else "")
    return head.encode() + b"data: " + data + b"\n\n"


def is_complete(past: Mapping[str, Any], running: SessionLog) -> bool:
    """Whether a recording holds all of the session that is on the topics, and it is over."""
    same = past["started_ms"] == running.started_ms
    return bool(running.ended and past["complete"] and same)
