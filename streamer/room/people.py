"""Who has agreed to what, who is in the room, who has left.

What enters: names, choices, tickets. What leaves: guests, or the reason for a refusal. A guest goes
(`waiting` →) `agreed` → `joined` → `left`, and media are taken in `joined` only. Pure, but for the
clock and the random numbers that it is given.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

import msgspec

from streamer.config import Config
from streamer.records import MODALITIES, NS_PER_S, Consent, Modality, Name, Sharing, wall_clock

TICKET_NS = 120 * NS_PER_S
"""Somebody who has agreed has so long to join; then the place is free again."""
Phase = Literal["waiting", "started", "ended"]
"""How far a session is."""
Recorded = Literal["nothing", "values", "media"]
"""What a room can record: the published values, or the windows with sound, words and faces too."""
LONGEST_NAME = 60
MOST_EVER = 500
"""Joins in one session, which its record lists all."""
MOST_CHANGES = 100
MOST_CHANGES_EVER = 3000
"""Changes of what one person, and all persons, share: the session's record lists them."""
SHARED: dict[Modality, str] = {"text": "words", "audio": "voice", "vision": "face"}
"""How the page calls what is shared."""


def _new_secret() -> str:
    return secrets.token_urlsafe(16)


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


def terms_of(config: Config, recorded: Recorded = "nothing") -> Terms:
    """Return the terms of a session with these settings; `session.consent` is the host's text.

    Args:
        config: the settings.
        recorded: what the room records while the host records.
    """
    persons = config.smoothing.publish == "participant"
    *most, last = [name for each, name in SHARED.items() if each in config.session.modalities]
    shared = f"{', '.join(most)} and {last}" if most else last
    result = "of each person" if persons else "of the meeting as a whole, and of no single person"
    text = config.session.consent.strip() or (
        f"The host of this session has a program estimate sentiment from {shared}. The estimates "
        f"are {result}. They can be wrong. The host, and programs of the host, receive them. "
        "You choose below what you share. At any time you can switch any of it off, or leave: from "
        "then on nothing of it is captured."
    )
    if recorded != "nothing":
        text = f"{text}\n{_what_is_recorded(shared, recorded)}"
    if config.room.watch == "everyone":
        text = f"{text}\n{_what_everybody_sees(config)}"
    return Terms(text, config.session.modalities, persons)


def _what_is_recorded(shared: str, recorded: Recorded) -> str:
    """The sentences that the terms add where the host may record."""
    more = f", and with them {shared}" if recorded == "media" else ""
    return (
        f"The session may be recorded: the estimates{more}. The host starts and stops that, and "
        "this page shows when it is so. You can have what is recorded of you deleted."
    )


def _what_everybody_sees(config: Config) -> str:
    """The sentence that the terms add where everybody in the room may see the live page."""
    words = " and the words" if "text" in config.session.modalities else ""
    shown = f"estimates{words} of each person"
    if config.smoothing.publish != "participant":
        shown = "estimates of the meeting"
    return f"Everybody in the room can open the live page, which shows the {shown}."


class State(StrEnum):
    """How far a guest is."""

    waiting = "waiting"
    agreed = "agreed"
    joined = "joined"
    left = "left"


@dataclass(eq=False)
class Guest:
    """A person who has agreed.

    Attributes:
        name: the participant's name; unique in the session.
        modalities: what the person agreed to share.
        given_at_ns: when the person agreed, Unix nanoseconds.
        ticket: the secret with which the person joins, comes back and leaves.
        key: names the person's media in addresses; no secret.
        shares: what is shared now.
        changes: when `shares` changed, Unix nanoseconds, and to what.
        seen_at_ns: when the person last asked for something before joining.
        withdrawn_at_ns: when the person left.
        watch_token: the secret with which the person opens the live page while they are in.
        removed: whether the host ended the stay.
        forget: whether the person wants what is recorded of them deleted.
    """

    name: str
    modalities: tuple[Modality, ...]
    given_at_ns: int
    ticket: str = field(repr=False)
    key: str
    state: State = State.agreed
    withdrawn_at_ns: int | None = None
    removed: bool = False
    forget: bool = False
    watch_token: str = field(default_factory=_new_secret, repr=False)
    seen_at_ns: int = field(init=False)
    shares: tuple[Modality, ...] = field(init=False)
    changes: list[tuple[int, tuple[Modality, ...]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Share what was agreed to."""
        self.shares, self.seen_at_ns = self.modalities, self.given_at_ns


class Guests:
    """Everybody who has agreed in a session; belongs to one event loop.

    Attributes:
        everybody: who is in, is about to join, or was in, by their coming.
    """

    def __init__(
        self,
        terms: Terms,
        most: int,
        now_ns: Callable[[], int] = time.time_ns,
        secret: Callable[[], str] = _new_secret,
        *,
        held: bool = False,
    ) -> None:
        """Start without anybody.

        Args:
            terms: what they agree to.
            most: how many may be in, or about to join, at a time.
            now_ns: the wall clock, Unix nanoseconds.
            secret: makes tickets and keys.
            held: whether who agrees waits until `admit`.
        """
        self.terms = terms
        self.everybody: list[Guest] = []
        self._held = held
        self._most = most
        self._now_ns = now_ns
        self._secret = secret
        self._present: list[Guest] = []
        self._names: set[str] = set()
        self._changes = 0

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
            _in_order(wanted),
            self._now_ns(),
            self._secret(),
            self._secret(),
            State.waiting if self._held else State.agreed,
        )
        self._names.add(guest.name.casefold())
        self._present.append(guest)
        self.everybody.append(guest)
        return guest

    def join(self, ticket: str) -> Guest:
        """Return the guest whose ticket it is, who is in from now on, or again.

        Raises:
            Refused: nobody has agreed with this ticket, or the host has not admitted the person.
        """
        self._expire()
        guest = self._of(ticket)
        if guest is None:
            raise Refused(401, "Agree on the page first; an agreement holds for two minutes.")
        if guest.state is State.waiting:
            raise Refused(403, "The host has not admitted you yet.")
        guest.state = State.joined
        return guest

    def look(self, ticket: str) -> Guest:
        """Return the guest whose ticket it is, also one who has left; keeps a wait alive.

        Raises:
            Refused: nobody has agreed with this ticket.
        """
        self._expire()
        guest = self._of(ticket, self.everybody)
        if guest is None:
            raise Refused(404, "Nobody is in the room with this ticket.")
        guest.seen_at_ns = self._now_ns()
        return guest

    def may_watch(self, token: str) -> bool:
        """Whether this is the token of the live page of somebody who is in."""
        given = token.encode("utf-8", "replace")
        inside = [guest for guest in self._present if guest.state is State.joined]
        return any([hmac.compare_digest(g.watch_token.encode(), given) for g in inside])

    def present(self, ticket: str, key: str) -> Guest:
        """Return the guest who is in with this key, if the ticket is theirs.

        Raises:
            Refused: it is not, or there is none.
        """
        guest = self._of(ticket)
        if guest is None or guest.key != key:
            raise Refused(404, "Nobody is in the room with this ticket.")
        return guest

    def with_key(self, key: str) -> Guest:
        """Return the guest of this key who is in, or about to join.

        Raises:
            Refused: there is none.
        """
        self._expire()
        for guest in self._present:
            if guest.key == key:
                return guest
        raise Refused(404, "Nobody of this key is in the room.")

    def share(self, guest: Guest, modalities: Iterable[str]) -> None:
        """Set what a guest shares from now on, of what they agreed to.

        Raises:
            Refused: it is more than that, or was given again too often. Less is always accepted.
        """
        wanted = set(modalities)
        if not wanted <= set(guest.modalities):
            allowed = ", ".join(SHARED[each] for each in guest.modalities)
            raise Refused(422, f"You agreed to share {allowed}; for more, leave and join again.")
        if wanted == set(guest.shares):
            return
        often = len(guest.changes) >= MOST_CHANGES or self._changes >= MOST_CHANGES_EVER
        if often and not wanted < set(guest.shares):
            raise Refused(429, "You changed this too often; leave and join again.")
        guest.shares = _in_order(wanted)
        guest.changes.append((self._now_ns(), guest.shares))
        self._changes += 1

    def admit(self, guest: Guest) -> None:
        """Let a waiting guest join."""
        if guest.state is State.waiting:
            guest.state, guest.seen_at_ns = State.agreed, self._now_ns()

    def leave(self, guest: Guest, *, removed: bool = False) -> None:
        """End a guest's presence and withdraw the agreement; a second time changes nothing."""
        if guest.state is not State.left:
            guest.state, guest.removed = State.left, removed
            guest.withdrawn_at_ns = self._now_ns()
            self._present.remove(guest)

    def _of(self, ticket: str, among: Sequence[Guest] | None = None) -> Guest | None:
        given = ticket.encode("utf-8", "replace")
        guests = self._present if among is None else among
        matches = [g for g in guests if hmac.compare_digest(g.ticket.encode(), given)]
        return matches[0] if matches else None

    def _expire(self) -> None:
        oldest_ns = self._now_ns() - TICKET_NS
        for guest in list(self._present):
            if guest.state is not State.joined and guest.seen_at_ns < oldest_ns:
                self.leave(guest)
                self._names.discard(guest.name.casefold())
                self.everybody.remove(guest)

    def _unique(self, name: str) -> str:
        number, unique = 1, name
        while unique.casefold() in self._names:
            number += 1
            unique = f"{name} {number}"
        return unique


def consent_of(guest: Guest, terms: Terms) -> Consent:
    """Return a guest's consent for the session's record."""
    withdrawn_ns = guest.withdrawn_at_ns
    return Consent(
        version=terms.version,
        given_at=wall_clock(guest.given_at_ns, 0),
        withdrawn_at=None if withdrawn_ns is None else wall_clock(withdrawn_ns, 0),
        modalities=guest.modalities,
        changes=tuple(Sharing(wall_clock(at_ns, 0), shares) for at_ns, shares in guest.changes),
    )


def _in_order(modalities: Iterable[str]) -> tuple[Modality, ...]:
    return tuple(each for each in MODALITIES if each in set(modalities))


def _checked(name: str) -> str:
    name = " ".join(name.split())
    try:
        msgspec.convert(name, Name)
    except msgspec.ValidationError:
        raise Refused(422, "Write a name, without '/' and control characters.") from None
    if len(name) > LONGEST_NAME or name == "*":
        raise Refused(422, f"Write a name of at most {LONGEST_NAME} characters.")
    return name
