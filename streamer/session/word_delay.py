"""Whether words of a live session are recognised in time.

What enters: words as they are given out, and how far the sound has come. What leaves: one sentence
when they come late, and one when they come in time again. Pure; counts in the sound's time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from statistics import median_low

from streamer.records import NS_PER_S, Word

LATE_NS = 5 * NS_PER_S
"""Median time from a word's end until it is given out from which on words are late; usual: 2 s."""
LATE_WORDS = 12
"""So many of the newest words are judged."""
TIMELY_NS = 3 * NS_PER_S
"""Median time below which words that were late come in time again."""
TIMELY_WORDS = 24
"""So many of the newest words are judged then, so that the two do not alternate."""


class WordDelay:
    """Judges the words of one recogniser; use from one thread."""

    def __init__(self) -> None:
        """Nothing is late."""
        self._newest_ns: deque[int] = deque(maxlen=LATE_WORDS)
        self._late = False

    def push(self, words: Sequence[Word], heard_ns: int) -> str:
        """Take new words; return a sentence when their delay has changed, else an empty text.

        Args:
            words: those that are given out now.
            heard_ns: the end of the sound that the recogniser has been given so far.
        """
        self._newest_ns += [heard_ns - word.end_ns for word in words]
        if not words or len(self._newest_ns) < (self._newest_ns.maxlen or 0):
            return ""
        delay_ns = median_low(self._newest_ns)
        if self._late == (delay_ns >= (TIMELY_NS if self._late else LATE_NS)):
            return ""
        self._late = not self._late
        self._newest_ns = deque(maxlen=TIMELY_WORDS if self._late else LATE_WORDS)
        return (LATE if self._late else TIMELY).format(delay_ns / NS_PER_S)


LATE = (
    "words come {:.0f} s after they were said, because this machine recognises speech more slowly "
    "than people speak; a smaller model (asr.whisper_model, tiny.en is the smallest), fewer people "
    'who speak at once, or no words (asr.engine = "none") help.'
)
TIMELY = "words come in time again, {:.0f} s after they were said."
