"""Ids of sessions: made, parsed back, and found by what a person types."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.session_ids import NewestSession, is_selected, make_id, name_of, newest, start_of

START = datetime(2026, 11, 26, 14, 54, tzinfo=UTC)
MONDAY = make_id("standup", START, 1)
TUESDAY = make_id("standup", START + timedelta(days=1), 0)
RETRO = make_id("retro", START, 2)


def test_an_id_names_session_start_and_random_part() -> None:
    cet = timezone(timedelta(hours=1))
    session_id = make_id("standup", datetime(2026, 11, 26, 15, 54, tzinfo=cet), 0x3F9A)
    assert session_id == "standup-20261126T145400Z-3f9a"


@given(
    st.text(min_size=1),
    st.integers(0, 100_000_000_000),
    st.integers(0, 2**16 - 1),
)
def test_every_id_is_parsed_back(name: str, unix_s: int, random: int) -> None:
    start = datetime.fromtimestamp(unix_s, UTC)
    session_id = make_id(name, start, random)
    assert name_of(session_id) == name
    assert start_of(session_id) == start


@pytest.mark.parametrize(
    "session_id",
    [
        "standup",
        "standup-again",
        "standup-20261126T145400Z",
        "standup-20261126T145400Z-3F9A",
        "standup-20261326T145400Z-3f9a",
        "standup-20261126T145400Z-3f9a-again",
        "-20261126T145400Z-3f9a",
    ],
)
def test_an_id_of_another_form_is_its_own_name(session_id: str) -> None:
    assert name_of(session_id) == session_id
    assert start_of(session_id) is None


def test_a_name_means_the_newest_session_of_it() -> None:
    sessions = [TUESDAY, MONDAY, RETRO]
    assert newest("standup", sessions) == TUESDAY
    assert newest("retro", sessions) == RETRO
    assert newest("stand", sessions) is None


def test_an_id_means_its_session_alone() -> None:
    again = make_id(MONDAY, START, 3)  # a session that was given an id as its name
    sessions = [TUESDAY, MONDAY, again]
    assert newest(MONDAY, sessions) == MONDAY
    assert newest(again, sessions) == again
    assert not is_selected(TUESDAY, MONDAY)


def test_an_id_without_a_start_is_found_by_name_or_exactly() -> None:
    assert newest("standup", ["standup"]) == "standup"
    assert newest("standup", ["standup", MONDAY]) == MONDAY
    assert newest("=standup", ["standup", MONDAY]) == "standup"
    assert newest("=" + MONDAY, ["standup", MONDAY]) == MONDAY


def test_following_a_name_goes_on_to_a_newer_session_and_never_back() -> None:
    followed = NewestSession("standup")
    arriving = ["standup", MONDAY, RETRO, "standup", MONDAY, TUESDAY, MONDAY, TUESDAY]
    expected = [True, True, False, False, True, True, False, True]
    assert [followed.follows(session_id) for session_id in arriving] == expected
