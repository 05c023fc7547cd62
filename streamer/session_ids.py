"""Identity of a session: a name for people, and an id for keys, window ids and recordings.

    id    name "-" start "-" random      standup-20261126T145400Z-3f9a

`start` is the UTC second in which the id was made, `random` four hexadecimal digits. Both have a
fixed length and are last, so that every id is parsed in one way, whatever its name contains. An id
of another form, which `--session-id` or an older version chose, is its own name.

A *selector* is what a person types to find a session: an id; a name, which means the newest session
of that name; or `=` and an id of any form, exactly. Pure functions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

_START_FORMAT = "%Y%m%dT%H%M%SZ"
_ID = re.compile(r"(?P<name>.+)-(?P<start>\d{8}T\d{6}Z)-[0-9a-f]{4}", re.DOTALL | re.ASCII)
EXACTLY = "="
LONGEST_NAME = 200 - len("-20261126T145400Z-3f9a")
"""Characters of the longest name: an id has at most 200."""


def make_id(name: str, start: datetime, random: int) -> str:
    """Return the id of a session.

    Args:
        name: for people; 1 to LONGEST_NAME characters.
        start: when the session is begun, with its zone.
        random: tells sessions apart that begin in the same second; its lowest 16 bits count.
    """
    return f"{name}-{start.astimezone(UTC):{_START_FORMAT}}-{random & 0xFFFF:04x}"


def name_of(session_id: str) -> str:
    """Return the name in an id; the id itself if it has another form."""
    parts = _parse(session_id)
    return session_id if parts is None else parts[0]


def start_of(session_id: str) -> datetime | None:
    """Return the time in an id, UTC; None if it has another form."""
    parts = _parse(session_id)
    return None if parts is None else parts[1]


def is_selected(session_id: str, selector: str) -> bool:
    """Return whether a selector means this session, or a session of the same name."""
    if selector.startswith(EXACTLY):
        return session_id == selector.removeprefix(EXACTLY)
    return session_id == selector or (
        start_of(selector) is None and name_of(session_id) == selector
    )


def newest(selector: str, session_ids: Iterable[str]) -> str | None:
    """Return the id of the newest session that a selector means; None if there is none.

    The time in the id counts, because two replays of a recording start at the same session time. A
    session whose id has another form is older than the others.
    """
    selected = (session_id for session_id in session_ids if is_selected(session_id, selector))
    return max(selected, key=_age, default=None)


class NewestSession:
    """Follows the newest session that a selector means, as ids arrive."""

    def __init__(self, selector: str) -> None:
        """No session is known yet."""
        self._selector = selector
        self._newest: str | None = None

    def follows(self, session_id: str) -> bool:
        """Return whether this is the session, as far as the ids seen tell."""
        if not is_selected(session_id, self._selector):
            return False
        if self._newest is None or _age(session_id) > _age(self._newest):
            self._newest = session_id
        return session_id == self._newest


def _age(session_id: str) -> tuple[datetime, str]:
    """A key that sorts sessions from the oldest to the newest."""
    return (start_of(session_id) or datetime.min.replace(tzinfo=UTC), session_id)


def _parse(session_id: str) -> tuple[str, datetime] | None:
    match = _ID.fullmatch(session_id)
    if match is None:
        return None
    try:
        start = datetime.strptime(match["start"], _START_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None
    return match["name"], start
