"""The meeting's valence over a session: a small picture of its course, and its mean.

What enters: `SessionSentiment` records, in any order. What leaves: the numbers of a recorded
session's index entry, of the session so far. Pure.
"""

from __future__ import annotations

from statistics import fmean

from streamer.recording.figures import course
from streamer.recording.recorded import COURSE_PARTS
from streamer.records import SessionSentiment

MAX_WINDOWS = 36_000
"""Ten hours at one window a second; of a longer session the newest."""


class Course:
    """Each window's valence, in its newest revision, and what follows from them."""

    def __init__(self) -> None:
        """Without a window."""
        self._values: dict[int, tuple[int, float | None]] = {}
        self._figures: tuple[float | None, tuple[float | None, ...]] | None = None

    def add(self, record: SessionSentiment) -> None:
        """Take the record of a window, which replaces an earlier one of the same window."""
        self._values[record.window_index] = record.end_ms, record.valence
        if len(self._values) > MAX_WINDOWS:
            del self._values[next(iter(self._values))]
        self._figures = None

    def figures(self) -> tuple[float | None, tuple[float | None, ...]]:
        """Return the mean valence, and that of each of COURSE_PARTS parts; None and () without."""
        if self._figures is None:
            self._figures = self._computed()
        return self._figures

    def _computed(self) -> tuple[float | None, tuple[float | None, ...]]:
        known = [value for _, value in self._values.values() if value is not None]
        if not known:
            return None, ()
        length_ms = max(end_ms for end_ms, _ in self._values.values())
        parts = course(self._values.values(), length_ms, COURSE_PARTS)
        rounded = tuple(None if value is None else round(value, 2) for value in parts)
        return round(fmean(known), 4), rounded
