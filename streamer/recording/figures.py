"""The figures of a meeting: one definition for every place that shows one.

What enters: records of one participant, or of the meeting as a whole, each window once. Pure.
docs/records.md contains the definitions too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean, linear_regression

import msgspec

from streamer.records import Sentiment, SessionSentiment

MOMENTS = 5
APART_MS = 15_000
"""Least time between two moments of one person."""


def mean_valence(records: Iterable[Sentiment | SessionSentiment]) -> float | None:
    """Return the mean of the smoothed valence over the windows that have one; None without any.

    A meeting's mean is that of its own records (`SessionSentiment`), not of its participants'.
    """
    known = [record.valence for record in records if record.valence is not None]
    return fmean(known) if known else None


def course(
    values: Iterable[tuple[int, float | None]], duration_ms: int, parts: int
) -> tuple[float | None, ...]:
    """Return the mean valence in each of several equal parts of a session; None where none is.

    Args:
        values: the end of each window, in milliseconds, with its valence.
        duration_ms: the session's length.
        parts: how many; a window belongs to the one in which it ends.
    """
    found: list[list[float]] = [[] for _ in range(parts)]
    for end_ms, valence in values:
        if valence is not None:
            place = (end_ms - 1) * parts // max(duration_ms, 1)
            found[min(max(place, 0), parts - 1)].append(valence)
    return tuple(fmean(part) if part else None for part in found)


def thirds(
    records: Iterable[Sentiment | SessionSentiment], duration_ms: int
) -> tuple[float | None, ...]:
    """Return the mean valence in each third of a session."""
    return course(((record.end_ms, record.valence) for record in records), duration_ms, 3)


def per_meeting(means: Sequence[float]) -> float | None:
    """Return the slope of the least-squares line through meetings' means, one after the other."""
    return linear_regression(range(len(means)), means).slope if len(means) > 1 else None


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """The meetings of one name.

    Attributes:
        means: the mean valence of each, by time.
        per_meeting: how much it changes from one to the next.
    """

    name: str
    means: tuple[float, ...]
    per_meeting: float


def trends(meetings: Iterable[tuple[str, float | None]]) -> list[Trend]:
    """Return the trend of each name that several meetings with a mean have, by name.

    Args:
        meetings: name and mean valence of each, by time.
    """
    means: dict[str, list[float]] = {}
    for name, mean in meetings:
        if mean is not None:
            means.setdefault(name, []).append(mean)
    slopes = {name: per_meeting(values) for name, values in sorted(means.items())}
    return [
        Trend(name=name, means=tuple(means[name]), per_meeting=slope)
        for name, slope in slopes.items()
        if slope is not None
    ]


def divided_share(records: Iterable[SessionSentiment]) -> float | None:
    """Return the share of the windows with a valence in which a meeting is divided."""
    known = [record for record in records if record.valence is not None]
    return fmean(record.divided for record in known) if known else None


def moments(sentiments: Iterable[Sentiment], *, best: bool) -> list[Sentiment]:
    """The MOMENTS highest (or lowest) values with words, a person's own APART_MS apart.

    The highest are above zero, the lowest below: a session without a negative moment has none.
    """
    sign = 1.0 if best else -1.0
    spoken = [s for s in sentiments if s.valence is not None and s.text and s.valence * sign > 0]
    chosen: list[Sentiment] = []
    for sentiment in sorted(
        spoken, key=lambda s: (-sign * (s.valence or 0.0), s.end_ms, s.window_id)
    ):
        if all(
            other.participant_id != sentiment.participant_id
            or abs(other.end_ms - sentiment.end_ms) >= APART_MS
            for other in chosen
        ):
            chosen.append(sentiment)
        if len(chosen) == MOMENTS:
            break
    return chosen
