"""A live recogniser: it is decoded when its audio has come, and less often where many speak."""

from __future__ import annotations

from collections import Counter

import numpy as np

from streamer.config import AsrConfig
from streamer.records import NS_PER_S, SAMPLE_RATE_HZ, AudioChunk
from streamer.session.threaded import CAUGHT_UP_NS, Speakers, ThreadedRecogniser, at_leisure
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


def test_two_speakers_are_decoded_at_every_interval_and_five_at_every_fourth() -> None:
    speakers, inner = Speakers(), recogniser()
    threaded = live(inner, speakers)
    others = [speaking() for _ in range(5)]
    waits_s = []
    for other in others:
        speakers.add(other)
        waits_s.append(next(s for s in range(9) if threaded._may_ask(s * NS_PER_S)))
    assert waits_s == [0, 1, 2, 3, 4]


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
