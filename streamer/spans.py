"""Sets of half-open intervals `[start, end)` of integers: merging and measuring them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

Span = tuple[int, int]
"""Half-open `[start, end)`; the unit is the caller's."""


class SpeakerTurn(NamedTuple):
    """`speaker` speaks during `[start_ns, end_ns)` of a recording."""

    speaker: str
    start_ns: int
    end_ns: int


def union(spans: Iterable[Span], gap: int = 0) -> list[Span]:
    """Merge spans that overlap, or are at most `gap` apart, into disjoint ones in order."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if end <= start:
            continue
        if merged and start - merged[-1][1] <= gap:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((start, end))
    return merged


def covered(spans: Iterable[Span], start: int, end: int) -> int:
    """Return how much of `[start, end)` the spans cover."""
    inside = ((max(start, low), min(end, high)) for low, high in spans)
    return sum(high - low for low, high in union(inside))


def complement(spans: Iterable[Span], start: int, end: int) -> list[Span]:
    """Return the parts of `[start, end)` that no span covers, in order."""
    gaps, at = [], start
    for low, high in union(spans):
        if at < min(low, end):
            gaps.append((at, min(low, end)))
        at = max(at, high)
    return [*gaps, (at, end)] if at < end else gaps


def within(spans: Iterable[Span], start: int, end: int) -> list[Span]:
    """Return the parts of the spans that lie in `[start, end)`, in order, without overlap."""
    return union((max(start, low), min(end, high)) for low, high in spans)


def without(spans: Iterable[Span], others: Iterable[Span]) -> list[Span]:
    """Return the parts of the spans that no other covers, in order, without overlap."""
    taken = union(others)
    return [part for low, high in union(spans) for part in complement(taken, low, high)]
