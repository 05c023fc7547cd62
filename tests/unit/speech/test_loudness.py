"""Loudness: what is amplified and by how much, and what stands out from its background."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from streamer.records import SAMPLE_RATE_HZ
from streamer.speech.loudness import FRAME_SAMPLES, NOISE, PEAK, Gain, Loudness

Sound = NDArray[np.float32]


def silence(ms: int) -> Sound:
    return np.zeros(ms * 16, np.float32)


def noise(seconds: float, level: float) -> Sound:
    count = round(seconds * SAMPLE_RATE_HZ)
    return np.random.default_rng(0).normal(0, level, count).astype(np.float32)


def whole_frames(samples: Sound) -> Sound:
    return samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)


def amplified(gain: Gain, samples: Sound) -> Sound:
    """Return whole frames of a sound as `gain` makes them."""
    return np.concatenate([gain.apply(frame) for frame in whole_frames(samples)])


def tone(seconds: float, peak: float) -> Sound:
    time = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return (peak * np.sin(2 * np.pi * 300 * time)).astype(np.float32)


def test_soft_sound_after_silence_is_amplified_and_loud_sound_is_not_changed() -> None:
    gain = Gain()
    assert np.all(amplified(gain, silence(500)) == 0.0)
    assert np.abs(amplified(gain, tone(0.5, 0.01))).max() == pytest.approx(PEAK, rel=0.01)
    loud = tone(0.512, 0.8)
    np.testing.assert_array_equal(amplified(gain, loud), loud)
    # It is remembered as half as loud each second later, so as softer than 0.01 after seven.
    assert amplified(gain, silence(7000)).max() == 0.0
    assert np.abs(amplified(gain, tone(0.5, 0.01))).max() > 0.9 * PEAK


@pytest.mark.parametrize("level", [0.0001, 0.001, 0.01])
def test_a_background_is_not_amplified_beyond_a_faint_one(level: float) -> None:
    heard = amplified(Gain(), noise(5, level))
    assert np.sqrt(np.mean(heard**2)) <= max(1.2 * NOISE, 1.01 * level)


def lasting(loudness: Loudness, samples: Sound) -> list[bool]:
    """Return for each frame whether the sound lasts."""
    found = []
    for frame in whole_frames(samples):
        loudness.stands_out(frame)
        found.append(loudness.lasts)
    return found


def test_a_shout_after_a_soft_background_stands_out_from_its_fifth_frame() -> None:
    loudness = Loudness()
    assert not any(lasting(loudness, noise(2, 0.002)))
    assert lasting(loudness, tone(0.3, 0.3)) == [False] * 4 + [True] * 5


@pytest.mark.parametrize("kind", ["click", "hum", "soft", "steady"])
def test_what_is_short_or_soft_or_lasts_for_seconds_does_not_stand_out(kind: str) -> None:
    loudness = Loudness()
    sound = {
        "click": np.concatenate([tone(0.06, 0.8), silence(400)]),
        "hum": tone(1, 0.02),  # a third of it is below LEAST_LOUD
        "soft": 0.1 * tone(1, 0.1),
        "steady": tone(1, 0.3),
    }[kind]
    before = tone(5, 0.3) if kind == "steady" else noise(2, 0.0005 if kind == "click" else 0.002)
    lasting(loudness, before)
    assert not any(lasting(loudness, sound))


def test_what_fades_after_a_shout_is_its_end() -> None:
    """A room's echo of a shout does not stand out; a second shout at half the level does."""
    loudness = Loudness()
    lasting(loudness, silence(1000))
    assert lasting(loudness, tone(0.5, 0.8))[-1]
    assert not lasting(loudness, tone(0.3, 0.03))[-1]
    assert lasting(loudness, tone(0.3, 0.4))[-1]
