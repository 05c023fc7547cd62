"""Who has agreed to what, who is in the room, who has left.

What enters: names, choices, tickets. What leaves: guests, or the reason for a refusal. A guest goes
`agreed` → `joined` → `left`, and media are taken in `joined` only. Pure, but for the clock and the
random numbers that it is given.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from streamer.config import Config
from streamer.records import MODALITIES, NS_PER_S, Modality, Name

TICKET_NS = 120 * NS_PER_S
"""Somebody who has agreed has so long to join; then the place is free again."""
LONGEST_NAME = 60
MOST_EVER = 500
"""Joins in one session, which its record lists all."""
SHARED: dict[Modality, str] = {"text": "words", "audio": "voice", "vision": "face"}
"""How the page calls what is shared."""


class Refused(Exception):
    """A request that the room does not grant; the message is for the person who made it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Terms:
    """What people who join agree to.

    Attributes:
        statement: the text that the page shows.
        modalities: what the session may use.
        persons: whether records of single persons are published.
    """

    statement: str
    modalities: tuple[Modality, ...]
    persons: bool

    @property
    def version(self) -> str:
        """Identifies the text: the first 12 hexadecimal digits of its SHA-256."""
        return hashlib.sha256(self.statement.encode()).hexdigest()[:12]


def terms_of(config: Config) -> Terms:
    """Return the terms of a session with these settings; `session.consent` is the host's text."""
    persons = config.smoothing.publish == "participant"
    *most, last = [name for each, name in SHARED.items() if each in config.session.modalities]
    shared = f"{', '.join(most)} and {last}" if most else last
    result = "of each person" if persons else "of the meeting as a whole, and of no single person"
    text = config.session.consent.strip() or (
        f"The host of this session has a program estimate sentiment from {shared}. The estimates "
        f"are {result}. They can be wrong. The host, and programs of the host, receive them. "
        "You choose below what you share, and you can leave at any time: from then on nothing of "
        "you is captured."
    )
    return Terms(text, config.session.modalities, persons)


class State(StrEnum):
    """How far a guest is."""

    agreed = "agreed"
    joined = "joined"
    left = "left"


@dataclass(eq=False)
class Guest:
    """A person who has agreed.

    Attributes:
        name: the participant's name; unique in the session.
        modalities: what is shared.
        given_at_ns: when the person agreed, Unix nanoseconds.
        ticket: the secret with which the person joins and leaves.
        key: names the person's media in addresses; no secret.
        withdrawn_at_ns: when the person left.
    """

    name: str
    modalities: tuple[Modality, ...]
    given_at_ns: int
    ticket: str = field(repr=False)
    key: str
    state: State = State.agreed
    withdrawn_at_ns: int | None = None


class Guests:
    """Everybody who has agreed in a session; belongs to one event loop."""

    def __init__(
        self,
        terms: Terms,
        most: int,
        now_ns: Callable[[], int] = time.time_ns,
        secret: Callable[[], str] = lambda: secrets.token_urlsafe(16),
    ) -> None:
        """Start without anybody.

        Args:
            terms: what they agree to.
            most: how many may be in, or about to join, at a time.
            now_ns: the wall clock, Unix nanoseconds.
            secret: makes tickets and keys.
        """
        self.terms = terms
        self._most = most
        self._now_ns = now_ns
        self._secret = secret
        self._present: list[Guest] = []
        self._names: set[str] = set()

    def agree(self, name: str, modalities: Iterable[str], version: str) -> Guest:
        """Take a person's agreement to the terms and return the guest.

        A name that was used in the session gets a number.

        Raises:
            Refused: the name cannot be one, nothing or too much is shared, the terms are others,
                or the room is full.
        """
        if not hmac.compare_digest(version.encode("utf-8", "replace"), self.terms.version.encode()):
            raise Refused(409, "The terms have changed; load the page again.")
        name = _checked(name)
        wanted = set(modalities)
        if not wanted or not wanted <= set(self.terms.modalities):
            allowed = ", ".join(SHARED[each] for each in self.terms.modalities)
            raise Refused(422, f"Share at least one of: {allowed}.")
        self._expire()
        if len(self._present) >= self._most:
            raise Refused(503, f"The room is full: it has {self._most} places.")
        if len(self._names) >= MOST_EVER:
            raise Refused(503, f"Nobody else can join: the session had {MOST_EVER} joins.")
        guest = Guest(
            self._unique(name),
            tuple(each for each in MODALITIES if each in wanted),
            self._now_ns(),
            self._secret(),
            self._secret(),
        )
        self._names.add(guest.name.casefold())
        self._present.append(guest)
        return guest

    def join(self, ticket: str) -> Guest:
        """Return the guest whose ticket it is, who is in from now on; each ticket joins once.

        Raises:
            Refused: nobody has agreed with this ticket, or the person has joined already.
        """
        self._expire()
        guest = self._of(ticket)
        if guest is None:
            raise Refused(401, "Agree on the page first; an agreement holds for two minutes.")
        if guest.state is not State.agreed:
            raise Refused(409, "This agreement was used already; join again on the page.")
        guest.state = State.joined
        return guest

    def present(self, ticket: str, key: str) -> Guest:
        """Return the guest who is in with this key, if the ticket is theirs.

        Raises:
            Refused: it is not, or there is none.
        """
        guest = self._of(ticket)
        if guest is None or guest.key != key:
            raise Refused(404, "Nobody is in the room with this ticket.")
        return guest

    def leave(self, guest: Guest) -> None:
        """End a guest's presence and withdraw the agreement; a second time changes nothing."""
        if guest.state is not State.left:
            guest.state = State.left
            guest.withdrawn_at_ns = self._now_ns()
            self._present.remove(guest)

    def _of(self, ticket: str) -> Guest | None:
        given = ticket.encode("utf-8", "replace")
        matches = [g for g in self._present if hmac.compare_digest(g.ticket.encode(), given)]
        return matches[0] if matches else None

    def _expire(self) -> None:
        oldest_ns = self._now_ns() - TICKET_NS
        for guest in list(self._present):
            if guest.state is State.agreed and guest.given_at_ns < oldest_ns:
                self.leave(guest)
                self._names.discard(guest.name.casefold())

    def _unique(self, name: str) -> str:
        number, unique = 1, name
        while unique.casefold() in self._names:
            number += 1
            unique = f"{name} {number}"
        return unique


def _checked(name: str) -> str:
    name = " ".join(name.split())
    try:
        msgspec.convert(name, Name)
    except msgspec.ValidationError:
        raise Refused(422, "Write a name, without '/' and control characters.") from None
    if len(name) > LONGEST_NAME or name == "*":
        raise Refused(422, f"Write a name of at most {LONGEST_NAME} characters.")
    return name
