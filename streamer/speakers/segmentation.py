"""Segmentation: a few seconds of sound → which of up to three voices speak in each frame.

The network is PyanNet as of pyannote's segmentation-3.0 (Bredin and Laurent, "End-to-end speaker
segmentation for overlap-aware resegmentation", 2021; Plaquet and Bredin, "Powerset multi-class
cross entropy loss for neural speaker diarization", 2023): sinc filters, LSTMs and the powerset of
at most two of three voices. Voices are numbered anew in each input. B batch, N samples, T frames.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from streamer.errors import ModelError
from streamer.records import SAMPLE_RATE_HZ

FRAME_STEP, FRAME_FIELD = 270, 991
"""Samples between two frames, and samples that one frame covers."""
VOICES = 3
POWERSET = ((), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2))
"""The voices of each output class."""
LEAST_HZ = 50


class Speech(NamedTuple):
    """Which voices speak, in T frames.

    Attributes:
        active: the most probable combination of voices, (T, VOICES).
        probable: how probable it is that each voice speaks, (T, VOICES).
        at_once: how probable it is that one, and that a second voice speaks, (T, 2).
    """

    active: NDArray[np.bool_]
    probable: NDArray[np.float32]
    at_once: NDArray[np.float32]


class _SincFilters(nn.Module):
    """80 band-pass filters, even and odd ones of 40 learned bands."""

    def __init__(self, bands: int = 40, half: int = 125) -> None:
        super().__init__()
        self.low_hz_ = nn.Parameter(torch.linspace(30, 7000, bands)[:, None])
        self.band_hz_ = nn.Parameter(torch.full((bands, 1), 100.0))
        self.register_buffer("window_", torch.hamming_window(2 * half + 1, periodic=False)[:half])
        self.register_buffer("n_", 2 * torch.pi * torch.arange(-half, 0.0)[None] / SAMPLE_RATE_HZ)

    def forward(self) -> Tensor:
        """Return the filters (80, 1, 251); the buffers are of the taps left of the middle."""
        edge = self.get_buffer("window_") / (self.get_buffer("n_") / 2)
        low = LEAST_HZ + self.low_hz_.abs()
        high = (low + LEAST_HZ + self.band_hz_.abs()).clamp(LEAST_HZ, SAMPLE_RATE_HZ / 2)
        low_phase, high_phase = low @ self.get_buffer("n_"), high @ self.get_buffer("n_")
        even = (high_phase.sin() - low_phase.sin()) * edge
        odd = (low_phase.cos() - high_phase.cos()) * edge
        width = 2 * (high - low)
        filters = torch.cat(
            [
                torch.cat([even, width, even.flip(1)], 1),
                torch.cat([odd, torch.zeros_like(width), -odd.flip(1)], 1),
            ]
        )
        return (filters / width.repeat(2, 1))[:, None]


class _FilterBank(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.filterbank = _SincFilters()

    def forward(self, samples: Tensor) -> Tensor:
        return functional.conv1d(samples, self.filterbank(), stride=10).abs()


class _SincNet(nn.Module):
    """Samples (B, 1, N) → features (B, 60, T)."""

    def __init__(self) -> None:
        super().__init__()
        self.wav_norm1d = nn.InstanceNorm1d(1, affine=True)
        self.conv1d = nn.ModuleList([_FilterBank(), nn.Conv1d(80, 60, 5), nn.Conv1d(60, 60, 5)])
        self.norm1d = nn.ModuleList(nn.InstanceNorm1d(n, affine=True) for n in (80, 60, 60))

    def forward(self, samples: Tensor) -> Tensor:
        features: Tensor = self.wav_norm1d(samples)
        for convolution, norm in zip(self.conv1d, self.norm1d, strict=True):
            pooled = functional.max_pool1d(convolution(features), 3)
            features = functional.leaky_relu(norm(pooled))
        return features


class Segmentation(nn.Module):
    """The network; its parameters have the names of the published weights."""

    powerset: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.sincnet = _SincNet()
        self.lstm = nn.LSTM(60, 128, 4, bidirectional=True, batch_first=True)
        self.linear = nn.ModuleList([nn.Linear(256, 128), nn.Linear(128, 128)])
        self.classifier = nn.Linear(128, len(POWERSET))
        voices = [
            [float(voice in combination) for voice in range(VOICES)] for combination in POWERSET
        ]
        self.register_buffer("powerset", torch.tensor(voices), persistent=False)

    def forward(self, samples: Tensor) -> Tensor:
        """Return logits (B, T, 7) of samples (B, N) in [-1, 1]."""
        features, _ = self.lstm(self.sincnet(samples[:, None]).transpose(1, 2))
        for layer in self.linear:
            features = functional.leaky_relu(layer(features))
        logits: Tensor = self.classifier(features)
        return logits

    def speech(self, samples: Tensor) -> Speech:
        """Return which voices speak, T frames, in samples (N,)."""
        probable = self(samples[None])[0].softmax(-1)
        somebody, several = 1 - probable[:, 0], probable[:, self.powerset.sum(1) > 1].sum(1)
        return Speech(
            (self.powerset[probable.argmax(-1)] > 0).numpy(),
            (probable @ self.powerset).numpy(),
            torch.stack([somebody, several], 1).numpy(),
        )


def load(path: Path) -> Segmentation:
    """Load the published weights.

    Raises:
        ModelError: the file is missing, or is not of this network.
    """
    network = Segmentation()
    try:
        network.load_state_dict(load_file(path))
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"The segmentation network {path} cannot be loaded: {reason}.") from None
    return network.eval()
