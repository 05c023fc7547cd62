"""Which times of a session are recorded, where its host starts and stops recording.

What enters: the `recorded_times` of a session's records, and records. What leaves: what of a record
a recorder may store, and the times in words. Pure.

    00:00          02:10               04:00       05:30          session time
    ├──────────────█████████████████████───────────████████████┤
                   └ recorded          └ stopped   └ again, to the end
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from streamer.clock import clock
from streamer.records import (
    MAX_INTEGER,
    NS_PER_MS,
    Alert,
    Presence,
    RecordedTime,
    Sentiment,
    Session,
    SessionSentiment,
    Spoken,
    Window,
)
from streamer.spans import Span, complement

Times = tuple[RecordedTime, ...]
FOREVER_MS = MAX_INTEGER
NO_VALUES = {
    **dict.fromkeys(("valence", "valence_raw", "uncertainty", "label", "polarity")),
    **dict.fromkeys(("class_probabilities", "trend_per_min", "gate")),
    **{"presence": Presence(), "evidence": (), "text": ""},
}
"""A sentiment of which nothing but `spoken` may be stored."""
Recordable = Sentiment | SessionSentiment | Alert | Session | Window


def combined(one: Times | None, other: Times | None) -> Times | None:
    """Return the times of two records of one session, in either order of arrival.

    A time that has ended in one of them has ended: a copy of an older record opens nothing again.
    """
    if one is None or other is None:
        return other if one is None else one
    ends: dict[int, int | None] = {}
    for time in (*one, *other):
        known = ends.get(time.begin_ms)
        both = [end for end in (known, time.end_ms) if end is not None]
        ends[time.begin_ms] = min(both, default=None)
    return tuple(RecordedTime(begin, ends[begin]) for begin in sorted(ends))


def is_recording(times: Times | None) -> bool:
    """Whether recording goes on."""
    return bool(times) and times is not None and times[-1].end_ms is None


def started(times: Times, now_ms: int) -> Times:
    """Return the times once recording has started; nothing changes where it goes on."""
    if is_recording(times):
        return times
    last = times[-1] if times else RecordedTime(-1, 0)
    return (*times, RecordedTime(max(now_ms, last.begin_ms + 1, last.end_ms or 0)))


def stopped(times: Times, now_ms: int) -> Times:
    """Return the times once recording has stopped; nothing changes where none goes on."""
    if not is_recording(times):
        return times
    *before, last = times
    return (*before, RecordedTime(last.begin_ms, max(now_ms, last.begin_ms)))


def stored(times: Times | None, record: Recordable) -> Recordable | None:
    """Return what a recorder stores of a record; None for nothing.

    A window and its values are stored if the window lies wholly in a time that is recorded. Of
    others, values and text are left out, and only what was `spoken` in such a time is stored. The
    session's own record is stored once recording has started.

    Args:
        times: of the record's session; None: everything is stored.
        record: of that session.
    """
    if times is None:
        return record
    if isinstance(record, Session):
        return record if times else None
    begin_ms, end_ms = _span_ms(record)
    whole = any(low <= begin_ms and end_ms <= high for low, high in _spans(times, FOREVER_MS))
    match record:
        case Sentiment():
            return _of_sentiment(times, record, whole)
        case Window() if whole:
            context = record.context if is_whole(times) else ""  # its words have no times
            return msgspec.structs.replace(
                record, context=context, spoken=_spoken(times, record.spoken)
            )
    return record if whole else None


def gaps(times: Times | None, end_ms: int) -> list[Span]:
    """Return the times before the last recorded one, milliseconds, that are not recorded.

    Args:
        times: what is recorded.
        end_ms: the end of the session, or of what is known of it.
    """
    if not times:
        return []
    spans = _spans(times, end_ms)
    return complement(spans, 0, min(end_ms, spans[-1][1]))


def is_whole(times: Times | None) -> bool:
    """Whether everything is recorded from the session's start to its end."""
    return times is None or times == (RecordedTime(0),)


def in_words(times: Times, end_ms: int) -> str:
    """Return the times as text, as in `0:10 to 2:30, 3:00 to 4:00`.

    Args:
        times: what is recorded; at least one.
        end_ms: the end of the session, or of what is known of it.
    """
    return ", ".join(f"{clock(low)} to {clock(high)}" for low, high in _spans(times, end_ms))


def _spans(times: Times, end_ms: int) -> Sequence[Span]:
    return [
        (time.begin_ms, max(end_ms, time.begin_ms) if time.end_ms is None else time.end_ms)
        for time in times
    ]


def _span_ms(record: Sentiment | SessionSentiment | Alert | Window) -> Span:
    match record:
        case Window():
            return record.start_ns // NS_PER_MS, -(-record.end_ns // NS_PER_MS)
        case Alert():
            return record.end_ms, record.end_ms
        case _:
            return record.start_ms, record.end_ms


def _of_sentiment(times: Times, record: Sentiment, whole: bool) -> Sentiment | None:
    spoken = _spoken(times, record.spoken)
    if whole:
        return msgspec.structs.replace(record, spoken=spoken)
    if spoken is None or not (spoken.words or spoken.speech):
        return None
    return msgspec.structs.replace(record, spoken=spoken, **NO_VALUES)


def _spoken(times: Times, spoken: Spoken | None) -> Spoken | None:
    """Return what was spoken in the recorded times: whole words, and parts of speech."""
    if spoken is None:
        return None
    spans = _spans(times, FOREVER_MS)
    speech = [
        msgspec.structs.replace(
            span, start_ms=max(low, span.start_ms), end_ms=min(high, span.end_ms)
        )
        for span in spoken.speech
        for low, high in spans
        if span.start_ms < high and low < span.end_ms
    ]
    words = [
        word
        for word in spoken.words
        if any(low <= word.start_ms and word.end_ms <= high for low, high in spans)
    ]
    return Spoken(tuple(speech), tuple(words))
