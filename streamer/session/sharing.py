"""What a participant shares, and when that changed.

What enters: changes, in order of time. What leaves: what is shared now, and at a time. Pure.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from streamer.records import Modality, Word


@dataclass(frozen=True, slots=True)
class Shared:
    """From `event_time_ns` on a participant shares `modalities`; time has passed up to it.

    It stands among the participant's chunks, in order, so that all before it is of the time before.
    """

    event_time_ns: int
    modalities: frozenset[Modality]


class Sharing:
    """What one participant shares, now and at earlier times."""

    def __init__(self, modalities: Collection[Modality]) -> None:
        """Start with `modalities` at time 0."""
        self._changes = [Shared(0, frozenset(modalities))]

    @property
    def now(self) -> frozenset[Modality]:
        """What is shared at present."""
        return self._changes[-1].modalities

    def change(self, to: Shared) -> None:
        """Take a change, which is not before the last one; what is no change is ignored."""
        if to.modalities != self.now:
            self._changes.append(to)

    def words(self, words: Collection[Word]) -> list[Word]:
        """Return the words, in the participant's own time, that begin while words are shared."""
        return [word for word in words if self._has_words(word.start_ns)]

    def _has_words(self, time_ns: int) -> bool:
        past = (each for each in reversed(self._changes) if each.event_time_ns <= time_ns)
        return "text" in next(past, self._changes[0]).modalities
