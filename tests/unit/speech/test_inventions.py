"""No invented words: twenty seconds without speech through Silero and the published tiny.en."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from streamer.config import AsrConfig
from streamer.records import NS_PER_S, SAMPLE_RATE_HZ, AudioChunk
from streamer.speech.activity import Silero
from streamer.speech.streaming import StreamingRecogniser
from streamer.speech.whisper import Whisper

Sound = NDArray[np.float64]
SECONDS = 20
CHUNK = 1024


def at(seconds: float) -> Sound:
    return np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ


def notes(random: np.random.Generator, base_hz: float, per_second: float) -> Sound:
    """A melody of plucked notes, each with five overtones."""
    played: list[Sound] = []
    for _ in range(round(SECONDS * per_second)):
        time = at(1 / per_second)
        hz = base_hz * 2 ** (random.choice([0, 2, 4, 5, 7, 9, 11]) / 12)
        tone = sum(np.sin(2 * np.pi * hz * k * time) / k for k in range(1, 7))
        played.append(0.15 * np.minimum(1, time / 0.01) * np.exp(-2.5 * time) * tone)
    return np.concatenate(played)


def voiced(hz: float, seconds: float) -> Sound:
    """A falling voice with three formants, as in laughter."""
    time = at(seconds)
    phase = 2 * np.pi * np.cumsum(np.linspace(1.1 * hz, 0.95 * hz, len(time))) / SAMPLE_RATE_HZ
    strengths = [
        sum(np.exp(-(((k * hz - formant) / 120) ** 2)) + 0.02 for formant in (750, 1250, 2600))
        for k in range(1, 25)
    ]
    sound = sum(s * np.sin(k * phase) for k, s in enumerate(strengths, start=1))
    return np.asarray(0.5 * sound / np.abs(sound).max() * np.hanning(len(time)))


def laughter(random: np.random.Generator) -> Sound:
    hz, parts = random.uniform(220, 420), []
    for _ in range(random.integers(4, 10)):
        breath = random.normal(0, 0.08, round(0.06 * SAMPLE_RATE_HZ))
        parts += [breath, voiced(hz, 0.14)]
        hz *= 0.97
    return np.concatenate(parts)


def cough(random: np.random.Generator) -> Sound:
    time = at(0.3)
    burst = random.normal(0, 1, len(time)) * np.exp(-9 * time)
    return np.concatenate([0.28 * burst, 0.14 * burst])


def door(random: np.random.Generator) -> Sound:
    time = at(0.4)
    knock = np.sin(2 * np.pi * 90 * time) + 0.3 * random.normal(0, 1, len(time))
    return 0.8 * np.exp(-12 * time) * knock


def again(random: np.random.Generator, sound: Callable[[np.random.Generator], Sound]) -> Sound:
    """A sound again and again, with pauses between a fifth of a second and three seconds."""
    result, end = np.zeros(SECONDS * SAMPLE_RATE_HZ), SAMPLE_RATE_HZ
    while end < len(result) - SAMPLE_RATE_HZ:
        one = sound(random)[: len(result) - end]
        result[end : end + len(one)] = one
        end += len(one) + round(random.uniform(0.2, 3) * SAMPLE_RATE_HZ)
    return result


def without_speech(kind: str, random: np.random.Generator) -> Sound:
    time = at(SECONDS)
    if kind == "music":
        return notes(random, 131, 2) + notes(random, 330, 4)
    if kind == "hold tone":
        return 0.3 * np.sin(2 * np.pi * 425 * time) * (time % 1.5 < 0.75)
    if kind == "noise":
        return random.normal(0, 0.1, len(time))
    if kind == "sweep":
        return 0.5 * np.sin(2 * np.pi * (200 * (time % 4) + 150 * (time % 4) ** 2))
    if kind == "silence":
        return np.zeros(len(time))
    return again(random, {"laughter": laughter, "coughs": cough, "doors": door}[kind])


@pytest.mark.slow
@pytest.mark.parametrize("background", [0.0, 0.002])
@pytest.mark.parametrize(
    "kind", ["music", "hold tone", "noise", "sweep", "silence", "laughter", "coughs", "doors"]
)
def test_twenty_seconds_without_speech_give_no_word(kind: str, background: float) -> None:
    random = np.random.default_rng(3)
    sound = without_speech(kind, random)
    noisy = np.clip(sound + random.normal(0, background, len(sound)), -1, 1)
    samples: NDArray[np.float32] = noisy.astype(np.float32)
    config = AsrConfig(whisper_model="tiny.en")
    ear = StreamingRecogniser(Silero(), Whisper(config), config, kind)
    words = []
    for first in range(0, len(samples), CHUNK):
        start_ns = first * NS_PER_S // SAMPLE_RATE_HZ
        words += ear.push(AudioChunk(start_ns, samples[first : first + CHUNK])).words
    words += ear.finish().words
    assert [word.text for word in words] == []
