"""The level of a participant's sound: one sentence, once, and none for sound that can be used."""

from collections.abc import Iterator

import numpy as np
import pytest

from streamer.records import AudioChunk
from streamer.session.level import LevelWatch


def chunks(seconds: float, *, peak: float, first_s: float = 0.0) -> Iterator[AudioChunk]:
    tone = (peak * np.sin(np.arange(1600) * 0.3)).astype(np.float32)
    for number in range(round(seconds * 10)):
        yield AudioChunk(round((first_s + number / 10) * 1e9), tone)


def said(watch: LevelWatch, *parts: Iterator[AudioChunk]) -> list[str]:
    sentences = [watch.push(chunk) for part in parts for chunk in part]
    return [sentence for sentence in (*sentences, watch.finish()) if sentence]


@pytest.mark.parametrize("seconds", [4, 60])
def test_quiet_sound_is_said_once(seconds: float) -> None:
    [sentence] = said(LevelWatch(live=False), chunks(seconds, peak=0.008))
    assert "very quiet (peak -42 dB" in sentence


def test_sound_that_is_loud_at_times_is_not_quiet() -> None:
    watch = LevelWatch(live=True)
    assert said(watch, chunks(10, peak=0.008), chunks(0.1, peak=0.2), chunks(60, peak=0.008)) == []


def test_a_silent_microphone_is_muted_and_a_silent_recording_waits_for_its_turn() -> None:
    [sentence] = said(LevelWatch(live=True), chunks(30, peak=0))
    assert "muted" in sentence
    assert said(LevelWatch(live=False), chunks(30, peak=0)) == []
    assert said(LevelWatch(live=False), chunks(30, peak=0), chunks(1, peak=0.3)) == []


def test_a_moment_of_sound_is_not_judged() -> None:
    assert said(LevelWatch(live=False), chunks(2, peak=0.008)) == []
