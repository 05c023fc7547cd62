"""What a participant has spoken and no window has carried yet.

What enters: words and spans of speech, in any order. What leaves: for each window a `Spoken`, so
that all windows together carry each word once. Pure; does not know how windows are cut.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence

from streamer.records import MAX_SPOKEN, NS_PER_MS, SpeechSpan, Spoken, SpokenWord, Word
from streamer.spans import Span, union


class Untold:
    """Words and speech of one participant until a window carries them; times in nanoseconds."""

    def __init__(self, *, voice: bool, words: bool) -> None:
        """Choose by what is known of the participant.

        Args:
            voice: take the speech from `add_speech`, otherwise from the words.
            words: whether words are given out.
        """
        self._voice = voice
        self._gives_words = words
        self._words: list[Word] = []
        self._speech: list[Span] = []

    def add_words(self, words: Sequence[Word]) -> None:
        """Add words, each given once."""
        for word in words:
            insort(self._words, word, key=_order)

    def add_speech(self, spans: Sequence[Span]) -> None:
        """Add `[start_ns, end_ns)` in which there is speech; ignored where words stand for it."""
        if self._voice:
            self._speech = union([*self._speech, *spans])

    def take(self, end_ns: int) -> Spoken | None:
        """Remove and return all that begins before `end_ns`; None where nothing can be known."""
        if not self._voice and not self._gives_words:
            return None
        count = min(bisect_left(self._words, end_ns, key=_start), MAX_SPOKEN)
        words, self._words = self._words[:count], self._words[count:]
        told = [(low, min(high, end_ns)) for low, high in self._speech if low < end_ns]
        self._speech = [(max(low, end_ns), high) for low, high in self._speech if high > end_ns]
        given = tuple(_spoken(word) for word in words)
        speech = _in_ms(told) if self._voice else speech_of(given)
        return Spoken(speech[:MAX_SPOKEN], given if self._gives_words else ())


def speech_of(words: Sequence[SpokenWord]) -> tuple[SpeechSpan, ...]:
    """Return when somebody speaks by the words alone."""
    return tuple(SpeechSpan(*span) for span in union((w.start_ms, w.end_ms) for w in words))


def _in_ms(spans_ns: Sequence[Span]) -> tuple[SpeechSpan, ...]:
    return tuple(
        SpeechSpan(*span) for span in union((_ms(low), _ms(high)) for low, high in spans_ns)
    )


def _spoken(word: Word) -> SpokenWord:
    start_ms = _ms(word.start_ns)
    return SpokenWord(word.text, start_ms, max(start_ms, _ms(word.end_ns)), word.confidence)


def _ms(time_ns: int) -> int:
    return (time_ns + NS_PER_MS // 2) // NS_PER_MS


def _start(word: Word) -> int:
    return word.start_ns


def _order(word: Word) -> tuple[int, int, str]:
    return word.start_ns, word.end_ns, word.text
