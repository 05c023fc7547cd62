"""The mean valence of a participant and of a meeting: one definition for every place that shows it.

What enters: records of one participant, or of the meeting as a whole, each window once. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean

from streamer.records import Sentiment, SessionSentiment


def mean_valence(records: Iterable[Sentiment | SessionSentiment]) -> float | None:
    """Return the mean of the smoothed valence over the windows that have one; None without any.

    A meeting's mean is that of its own records (`SessionSentiment`), not of its participants'.
    """
    known = [record.valence for record in records if record.valence is not None]
    return fmean(known) if known else None
