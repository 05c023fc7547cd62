"""(state, Score) → (state, Sentiment and Alert) of one participant.

What enters: scores in any order within lateness. What leaves: one record per window, in order, and
one more for each newer revision of a window that is out.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from streamer.config import AlertsConfig, SmoothingConfig
from streamer.records import (
    CLASS_LABELS,
    Alert,
    Score,
    Sentiment,
)
from streamer.smoothing.alerts import AlertState, update_alerts
from streamer.smoothing.estimate import (
    Estimate,
    Evidence,
    Knowledge,
    Trend,
    evidence_of,
    learn,
    slope_per_min,
    uncertainty_at,
)
from streamer.smoothing.signals import alert_records
from streamer.valence import class_index, polarity_of

HELD_LIMIT = 256
"""Most scores (and most windows of a session) held back; beyond it the oldest goes out."""
RECENT_WINDOWS, RELABELLED_WINDOWS = 6, 32
"""Windows that are out and may be revised, the latter of a person who is known by the voice: late
words change few windows, a later judgement of who spoke many. Capture revises none further back."""
Outputs = list[Sentiment | Alert]


class Recent(msgspec.Struct, frozen=True, array_like=True):
    """A window that is out and may be revised: the revision that counts, and its evidence."""

    window_index: int
    revision: int
    evidence: Evidence


class ParticipantState(
    msgspec.Struct,
    frozen=True,
    rename={"estimate": "level", "trend": "line", "alert_state": "watch"},
):
    """The stored state of one participant; `rename` keeps the names in the changelog.

    Attributes:
        next_index: the window that is to go out next; lower ones are out.
        newest_ms: the latest event time seen.
        held: scores that wait for a missing one before them, by window.
        estimate: None before evidence, and after it has been discarded.
        trend: None likewise.
        alert_state: which alerts stand, and what they compare with.
        recent: the newest windows that are out, in order, at most `revisable`.
        before: what was known before the first of them.
    """

    next_index: int = 0
    newest_ms: int = 0
    held: tuple[Score, ...] = ()
    estimate: Estimate | None = None
    trend: Trend | None = None
    alert_state: AlertState = AlertState()
    recent: tuple[Recent, ...] = ()
    before: Knowledge = Knowledge()


def step(
    state: ParticipantState | None,
    score: Score,
    config: SmoothingConfig,
    alerts: AlertsConfig,
) -> tuple[ParticipantState, Outputs]:
    """Take one score.

    The expected window (or one that says by `skipped` that those before it were dropped) goes out
    at once, with those that waited for it. Another is held until the gap before it fills or
    `lateness_s` of event time passes. A window that is out, or held in the same revision, changes
    nothing. The final score ends the waiting: a partition keeps its order, so what is missing
    before it was lost.

    A newer revision of a recent window counts in place of the one that is out: its record is
    published again, without alerts, and later ones start from the corrected estimate. Those that
    are out after it are published again with their own revisions, which follow.

    Args:
        state: None at first.
        score: of the one participant whose state this is.
        config: smoothing settings.
        alerts: alert settings.

    Returns:
        The new state, and what to publish, in order. `latency_ms` is the score's own.
    """
    state = state or ParticipantState()
    if score.window_index < state.next_index:
        return _revise(state, score, config)
    if any(
        held.window_index == score.window_index and held.revision >= score.revision
        for held in state.held
    ):
        return state, []
    others = [held for held in state.held if held.window_index != score.window_index]
    state = msgspec.structs.replace(
        state,
        held=tuple(sorted([*others, score], key=lambda held: held.window_index)),
        newest_ms=max(state.newest_ms, score.end_ms),
    )
    return _release(state, config, alerts, everything=score.final)


def flush(
    state: ParticipantState, config: SmoothingConfig, alerts: AlertsConfig
) -> tuple[ParticipantState, Outputs]:
    """Publish what is held for a missing window; a score may still follow."""
    return _release(state, config, alerts, everything=True)


def _release(
    state: ParticipantState, config: SmoothingConfig, alerts: AlertsConfig, *, everything: bool
) -> tuple[ParticipantState, Outputs]:
    outputs: Outputs = []
    while state.held and (everything or _is_due(state, config)):
        score = state.held[0]
        state = msgspec.structs.replace(
            state, held=state.held[1:], next_index=score.window_index + 1
        )
        state, published = _publish(state, score, config, alerts)
        outputs += published
    return state, outputs


def _is_due(state: ParticipantState, config: SmoothingConfig) -> bool:
    first = state.held[0]
    return (
        first.window_index - first.skipped <= state.next_index
        or state.newest_ms - first.end_ms >= lateness_ms(config)
        or len(state.held) > HELD_LIMIT
    )


def _revise(
    state: ParticipantState, score: Score, config: SmoothingConfig
) -> tuple[ParticipantState, Outputs]:
    """Smooth the recent windows again, with this score in place of its window's last one."""
    if not any(
        each.window_index == score.window_index and each.revision < score.revision
        for each in state.recent
    ):
        return state, []
    known, recent, outputs = state.before, list[Recent](), list[Sentiment | Alert]()
    for each in state.recent:
        if each.window_index == score.window_index:
            each = Recent(score.window_index, score.revision, evidence_of(score, config))
        known = learn(known, each.evidence, config)
        if each.window_index == score.window_index:
            outputs.append(_sentiment(score, each.evidence, known, config))
        recent.append(each)
    state = msgspec.structs.replace(
        state, estimate=known.estimate, trend=known.trend, recent=tuple(recent)
    )
    return state, outputs


def _publish(
    state: ParticipantState, score: Score, config: SmoothingConfig, alerts: AlertsConfig
) -> tuple[ParticipantState, Outputs]:
    before, evidence = Knowledge(state.estimate, state.trend), evidence_of(score, config)
    known = learn(before, evidence, config)
    sentiment = _sentiment(score, evidence, known, config)
    alert_state, signals = update_alerts(
        state.alert_state,
        sentiment,
        alerts,
        forgotten=before.estimate is not None and known.estimate is None,
    )
    oldest = state.before if state.recent else before
    recent = (*state.recent, Recent(score.window_index, score.revision, evidence))
    if len(recent) > revisable(score):
        oldest, recent = learn(oldest, recent[0].evidence, config), recent[1:]
    state = msgspec.structs.replace(
        state,
        estimate=known.estimate,
        trend=known.trend,
        alert_state=alert_state,
        recent=recent,
        before=oldest,
    )
    return state, [
        sentiment,
        *alert_records(
            signals, score.session_id, score.participant_id, sentiment.event_time, score.end_ms
        ),
    ]


def _sentiment(
    score: Score, evidence: Evidence, known: Knowledge, config: SmoothingConfig
) -> Sentiment:
    """Return the record of a score; `known` is what is known after its `evidence`."""
    estimate = known.estimate
    counts = estimate is not None and evidence.valence is not None
    valence = estimate.valence if estimate is not None and counts else None
    return Sentiment(
        session_id=score.session_id,
        participant_id=score.participant_id,
        window_id=score.window_id,
        window_index=score.window_index,
        revision=score.revision,
        event_time=score.session_start + timedelta(milliseconds=score.end_ms),
        start_ms=score.start_ms,
        end_ms=score.end_ms,
        valence=valence,
        valence_raw=score.valence,
        uncertainty=None if estimate is None else uncertainty_at(estimate, score.end_ms, config),
        label=None if valence is None else CLASS_LABELS[class_index(valence)],
        polarity=None if valence is None else polarity_of(valence),
        class_probabilities=estimate.class_probabilities if estimate and counts else None,
        trend_per_min=slope_per_min(known.trend, config) if counts else None,
        gate=score.gate,
        presence=score.presence,
        evidence=score.evidence,
        text=score.text,
        latency_ms=score.latency_ms,
        model=score.model,
        final=score.final,
        session_participants=score.session_participants,
        identified_by=score.identified_by,
        identity_confidence=score.identity_confidence,
        spoken=score.spoken,
    )


def revisable(record: Score | Sentiment) -> int:
    """Return how many of a participant's newest windows may be revised."""
    by_voice = record.identified_by == "diarization"
    return RELABELLED_WINDOWS if by_voice else RECENT_WINDOWS


def lateness_ms(config: SmoothingConfig) -> int:
    """Return how long a missing window is waited for, milliseconds of event time."""
    return round(config.lateness_s * 1000)
