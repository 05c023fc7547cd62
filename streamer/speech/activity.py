"""Voice activity: Silero's own model, 32 ms of sound at a time → probability of speech.

A soft voice or a microphone with little gain is amplified first: at a peak of 0.01 the model misses
most of what it hears at 0.1.

The model is recurrent and remembers what it heard, so every listener has one of its own (2 MB).
Runs on the processor in the caller's thread, at about 2 % of one core per participant. torch is
imported with the model and not before: the stages of a session start without waiting for it.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ModelError
from streamer.records import NS_PER_S, SAMPLE_RATE_HZ
from streamer.speech.loudness import FRAME_SAMPLES, Gain

__all__ = ["FRAME_NS", "FRAME_SAMPLES", "Silero", "VoiceActivity", "one_thread"]
FRAME_NS = FRAME_SAMPLES * NS_PER_S // SAMPLE_RATE_HZ
QUIET_BELOW, FORGET_FRAMES = 0.35, 16
"""After so many frames (0.5 s) below this probability the model starts anew: what it remembers of
loud music or hum makes it miss soft speech."""
SILENT_PEAK = 16 / 32_768
"""A frame in which no sample is larger is silence: somebody is muted."""

_LOADING = threading.Lock()
"""Held while a model loads: Python's warning filters belong to all threads."""


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
            with _LOADING, one_thread(), warnings.catch_warnings():
                # torch deprecates TorchScript, in which this model is published.
                warnings.filterwarnings("ignore", r".*torch\.jit\.load.*", DeprecationWarning)
                import silero_vad  # on import it sets torch to one thread, for everybody

                self._model = silero_vad.load_silero_vad()
        except (ImportError, OSError, RuntimeError) as error:
            raise ModelError(
                f"Silero VAD cannot be loaded ({error}); install the package silero-vad again."
            ) from None

    def probabilities(self, frames: NDArray[np.float32]) -> list[float]:
        """Probability of speech in each of the next frames, (n, FRAME_SAMPLES) in [-1, 1]."""
        import torch

        silent = (np.abs(frames).max(axis=1) <= SILENT_PEAK).tolist()
        if all(silent) and not self._remembers:
            return [0.0] * len(silent)
        with torch.inference_mode(), one_thread():
            return [
                self._probability(frame, is_silent)
                for frame, is_silent in zip(frames, silent, strict=True)
            ]

    def _probability(self, frame: NDArray[np.float32], silent: bool) -> float:
        """Ask the model, unless the frame is silent and the model starts anew."""
        import torch

        if self._quiet_frames >= FORGET_FRAMES:
            self.forget()
        if silent and not self._remembers:
            return 0.0
        self._remembers = True
        heard = torch.from_numpy(self._gain.apply(frame))
        probability = float(self._model(heard, SAMPLE_RATE_HZ).item())
        self._quiet_frames = self._quiet_frames + 1 if probability < QUIET_BELOW else 0
        return probability

    def forget(self) -> None:
        """Start anew."""
        self._quiet_frames = 0
        self._remembers = False
        self._gain.forget()
        self._model.reset_states()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use only the calling thread: the layers are so small that others get in the way.

    Two threads take up to ten times the processor time of one here (they wait by spinning).
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
