"""A live participant's windows go out before their words, and again with them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from streamer.capture.sources import ParticipantSpec
from streamer.config import build
from streamer.records import NS_PER_S, SAMPLE_RATE_HZ, AudioChunk, Window, Word
from streamer.session.participant import Pipeline
from streamer.session.plan import make_plan
from streamer.speech.streaming import Transcript

HELLO = Word("hello", NS_PER_S // 5, 3 * NS_PER_S // 5)


class SlowRecogniser:
    """Gives HELLO once it may; until then it is busy with the first chunk."""

    description = "slow"

    def __init__(self) -> None:
        self.may_go_on = threading.Event()
        self.words = [HELLO]

    def push(self, chunk: AudioChunk) -> Transcript:
        return self.advance(chunk.end_ns)

    def advance(self, event_time_ns: int) -> Transcript:
        assert self.may_go_on.wait(30)
        words, self.words = self.words, []
        return Transcript(words, [], event_time_ns, event_time_ns)

    def finish(self) -> Transcript:
        return Transcript([], [], 4 * NS_PER_S, 4 * NS_PER_S)


def sound(stop: threading.Event) -> Iterator[AudioChunk]:
    """Two and a half seconds, a tenth at a time."""
    for tenth in range(25):
        silence = np.zeros(SAMPLE_RATE_HZ // 10, np.float32)
        yield AudioChunk(tenth * NS_PER_S // 10, silence)


def windows(*, live: bool = True, revisions: bool = True) -> list[Window]:
    """Return a participant's windows; the recogniser goes on once the first is out."""
    config = build(
        {
            "session": {"consent": "yes", "modalities": ["audio", "text"]},
            "windows": {"allowed_lateness_s": 60, "revisions": revisions},
        }
    )
    spec = ParticipantSpec("ana", ("lavfi:sine=frequency=440",))
    plan = replace(make_plan([spec], config, speed=0), live=live)
    recogniser = SlowRecogniser()
    if not (live and revisions):
        recogniser.may_go_on.set()
    out = []
    pipeline = Pipeline(plan, spec, config, chunks=sound, recogniser=("slow", recogniser))
    for window in pipeline.windows(threading.Event()):
        out.append(window)
        recogniser.may_go_on.set()
    return out


def test_live_windows_go_out_before_their_words_and_again_with_them() -> None:
    out = windows()
    first = {w.window_index: w for w in out if w.revision == 0}
    again = {w.window_index: w for w in out if w.revision == 1}

    assert list(first) == [0, 1, 2]
    assert (first[0].text, again[0].text, first[2].text) == ("", "hello", "hello")
    assert out.index(again[0]) > out.index(first[0])
    assert again[0].audio_codec == "flac"
    assert again[0].audio == first[0].audio
    carried = [
        word.text for w in {**first, **again}.values() if w.spoken for word in w.spoken.words
    ]
    assert carried == ["hello"]


def test_where_windows_are_not_revised_each_goes_out_once_with_its_words() -> None:
    for out in (windows(revisions=False), windows(live=False)):
        assert [(w.window_index, w.revision, w.text) for w in out] == [
            (k, 0, "hello") for k in range(3)
        ]


class AtTheEnd:
    """Gives HELLO when the recording is over, and knows no time before that."""

    description = "at the end"

    def push(self, chunk: AudioChunk) -> Transcript:
        return self.advance(chunk.end_ns)

    def advance(self, event_time_ns: int) -> Transcript:
        return Transcript([], [], 0, 0)

    def finish(self) -> Transcript:
        return Transcript([HELLO], [], 20 * NS_PER_S, 20 * NS_PER_S)


def test_the_windows_of_a_recording_wait_for_their_words_however_late_they_come() -> None:
    def twenty_seconds(stop: threading.Event) -> Iterator[AudioChunk]:
        for second in range(20):
            yield AudioChunk(second * NS_PER_S, np.zeros(SAMPLE_RATE_HZ, np.float32))

    config = build({"session": {"consent": "yes", "modalities": ["audio", "text"]}})
    spec = ParticipantSpec("ana", ("lavfi:sine=frequency=440",))
    plan = replace(make_plan([spec], config, speed=0), live=False)
    pipeline = Pipeline(plan, spec, config, chunks=twenty_seconds, recogniser=("late", AtTheEnd()))
    out = list(pipeline.windows(threading.Event()))

    assert [w.text for w in out[:6]] == ["hello"] * 5 + [""]
    assert pipeline.counters["late_words"] == 0
