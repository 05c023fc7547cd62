"""What a valence is called: its class, its polarity, and when a meeting is divided. Pure."""

from __future__ import annotations

from streamer.records import Polarity

DIVIDED_SPREAD = 1.0
"""The least spread, in valence units, of a meeting that is divided."""


def class_index(valence: float) -> int:
    """Index 0..6 of the class that holds `valence` (design's half-open intervals)."""
    edges = (-2.5, -1.5, -0.5, 0.5, 1.5, 2.5)
    return sum(valence >= edge for edge in edges)


def polarity_of(valence: float) -> Polarity:
    """Negative below -0.5, positive from 0.5 on, neutral between."""
    if valence < -0.5:
        return "negative"
    return "positive" if valence >= 0.5 else "neutral"


def is_divided(valence: float | None, spread: float | None) -> bool:
    """Whether people whose valence has this mean and spread are of opposite mood."""
    if valence is None or spread is None or spread < DIVIDED_SPREAD:
        return False
    return (
        polarity_of(valence - spread) == "negative" and polarity_of(valence + spread) == "positive"
    )
