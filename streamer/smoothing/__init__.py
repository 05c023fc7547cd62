"""Smoothing: scores → sentiment and alerts, as pure functions over small states.

    estimate     the weighted mean, its uncertainty and its trend
    alerts       sustained negative valence and sharp drops
    participant  (state, Score) → (state, Sentiment and Alert)
    session      (state, Sentiment) → (state, SessionSentiment and Alert)

States are small frozen structs (a few kB however long the session) that msgpack stores without
loss. Every result follows from state and record alone, so the same score on the same state always
gives the same sentiment. Nothing here knows clocks, Kafka, Faust or models.
"""

from streamer.smoothing.participant import ParticipantState, flush, step
from streamer.smoothing.session import SessionState, session_flush, session_step

__all__ = [
    "ParticipantState",
    "SessionState",
    "flush",
    "session_flush",
    "session_step",
    "step",
]
