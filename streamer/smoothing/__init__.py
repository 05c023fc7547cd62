"""Smoothing: scores → sentiment and alerts, as pure functions over small states.

    estimate     the weighted mean, its uncertainty and its trend
    alerts       sustained negative valence and sharp drops
    participant  (state, Score) → (state, Sentiment and Alert)
    meeting      one window's reports → the session's value in it
    session      (state, Sentiment) → (state, SessionSentiment and Alert)

States are frozen structs that msgpack stores without loss: a few kB however long the session is,
and up to session.STATE_BUDGET_BYTES while windows of a session may have to be revised. Every result
follows from state and record alone, so the same score on the same state always gives the same
sentiment. Nothing here knows clocks, Kafka, Faust or models.
"""

from streamer.smoothing.participant import ParticipantState, flush, step
from streamer.smoothing.session import (
    SessionState,
    longest_silence_s,
    session_flush,
    session_step,
)

__all__ = [
    "ParticipantState",
    "SessionState",
    "flush",
    "longest_silence_s",
    "session_flush",
    "session_step",
    "step",
]
