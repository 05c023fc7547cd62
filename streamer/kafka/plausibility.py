"""What a valid record cannot contain although its types fit, such as a window that ends too early.

Every function returns the reason for a refusal, or an empty string. A reader refuses such a record
and a producer does not send it.
"""

from __future__ import annotations

import math
from datetime import datetime

from streamer import records
from streamer.records import Alert, Score, Sentiment, Session, SessionSentiment, Spoken, Window

MAX_WINDOW_NS = 3600 * records.NS_PER_S
LATEST_END_NS = 4_000_000_000 * records.NS_PER_S
"""Unix time of the latest window end, in the year 2096."""
MAX_TIME_MS = records.MAX_INTEGER // records.NS_PER_MS
"""The end of the longest session, 104 days: the same bound as a window's in nanoseconds."""
YEARS = range(1970, 2097)
PROBABILITY_TOLERANCE = 1e-2


def implausible_window(window: Window) -> str:
    """Check times, sample rate, words and faces of a window."""
    if not 0 < window.end_ns - window.start_ns <= MAX_WINDOW_NS:
        return f"[{window.start_ns}, {window.end_ns}) ns is not a span of at most an hour"
    if window.session_start_unix_ns + window.end_ns > LATEST_END_NS:
        return "it ends after the year 2096"
    if window.sample_rate_hz != records.SAMPLE_RATE_HZ:
        return f"sample_rate_hz is {window.sample_rate_hz}, not {records.SAMPLE_RATE_HZ}"
    if any(word.start_ns > word.end_ns for word in window.words):
        return "a word ends before it starts"
    if any(not window.start_ns <= face.event_time_ns < window.end_ns for face in window.faces):
        return "a face is outside the window"
    return _implausible_spoken(window.spoken)


def implausible_score(score: Score | Sentiment) -> str:
    """Check times, identity and probabilities of one participant's score or sentiment."""
    probabilities = score.class_probabilities
    if reason := _implausible_span(score, score.participant_id):
        return reason
    if probabilities and not math.isclose(sum(probabilities), 1.0, abs_tol=PROBABILITY_TOLERANCE):
        return "class_probabilities do not add up to 1"
    return _implausible_spoken(score.spoken)


def implausible_session_sentiment(sentiment: SessionSentiment) -> str:
    """Check times and identity of a session's sentiment."""
    return _implausible_span(sentiment, "*")


def implausible_alert(alert: Alert) -> str:
    """Check the times of an alert."""
    if alert.end_ms >= MAX_TIME_MS:
        return f"end_ms {alert.end_ms} is not a time of a session"
    return "" if alert.event_time.year in YEARS else _no_such_year(alert.event_time)


def implausible_session(session: Session) -> str:
    """Check the start of a session, and that those who are captured live have consented."""
    if session.live and not (session.consent or "").strip():
        return "it is live and states no consent"
    times = session.recorded_times or ()
    if any(time.end_ms is not None and time.end_ms < time.begin_ms for time in times):
        return "a time that is recorded ends before it begins"
    return "" if session.started_at.year in YEARS else _no_such_year(session.started_at)


def _implausible_spoken(spoken: Spoken | None) -> str:
    if spoken is None:
        return ""
    times = [(span.start_ms, span.end_ms) for span in spoken.speech]
    times += [(word.start_ms, word.end_ms) for word in spoken.words]
    if any(not start_ms <= end_ms < MAX_TIME_MS for start_ms, end_ms in times):
        return "something spoken ends before it starts, or after the longest session"
    return ""


def _no_such_year(moment: datetime) -> str:
    return f"the year {moment.year} is not one of {YEARS.start} to {YEARS.stop - 1}"


def _implausible_span(record: Score | Sentiment | SessionSentiment, participant: str) -> str:
    if not 0 <= record.start_ms < record.end_ms < MAX_TIME_MS:
        return f"[{record.start_ms}, {record.end_ms}) ms is not a span of time"
    moment = record.session_start if isinstance(record, Score) else record.event_time
    if moment.year not in YEARS:
        return _no_such_year(moment)
    expected = records.window_id(record.session_id, participant, record.window_index)
    return "" if record.window_id == expected else f"window_id is not {expected}"
