"""A live recogniser: it is decoded when its audio has come, and less often where many speak."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from streamer.config import AsrConfig
from streamer.records import NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ, AudioChunk
from streamer.session.threaded import (
    CAUGHT_UP_NS,
    SHARE,
    Speakers,
    ThreadedRecogniser,
    at_leisure,
)
from streamer.speech.streaming import StreamingRecogniser, WordHypothesis

CONFIG = AsrConfig.model_validate({"interval_s": 1.0})


class LoudVoice:
    """Whatever is not silent is speech."""

    def probabilities(self, frames: np.ndarray) -> list[float]:
        return [float(frame.max()) for frame in frames]

    def forget(self) -> None:
        pass


class NoWords:
    """An engine that recognises nothing."""

    longest_ns = 29 * NS_PER_S

    def __init__(self) -> None:
        self.asked: list[str] = []

    def begin(self) -> None:
        pass

    def feed(self, samples: np.ndarray) -> None:
        pass

    def hypothesis(self) -> list[WordHypothesis]:
        self.asked.append("running")
        return []

    def settle(self, words: Sequence[WordHypothesis]) -> None:
        pass

    def end(self) -> list[WordHypothesis]:
        self.asked.append("over")
        return []


def recogniser() -> StreamingRecogniser:
    return StreamingRecogniser(LoudVoice(), NoWords(), CONFIG, "made up")


def speaking() -> StreamingRecogniser:
    inner = recogniser()
    inner.push(AudioChunk(0, np.ones(1600, np.float32)))
    return inner


def live(inner: StreamingRecogniser, speakers: Speakers) -> ThreadedRecogniser:
    threaded = ThreadedRecogniser(inner, Counter(), speakers)
    threaded.finish()
    return threaded


def test_those_who_speak_are_counted_as_long_as_they_live() -> None:
    speakers, silent, first, second = Speakers(), recogniser(), speaking(), speaking()
    speakers.add(silent)
    speakers.add(first)
    speakers.add(second)
    assert speakers.count() == 2
    first.finish()
    del second
    assert speakers.count() == 0


class Clock:
    """Seconds that a test lets pass."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def decoded(speakers: Speakers, clock: Clock, seconds: float) -> None:
    """Let a decoding take so long, until that is what decodings take."""
    for _ in range(40):
        assert speakers.begin(60 * NS_PER_S)
        clock.now_s += seconds
        speakers.end()


def test_all_who_speak_are_decoded_so_often_that_together_they_take_a_share_of_a_core() -> None:
    clock = Clock()
    speakers = Speakers(clock)
    decoded(speakers, clock, 0.25)
    others, waits_ms = [], []
    for _ in range(4):
        others.append(speaking())
        speakers.add(others[-1])
        waits_ms.append(next(ms for ms in range(0, 9000, 10) if begins(speakers, ms)))
    assert waits_ms == [round(n * 250 / SHARE) for n in (1, 2, 3, 4)]


def begins(speakers: Speakers, waited_ms: int) -> bool:
    """Whether one may be decoded who was decoded so long ago; takes the turn and gives it back."""
    if not speakers.begin(waited_ms * NS_PER_MS):
        return False
    speakers._turn.release()
    return True


def test_one_running_utterance_is_decoded_at_a_time() -> None:
    speakers = Speakers(Clock())
    assert speakers.begin(NS_PER_S)
    assert not speakers.begin(NS_PER_S)
    speakers.end()
    assert speakers.begin(NS_PER_S)


def test_a_decoding_that_fails_gives_its_turn_back() -> None:
    class Broken(NoWords):
        def hypothesis(self) -> list[WordHypothesis]:
            raise RuntimeError("broken")

    speakers = Speakers()
    inner = StreamingRecogniser(LoudVoice(), Broken(), CONFIG, "made up")
    threaded = ThreadedRecogniser(inner, Counter(), speakers)
    threaded.push(AudioChunk(0, np.ones(2 * SAMPLE_RATE_HZ, np.float32)))
    with pytest.raises(RuntimeError, match="broken"):
        threaded.finish()
    assert speakers.begin(60 * NS_PER_S)


def test_nothing_is_decoded_while_audio_waits() -> None:
    threaded = live(recogniser(), Speakers())
    threaded._offered_ns = threaded._processed_ns + CAUGHT_UP_NS
    assert threaded._may_ask(NS_PER_S)
    threaded._offered_ns += 1
    assert not threaded._may_ask(NS_PER_S)


def asked_in_a_recording(*, leisurely: bool) -> list[str]:
    """When the engine is asked for the words of an utterance of five seconds."""
    engine = NoWords()
    inner = StreamingRecogniser(LoudVoice(), engine, CONFIG, "made up")
    reader = at_leisure(inner) if leisurely else inner
    for second in range(5):
        reader.push(AudioChunk(second * NS_PER_S, np.ones(SAMPLE_RATE_HZ, np.float32)))
    reader.push(AudioChunk(5 * NS_PER_S, np.zeros(SAMPLE_RATE_HZ, np.float32)))
    return engine.asked


def test_an_utterance_of_a_recording_is_decoded_once_when_it_is_over() -> None:
    assert asked_in_a_recording(leisurely=True) == ["over"]
    assert asked_in_a_recording(leisurely=False) == [*5 * ["running"], "over"]
