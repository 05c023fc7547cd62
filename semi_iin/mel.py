"""The mel bands of Whisper's log-mel spectrogram, and that spectrogram.

What enters: samples at 16 kHz. What leaves: energies as OpenAI's Whisper reads them. The bands are
linear to 1 kHz and logarithmic above (Slaney, Auditory Toolbox, 1998), each of the same area. Both
the audio encoder and the recogniser read them. `transformers` computes the same; its import takes
seconds, so neither uses it.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semi_iin.clips import SAMPLE_RATE_HZ

HOP, WINDOW = 160, 400
"""Samples between two frames (10 ms), and of a frame's Fourier transform (25 ms)."""
BREAK_HZ, BREAK_MEL = 1000.0, 15.0
"""Where the scale becomes logarithmic."""
LOG_STEP = np.log(6.4) / 27.0
LEAST_POWER, RANGE = 1e-10, 8.0
"""The smallest power, and the powers of ten below the loudest that are kept."""


def slaney_filters(mels: int, window: int = WINDOW) -> NDArray[np.float64]:
    """Return the triangular filters of mel bands to 8 kHz. (window / 2 + 1, mels)."""
    highest = BREAK_MEL + np.log(SAMPLE_RATE_HZ / 2 / BREAK_HZ) * (27.0 / np.log(6.4))
    scale = np.linspace(0.0, highest, mels + 2)
    edges_hz = 200.0 * scale / 3.0
    upper = scale >= BREAK_MEL
    edges_hz[upper] = BREAK_HZ * np.exp(LOG_STEP * (scale[upper] - BREAK_MEL))
    bins_hz = np.linspace(0, SAMPLE_RATE_HZ // 2, window // 2 + 1)
    above = edges_hz[None, :] - bins_hz[:, None]
    widths_hz = np.diff(edges_hz)
    rise, fall = -above[:, :-2] / widths_hz[:-1], above[:, 2:] / widths_hz[1:]
    triangles = np.maximum(0.0, np.minimum(rise, fall))
    return np.asarray(triangles * (2.0 / (edges_hz[2:] - edges_hz[:-2])), np.float64)


class LogMel:
    """Whisper's log-mel spectrogram with a number of bands; any thread may call it."""

    def __init__(self, mels: int) -> None:
        self._filters = torch.from_numpy(slaney_filters(mels)).float()
        self._window = torch.hann_window(WINDOW)

    def __call__(self, samples: NDArray[np.float32], length: int) -> NDArray[np.float32]:
        """Return the energies (mels, length / HOP) of samples (n,), cut or padded to `length`."""
        padded = np.zeros(length, np.float32)
        padded[: len(samples)] = samples[:length]
        powers = self._powers(torch.from_numpy(padded))
        energies = powers.clamp(min=LEAST_POWER).log10()
        energies = torch.maximum(energies, energies.max() - RANGE)
        return np.asarray(((energies + 4.0) / 4.0).numpy(), np.float32)

    def _powers(self, waveform: Tensor) -> Tensor:
        spectrum = torch.stft(waveform, WINDOW, HOP, window=self._window, return_complex=True)
        return self._filters.T @ (spectrum[:, :-1].abs() ** 2).contiguous()
