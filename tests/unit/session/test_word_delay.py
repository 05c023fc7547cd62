"""The delay of words: one sentence when they come late, one when they come in time again."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from streamer.capture.sources import ParticipantSpec
from streamer.config import build
from streamer.notices import Notices
from streamer.records import NS_PER_S, SAMPLE_RATE_HZ, AudioChunk, Word
from streamer.session.participant import Pipeline
from streamer.session.plan import make_plan
from streamer.session.word_delay import WordDelay
from streamer.speech.streaming import Transcript


def said(watch: WordDelay, *delays_s: tuple[int, float]) -> Iterator[str]:
    """Sentences on so many words each with such a delay, one word a second."""
    at_ns = 0
    for count, delay_s in delays_s:
        for _ in range(count):
            at_ns += NS_PER_S
            word = Word("so", at_ns - NS_PER_S // 2, at_ns)
            sentence = watch.push([word], at_ns + round(delay_s * NS_PER_S))
            if sentence:
                yield sentence


def test_usual_words_are_in_time() -> None:
    assert not list(said(WordDelay(), (100, 1.9), (5, 9.0), (100, 2.9)))


def test_late_words_are_said_once_and_what_helps() -> None:
    [sentence] = said(WordDelay(), (40, 2.0), (200, 8.0))
    assert sentence.startswith("words come 8 s after they were said")
    for setting in ("asr.whisper_model", "tiny.en", 'asr.engine = "none"'):
        assert setting in sentence


def test_that_words_come_in_time_again_is_said_once() -> None:
    late, timely = said(WordDelay(), (30, 12.0), (60, 2.0))
    assert "12 s" in late
    assert timely == "words come in time again, 2 s after they were said."


def test_it_is_said_again_when_words_are_late_again() -> None:
    sentences = list(said(WordDelay(), (30, 9.0), (60, 2.0), (30, 7.0)))
    begins = ["words come 9 s", "words come in time", "words come 7 s"]
    assert all(map(str.startswith, sentences, begins))
    assert len(sentences) == len(begins)


def test_a_delay_around_the_limits_changes_nothing() -> None:
    assert not list(said(WordDelay(), *[(5, 4.5), (5, 4.9)] * 20))
    assert len(list(said(WordDelay(), (30, 6.0), *[(5, 3.5), (5, 4.9)] * 20))) == 1


def test_silence_is_not_late() -> None:
    watch = WordDelay()
    assert not any(watch.push([], second * NS_PER_S) for second in range(100))


class Late:
    """A recogniser of one word a second, which it gives so much later; it must keep up with it."""

    description = "late"

    def __init__(self, late_s: int) -> None:
        self._late_s = late_s
        self._taken = threading.Semaphore(0)

    def push(self, chunk: AudioChunk) -> Transcript:
        end_ns = chunk.end_ns - self._late_s * NS_PER_S
        words = [Word("so", end_ns - NS_PER_S // 2, end_ns)] if end_ns > 0 else []
        self._taken.release()
        return Transcript(words, [], max(0, end_ns), chunk.end_ns)

    def advance(self, event_time_ns: int) -> Transcript:
        return Transcript([], [], event_time_ns, event_time_ns)

    def finish(self) -> Transcript:
        return Transcript([], [], 40 * NS_PER_S, 40 * NS_PER_S)

    def sound(self, stop: threading.Event) -> Iterator[AudioChunk]:
        for second in range(40):
            yield AudioChunk(second * NS_PER_S, np.zeros(SAMPLE_RATE_HZ, np.float32))
            assert self._taken.acquire(timeout=30)


def notices_of(late_s: int, *, live: bool = True) -> Sequence[str]:
    """Notices on a participant whose words are so late."""
    config = build({"session": {"consent": "yes", "modalities": ["text"]}})
    spec = ParticipantSpec("ana", ("lavfi:sine=frequency=440",))
    plan = replace(make_plan([spec], config, speed=0), live=live)
    notices, recogniser = Notices(), Late(late_s)
    words = ("late", recogniser)
    pipeline = Pipeline(
        plan, spec, config, notices=notices, chunks=recogniser.sound, recogniser=words
    )
    list(pipeline.windows(threading.Event()))
    return [notice for notice in notices.newest() if "words" in notice]


def test_a_live_participant_whose_words_come_late_has_a_notice() -> None:
    [notice] = notices_of(late_s=8)
    assert notice.startswith("ana: words come ")
    assert notices_of(late_s=1) == []


def test_a_replay_waits_for_its_words() -> None:
    assert notices_of(late_s=8, live=False) == []
