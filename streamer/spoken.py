"""What a participant has spoken: the words at hand for windows, and what none has carried yet.

What enters: words and spans of speech, in any order. What leaves: a window's words and those before
it, and a `Spoken`, so that all windows together carry each word once. Pure; does not know how
windows are cut.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence

from streamer.records import MAX_SPOKEN, NS_PER_MS, SpeechSpan, Spoken, SpokenWord, Word
from streamer.spans import Span, union


class WordsAtHand:
    """Words of one participant by time; the newest of those that are over are the context."""

    def __init__(self, context_words: int) -> None:
        """Keep `context_words` of the words that are over."""
        self._context_words = context_words
        self._words: list[Word] = []
        self._context: list[Word] = []
        self._unread: set[Word] = set()

    def add(self, words: Iterable[Word], unread: Sequence[Word]) -> None:
        """Add words, each given once; the model does not read the `unread` ones."""
        for word in (*words, *unread):
            insort(self._words, word, key=_order)
        self._unread.update(unread)

    def between(self, start_ns: int, end_ns: int) -> tuple[Word, ...]:
        """Return the words that overlap `[start_ns, end_ns)`."""
        return tuple(word for word in self._begun_by(end_ns) if span_of(word)[1] > start_ns)

    def before(self, start_ns: int) -> list[Word]:
        """Return the newest words that ended by `start_ns`, without the unread ones."""
        over = [word for word in self._begun_by(start_ns) if span_of(word)[1] <= start_ns]
        read = [word for word in over if word not in self._unread]
        past = sorted([*self._context, *read], key=_order)
        return past[max(0, len(past) - self._context_words) :]

    def beginning_from(self, start_ns: int) -> int:
        """Return how many words begin at or after `start_ns`."""
        return len(self._words) - len(self._begun_by(start_ns))

    def are_read(self, words: Sequence[Word]) -> bool:
        """Return whether the model reads all of them."""
        return not self._unread.intersection(words)

    def retire(self, start_ns: int) -> None:
        """Keep words that ended by `start_ns` as context only."""
        begun, self._context = self._begun_by(start_ns), self.before(start_ns)
        self._words[: len(begun)] = [word for word in begun if span_of(word)[1] > start_ns]
        self._unread.difference_update(word for word in begun if span_of(word)[1] <= start_ns)

    def _begun_by(self, end_ns: int) -> list[Word]:
        return self._words[: bisect_left(self._words, end_ns, key=_start)]


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

    def take(self, end_ns: int, carried: Spoken | None = None) -> Spoken | None:
        """Remove and return all that begins before `end_ns`; None where nothing can be known.

        Args:
            end_ns: the window's end.
            carried: what an earlier revision of the window carries; it is returned too.
        """
        if not self._voice and not self._gives_words:
            return None
        before = carried or Spoken()
        room = MAX_SPOKEN - len(before.words)
        count = min(bisect_left(self._words, end_ns, key=_start), room)
        words, self._words = self._words[:count], self._words[count:]
        told = [(low, min(high, end_ns)) for low, high in self._speech if low < end_ns]
        self._speech = [(max(low, end_ns), high) for low, high in self._speech if high > end_ns]
        given = (*before.words, *(_spoken(word) for word in words))
        given = tuple(sorted(given, key=lambda word: word.start_ms))
        speech = _joined(before.speech, _in_ms(told)) if self._voice else speech_of(given)
        return Spoken(speech[:MAX_SPOKEN], given if self._gives_words else ())


def speech_of(words: Sequence[SpokenWord]) -> tuple[SpeechSpan, ...]:
    """Return when somebody speaks by the words alone."""
    return tuple(SpeechSpan(*span) for span in union((w.start_ms, w.end_ms) for w in words))


def _joined(*parts: Sequence[SpeechSpan]) -> tuple[SpeechSpan, ...]:
    spans = union((span.start_ms, span.end_ms) for part in parts for span in part)
    return tuple(SpeechSpan(*span) for span in spans)


def _in_ms(spans_ns: Sequence[Span]) -> tuple[SpeechSpan, ...]:
    return tuple(
        SpeechSpan(*span) for span in union((_ms(low), _ms(high)) for low, high in spans_ns)
    )


def span_of(word: Word) -> Span:
    """Return when a word is spoken; one without a duration takes the first nanosecond of it."""
    return word.start_ns, max(word.end_ns, word.start_ns + 1)


def _spoken(word: Word) -> SpokenWord:
    start_ms = _ms(word.start_ns)
    return SpokenWord(word.text, start_ms, max(start_ms, _ms(word.end_ns)), word.confidence)


def _ms(time_ns: int) -> int:
    return (time_ns + NS_PER_MS // 2) // NS_PER_MS


def _start(word: Word) -> int:
    return word.start_ns


def _order(word: Word) -> tuple[int, int, str]:
    return word.start_ns, word.end_ns, word.text
