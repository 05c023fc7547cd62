"""Which times of a session are recorded, and what of a record lies in them."""

from __future__ import annotations

import msgspec
import pytest

from streamer.recorded_times import (
    Recordable,
    Times,
    combined,
    gaps,
    in_words,
    is_recording,
    is_whole,
    started,
    stopped,
    stored,
)
from streamer.records import (
    NS_PER_MS,
    Presence,
    RecordedTime,
    Sentiment,
    SpeechSpan,
    Spoken,
    SpokenWord,
)
from tests.made_records import alert, sentiment, session, session_sentiment, window

#                    0    10 s          20 s                30 s
#                    ├────█████████████████──────────────────███ …
TIMES = (RecordedTime(10_000, 20_000), RecordedTime(30_000))


def spans(record: Recordable, start_ms: int, end_ms: int) -> Recordable:
    """The record over another span of time."""
    if hasattr(record, "start_ns"):
        times = {"start_ns": start_ms * NS_PER_MS, "end_ns": end_ms * NS_PER_MS}
        return msgspec.structs.replace(record, **times)
    if hasattr(record, "start_ms"):
        return msgspec.structs.replace(record, start_ms=start_ms, end_ms=end_ms)
    return msgspec.structs.replace(record, end_ms=end_ms)


@pytest.mark.parametrize("record", [window(), sentiment(), session_sentiment()])
@pytest.mark.parametrize(
    ("start_ms", "end_ms", "kept"),
    [
        (9_000, 12_000, False),
        (10_000, 13_000, True),
        (17_000, 20_000, True),
        (17_001, 20_001, False),
        (22_000, 25_000, False),
        (30_000, 33_000, True),
    ],
)
def test_a_window_is_stored_if_it_lies_wholly_in_a_time_that_is_recorded(
    record: Recordable, start_ms: int, end_ms: int, kept: bool
) -> None:
    assert (stored(TIMES, spans(record, start_ms, end_ms)) is not None) == kept


def test_a_window_that_ends_within_the_millisecond_after_the_stop_is_not_stored() -> None:
    late = msgspec.structs.replace(
        window(), start_ns=12_000 * NS_PER_MS, end_ns=20_000 * NS_PER_MS + 1
    )
    assert stored(TIMES, late) is None


@pytest.mark.parametrize(("end_ms", "kept"), [(9_999, 0), (10_000, 1), (20_000, 1), (20_001, 0)])
def test_an_alert_is_stored_by_its_time(end_ms: int, kept: int) -> None:
    assert (stored(TIMES, spans(alert(), 0, end_ms)) is not None) == bool(kept)


def test_the_sessions_own_record_is_stored_once_recording_has_started() -> None:
    assert stored((), session()) is None
    assert stored(TIMES, session()) == session()


def test_everything_is_stored_where_the_host_has_no_say() -> None:
    assert stored(None, sentiment()) == sentiment()
    assert stored(None, session()) == session()


SPOKEN = Spoken(
    (SpeechSpan(8_000, 9_500), SpeechSpan(9_700, 11_000), SpeechSpan(19_000, 31_000)),
    tuple(
        SpokenWord(text, start_ms, start_ms + 500)
        for text, start_ms in (
            *(("before", 9_000), ("half", 9_800), ("first", 10_200), ("last", 19_500)),
            *(("cut", 19_700), ("off", 25_000), ("again", 30_000)),
        )
    ),
)
KEPT = Spoken(
    (SpeechSpan(10_000, 11_000), SpeechSpan(19_000, 20_000), SpeechSpan(30_000, 31_000)),
    tuple(word for word in SPOKEN.words if word.text in ("first", "last", "again")),
)


def test_of_a_window_that_is_not_wholly_recorded_what_was_spoken_meanwhile_is_stored() -> None:
    crossing = spans(sentiment(0, 1.0, spoken=SPOKEN, text="before half first"), 8_000, 12_000)
    kept = stored(TIMES, crossing)
    assert isinstance(kept, Sentiment)
    assert (kept.spoken, kept.text, kept.valence, kept.valence_raw) == (KEPT, "", None, None)
    assert (kept.class_probabilities, kept.evidence, kept.presence) == (None, (), Presence())
    unheard = spans(sentiment(spoken=Spoken((), SPOKEN.words[:2])), 8_000, 12_000)
    assert stored(TIMES, unheard) is None


def test_what_was_said_at_other_times_is_in_no_record() -> None:
    inside = spans(sentiment(spoken=SPOKEN, text="first"), 10_000, 12_000)
    assert stored(TIMES, inside) == msgspec.structs.replace(inside, spoken=KEPT)
    heard = spans(window(spoken=SPOKEN, context="said before"), 10_000, 12_000)
    assert stored(TIMES, heard) == msgspec.structs.replace(heard, spoken=KEPT, context="")
    assert stored(TIMES, spans(heard, 8_000, 12_000)) is None
    assert stored((RecordedTime(0),), heard) == heard


def test_recording_starts_and_stops_once() -> None:
    times: Times = ()
    assert not is_recording(times)
    times = started(started(times, 5_000), 6_000)
    assert (times, is_recording(times)) == ((RecordedTime(5_000),), True)
    times = stopped(stopped(times, 9_000), 10_000)
    assert (times, is_recording(times)) == ((RecordedTime(5_000, 9_000),), False)
    assert started(times, 9_000) == (*times, RecordedTime(9_000))


def test_a_copy_of_an_older_record_opens_nothing_again() -> None:
    older = (RecordedTime(10_000),)
    newer = (RecordedTime(10_000, 20_000), RecordedTime(30_000))
    assert combined(older, newer) == combined(newer, older) == newer
    assert combined(None, newer) == combined(newer, None) == newer
    assert combined(None, None) is None


def test_the_times_in_words_and_what_lies_between_them() -> None:
    assert in_words(TIMES, 65_000) == "0:10 to 0:20, 0:30 to 1:05"
    assert gaps(TIMES, 65_000) == [(0, 10_000), (20_000, 30_000)]
    assert gaps((RecordedTime(0, 5_000),), 5_000) == gaps(None, 5_000) == []
    assert [is_whole(times) for times in (None, (RecordedTime(0),), TIMES, ())] == [
        *(True, True, False, False)
    ]
