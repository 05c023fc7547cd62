"""Voices: a second or more of one person's speech → a vector that tells the person.

The network is CAM++ (Wang et al., "CAM++: A Fast and Efficient Network for Speaker Verification
Using Context-Aware Masking", 2023) over Kaldi's log-mel energies. The vectors of one person point
the same way: compare them by their cosine. B batch, T frames of 10 ms.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from streamer.errors import ModelError
from streamer.records import SAMPLE_RATE_HZ

Samples = NDArray[np.float32]

BANDS, WIDTH = 80, 192
FRAME, HOP, SPECTRUM = 400, 160, 512
"""Samples of a frame and between two frames, and length of its Fourier transform."""
PRE_EMPHASIS, LEAST_HZ = 0.97, 20.0
BLOCKS = ((12, 1), (24, 2), (16, 2))
"""Layers and dilation of each dense block."""
GROWTH, CONTEXT_FRAMES = 32, 100


def log_mel(samples: Samples) -> Samples:
    """Return Kaldi's log-mel energies (T, 80) of samples (n,) in [-1, 1]; T = 0 below 25 ms."""
    if len(samples) < FRAME:
        return np.zeros((0, BANDS), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP].astype(np.float32)
    frames = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    window = (np.hanning(FRAME) ** 0.85).astype(np.float32)
    spectrum = np.abs(np.fft.rfft((frames - PRE_EMPHASIS * before) * window, SPECTRUM)) ** 2
    energies = spectrum.astype(np.float32) @ _mel_filters()
    logarithms: Samples = np.log(np.maximum(energies, np.finfo(np.float32).eps))
    return logarithms


@cache
def _mel_filters() -> Samples:
    """Triangular filters (257, 80) from 20 Hz to half the sampling rate, on Kaldi's mel scale."""
    edges = np.linspace(_mel(LEAST_HZ), _mel(SAMPLE_RATE_HZ / 2), BANDS + 2)
    bins = _mel(np.arange(SPECTRUM // 2 + 1) * SAMPLE_RATE_HZ / SPECTRUM)[:, None]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    filters: Samples = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    return filters


def _mel(hz: float | NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1127.0 * np.log1p(np.asarray(hz) / 700.0))


class _Norm(nn.Module):
    """A batch norm under the name that the published weights give it."""

    def __init__(self, width: int, *, affine: bool = True) -> None:
        super().__init__()
        self.batchnorm = nn.BatchNorm1d(width, affine=affine)

    def forward(self, features: Tensor) -> Tensor:
        normalised: Tensor = self.batchnorm(features)
        return normalised


class _Residual(nn.Module):
    def __init__(self, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(32, 32, 3, (stride, 1), 1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 32, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)
        shortcut = [nn.Conv2d(32, 32, 1, (stride, 1), bias=False), nn.BatchNorm2d(32)]
        self.shortcut = nn.Sequential(*(shortcut if stride > 1 else []))

    def forward(self, features: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(features)))))
        return functional.relu(inner + self.shortcut(features))


class _Head(nn.Module):
    """Energies (B, 80, T) → features (B, 320, T): convolutions over bands and time."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.layer1 = nn.Sequential(_Residual(2), _Residual(1))
        self.layer2 = nn.Sequential(_Residual(2), _Residual(1))
        self.conv2 = nn.Conv2d(32, 32, 3, (2, 1), 1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)

    def forward(self, energies: Tensor) -> Tensor:
        features = functional.relu(self.bn1(self.conv1(energies[:, None])))
        features = self.layer2(self.layer1(features))
        return functional.relu(self.bn2(self.conv2(features))).flatten(1, 2)


class _ContextMask(nn.Module):
    """A convolution over time, masked by the means of all frames and of a second of them."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.linear_local = nn.Conv1d(128, GROWTH, 3, 1, dilation, dilation, bias=False)
        self.linear1 = nn.Conv1d(128, 64, 1)
        self.linear2 = nn.Conv1d(64, GROWTH, 1)

    def forward(self, features: Tensor) -> Tensor:
        frames = features.shape[-1]
        near = functional.avg_pool1d(features, CONTEXT_FRAMES, CONTEXT_FRAMES, ceil_mode=True)
        context = features.mean(-1, keepdim=True) + near  # one value for each second
        mask = torch.sigmoid(self.linear2(functional.relu(self.linear1(context))))
        mask = mask.repeat_interleave(CONTEXT_FRAMES, -1)[..., :frames]
        masked: Tensor = self.linear_local(features) * mask
        return masked


class _DenseLayer(nn.Module):
    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.nonlinear1 = _Norm(width)
        self.linear1 = nn.Conv1d(width, 128, 1, bias=False)
        self.nonlinear2 = _Norm(128)
        self.cam_layer = _ContextMask(dilation)

    def forward(self, features: Tensor) -> Tensor:
        inner = self.linear1(functional.relu(self.nonlinear1(features)))
        added = self.cam_layer(functional.relu(self.nonlinear2(inner)))
        return torch.cat([features, added], 1)


class _Layer(nn.Module):
    """A convolution and a batch norm, in either order; with several taps it halves the frames."""

    def __init__(
        self, inner: int, outer: int, *, norm: int, taps: int = 1, affine: bool = True
    ) -> None:
        super().__init__()
        step = 2 if taps > 1 else 1
        self.linear = nn.Conv1d(inner, outer, taps, step, taps // 2, bias=False)
        self.nonlinear = _Norm(norm, affine=affine)

    def before(self, features: Tensor) -> Tensor:
        """Normalise, then convolve."""
        mapped: Tensor = self.linear(functional.relu(self.nonlinear(features)))
        return mapped

    def after(self, features: Tensor) -> Tensor:
        """Convolve, then normalise."""
        normalised: Tensor = self.nonlinear(self.linear(features))
        return normalised


class _XVector(nn.Module):
    """Features (B, 320, T) → vectors (B, 192)."""

    def __init__(self) -> None:
        super().__init__()
        self.tdnn = _Layer(320, 128, norm=128, taps=5)
        width = 128
        for number, (layers, dilation) in enumerate(BLOCKS, start=1):
            names = [f"tdnnd{layer}" for layer in range(1, layers + 1)]
            dense = [_DenseLayer(width + GROWTH * layer, dilation) for layer in range(layers)]
            self.add_module(f"block{number}", _named(names, dense))
            width += GROWTH * layers
            self.add_module(f"transit{number}", _Layer(width, width // 2, norm=width))
            width //= 2
        self.out_nonlinear = _Norm(width)
        self.dense = _Layer(2 * width, WIDTH, norm=WIDTH, affine=False)

    def forward(self, features: Tensor) -> Tensor:
        features = functional.relu(self.tdnn.after(features))
        for number in range(1, len(BLOCKS) + 1):
            features = self.get_submodule(f"block{number}")(features)
            transit = self.get_submodule(f"transit{number}")
            assert isinstance(transit, _Layer)
            features = transit.before(features)
        features = functional.relu(self.out_nonlinear(features))
        statistics = torch.cat([features.mean(-1), features.std(-1)], 1)
        return self.dense.after(statistics[:, :, None])[:, :, 0]


def _named(names: list[str], modules: list[_DenseLayer]) -> nn.Sequential:
    sequence = nn.Sequential()
    for name, module in zip(names, modules, strict=True):
        sequence.add_module(name, module)
    return sequence


class Voices(nn.Module):
    """The network; its parameters have the names of the published weights."""

    def __init__(self) -> None:
        super().__init__()
        self.head = _Head()
        self.xvector = _XVector()

    def forward(self, energies: Tensor) -> Tensor:
        """Return vectors (B, 192), of length 1, of log-mel energies (B, T, 80), T at least 4."""
        centred = energies - energies.mean(1, keepdim=True)
        return functional.normalize(self.xvector(self.head(centred.transpose(1, 2))))


def load(path: Path) -> Voices:
    """Load the published weights.

    Raises:
        ModelError: the file is missing, or is not of this network.
    """
    network = Voices()
    try:
        network.load_state_dict(load_file(path))
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"The voice network {path} cannot be loaded: {reason}.") from None
    return network.eval()
