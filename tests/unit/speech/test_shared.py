"""One person of a shared recording: that person's sound, speech and words."""

from __future__ import annotations

import numpy as np

from streamer.records import NS_PER_MS, NS_PER_S, AudioChunk, Word
from streamer.spans import SpeakerTurn
from streamer.speech.attribution import Everybody
from streamer.speech.shared import MARGIN_NS, OnePerson
from streamer.speech.streaming import Transcript


class EverySecond:
    """A Transcriber that gives a word for each second, and keeps the sound."""

    description = "a word a second"

    def __init__(self) -> None:
        self.samples: list[float] = []

    def push(self, chunk: AudioChunk) -> Transcript:
        self.samples += chunk.samples.tolist()
        word = Word(f"w{chunk.event_time_ns // NS_PER_S}", chunk.event_time_ns, chunk.end_ns)
        span = (chunk.event_time_ns, chunk.end_ns)
        return Transcript([word], [span], chunk.end_ns, chunk.end_ns, [word])

    def advance(self, event_time_ns: int) -> Transcript:
        return Transcript([], [], event_time_ns, event_time_ns)

    def finish(self) -> Transcript:
        return Transcript([], [], 0, 0)


def test_a_person_has_words_speech_and_sound_of_the_own_turns() -> None:
    inner = EverySecond()
    room = Everybody(
        [SpeakerTurn("ana", 0, 2500 * NS_PER_MS), SpeakerTurn("bo", 2 * NS_PER_S, 4 * NS_PER_S)]
    )
    bo = OnePerson(inner, "bo", room)
    assert bo.description == inner.description
    given = [bo.push(AudioChunk(n * NS_PER_S, np.ones(16000, np.float32))) for n in range(6)]
    words = [[], [], ["w2"], ["w3"], ["w4"], []]
    assert [[word.text for word in part.words] for part in given] == words
    assert [[word.text for word in part.unread] for part in given] == words
    assert [part.speech for part in given] == [
        [],
        [],
        [(2 * NS_PER_S, 3 * NS_PER_S)],
        [(3 * NS_PER_S, 4 * NS_PER_S)],
        [],
        [],
    ]
    assert [part.watermark_ns for part in given] == [n * NS_PER_S for n in range(1, 7)]
    margin = MARGIN_NS * 16000 // NS_PER_S
    heard = np.flatnonzero(inner.samples)
    assert (heard[0], heard[-1] + 1, len(heard)) == (
        32000 - margin,
        64000 + margin,
        32000 + 2 * margin,
    )
    assert bo.advance(9).watermark_ns == 9
    assert bo.finish().words == []
