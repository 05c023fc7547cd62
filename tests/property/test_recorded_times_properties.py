"""Whatever the host does, nothing of a time without recording is stored, and all of the others."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from streamer.recorded_times import Times, combined, gaps, is_recording, started, stopped, stored
from streamer.records import NS_PER_MS, RecordedTime, Sentiment, Spoken, SpokenWord
from streamer.spans import Span, complement, without
from tests.made_records import sentiment, window

END_MS = 100_000
PRESSES = st.lists(st.integers(0, END_MS), max_size=12).map(sorted)
WINDOW = window(context="")


def pressed(presses: list[int]) -> list[Times]:
    """The times after each press of the one button, which starts or stops; none at first."""
    states: list[Times] = [()]
    for at_ms in presses:
        times = states[-1]
        states.append(stopped(times, at_ms) if is_recording(times) else started(times, at_ms))
    return states


@given(PRESSES, st.integers(0, END_MS), st.integers(1, 10_000))
def test_a_window_is_stored_exactly_if_no_part_of_it_is_unrecorded(
    presses: list[int], start_ms: int, length_ms: int
) -> None:
    *_, times = pressed(presses)
    end_ms = start_ms + length_ms
    kept = stored(
        times,
        msgspec.structs.replace(
            WINDOW, start_ns=start_ms * NS_PER_MS, end_ns=end_ms * NS_PER_MS, faces=()
        ),
    )
    outside = complement(spans_of(times, 2 * END_MS), 0, 2 * END_MS)
    touches = any(low < end_ms and start_ms < high for low, high in outside)
    apart = [time for time in times if time.end_ms is not None and start_ms < time.end_ms < end_ms]
    assert (kept is not None) == (not touches and not apart)


@given(PRESSES)
def test_up_to_the_last_recorded_time_each_moment_is_recorded_or_in_a_gap(
    presses: list[int],
) -> None:
    *_, times = pressed(presses)
    recorded, others = spans_of(times, END_MS), gaps(times, END_MS)
    end_ms = recorded[-1][1] if recorded else 0
    assert complement([*recorded, *others], 0, end_ms) == []
    assert without(others, recorded) == others
    assert all(high <= end_ms for _, high in others)


SPOKEN = st.lists(st.tuples(st.integers(0, END_MS), st.integers(0, 3_000)), max_size=10)


@given(PRESSES, SPOKEN, st.integers(0, END_MS))
def test_each_word_of_a_recorded_time_is_stored_and_no_other(
    presses: list[int], spoken: list[tuple[int, int]], start_ms: int
) -> None:
    *_, times = pressed(presses)
    words = tuple(SpokenWord("word", at_ms, at_ms + length_ms) for at_ms, length_ms in spoken)
    record = sentiment(0, start_ms=start_ms, end_ms=start_ms + 5_000, spoken=Spoken((), words))
    kept = stored(times, record)
    said = kept.spoken.words if isinstance(kept, Sentiment) and kept.spoken else ()
    recorded = spans_of(times, 2 * END_MS)
    assert said == tuple(
        word
        for word in words
        if any(low <= word.start_ms and word.end_ms <= high for low, high in recorded)
    )


def spans_of(times: Times, end_ms: int) -> list[Span]:
    return [(time.begin_ms, end_ms if time.end_ms is None else time.end_ms) for time in times]


@given(PRESSES, st.randoms(use_true_random=False))
def test_records_of_any_order_tell_the_newest_times(presses: list[int], random: object) -> None:
    states = pressed(presses)
    shuffled = list(states)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    told: Times | None = None
    for times in (*shuffled, *states[:1]):
        told = combined(told, times)
    assert told == states[-1]


@given(PRESSES)
def test_times_are_in_order_and_only_the_last_may_go_on(presses: list[int]) -> None:
    *_, times = pressed(presses)
    begins = [time.begin_ms for time in times]
    assert begins == sorted(set(begins))
    assert all(time.end_ms is not None for time in times[:-1])
    assert all(isinstance(time, RecordedTime) for time in times)
