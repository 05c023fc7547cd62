"""(carry, one window's reports) → (carry, the session's value in that window).

What enters: what is known from the windows before, and the participants' reports of one window.
What leaves: the value over all people, and what is known after it. This module does not know
which windows go out when (`session`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from streamer.config import SmoothingConfig
from streamer.policy import Policy
from streamer.records import (
    CLASS_LABELS,
    SessionSentiment,
    window_id,
)
from streamer.smoothing.estimate import SHARED, Trend, extend_trend, slope_per_min
from streamer.valence import class_index, is_divided, polarity_of


class Report(msgspec.Struct, frozen=True, array_like=True):
    """One participant's part in one window of the session; `valence` None without evidence."""

    valence: float | None
    uncertainty: float | None
    revision: int = 0


class Meeting(msgspec.Struct, frozen=True, array_like=True):
    """One window of the session with the reports that have come in.

    Attributes:
        models: the models of the reports, by name.
        reports: by participant.
        revision: of the record that is out; -1 while none is.
        digest: of that record's content.
        valued: whether a record with a value is out.
    """

    start_ms: int
    end_ms: int
    event_time: datetime
    models: tuple[str, ...] = ()
    reports: dict[str, Report] = {}
    revision: int = -1
    digest: bytes = b""
    valued: bool = False


class Carry(msgspec.Struct, frozen=True, array_like=True):
    """What the windows so far say of the next one.

    Attributes:
        stances: the last valence of everyone of whom something is known.
        trend: of the session's valence; None before any.
    """

    stances: dict[str, float] = {}
    trend: Trend | None = None


class Value(msgspec.Struct, frozen=True):
    """The session in one window; `valence` and `uncertainty` None where too little is known."""

    valence: float | None
    uncertainty: float | None
    spread: float | None
    trend_per_min: float | None
    participants: int


def evaluate(
    carry: Carry, meeting: Meeting, config: SmoothingConfig, policy: Policy
) -> tuple[Carry, Value]:
    """Return what is known after a window, and the session's value in it."""
    stances = _stances(carry.stances, meeting.reports)
    parts = [
        (stances[name], max(report.uncertainty, 1e-3))
        for name, report in meeting.reports.items()
        if name in stances and report.uncertainty is not None
    ]
    spoken = any(report.valence is not None for report in meeting.reports.values())
    counted = len(parts) if spoken else 0
    if counted == 0 or counted < policy.min_participants:
        return Carry(stances, carry.trend), Value(None, None, None, None, counted)
    valence, uncertainty = _mean_over_people(parts)
    trend = extend_trend(carry.trend, meeting.end_ms, valence, 1.0, config)
    slope = slope_per_min(trend, config)
    value = Value(valence, uncertainty, _spread(parts, policy), slope, counted)
    return Carry(stances, trend), value


def record_of(
    session_id: str, index: int, meeting: Meeting, value: Value, *, final: bool
) -> SessionSentiment:
    """Return the record of a window, in the revision after the one that is out."""
    valence = value.valence
    return SessionSentiment(
        session_id=session_id,
        window_id=window_id(session_id, "*", index),
        window_index=index,
        revision=meeting.revision + 1,
        event_time=meeting.event_time,
        start_ms=meeting.start_ms,
        end_ms=meeting.end_ms,
        valence=valence,
        uncertainty=value.uncertainty,
        spread=value.spread,
        label=None if valence is None else CLASS_LABELS[class_index(valence)],
        polarity=None if valence is None else polarity_of(valence),
        trend_per_min=value.trend_per_min,
        participants=value.participants,
        model=", ".join(meeting.models),
        final=final,
        divided=is_divided(valence, value.spread),
    )


def digest_of(record: SessionSentiment) -> bytes:
    """Return 8 bytes that differ between records of different content; revisions do not count."""
    content = msgspec.json.encode(msgspec.structs.replace(record, revision=0))
    return hashlib.blake2b(content, digest_size=8).digest()


def _stances(before: Mapping[str, float], reports: Mapping[str, Report]) -> dict[str, float]:
    """Everyone's last valence: who listens in silence still is in the meeting.

    With it goes the uncertainty that their report gives now, which has grown since; once that is
    None too, they have been silent for so long that nothing is known of them any more.
    """
    valences = {
        name: report.valence for name, report in reports.items() if report.valence is not None
    }
    unknown = {name for name, report in reports.items() if report.uncertainty is None}
    return {
        name: valence
        for name, valence in sorted({**before, **valences}.items())
        if name not in unknown
    }


def _mean_over_people(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Mean of (valence, uncertainty) weighted by 1/uncertainty², and its standard deviation."""
    weights = [1 / deviation**2 for _, deviation in parts]
    total = sum(weights)
    shares = [weight / total for weight in weights]
    mean = sum(share * valence for share, (valence, _) in zip(shares, parts, strict=True))
    low, high = min(valence for valence, _ in parts), max(valence for valence, _ in parts)
    errors = [share * deviation for share, (_, deviation) in zip(shares, parts, strict=True)]
    variance = SHARED * sum(errors) ** 2 + (1 - SHARED) * sum(error**2 for error in errors)
    return min(max(mean, low), high), math.sqrt(variance)


def _spread(parts: Sequence[tuple[float, float]], policy: Policy) -> float | None:
    """Standard deviation between people; with two of them, mean and spread would give both away."""
    if len(parts) < (2 if policy.persons else 3):
        return None
    mean = sum(valence for valence, _ in parts) / len(parts)
    return math.sqrt(sum((valence - mean) ** 2 for valence, _ in parts) / len(parts))
