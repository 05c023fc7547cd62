"""(state, Sentiment) → (state, SessionSentiment and Alert) of one session.

What enters: the smoothed sentiment of the session's participants. What leaves: one record per
window, in order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from streamer.config import AlertsConfig, SmoothingConfig
from streamer.policy import Policy
from streamer.records import (
    CLASS_LABELS,
    Alert,
    Sentiment,
    SessionSentiment,
    class_index,
    polarity_of,
    window_id,
)
from streamer.smoothing.alerts import AlertState, alert_records, update_alerts
from streamer.smoothing.estimate import SHARED, Trend, extend_trend, slope_per_min
from streamer.smoothing.participant import HELD_LIMIT, lateness_ms

SESSION_PATIENCE_MS = 20_000
"""How much longer than lateness a session waits for a participant: partitions are read unevenly."""
SessionOutputs = list[SessionSentiment | Alert]


class Member(msgspec.Struct, frozen=True):
    """How far one participant of a session has reported."""

    next_index: int = 0
    newest_ms: int = 0
    ended: bool = False


class Report(msgspec.Struct, frozen=True):
    """One participant's part in one window of the session; `valence` None without evidence."""

    valence: float | None
    uncertainty: float | None
    model: str


class Meeting(msgspec.Struct, frozen=True):
    """One window of the session while its participants' reports come in."""

    start_ms: int
    end_ms: int
    event_time: datetime
    reports: dict[str, Report]


class SessionState(msgspec.Struct, frozen=True, rename={"trend": "line", "alert_state": "watch"}):
    """The stored state of one session; `rename` keeps the names in the changelog.

    Attributes:
        next_index: lower windows are out.
        first_ms: event time of the first report seen; None before it.
        newest_ms: the latest event time seen.
        expected: how many participants the session announces; 0 when it announces none.
        members: the participants seen, by id.
        pending: windows that wait for participants, by window index.
        stances: the last valence of everyone of whom something is known.
    """

    session_id: str
    next_index: int = 0
    first_ms: int | None = None
    newest_ms: int = 0
    expected: int = 0
    members: dict[str, Member] = {}
    pending: dict[int, Meeting] = {}
    stances: dict[str, float] = {}
    trend: Trend | None = None
    alert_state: AlertState = AlertState()


def session_step(
    state: SessionState | None,
    sentiment: Sentiment,
    config: SmoothingConfig,
    alerts: AlertsConfig,
    policy: Policy,
) -> tuple[SessionState, SessionOutputs]:
    """Take one participant's sentiment; each participant's come in order.

    A window goes out once every active participant has reported it or a later one. A participant
    is active until its final record, or until it is more than lateness and SESSION_PATIENCE_MS of
    event time behind the furthest one. At the start, where not all participants may have been
    seen yet, nothing goes out until all that the session announces (`session_participants`) have
    been, or that time has passed; when it announces none, until `lateness_s` has. So the result
    does not depend on the order in which participants' records arrive within that time. What
    comes for a window that is out changes nothing.

    Args:
        state: None at first.
        sentiment: of any participant of the one session whose state this is.
        config: smoothing settings.
        alerts: alert settings.
        policy: what the session allows.

    Returns:
        The new state, and what to publish, in order.
    """
    state = _admit(state or SessionState(sentiment.session_id), sentiment)
    return _session_release(state, config, alerts, policy, everything=False)


def session_flush(
    state: SessionState, config: SmoothingConfig, alerts: AlertsConfig, policy: Policy
) -> tuple[SessionState, SessionOutputs]:
    """Publish what waits for participants; records may still follow."""
    return _session_release(state, config, alerts, policy, everything=True)


def _admit(state: SessionState, sentiment: Sentiment) -> SessionState:
    name, index, end_ms = sentiment.participant_id, sentiment.window_index, sentiment.end_ms
    member = state.members.get(name, Member())
    member = Member(
        next_index=max(member.next_index, index + 1),
        newest_ms=max(member.newest_ms, end_ms),
        ended=member.ended or sentiment.final,
    )
    pending = state.pending
    meeting = pending.get(index) or Meeting(sentiment.start_ms, end_ms, sentiment.event_time, {})
    if index >= state.next_index and name not in meeting.reports:
        report = Report(sentiment.valence, sentiment.uncertainty, sentiment.model)
        pending = {
            **pending,
            index: Meeting(
                start_ms=min(meeting.start_ms, sentiment.start_ms),
                end_ms=max(meeting.end_ms, end_ms),
                event_time=max(meeting.event_time, sentiment.event_time),
                reports=dict(sorted({**meeting.reports, name: report}.items())),
            ),
        }
    return msgspec.structs.replace(
        state,
        first_ms=end_ms if state.first_ms is None else min(state.first_ms, end_ms),
        newest_ms=max(state.newest_ms, end_ms),
        expected=max(state.expected, sentiment.session_participants),
        members=dict(sorted({**state.members, name: member}.items())),
        pending=dict(sorted(pending.items())),
    )


def _session_release(
    state: SessionState,
    config: SmoothingConfig,
    alerts: AlertsConfig,
    policy: Policy,
    *,
    everything: bool,
) -> tuple[SessionState, SessionOutputs]:
    outputs: SessionOutputs = []
    while state.pending and (everything or _session_is_due(state, config)):
        index, meeting = next(iter(state.pending.items()))
        pending = {later: held for later, held in state.pending.items() if later != index}
        state = msgspec.structs.replace(state, next_index=index + 1, pending=pending)
        state, published = _session_publish(state, index, meeting, config, alerts, policy)
        outputs += published
    return state, outputs


def _session_is_due(state: SessionState, config: SmoothingConfig) -> bool:
    if len(state.pending) > HELD_LIMIT:
        return True
    index, patience_ms = next(iter(state.pending)), lateness_ms(config) + SESSION_PATIENCE_MS
    if not 0 < state.expected <= len(state.members):
        wait_ms = patience_ms if state.expected else lateness_ms(config)
        if state.newest_ms - (state.first_ms or 0) < wait_ms:
            return False
    return all(
        member.ended
        or member.next_index > index
        or state.newest_ms - member.newest_ms > patience_ms
        for member in state.members.values()
    )


def _session_publish(
    state: SessionState,
    index: int,
    meeting: Meeting,
    config: SmoothingConfig,
    alerts: AlertsConfig,
    policy: Policy,
) -> tuple[SessionState, SessionOutputs]:
    stances = _stances(state.stances, meeting.reports)
    parts = [
        (stances[name], max(report.uncertainty, 1e-3))
        for name, report in meeting.reports.items()
        if name in stances and report.uncertainty is not None
    ]
    spoken = any(report.valence is not None for report in meeting.reports.values())
    trend, valence, uncertainty = state.trend, None, None
    if spoken and len(parts) >= policy.min_participants:
        valence, uncertainty = _mean_over_people(parts)
        trend = extend_trend(trend, meeting.end_ms, valence, 1.0, config)
    final = (
        not state.pending
        and len(state.members) >= state.expected
        and all(member.ended for member in state.members.values())
    )
    alert_state, signals = update_alerts(
        state.alert_state, meeting.end_ms, valence, alerts, stand_down=final
    )
    record = SessionSentiment(
        session_id=state.session_id,
        window_id=window_id(state.session_id, "*", index),
        window_index=index,
        event_time=meeting.event_time,
        start_ms=meeting.start_ms,
        end_ms=meeting.end_ms,
        valence=valence,
        uncertainty=uncertainty,
        spread=None if valence is None else _spread(parts, policy),
        label=None if valence is None else CLASS_LABELS[class_index(valence)],
        polarity=None if valence is None else polarity_of(valence),
        trend_per_min=None if valence is None else slope_per_min(trend, config),
        participants=len(parts) if spoken else 0,
        model=", ".join(sorted({report.model for report in meeting.reports.values()})),
        final=final,
    )
    state = msgspec.structs.replace(state, trend=trend, alert_state=alert_state, stances=stances)
    return state, [
        record,
        *alert_records(signals, state.session_id, None, meeting.event_time, meeting.end_ms),
    ]


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
    shares = [weight / sum(weights) for weight in weights]
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
