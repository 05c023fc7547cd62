"""The two channels of a stream: mixed, cancelling, and with a speaker each."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from streamer.stereo import Stereo

RATE_HZ = 16_000
Samples = NDArray[np.float64]
TONE = 0.3 * np.sin(np.arange(48_000) * 0.1) * (1 + np.sin(np.arange(48_000) * 0.001))


def mixed(left: Samples, right: Samples, size: int = 1024) -> tuple[Samples, Stereo]:
    stereo, both = Stereo(), np.stack([left, right]).astype(np.float32)
    parts = [
        stereo.mix(both[:, first : first + size], RATE_HZ) for first in range(0, len(left), size)
    ]
    return np.concatenate(parts), stereo


def voice(seed: int, seconds: float = 12.0) -> Samples:
    """Noise with the loudness of speech: syllables of a fifth of a second, with pauses."""
    random = np.random.default_rng(seed)
    syllables = random.choice([0.0, 0.05, 0.3, 1.0], size=round(seconds * 5))
    loudness = np.repeat(syllables, RATE_HZ // 5)
    return 0.2 * loudness * random.uniform(-1, 1, len(loudness))


def in_turn(length: int, seconds: float = 2.0) -> NDArray[np.bool_]:
    return np.asarray(np.arange(length) // round(seconds * RATE_HZ) % 2 == 0)


def panned(voice: Samples, period_s: float) -> tuple[Samples, Samples]:
    """A voice that moves from one side to the other and back."""
    turn = np.sin(2 * np.pi * np.arange(len(voice)) / RATE_HZ / period_s)
    angle = np.pi / 4 * (1 + turn)
    return voice * np.cos(angle), voice * np.sin(angle)


def in_a_room(voice: Samples, seed: int) -> Samples:
    """The voice and its echoes, as a microphone of its own place receives them."""
    random = np.random.default_rng(seed)
    echoes = 0.1 * random.normal(size=800) * np.exp(-np.arange(800) / 200)
    echoes[0] = 1.0
    return np.convolve(voice, echoes)[: len(voice)]


@pytest.mark.parametrize("loudness", [1.0, 0.9, 1.1])
def test_channels_of_opposite_sign_do_not_cancel(loudness: float) -> None:
    samples, stereo = mixed(TONE, -loudness * TONE)
    assert stereo.cancelled
    assert np.abs(samples[1024:]).max() > 0.5
    assert len(samples) == len(TONE)


@pytest.mark.parametrize("right", [TONE, 0.3 * TONE, 0 * TONE, np.roll(TONE, 40)])
def test_channels_that_do_not_cancel_are_mixed_evenly(right: Samples) -> None:
    samples, stereo = mixed(TONE, right)
    assert not stereo.cancelled
    assert not stereo.differ
    assert np.allclose(samples, (TONE + right) / 2, atol=1e-6)


@pytest.mark.parametrize("crosstalk", [0.0, 0.05])
@pytest.mark.parametrize("size", [160, 1024, 48_000])
def test_two_who_speak_in_turn_are_two_speakers(crosstalk: float, size: int) -> None:
    first, second, turn = voice(1), voice(2), in_turn(12 * RATE_HZ)
    left, right = first * turn, second * ~turn
    samples, stereo = mixed(left + crosstalk * right, right + crosstalk * left, size)
    assert stereo.differ
    assert np.allclose(samples, (left + right) / 2 * (1 + crosstalk), atol=1e-6)


def test_two_who_speak_at_once_are_two_speakers() -> None:
    assert mixed(voice(1), voice(2))[1].differ


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (voice(1), voice(1)),
        (voice(1), 0.1 * voice(1)),
        (voice(1), 0 * voice(1)),
        (voice(1), np.roll(voice(1), 160)),
        (in_a_room(voice(1), 3), in_a_room(voice(1), 4)),
        panned(voice(1), 8.0),
        panned(voice(1), 2.0),
    ],
    ids=["same", "to one side", "one side", "delayed", "room", "panned", "panned fast"],
)
def test_one_person_in_stereo_is_one_speaker(left: Samples, right: Samples) -> None:
    assert not mixed(left, right)[1].differ


def test_music_that_is_panned_is_nobody() -> None:
    seconds = np.arange(12 * RATE_HZ) / RATE_HZ
    chord, other = (
        np.sin(2 * np.pi * np.outer(hz, seconds)).mean(axis=0)
        for hz in ((220, 277, 330), (196, 247, 294))
    )
    turn = in_turn(len(seconds))
    assert not mixed(*panned(chord, 8.0))[1].differ
    assert not mixed(chord * turn, other * ~turn)[1].differ
    assert not mixed(chord, other)[1].differ
