"""What the two stages do with their records, as pure functions: participants, and sessions.

What enters: `Score` or `Sentiment` records and a state. What leaves: the next state, the outputs,
and the topics of the outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic

import msgspec

from streamer.config import Config
from streamer.errors import UnreadableRecord
from streamer.kafka.topics import (
    ALERTS,
    SCORES,
    SESSION_INPUT,
    SESSION_SMOOTHED,
    SMOOTHED,
    Topic,
)
from streamer.policy import Policy, unallowed_evidence
from streamer.processing.stored import S
from streamer.records import Alert, Score, Sentiment, SessionSentiment
from streamer.smoothing import participant, session

Output = Sentiment | SessionSentiment | Alert
SCORED_AT = "scored_at_unix_ms"
"""Stored with the latencies while a score waits in the state: Kafka's time of the score."""


@dataclass(frozen=True)
class StageSpec(Generic[S]):
    """What a stage does with its records; every function is pure.

    Attributes:
        topic: the input topic.
        state: the type of the state.
        key: the table's key of a record.
        step: from state (None at first), record and policy to state and outputs.
        flush: gives out what the state holds back.
        holds: whether the state holds anything back.
        silence_s: after how long without a record of the key a flush is due, in seconds.
        routes: the topics on which an output is published; none: not at all.

    `Policy` is that of the record's session.
    """

    topic: Topic[Any]
    state: type[S]
    key: Callable[[Any], bytes]
    step: Callable[[S | None, Any, Policy], tuple[S, Iterable[Output]]]
    flush: Callable[[S, Policy], tuple[S, Iterable[Output]]]
    holds: Callable[[S], bool]
    silence_s: Callable[[S], float]
    routes: Callable[[Output, Policy], tuple[Topic[Any], ...]]


def participant_spec(config: Config) -> StageSpec[participant.ParticipantState]:
    """Scores by participant; none is published on a public topic if its session forbids it."""

    def step(
        state: participant.ParticipantState | None, score: Score, policy: Policy
    ) -> tuple[participant.ParticipantState, Iterable[Output]]:
        if reason := unallowed_evidence(policy, score):
            raise UnreadableRecord(reason)
        return participant.step(state, score, config.smoothing, config.alerts)

    def routes(output: Output, policy: Policy) -> tuple[Topic[Any], ...]:
        if isinstance(output, Sentiment):
            return (SMOOTHED, SESSION_INPUT) if policy.persons else (SESSION_INPUT,)
        return (ALERTS,) if policy.persons else ()

    return StageSpec(
        topic=SCORES,
        state=participant.ParticipantState,
        key=lambda score: SCORES.partition_key(score).encode(),
        step=step,
        flush=lambda state, _: participant.flush(state, config.smoothing, config.alerts),
        holds=lambda state: bool(state.held),
        silence_s=lambda _: config.smoothing.idle_flush_s,
        routes=routes,
    )


def session_spec(config: Config) -> StageSpec[session.SessionState]:
    """Participants' sentiment by session."""
    return StageSpec(
        topic=SESSION_INPUT,
        state=session.SessionState,
        key=lambda sentiment: SESSION_INPUT.partition_key(sentiment).encode(),
        step=lambda state, sentiment, policy: session.session_step(
            state, sentiment, config.smoothing, config.alerts, policy
        ),
        flush=lambda state, policy: session.session_flush(
            state, config.smoothing, config.alerts, policy
        ),
        holds=session.session_holds,
        silence_s=lambda state: session.session_silence_s(state, config.smoothing),
        routes=lambda output, _: (
            (SESSION_SMOOTHED,) if isinstance(output, SessionSentiment) else (ALERTS,)
        ),
    )


def arrived(score: Score, timestamp_ms: int) -> Score:
    """The score with the time at which it was written to its topic among its latencies."""
    latency_ms = {**score.latency_ms, SCORED_AT: float(timestamp_ms)}
    return msgspec.structs.replace(score, latency_ms=latency_ms)


def stamped(output: Output, now_ms: float) -> Output:
    """The output with `smoothing` (since the score was written) and `total` (all stages)."""
    if not isinstance(output, Sentiment) or SCORED_AT not in output.latency_ms:
        return output
    stages = {
        name: value
        for name, value in output.latency_ms.items()
        if name not in (SCORED_AT, "smoothing", "total")
    }
    stages["smoothing"] = max(now_ms - output.latency_ms[SCORED_AT], 0.0)
    stages["total"] = sum(stages.values())
    rounded = {name: round(value, 3) for name, value in stages.items()}
    return msgspec.structs.replace(output, latency_ms=rounded)
