"""Words that a sender gives: they leave with the sound, and the watermark is what was promised."""

from __future__ import annotations

import numpy as np

from streamer.records import NS_PER_S, AudioChunk, Word
from streamer.speech.given import MAX_WAITING, Given, GivenWord, WordQueue
from streamer.speech.streaming import Transcript


class Voice:
    """Speech is known as far as the sound goes; there is none."""

    description = "voice"

    def __init__(self) -> None:
        self.now_ns = 0

    def push(self, chunk: AudioChunk) -> Transcript:
        return self.advance(chunk.end_ns)

    def advance(self, event_time_ns: int) -> Transcript:
        self.now_ns = event_time_ns
        return self.finish()

    def finish(self) -> Transcript:
        return Transcript([], [(0, self.now_ns)], self.now_ns, self.now_ns)


def word(text: str, second: float, language: str = "") -> GivenWord:
    start_ns = round(second * NS_PER_S)
    return Word(text, start_ns, start_ns + NS_PER_S // 2), language


def second_of_sound(number: int) -> AudioChunk:
    return AudioChunk(number * NS_PER_S, np.zeros(16_000, np.float32))


def test_words_leave_by_time_with_the_next_sound() -> None:
    words = WordQueue()
    given = Given(words, Voice(), ("en",))
    assert given.push(second_of_sound(0)).words == []
    words.put([word("there", 0.5)], 0)
    words.put([word("hello", 0.0)], NS_PER_S)
    transcript = given.push(second_of_sound(1))
    assert [word.text for word in transcript.words] == ["hello", "there"]
    assert transcript.watermark_ns == NS_PER_S
    assert transcript.speech == [(0, 2 * NS_PER_S)]
    assert given.push(second_of_sound(2)).words == []


def test_the_watermark_never_falls_and_never_passes_the_sound() -> None:
    words = WordQueue()
    given = Given(words, Voice(), ("en",))
    words.put([], 9 * NS_PER_S)
    assert given.push(second_of_sound(0)).watermark_ns == NS_PER_S
    words.put([], 0)
    assert given.advance(4 * NS_PER_S).watermark_ns == 4 * NS_PER_S
    assert given.advance(20 * NS_PER_S).watermark_ns == 9 * NS_PER_S


def test_the_end_takes_the_last_words_and_promises_the_rest() -> None:
    words = WordQueue()
    given = Given(words, Voice(), ("en",))
    given.push(second_of_sound(0))
    words.put([word("bye", 0.2)], 0)
    last = given.finish()
    assert ([word.text for word in last.words], last.watermark_ns) == (["bye"], NS_PER_S)


def test_words_in_a_language_that_the_model_does_not_read_are_apart() -> None:
    words = WordQueue()
    given = Given(words, Voice(), ("en",))
    words.put([word("yes", 0.0, "en"), word("ja", 0.5, "de")], 0)
    transcript = given.push(second_of_sound(0))
    assert [word.text for word in transcript.words] == ["yes"]
    assert [word.text for word in transcript.unread] == ["ja"]


def test_more_than_may_wait_is_refused() -> None:
    words = WordQueue()
    assert all(words.put([], 0) for _ in range(MAX_WAITING))
    assert not words.put([word("one too many", 0.0)], 0)
    assert words.take() == ([], 0)
    assert words.put([word("again", 0.0)], 0)
