"""Hand-made scores and sentiment, and what smoothing makes of a row of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from streamer.config import AlertsConfig, SmoothingConfig
from streamer.policy import Policy
from streamer.records import (
    Alert,
    Modality,
    Presence,
    Score,
    Sentiment,
    SessionSentiment,
)
from streamer.smoothing.participant import ParticipantState, step
from streamer.smoothing.session import (
    SessionState,
    session_step,
)
from streamer.testing import ALL_ALLOWED
from tests import made_records
from tests.made_records import class_probabilities

QUIET = AlertsConfig(enabled=False)


def score(
    index: int,
    valence: float | None,
    *,
    confidence: float = 0.7,
    evidence: tuple[Modality, ...] = ("audio", "text", "vision"),
    participant: str = "ana",
    **fields: Any,
) -> Score:
    if valence is not None:
        fields = {
            "class_probabilities": class_probabilities(valence, confidence),
            "presence": Presence(**dict.fromkeys(evidence, 1.0)),
            "evidence": evidence,
        } | fields
    return made_records.score(index, valence, participant_id=participant, **fields)


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


def sentiments(outputs: Sequence[Sentiment | Alert]) -> list[Sentiment]:
    """Return `outputs`, which must hold no alert."""
    chosen = [out for out in outputs if isinstance(out, Sentiment)]
    assert len(chosen) == len(outputs)
    return chosen


def session_sentiments(outputs: Sequence[SessionSentiment | Alert]) -> list[SessionSentiment]:
    """Return `outputs`, which must hold no alert."""
    chosen = [out for out in outputs if isinstance(out, SessionSentiment)]
    assert len(chosen) == len(outputs)
    return chosen


def alerts_of(
    values: Sequence[float | None], config: AlertsConfig | None = None, *, final: bool = False
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
    records: list[Sentiment],
    config: SmoothingConfig | None = None,
    alerts: AlertsConfig = QUIET,
    state: SessionState | None = None,
    policy: Policy = ALL_ALLOWED,
) -> tuple[SessionState, list[SessionSentiment | Alert]]:
    outputs: list[SessionSentiment | Alert] = []
    for record in records:
        state, published = session_step(state, record, config or SmoothingConfig(), alerts, policy)
        outputs += published
    assert state is not None
    return state, outputs


def silent(participant: str, index: int, uncertainty: float | None) -> Sentiment:
    return msgspec.structs.replace(sentiment(participant, index, None), uncertainty=uncertainty)
