"""Voice activity: Silero's own model, 32 ms of sound at a time → probability of speech.

A soft voice or a microphone with little gain is amplified first: at a peak of 0.01 the model misses
most of what it hears at 0.1.

The model is recurrent and remembers what it heard, so every listener has one of its own; all share
the weights. It runs in the caller's thread. torch is imported with the first model and not before,
for its weights: the stages of a session start without waiting for it.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ModelError
from streamer.records import NS_PER_S, SAMPLE_RATE_HZ
from streamer.speech.loudness import FRAME_SAMPLES, Gain
from streamer.speech.silero import Network, weights

__all__ = ["FRAME_NS", "FRAME_SAMPLES", "Silero", "VoiceActivity"]
FRAME_NS = FRAME_SAMPLES * NS_PER_S // SAMPLE_RATE_HZ
QUIET_BELOW, FORGET_FRAMES = 0.35, 16
"""After so many frames (0.5 s) below this probability the model starts anew: what it remembers of
loud music or hum makes it miss soft speech."""
SILENT_PEAK = 16 / 32_768
"""A frame in which no sample is larger is silence: somebody is muted."""


class VoiceActivity(Protocol):
    """Says how likely each frame of a stream is speech; remembers the frames before."""

    def probabilities(self, frames: NDArray[np.float32]) -> list[float]:
        """Probability of speech, 0 to 1, in each of the next frames, (n, FRAME_SAMPLES)."""

    def forget(self) -> None:
        """Start anew: the next frame does not follow the last one."""


class Silero:
    """Silero VAD from the package silero_vad, which carries its weights."""

    def __init__(self) -> None:
        """Load the model; raises ModelError when the package is not there or damaged."""
        self._quiet_frames = 0
        self._remembers = False
        self._gain = Gain()
        try:
            self._model = Network(weights())
        except (ImportError, OSError, RuntimeError, AttributeError, KeyError) as error:
            raise ModelError(
                f"Silero VAD cannot be loaded ({error}); install the package silero-vad 6 again."
            ) from None

    def probabilities(self, frames: NDArray[np.float32]) -> list[float]:
        """Probability of speech in each of the next frames, (n, FRAME_SAMPLES) in [-1, 1]."""
        silent = (np.abs(frames).max(axis=1) <= SILENT_PEAK).tolist()
        if all(silent) and not self._remembers:
            return [0.0] * len(silent)
        return [
            self._probability(frame, is_silent)
            for frame, is_silent in zip(frames, silent, strict=True)
        ]

    def _probability(self, frame: NDArray[np.float32], silent: bool) -> float:
        """Ask the model, unless the frame is silent and the model starts anew."""
        if self._quiet_frames >= FORGET_FRAMES:
            self.forget()
        if silent and not self._remembers:
            return 0.0
        self._remembers = True
        probability = self._model.probability(self._gain.apply(frame))
        self._quiet_frames = self._quiet_frames + 1 if probability < QUIET_BELOW else 0
        return probability

    def forget(self) -> None:
        """Start anew."""
        self._quiet_frames = 0
        self._remembers = False
        self._gain.forget()
        self._model.forget()
