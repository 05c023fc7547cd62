"""Records: identities, class edges, refusal of what does not fit."""

from statistics import fmean, pstdev

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer import records
from streamer.records import FaceCrop, Session, Window, Word
from streamer.valence import class_index, is_divided, polarity_of
from tests.made_records import session, window


def test_a_session_record_of_before_has_no_name() -> None:
    plain = msgspec.to_builtins(session())
    del plain["name"]
    assert msgspec.convert(plain, Session).name is None


def test_window_id_is_deterministic() -> None:
    assert window(3).window_id == "standup/ana/3"


@pytest.mark.parametrize(
    ("valence", "index"),
    [
        (-3, 0),
        (-2.51, 0),
        (-2.5, 1),
        (-1.5, 2),
        (-0.5, 3),
        (0, 3),
        (0.5, 4),
        (1.5, 5),
        (2.5, 6),
        (3, 6),
    ],
)
def test_class_edges_are_half_open(valence: float, index: int) -> None:
    assert class_index(valence) == index


@given(st.floats(-3, 3))
def test_polarity_agrees_with_classes(valence: float) -> None:
    expected = {0: "negative", 1: "negative", 2: "negative", 3: "neutral"}
    assert polarity_of(valence) == expected.get(class_index(valence), "positive")


@pytest.mark.parametrize(
    ("people", "divided"),
    [
        ((1.99, -2.14), True),
        ((2.5, 0.4), False),  # nobody is negative
        ((0.6, -0.6), False),  # not far apart
        ((1.0,) * 7 + (-2.0,) * 3, True),
        ((1.0,) * 9 + (-2.0,), False),  # one against all
    ],
)
def test_a_meeting_is_divided_where_its_people_are_of_opposite_mood(
    people: tuple[float, ...], divided: bool
) -> None:
    assert is_divided(fmean(people), pstdev(people)) == divided


def test_without_a_spread_nothing_is_divided() -> None:
    assert not is_divided(0.0, None)
    assert not is_divided(None, None)


@pytest.mark.parametrize("name", ["", "a/b", "a\nb", "x" * 201])
def test_names_that_would_break_a_key_are_refused(name: str) -> None:
    raw = msgspec.msgpack.encode(window(session_id=name))
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(raw, type=Window)


@given(
    st.lists(st.text(min_size=1, max_size=8), max_size=5),
    st.binary(max_size=64),
    st.booleans(),
)
def test_windows_survive_msgpack(texts: list[str], jpeg: bytes, final: bool) -> None:
    words = tuple(Word(text, i, i + 1, 0.5) for i, text in enumerate(texts))
    before = window(words=words, faces=(FaceCrop(7, jpeg),), audio=jpeg, final=final)
    after = msgspec.msgpack.decode(msgspec.msgpack.encode(before), type=Window)
    assert after == before
    assert after.text == " ".join(texts)


def test_wall_clock_is_utc() -> None:
    assert records.wall_clock(0, 1_500_000_000).isoformat() == "1970-01-01T00:00:01.500000+00:00"
