"""Who may join a room, with which agreement, and how often."""

from __future__ import annotations

import itertools

import pytest

from streamer.config import load
from streamer.records import NS_PER_S
from streamer.room.people import (
    LONGEST_NAME,
    MOST_EVER,
    TICKET_NS,
    Guest,
    Guests,
    Refused,
    State,
    Terms,
    terms_of,
)

TERMS = Terms("We listen.", ("audio", "text"), persons=True)


class Room:
    """Guests with a clock that the test sets, and tickets `secret 0`, `secret 1`, …"""

    def __init__(self, most: int = 3, terms: Terms = TERMS) -> None:
        self.now_ns = 1_000 * NS_PER_S
        numbers = itertools.count()
        self.guests = Guests(terms, most, lambda: self.now_ns, lambda: f"secret {next(numbers)}")

    def agree(self, name: str = "Ana", *modalities: str) -> Guest:
        return self.guests.agree(name, modalities or ("text",), TERMS.version)


def test_a_guest_agrees_then_joins_then_leaves() -> None:
    room = Room()
    guest = room.agree("Ana", "text", "audio")
    assert (guest.state, guest.modalities) == (State.agreed, ("audio", "text"))
    assert guest.given_at_ns == room.now_ns
    assert room.guests.join(guest.ticket) is guest
    assert guest.state is State.joined
    assert room.guests.present(guest.ticket, guest.key) is guest
    room.now_ns += NS_PER_S
    room.guests.leave(guest)
    assert (guest.state, guest.withdrawn_at_ns) == (State.left, room.now_ns)


@pytest.mark.parametrize("ticket", ["", "secret", "secret 9", "sécret 0", "secret 0 "])
def test_nobody_joins_without_an_agreement(ticket: str) -> None:
    room = Room()
    room.agree()
    with pytest.raises(Refused, match="Agree on the page first") as refused:
        room.guests.join(ticket)
    assert refused.value.status == 401


def test_a_ticket_joins_once_and_no_more_after_leaving() -> None:
    room = Room()
    guest = room.agree()
    room.guests.join(guest.ticket)
    with pytest.raises(Refused, match="used already"):
        room.guests.join(guest.ticket)
    room.guests.leave(guest)
    with pytest.raises(Refused, match="Agree"):
        room.guests.join(guest.ticket)


def test_an_agreement_holds_for_two_minutes_and_then_frees_its_place_and_name() -> None:
    room = Room(most=1)
    late = room.agree()
    room.now_ns += TICKET_NS + 1
    with pytest.raises(Refused, match="two minutes"):
        room.guests.join(late.ticket)
    assert room.agree().name == "Ana"


def test_a_full_room_takes_nobody_until_somebody_leaves() -> None:
    room = Room(most=1)
    guest = room.agree()
    room.guests.join(guest.ticket)
    with pytest.raises(Refused, match="has 1 places") as refused:
        room.agree("Bo")
    assert refused.value.status == 503
    room.guests.leave(guest)
    assert room.agree("Bo").name == "Bo"


def test_a_session_has_a_bounded_number_of_joins() -> None:
    room = Room()
    for number in range(MOST_EVER):
        room.guests.leave(room.agree(f"guest {number}"))
    with pytest.raises(Refused, match="Nobody else"):
        room.agree("one more")


def test_a_name_is_used_once_in_a_session() -> None:
    room = Room()
    room.guests.leave(room.agree("Ana"))
    assert room.agree(" ana ").name == "ana 2"
    assert room.agree("Ana").name == "Ana 3"


@pytest.mark.parametrize("name", ["", "  ", "a/b", "a\x00b", "*", "a" * (LONGEST_NAME + 1)])
def test_a_name_that_cannot_be_one_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="Write a name") as refused:
        Room().agree(name)
    assert refused.value.status == 422


@pytest.mark.parametrize("shares", [(), ("vision",), ("text", "vision"), ("smell",)])
def test_nobody_shares_nothing_or_more_than_the_session_may_use(shares: tuple[str, ...]) -> None:
    with pytest.raises(Refused, match="Share at least one of: voice, words"):
        Room().guests.agree("Ana", shares, TERMS.version)


def test_other_terms_are_not_agreed_to() -> None:
    other = Terms("We listen and record.", TERMS.modalities, persons=True)
    assert other.version != TERMS.version
    with pytest.raises(Refused, match="load the page again"):
        Room().guests.agree("Ana", ("text",), other.version)


def test_a_ticket_is_not_shown_in_a_log() -> None:
    guest = Room().agree()
    assert guest.ticket not in repr(guest)


def test_only_the_guests_own_ticket_ends_a_stay() -> None:
    room = Room()
    ana, bo = room.agree("Ana"), room.agree("Bo")
    with pytest.raises(Refused, match="Nobody"):
        room.guests.present(bo.ticket, ana.key)


def test_the_terms_name_what_the_session_uses_and_of_whom() -> None:
    words = load(None, ['session.modalities=["text"]'])
    assert "from words." in terms_of(words).statement
    assert "from words, voice and face." in terms_of(load(None, [])).statement
    meeting = load(None, ['smoothing.publish="session"', "smoothing.session_min_participants=2"])
    assert "of no single person" in terms_of(meeting).statement
    own = load(None, ['session.consent="The team agreed on Monday."'])
    assert terms_of(own).statement == "The team agreed on Monday."
