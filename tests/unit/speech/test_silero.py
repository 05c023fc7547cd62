"""Silero's network in numpy against the package's own model."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from streamer.records import SAMPLE_RATE_HZ
from streamer.speech.activity import Silero
from streamer.speech.silero import FRAME, Network, Weights, weights
from streamer.speech.torch_threads import one_thread


def frames(seconds: float = 4.0) -> NDArray[np.float32]:
    """Noise, then a buzz like a voice's that rises and falls, (n, FRAME)."""
    random = np.random.default_rng(0)
    time = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    pitch = 2 * np.pi * np.cumsum(140 + 40 * np.sin(7 * time)) / SAMPLE_RATE_HZ
    voice = sum(np.sin(k * pitch) / k for k in range(1, 20)) * np.clip(np.sin(9 * time), 0, 1)
    sound = random.normal(0, 0.01, len(time)) + 0.2 * voice * (time > seconds / 4)
    return sound[: len(sound) // FRAME * FRAME].astype(np.float32).reshape(-1, FRAME)


def theirs(sound: NDArray[np.float32]) -> list[float]:
    """Return what the package's own model gives."""
    with warnings.catch_warnings(), one_thread():
        warnings.simplefilter("ignore", DeprecationWarning)
        import silero_vad

        model = silero_vad.load_silero_vad()
    with torch.inference_mode():
        return [model(torch.from_numpy(frame), SAMPLE_RATE_HZ).item() for frame in sound]


def test_it_gives_what_the_packages_model_gives() -> None:
    sound, network = frames(), Network(weights())
    expected = theirs(sound)
    assert max(expected) > 0.5 > 0.1 > min(expected), "there is something to find"
    ours = [network.probability(frame) for frame in sound]
    assert ours == pytest.approx(expected, abs=1e-4)
    network.forget()
    assert [network.probability(frame) for frame in sound] == ours


def test_listeners_share_weights_and_no_memory() -> None:
    sound = frames()
    first, second = Network(weights()), Network(weights())
    alone = [first.probability(frame) for frame in sound]
    first.forget()
    for frame, before in zip(sound, alone, strict=True):
        second.probability(np.ones(FRAME, np.float32))
        assert first.probability(frame) == before


def test_another_network_is_not_taken_for_this_one() -> None:
    with pytest.raises(KeyError):
        Weights.of({"encoder.0.reparam_conv.weight": np.zeros((1, 1, 3), np.float32)})


def test_listeners_load_the_weights_once() -> None:
    Silero()
    assert weights() is weights()
