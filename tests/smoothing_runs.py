"""Hand-made scores and sentiment, and what smoothing makes of a row of them."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from streamer.config import AlertsConfig, SmoothingConfig
from streamer.records import (
    Alert,
    Gate,
    Modality,
    Presence,
    Score,
    Sentiment,
    SessionSentiment,
    class_index,
    window_id,
)
from streamer.smoothing.participant import ParticipantState, step
from streamer.smoothing.session import (
    SessionState,
    session_step,
)

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
QUIET = AlertsConfig(enabled=False)


def classes(valence: float, confidence: float = 0.7) -> tuple[float, ...]:
    rest = (1 - confidence) / 6
    return tuple(confidence if k == class_index(valence) else rest for k in range(7))


def score(
    index: int,
    valence: float | None,
    *,
    confidence: float = 0.7,
    evidence: tuple[Modality, ...] = ("audio", "text", "vision"),
    participant: str = "ana",
    end_ms: int | None = None,
    **fields: object,
) -> Score:
    has_evidence = valence is not None
    return Score(
        session_id="standup",
        participant_id=participant,
        window_id=window_id("standup", participant, index),
        window_index=index,
        session_start=START,
        start_ms=max(0, (index - 4) * 1000),
        end_ms=(index + 1) * 1000 if end_ms is None else end_ms,
        valence=valence,
        class_probabilities=classes(valence, confidence) if valence is not None else None,
        gate=Gate(val=0.4, cls=0.6) if has_evidence else None,
        presence=Presence(**dict.fromkeys(evidence, 1.0)) if has_evidence else Presence(),
        evidence=evidence if has_evidence else (),
        text="so far so good",
        latency_ms={"inference": 12.5},
        model="tiny",
        **fields,
    )


def run(
    scores: list[Score],
    config: SmoothingConfig | None = None,
    alerts: AlertsConfig = QUIET,
    state: ParticipantState | None = None,
) -> tuple[ParticipantState, list[Sentiment | Alert]]:
    outputs: list[Sentiment | Alert] = []
    state = state or ParticipantState()
    for record in scores:
        state, published = step(state, record, config or SmoothingConfig(), alerts)
        outputs += published
    return state, outputs


def smooth(scores: list[Score], config: SmoothingConfig | None = None) -> list[Sentiment]:
    return [out for out in run(scores, config)[1] if isinstance(out, Sentiment)]


def alerts_of(
    values: list[float | None], config: AlertsConfig | None = None, *, final: bool = False
) -> list[tuple[str, str, int]]:
    quick = SmoothingConfig(time_constant_s=0.01)
    scores = [score(k, value) for k, value in enumerate(values)]
    if final:
        scores[-1] = msgspec.structs.replace(scores[-1], final=True)
    outputs = run(scores, quick, config or AlertsConfig())[1]
    return [(a.kind, a.state, a.end_ms // 1000) for a in outputs if isinstance(a, Alert)]


def sentiment(
    participant: str,
    index: int,
    valence: float | None,
    *,
    uncertainty: float = 0.5,
    of: int = 2,
    final: bool = False,
) -> Sentiment:
    [record] = smooth([score(index, valence, participant=participant, skipped=index, final=final)])
    return msgspec.structs.replace(
        record, uncertainty=None if valence is None else uncertainty, session_participants=of
    )


def meet(
    sentiments: list[Sentiment],
    config: SmoothingConfig | None = None,
    alerts: AlertsConfig = QUIET,
    state: SessionState | None = None,
) -> tuple[SessionState, list[SessionSentiment | Alert]]:
    outputs: list[SessionSentiment | Alert] = []
    for record in sentiments:
        state, published = session_step(state, record, config or SmoothingConfig(), alerts)
        outputs += published
    assert state is not None
    return state, outputs


def silent(participant: str, index: int, uncertainty: float | None) -> Sentiment:
    return msgspec.structs.replace(sentiment(participant, index, None), uncertainty=uncertainty)
