"""The audio encoders: a compact network over log-mel energies, and a speech transformer."""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from semi_iin.clips import SAMPLE_RATE_HZ, Clip
from semi_iin.device import on_device
from semi_iin.encoders.protocol import EMOTIONS, EmotionEncoder, Spec
from semi_iin.encoders.transformer import TransformerEncoder
from semi_iin.state import load_exactly


class TransformerAudioEncoder(TransformerEncoder):
    """Last hidden states of a speech transformer (HuBERT-large: 1024-d at 50 Hz).

    Spec of kind `transformer_audio`, beside the keys of `TransformerEncoder`: `max_frames`, how
    many of the latest frames are kept (800 in the paper); `normalize`, True scales each clip to
    mean 0 and variance 1 as the large models expect. Only clips of one length are encoded
    together: the results of these models depend on padding.
    """

    def __init__(self, spec: Spec, stored: Mapping[str, Tensor] | None = None) -> None:
        super().__init__({"max_frames": 800, "normalize": True, **spec}, stored)
        self.stride = math.prod(self.backbone.config.conv_stride)

    def encode(self, clips: Sequence[Clip]) -> list[Tensor]:
        """Return features (L, D) float32 of clips that have audio."""
        limit = self.spec["max_frames"]
        waveforms = [self._waveform(clip) for clip in clips]
        features: dict[int, Tensor] = {}
        for length in sorted({len(waveform) for waveform in waveforms}):
            indices = [at for at, waveform in enumerate(waveforms) if len(waveform) == length]
            batch = on_device(torch.stack([waveforms[at] for at in indices]), self.device)
            states: Tensor = self.backbone(batch).last_hidden_state
            features |= zip(indices, states[:, -limit:].float(), strict=True)
        return [features[at] for at in range(len(clips))]

    def _waveform(self, clip: Clip) -> Tensor:
        """Return the latest samples (n,) float32, at least those of two frames."""
        waveform = waveform_of(clip)[-(self.spec["max_frames"] + 1) * self.stride :]
        waveform = functional.pad(waveform, (0, max(0, 2 * self.stride - len(waveform))))
        if self.spec["normalize"]:
            deviation = (waveform.var(unbiased=False) + 1e-7).sqrt()
            waveform = (waveform - waveform.mean()) / deviation
        return waveform


class VoiceEncoder(EmotionEncoder):
    """An audio encoder that is trained here: log-mel energies of speech, states, an emotion head.

    Attributes:
        HOP: samples between two log-mel frames.
    """

    HOP: int

    @property
    @abstractmethod
    def longest(self) -> int:
        """Log-mel frames that `forward` takes at most."""

    @abstractmethod
    def log_mel(self, waveform: Tensor) -> Tensor:
        """Return log-mel energies (frames, mels) of the speech in samples (n,)."""

    @abstractmethod
    def forward(self, energies: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return states (B, L, W) and their mask (B, L) bool.

        Args:
            energies: (B, frames, mels) log-mel energies, padded.
            lengths: (B,) int64, the real frames of each clip.
        """

    @abstractmethod
    def classify(self, states: Tensor, mask: Tensor) -> Tensor:
        """Return emotion logits (B, classes) of states (B, L, W) and their mask."""

    def energies(self, clips: Sequence[Clip]) -> tuple[Tensor, Tensor]:
        """Return the arguments of `forward` for clips that have audio."""
        mels = [
            self.log_mel(on_device(waveform_of(clip)[-self.longest * self.HOP :], self.device))
            for clip in clips
        ]
        mels = [mel[: self.longest] for mel in mels]
        lengths = torch.tensor([len(mel) for mel in mels], device=self.device)
        return nn.utils.rnn.pad_sequence(mels, batch_first=True), lengths

    def encode(self, clips: Sequence[Clip]) -> list[Tensor]:
        """Return features (L, D) float32 of clips that have audio."""
        states, mask = self(*self.energies(clips))
        features = self.with_emotions(states, self.classify(states, mask))
        return [row[real].float() for row, real in zip(features, mask, strict=True)]

    def emotions(self, clips: Sequence[Clip]) -> list[str]:
        """Return the likeliest emotion of clips that have audio."""
        return self.emotion_names(self.classify(*self(*self.energies(clips))))


class LogMelEncoder(VoiceEncoder):
    """A compact convolutional encoder of log-mel energies: one frame per 80 ms.

    Four convolutions run over time and mel bands, and each but the last halves both. Then the
    bands are folded into channels and projected to W, and two dilated convolutions look about
    0.5 s around each frame. Every band loses its mean over the speech, so neither the gain nor the
    frequency response of the microphone counts, nor the amount of silence around. Padding is
    zeroed before every convolution: a clip's frames do not depend on the rest of its batch.

    Spec of kind `log_mel_audio`: `width` W of the states; `channels` of the four convolutions;
    `mels`, the number of bands; `max_frames`, how many of the latest frames are kept; `emotions`,
    the classes of the emotion head; `emotion_columns`, see `EmotionEncoder`.
    """

    HOP = 160  # samples: 10 ms
    WINDOW = 1024  # samples: 64 ms, long enough to separate the harmonics of a low voice
    HALVINGS = 3  # of time and of bands, by the first convolutions

    mel_filters: Tensor
    window: Tensor

    def __init__(self, spec: Spec, stored: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        self.spec = {
            "width": 128,
            "channels": [24, 48, 64, 96],
            "mels": 80,
            "max_frames": 200,
            "emotions": list(EMOTIONS),
            "emotion_columns": False,
            **spec,
        }
        states = int(self.spec["width"])
        self.width = states + self.columns
        mels, channels = int(self.spec["mels"]), [1, *self.spec["channels"]]
        self.spectral = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(
                    inner,
                    outer,
                    kernel_size=3 if index else 5,
                    stride=2 if index < self.HALVINGS else 1,
                    padding=1 if index else 2,
                    bias=False,
                ),
                nn.BatchNorm2d(outer),
                nn.ReLU(),
            )
            for index, (inner, outer) in enumerate(pairwise(channels))
        )
        self.project = nn.Linear(channels[-1] * (mels // 2**self.HALVINGS), states)
        self.temporal = nn.ModuleList(
            nn.Conv1d(states, states, 5, padding=2 * dilation, dilation=dilation)
            for dilation in (1, 2)
        )
        self.norm = nn.LayerNorm(states)
        self.dropout = nn.Dropout(0.3)
        self.emotion = nn.Linear(2 * states, len(self.spec["emotions"]))
        self.register_buffer("mel_filters", _mel_filters(mels, self.WINDOW), persistent=False)
        self.register_buffer("window", torch.hann_window(self.WINDOW), persistent=False)
        if stored:
            load_exactly(self, stored, "the audio encoder's weights")

    @property
    def longest(self) -> int:
        """Log-mel frames that `forward` takes at most."""
        return int(self.spec["max_frames"]) << self.HALVINGS

    def log_mel(self, waveform: Tensor) -> Tensor:
        """Return log-mel energies (frames, mels) of the speech in samples (n,).

        Each band's mean over frames of speech is subtracted, and frames more than 0.1 s before the
        first or after the last are cut off. Energies more than 80 dB below the highest are raised
        to that bound.
        """
        bands = band_power(waveform, self.mel_filters, self.window, self.HOP).clamp(min=1e-10)
        speech = speech_frames(bands)
        energies = bands.log().T
        energies = energies.clamp(min=float(energies.max()) - 18.4)
        energies = (energies - energies[speech].mean(dim=0)) / 3.0
        frames = speech.nonzero()[:, 0]
        return energies[max(0, int(frames[0]) - 10) : int(frames[-1]) + 11]

    def forward(self, energies: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return states (B, L, W) and their mask (B, L) bool.

        Args:
            energies: (B, frames, mels) log-mel energies, padded.
            lengths: (B,) int64, the real frames of each clip.
        """
        maps = energies[:, None].contiguous(memory_format=torch.channels_last)
        for index, layer in enumerate(self.spectral):
            maps = layer(maps * mask_until(lengths, maps.shape[2])[:, None, :, None])
            if index < self.HALVINGS:
                lengths = (lengths + 1) // 2
        mask = mask_until(lengths, maps.shape[2])
        states = self.project(self.dropout(maps.permute(0, 2, 1, 3).flatten(2)))
        for layer in self.temporal:
            inside = (states * mask[..., None]).transpose(1, 2)
            states = states + functional.relu(layer(inside)).transpose(1, 2)
        return self.norm(states) * mask[..., None], mask

    def classify(self, states: Tensor, mask: Tensor) -> Tensor:
        """Return emotion logits (B, classes) of states (B, L, W), by mean and maximum in time."""
        mean = (states * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
        largest = states.masked_fill(~mask[..., None], -torch.inf).amax(dim=1)
        logits: Tensor = self.emotion(self.dropout(torch.cat([mean, largest], dim=-1)))
        return logits


def waveform_of(clip: Clip) -> Tensor:
    """Return the samples (n,) float32 of a clip that has audio."""
    return torch.from_numpy(np.ascontiguousarray(clip.audio, dtype=np.float32))


def band_power(waveform: Tensor, filters: Tensor, window: Tensor, hop: int) -> Tensor:
    """Return the power (bands, frames) of samples (n,) in the bands of `filters`.

    Args:
        waveform: shorter ones than the window are padded with zeros.
        filters: (bands, len(window) // 2 + 1).
        window: of the Fourier transform, in samples.
        hop: samples between two frames.
    """
    size = len(window)
    waveform = functional.pad(waveform.float(), (0, max(0, size - len(waveform))))
    spectrum = torch.stft(
        waveform, size, hop, window=window, pad_mode="constant", return_complex=True
    )
    return filters @ spectrum.abs().square()


def speech_frames(bands: Tensor) -> Tensor:
    """Return which frames of energies (bands, frames) are speech. (frames,) bool, one at least.

    A frame counts as speech where it is within 35 dB of the loudest and a quarter of the way from
    the quiet (the lowest tenth) to it.
    """
    loudness = bands.sum(dim=0).log()
    loudest, quiet = loudness.max(), loudness.quantile(0.1)
    return loudness >= torch.maximum(loudest - 8.06, quiet + 0.25 * (loudest - quiet))


def mask_until(lengths: Tensor, longest: int) -> Tensor:
    """(B, longest) bool, True before each length."""
    return torch.arange(longest, device=lengths.device) < lengths[:, None]


def _mel_filters(mels: int, window: int, low_hz: float = 50.0, high_hz: float = 7600.0) -> Tensor:
    """Triangular filters, evenly spaced on the mel scale. (mels, window / 2 + 1)."""

    def mel(hz: float) -> float:
        return 2595 * math.log10(1 + hz / 700)

    edges = 700 * (10 ** (torch.linspace(mel(low_hz), mel(high_hz), mels + 2) / 2595) - 1)
    bins = torch.linspace(0, SAMPLE_RATE_HZ / 2, window // 2 + 1)
    rise = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rise, fall).clamp(min=0)
