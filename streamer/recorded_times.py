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
    NS_PER_MS,
    Alert,
    RecordedTime,
    Sentiment,
    Session,
    SessionSentiment,
    Spoken,
    Window,
)
from streamer.spans import Span, complement

Times = tuple[RecordedTime, ...]
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

    A window and its values are stored if the window lies wholly in a time that is recorded; without
    the words that are known to have been said before it. The session's own record is stored once
    recording has started.

    Args:
        times: of the record's session; None: everything is stored.
        record: of that session.
    """
    if times is None:
        return record
    if isinstance(record, Session):
        return record if times else None
    begin_ms, end_ms = _span_ms(record)
    for time in times:
        if time.begin_ms <= begin_ms and (time.end_ms is None or end_ms <= time.end_ms):
            return _since(record, time.begin_ms)
    return None


def gaps(times: Times | None, end_ms: int) -> list[Span]:
    """Return the times in `[0, end_ms)`, milliseconds, that are not recorded."""
    return [] if times is None else complement(_spans(times, end_ms), 0, end_ms)


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


def _since(record: Recordable, begin_ms: int) -> Recordable:
    """Return a record without what was said before `begin_ms`."""
    if isinstance(record, Window) and begin_ms:
        record = msgspec.structs.replace(record, context="")  # its words have no times
    if isinstance(record, Window | Sentiment) and record.spoken is not None:
        spoken = Spoken(
            tuple(
                msgspec.structs.replace(span, start_ms=max(span.start_ms, begin_ms))
                for span in record.spoken.speech
                if span.end_ms > begin_ms
            ),
            tuple(word for word in record.spoken.words if word.end_ms > begin_ms),
        )
        return msgspec.structs.replace(record, spoken=spoken)
    return record
