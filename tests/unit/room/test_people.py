"""Who may join a room, with which agreement, and how often."""

from __future__ import annotations

import itertools

import pytest

from streamer.config import load
from streamer.records import NS_PER_S, wall_clock
from streamer.room.people import (
    LONGEST_NAME,
    MOST_CHANGES,
    MOST_EVER,
    TICKET_NS,
    Guest,
    Guests,
    Refused,
    State,
    Terms,
    consent_of,
    terms_of,
)

TERMS = Terms("We listen.", ("audio", "text"), persons=True)


class Room:
    """Guests with a clock that the test sets, and tickets `secret 0`, `secret 1`, …"""

    def __init__(self, most: int = 3, terms: Terms = TERMS, *, held: bool = False) -> None:
        self.now_ns = 1_000 * NS_PER_S
        numbers = itertools.count()
        self.guests = Guests(
            terms, most, lambda: self.now_ns, lambda: f"secret {next(numbers)}", held=held
        )

    def agree(self, name: str = "Ana", *modalities: str) -> Guest:
        return self.guests.agree(name, modalities or ("text",), TERMS.version)


def test_a_guest_agrees_then_joins_then_leaves() -> None:
    room = Room()
    guest = room.agree("Ana", "text", "audio")
    assert (guest.state, guest.modalities) == (State.agreed, ("audio", "text"))
    assert guest.given_at_ns == room.now_ns
    assert room.guests.join(guest.ticket) is guest
    assert str(guest.state) == "joined"
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


def test_a_ticket_joins_again_and_no_more_after_leaving() -> None:
    room = Room()
    guest = room.agree()
    room.guests.join(guest.ticket)
    assert room.guests.join(guest.ticket) is guest
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


def test_sharing_less_and_again_is_noted_with_its_times() -> None:
    room = Room()
    guest = room.agree("Ana", "text", "audio")
    given_ns = room.now_ns
    for shares in (("audio",), (), ("text", "audio")):
        room.now_ns += NS_PER_S
        room.guests.share(guest, shares)
    room.guests.share(guest, ("text", "audio"))  # no change
    assert guest.shares == ("audio", "text")
    consent = consent_of(guest, TERMS)
    assert consent.modalities == ("audio", "text")
    assert consent.withdrawn_at is None
    assert [(change.at, change.modalities) for change in consent.changes] == [
        (wall_clock(given_ns, 1 * NS_PER_S), ("audio",)),
        (wall_clock(given_ns, 2 * NS_PER_S), ()),
        (wall_clock(given_ns, 3 * NS_PER_S), ("audio", "text")),
    ]


@pytest.mark.parametrize("shares", [("audio",), ("text", "vision"), ("smell",)])
def test_nobody_shares_later_what_they_did_not_agree_to(shares: tuple[str, ...]) -> None:
    room = Room()
    guest = room.agree("Ana", "text")
    with pytest.raises(Refused, match="agreed to share words; for more, leave"):
        room.guests.share(guest, shares)
    assert guest.shares == ("text",)


def test_a_withdrawal_is_accepted_however_often_something_was_changed() -> None:
    room = Room()
    guest = room.agree("Ana", "text")
    for number in range(MOST_CHANGES):
        room.guests.share(guest, ("text",) if number % 2 else ())
    assert len(guest.changes) == MOST_CHANGES
    room.guests.share(guest, ())
    with pytest.raises(Refused, match="too often") as refused:
        room.guests.share(guest, ("text",))
    assert refused.value.status == 429
    assert not guest.shares


def test_who_waits_joins_when_the_host_has_admitted_them() -> None:
    room = Room(held=True)
    guest = room.agree()
    assert str(guest.state) == "waiting"
    with pytest.raises(Refused, match="not admitted you yet") as refused:
        room.guests.join(guest.ticket)
    assert refused.value.status == 403
    room.guests.admit(room.guests.with_key(guest.key))
    assert room.guests.join(guest.ticket) is guest
    room.guests.admit(guest)
    assert str(guest.state) == "joined"


def test_a_place_is_kept_while_its_person_asks_and_not_longer() -> None:
    room = Room(held=True)
    guest = room.agree()
    for _ in range(5):
        room.now_ns += TICKET_NS
        assert room.guests.look(guest.ticket) is guest
    room.now_ns += TICKET_NS + 1
    with pytest.raises(Refused, match="Nobody"):
        room.guests.look(guest.ticket)
    assert room.guests.everybody == []


def test_who_was_removed_reads_so_and_stays_out() -> None:
    room = Room()
    guest = room.agree()
    room.guests.join(guest.ticket)
    room.guests.leave(room.guests.with_key(guest.key), removed=True)
    assert room.guests.look(guest.ticket).removed
    with pytest.raises(Refused, match="Agree"):
        room.guests.join(guest.ticket)
    with pytest.raises(Refused, match="Nobody of this key"):
        room.guests.with_key(guest.key)


def test_the_terms_state_what_the_host_may_record_below_a_text_of_the_hosts_own() -> None:
    assert "recorded" not in terms_of(load()).statement
    values = terms_of(load(), "values").statement
    assert "The session may be recorded: the estimates. The host starts and stops that" in values
    words = load(None, ['session.modalities=["text"]', 'session.consent="We listen."'])
    own, said = terms_of(words, "media").statement.split("\n")
    assert own == "We listen."
    assert said.startswith("The session may be recorded: the estimates, and with them words.")
    assert "You can have what is recorded of you deleted." in said
