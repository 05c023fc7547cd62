"""Voices: a second or more of one person's speech → a vector that tells the person.

The network is CAM++ (Wang et al., "CAM++: A Fast and Efficient Network for Speaker Verification
Using Context-Aware Masking", 2023) over Kaldi's log-mel energies. The vectors of one person point
the same way: compare them by their cosine. T frames of 10 ms.
"""

from __future__ import annotations

from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

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
CHANNELS_LAST = torch.channels_last
"""The order of a convolution's values in memory that takes least time."""


def log_mel(samples: Samples) -> Samples:
    """Return Kaldi's log-mel energies (T, 80) of samples (n,) in [-1, 1]; T = 0 below 25 ms.

    The product is torch's, which has as many threads as its caller allows; numpy's spins with all.
    """
    if len(samples) < FRAME:
        return np.zeros((0, BANDS), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP].astype(np.float32)
    frames = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    window = (np.hanning(FRAME) ** 0.85).astype(np.float32)
    spectrum = np.abs(np.fft.rfft((frames - PRE_EMPHASIS * before) * window, SPECTRUM)) ** 2
    energies = torch.from_numpy(spectrum.astype(np.float32)) @ _mel_filters()
    logarithms: Samples = energies.clamp(min=torch.finfo(torch.float32).eps).log().numpy()
    return logarithms


@cache
def _mel_filters() -> Tensor:
    """Triangular filters (257, 80) from 20 Hz to half the sampling rate, on Kaldi's mel scale."""
    edges = np.linspace(_mel(LEAST_HZ), _mel(SAMPLE_RATE_HZ / 2), BANDS + 2)
    bins = _mel(np.arange(SPECTRUM // 2 + 1) * SAMPLE_RATE_HZ / SPECTRUM)[:, None]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    return torch.from_numpy(np.maximum(0, np.minimum(rising, falling)).astype(np.float32))


def _mel(hz: float | NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1127.0 * np.log1p(np.asarray(hz) / 700.0))


class _Norm(nn.Module):
    """A batch norm of features (T, width), under the name that the published weights give it."""

    def __init__(self, width: int, *, affine: bool = True) -> None:
        super().__init__()
        self.batchnorm = nn.BatchNorm1d(width, affine=affine)

    @cached_property
    def _scale_and_shift(self) -> tuple[Tensor, Tensor]:
        norm = self.batchnorm
        assert norm.running_mean is not None and norm.running_var is not None
        scale = torch.rsqrt(norm.running_var + norm.eps)
        if not norm.affine:
            return scale, -norm.running_mean * scale
        scale = scale * norm.weight
        return scale, norm.bias - norm.running_mean * scale

    def forward(self, features: Tensor) -> Tensor:
        scale, shift = self._scale_and_shift
        return torch.addcmul(shift, features, scale)


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
    """Energies (80, T) → features (320, T): convolutions over bands and time."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.layer1 = nn.Sequential(_Residual(2), _Residual(1))
        self.layer2 = nn.Sequential(_Residual(2), _Residual(1))
        self.conv2 = nn.Conv2d(32, 32, 3, (2, 1), 1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)

    def forward(self, energies: Tensor) -> Tensor:
        image = energies[None, None].contiguous(memory_format=CHANNELS_LAST)
        features = functional.relu(self.bn1(self.conv1(image)))
        features = self.layer2(self.layer1(features))
        return functional.relu(self.bn2(self.conv2(features)))[0].flatten(0, 1)


class _Context(NamedTuple):
    """What surrounds each of T frames, in S stretches of CONTEXT_FRAMES.

    Attributes:
        means: (S, T): times features, the mean of all frames and that of each stretch, added.
        of_frame: the stretch of each frame, (T,).
    """

    means: Tensor
    of_frame: Tensor


@cache
def _context(frames: int) -> _Context:
    of_frame = torch.arange(frames) // CONTEXT_FRAMES
    inside = functional.one_hot(of_frame).T.float()
    return _Context(inside / inside.sum(1, keepdim=True) + 1 / frames, of_frame)


class _ContextMask(nn.Module):
    """A convolution over time, (T, 128) → (T, 32), masked by means of all and of near frames."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self._dilation = dilation
        self.linear_local = nn.Conv1d(128, GROWTH, 3, 1, dilation, dilation, bias=False)
        self.linear1 = nn.Conv1d(128, 64, 1)
        self.linear2 = nn.Conv1d(64, GROWTH, 1)

    @cached_property
    def _taps(self) -> Tensor:
        """The weights for the frame before, the frame itself and the one behind, (96, 128)."""
        return self.linear_local.weight.permute(2, 0, 1).reshape(3 * GROWTH, 128)

    def forward(self, features: Tensor, context: _Context) -> Tensor:
        three = functional.linear(features, self._taps)
        local = three[:, GROWTH : 2 * GROWTH]
        local[self._dilation :] += three[: -self._dilation, :GROWTH]
        local[: -self._dilation] += three[self._dilation :, 2 * GROWTH :]
        inner = functional.relu_(_mapped(self.linear1, context.means @ features))
        mask = torch.sigmoid(_mapped(self.linear2, inner))
        masked: Tensor = local * mask.index_select(0, context.of_frame)
        return masked


class _DenseLayer(nn.Module):
    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.nonlinear1 = _Norm(width)
        self.linear1 = nn.Conv1d(width, 128, 1, bias=False)
        self.nonlinear2 = _Norm(128)
        self.cam_layer = _ContextMask(dilation)

    def forward(self, features: Tensor, context: _Context) -> Tensor:
        inner = _mapped(self.linear1, functional.relu_(self.nonlinear1(features)))
        added: Tensor = self.cam_layer(functional.relu_(self.nonlinear2(inner)), context)
        return added


class _DenseBlock(nn.Module):
    """Features (T, width) → these and GROWTH more of each layer."""

    def __init__(self, width: int, layers: int, dilation: int) -> None:
        super().__init__()
        for layer in range(layers):
            dense = _DenseLayer(width + GROWTH * layer, dilation)
            self.add_module(f"tdnnd{layer + 1}", dense)
        self.width = width + GROWTH * layers

    def forward(self, features: Tensor) -> Tensor:
        frames, width = features.shape
        context, grown = _context(frames), features.new_empty(frames, self.width)
        grown[:, :width] = features
        for layer in self.children():
            grown[:, width : width + GROWTH] = layer(grown[:, :width], context)
            width += GROWTH
        return grown


class _Layer(nn.Module):
    """A convolution and a batch norm of features (T, width), in either order."""

    def __init__(
        self, inner: int, outer: int, *, norm: int, taps: int = 1, affine: bool = True
    ) -> None:
        super().__init__()
        step = 2 if taps > 1 else 1
        self.linear = nn.Conv1d(inner, outer, taps, step, taps // 2, bias=False)
        self.nonlinear = _Norm(norm, affine=affine)


class _XVector(nn.Module):
    """Features (320, T) → vector (192,)."""

    def __init__(self) -> None:
        super().__init__()
        self.tdnn = _Layer(320, 128, norm=128, taps=5)
        width = 128
        for number, (layers, dilation) in enumerate(BLOCKS, start=1):
            block = _DenseBlock(width, layers, dilation)
            self.add_module(f"block{number}", block)
            self.add_module(
                f"transit{number}", _Layer(block.width, block.width // 2, norm=block.width)
            )
            width = block.width // 2
        self.out_nonlinear = _Norm(width)
        self.dense = _Layer(2 * width, WIDTH, norm=WIDTH, affine=False)

    def forward(self, features: Tensor) -> Tensor:
        features = self.tdnn.linear(features[None])[0].T  # half as many frames
        features = functional.relu(self.tdnn.nonlinear(features))
        for number in range(1, len(BLOCKS) + 1):
            features = self.get_submodule(f"block{number}")(features)
            transit = self.get_submodule(f"transit{number}")
            assert isinstance(transit, _Layer)
            features = _mapped(transit.linear, functional.relu_(transit.nonlinear(features)))
        features = functional.relu(self.out_nonlinear(features))
        statistics = torch.cat([features.mean(0), features.std(0)])
        vector: Tensor = self.dense.nonlinear(_mapped(self.dense.linear, statistics[None]))
        return vector[0]


def _mapped(convolution: nn.Conv1d, features: Tensor) -> Tensor:
    """Apply a convolution of one tap to features (T, inner): (T, outer)."""
    return functional.linear(features, convolution.weight[:, :, 0], convolution.bias)


class Voices(nn.Module):
    """The network; its parameters have the names of the published weights.

    It is not for training: parameters must not change after the first use. It takes one voice at a
    time, so that features lie in memory as (T, width) and all layers of a block write into one
    tensor; that takes a little more than half the time of convolutions over (B, width, T).
    """

    def __init__(self) -> None:
        super().__init__()
        self.head = _Head()
        self.xvector = _XVector()

    def forward(self, energies: Tensor) -> Tensor:
        """Return a vector (192,), of length 1, of log-mel energies (T, 80), T at least 6."""
        centred = energies - energies.mean(0)
        return functional.normalize(self.xvector(self.head(centred.T)), dim=0)

    def merge_norms(self) -> None:
        """Merge the head's batch norms into the convolutions before them."""
        for module in self.head.modules():
            found = dict(module.named_children())
            for name, norm_name in (("conv1", "bn1"), ("conv2", "bn2"), ("0", "1")):
                convolution, norm = found.get(name), found.get(norm_name)
                if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    merged = fuse_conv_bn_eval(convolution, norm)
                    merged.weight.data = merged.weight.data.contiguous(memory_format=CHANNELS_LAST)
                    module.add_module(name, merged)
                    module.add_module(norm_name, nn.Identity())


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
    network.eval().merge_norms()
    return network
