"""Pretrained encoders: a clip to token features. The same code trains and serves.

What enters: clips (sound, words, face crops) in memory. What leaves: padded feature tensors with
masks, as `SemiIIN` takes them. It does not know data sets, labels, media files, or Semi-IIN.

An encoder is described by its spec, a JSON-able mapping that a checkpoint keeps in `config.json`
under `encoders`; its `kind` says which of two families it is of:

* embedded, nothing to download: `transformer_text` over the MiniLM that an installed package
  carries, `log_mel_audio`, `face_cnn`; what training changed in them lies in the checkpoint;
* the paper's: `transformer_text` (RoBERTa-large), `transformer_audio` (HuBERT-large), `fab_net`;
  their weights lie in a directory, or in the local cache of the hub.

Legend for shapes: B batch, L frames, D feature width, n samples of sound.
"""

import hashlib
import importlib.util
import json
import math
import os
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from semi_iin.errors import SemiIINError
from semi_iin.faces import FaceCutter
from semi_iin.model import MODALITIES, Modality

SAMPLE_RATE_HZ = 16_000
SILENCE_RMS = 1e-4  # of full scale: quieter sound is no evidence
EMOTIONS = ("angry", "disgusted", "fearful", "happy", "neutral", "sad", "surprised")
Spec = dict[str, Any]


@dataclass(frozen=True)
class Clip:
    """What is scored: one utterance of a data set, or one window of a stream.

    Attributes:
        audio: (n,) float32 mono at 16 kHz in [-1, 1]; None, empty or silent = absent.
        text: the words; None or blank = absent.
        context: what the same speaker said before, oldest first; it informs the reading of
            `text` and is no evidence by itself.
        faces: (H, W, 3) uint8 RGB crops of one face in order of time, any size; None or empty =
            absent.
    """

    audio: NDArray[np.float32] | None = None
    text: str | None = None
    context: str | None = None
    faces: Sequence[NDArray[np.uint8]] | None = None

    def has(self, modality: Modality) -> bool:
        """Whether the clip carries evidence of a modality."""
        match modality:
            case "audio":
                return self.audio is not None and _rms(self.audio) > SILENCE_RMS
            case "text":
                return bool(self.text and self.text.strip())
            case "vision":
                return bool(self.faces)


@dataclass
class Batch:
    """Features of several clips; None for a modality that none of them has.

    Attributes:
        audio: (B, L, D) float, zero where `audio_mask` is False.
        audio_mask: (B, L) bool, True = a real frame; a row of all False = absent in that clip.
        text: likewise.
        text_mask: likewise.
        vision: likewise.
        vision_mask: likewise.
    """

    audio: Tensor | None = None
    audio_mask: Tensor | None = None
    text: Tensor | None = None
    text_mask: Tensor | None = None
    vision: Tensor | None = None
    vision_mask: Tensor | None = None

    def inputs(self) -> dict[str, Tensor]:
        """The keyword arguments of `SemiIIN.forward`."""
        return {name: value for name, value in vars(self).items() if value is not None}


def collate(rows: Sequence[Mapping[Modality, Tensor]]) -> Batch:
    """Pad features of single clips, (L, D) by modality, to one batch with masks."""
    batch = Batch()
    for modality in MODALITIES:
        given = [row.get(modality) for row in rows]
        known = [value for value in given if value is not None]
        if not known:
            continue
        longest = max(len(value) for value in known)
        padded = known[0].new_zeros(len(rows), longest, known[0].shape[1])
        mask = torch.zeros(len(rows), longest, dtype=torch.bool, device=padded.device)
        for index, value in enumerate(given):
            if value is not None:
                padded[index, : len(value)] = value
                mask[index, : len(value)] = True
        setattr(batch, modality, padded)
        setattr(batch, f"{modality}_mask", mask)
    return batch


# --- text -------------------------------------------------------------------------------------


class TextEncoder(nn.Module):
    """Last hidden states of a transformer over the words, read with what was said before.

    The input is `[CLS] words [SEP]`, with `context [SEP]` behind it where there is context. Only
    the states of the first part leave: the context shapes them through attention.

    Spec of kind `transformer_text`: `source` is "package:MODULE/FOLDER" (files that an installed
    package carries), a directory or a hub id; `sha256` of the source's weights, checked where
    given; `download`, True lets a hub id be fetched; `max_tokens`, markers included (100 in the
    paper); `context_tokens`, the latest ones that are read, 0 ignores the context.

    What fine-tuning changed is stored as the difference from the source (`difference`), so that
    a checkpoint stays small.
    """

    def __init__(self, spec: Spec, stored: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        from transformers import AutoModel, AutoTokenizer

        self.spec: Spec = {"max_tokens": 100, "context_tokens": 0, **spec}
        self.tokenizer = _from_source(AutoTokenizer, self.spec)
        self.backbone = _from_source(AutoModel, self.spec).float()
        self.width = int(self.backbone.config.hidden_size)
        self.stored = dict(stored or {})
        add_difference(self.backbone, self.stored)

    def tokenize(self, clips: Sequence[Clip]) -> tuple[Tensor, Tensor, Tensor]:
        """Token ids of words and context, padded.

        Returns:
            ids (B, L) int64, real (B, L) bool, and words (B, L) bool: the first part's tokens.
        """
        most = self.spec["max_tokens"]  # no token spans two words, so later ones are not read
        words = self.tokenizer(
            [" ".join((clip.text or "").split()[:most]) for clip in clips],
            truncation=True,
            max_length=most,
        )["input_ids"]
        before = [self._context(clip) for clip in clips]
        longest = max(len(a) + len(b) for a, b in zip(words, before, strict=True))
        ids = torch.full((len(clips), longest), int(self.tokenizer.pad_token_id))
        real, first = torch.zeros_like(ids, dtype=torch.bool), torch.zeros_like(ids).bool()
        for row, (a, b) in enumerate(zip(words, before, strict=True)):
            ids[row, : len(a) + len(b)] = torch.tensor(a + b)
            real[row, : len(a) + len(b)] = True
            first[row, : len(a)] = True
        return ids, real, first

    def _context(self, clip: Clip) -> list[int]:
        most = self.spec["context_tokens"]
        if not most or not (clip.context and clip.context.strip()):
            return []
        recent = " ".join(clip.context.split()[-most:])  # no token spans two words
        ids = self.tokenizer(recent, add_special_tokens=False)["input_ids"]
        return [*ids[-most:], int(self.tokenizer.sep_token_id)]

    def forward(self, ids: Tensor, real: Tensor, words: Tensor) -> Tensor:
        """Hidden states (B, L, D) of the first part, where L is its longest length."""
        extra = {}
        if getattr(self.backbone.config, "type_vocab_size", 0) > 1:
            extra["token_type_ids"] = (real & ~words).long()
        states: Tensor = self.backbone(
            input_ids=ids, attention_mask=real.long(), **extra
        ).last_hidden_state
        return states[:, : int(words.sum(dim=1).max())]

    def encode(self, clips: Sequence[Clip]) -> list[Tensor]:
        """Features (L, D) float32 of clips that have text."""
        ids, real, words = (tensor.to(_device(self)) for tensor in self.tokenize(clips))
        states = self(ids, real, words).float()
        return [row[:count] for row, count in zip(states, words.sum(dim=1).tolist(), strict=True)]


def difference(before: nn.Module, after: nn.Module, rank: int) -> dict[str, Tensor]:
    """What training changed, small: vectors whole, matrices as their best rank-`rank` factors.

    Args:
        before: the module as its source has it.
        after: the trained module, of the same structure.
        rank: of the factors; a matrix too small to gain from factors is stored whole.

    Returns:
        float16 tensors: `NAME.change`, or `NAME.left` (rows, rank) and `NAME.right` (rank,
        columns). Parameters that did not change are left out.
    """
    stored: dict[str, Tensor] = {}
    old = dict(before.named_parameters())
    for name, parameter in after.named_parameters():
        change = (parameter.detach() - old[name].detach()).cpu().float()
        if not bool(change.any()):
            continue
        if change.ndim != 2 or rank * sum(change.shape) >= change.numel():
            stored[f"{name}.change"] = change.half()
            continue
        left, scale, right = torch.linalg.svd(change, full_matrices=False)
        root = scale[:rank].sqrt()
        stored[f"{name}.left"] = (left[:, :rank] * root).half()
        stored[f"{name}.right"] = (root[:, None] * right[:rank]).half()
    return stored


def add_difference(module: nn.Module, stored: Mapping[str, Tensor]) -> None:
    """Add what `difference` stored to a module fresh from its source.

    Raises:
        SemiIINError: when a name or a shape is not the module's.
    """
    parameters = dict(module.named_parameters())
    with torch.no_grad():
        for name, value in stored.items():
            target, _, part = name.rpartition(".")
            if part == "right":
                continue
            change = value.float()
            if part == "left":
                change = change @ stored[f"{target}.right"].float()
            if target not in parameters or parameters[target].shape != change.shape:
                raise SemiIINError(
                    f"the checkpoint's {target} does not fit its text encoder's source: "
                    "it was trained on another one"
                )
            parameters[target].add_(change.to(parameters[target].dtype))


# --- audio ------------------------------------------------------------------------------------


class TransformerAudioEncoder(nn.Module):
    """Last hidden states of a speech transformer (HuBERT-large: 1024-d at 50 Hz).

    Spec of kind `transformer_audio`: `source`, `sha256`, `download` as for `TextEncoder`;
    `max_frames`, the latest ones that are kept (800 in the paper); `normalize`, True scales each
    clip to mean 0 and variance 1 as the large models expect. Clips are encoded one by one: these
    models' results depend on padding.
    """

    def __init__(self, spec: Spec, stored: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        from transformers import AutoModel

        self.spec: Spec = {"max_frames": 800, "normalize": True, **spec}
        self.backbone = _from_source(AutoModel, self.spec).float()
        self.width = int(self.backbone.config.hidden_size)
        self.stride = math.prod(self.backbone.config.conv_stride)
        self.stored = dict(stored or {})
        add_difference(self.backbone, self.stored)

    def encode(self, clips: Sequence[Clip]) -> list[Tensor]:
        """Features (L, D) float32 of clips that have sound."""
        return [self._encode(_sound(clip)) for clip in clips]

    def _encode(self, sound: Tensor) -> Tensor:
        most = self.spec["max_frames"]
        sound = sound[-(most + 1) * self.stride :].to(_device(self))
        sound = functional.pad(sound, (0, max(0, 2 * self.stride - len(sound))))
        if self.spec["normalize"]:
            sound = (sound - sound.mean()) / (sound.var(unbiased=False) + 1e-7).sqrt()
        states: Tensor = self.backbone(sound[None]).last_hidden_state[0]
        return states[-most:].float()


class LogMelEncoder(nn.Module):
    """A compact convolutional encoder of log-mel sound: one frame per 80 ms.

    Four convolutions over time and mel bands, both halved by each but the last; then the bands
    are folded into channels, projected to D, and two dilated convolutions look about 0.5 s around
    each frame. Every band loses its mean over what is spoken, so neither the microphone's gain
    nor its colour counts, nor how much silence is around. Padding is zeroed before every
    convolution: a clip's frames do not depend on what it is batched with.

    Spec of kind `log_mel_audio`: `width` D; `channels` of the four convolutions; `mels`;
    `max_frames`, the latest ones that are kept; `emotions`, the classes of the emotion head.
    """

    HOP = 160  # samples: 10 ms
    WINDOW = 1024  # samples: 64 ms, long enough to part the harmonics of a low voice
    HALVINGS = 3  # of time and of bands, by the first convolutions

    mel_filters: Tensor
    window: Tensor

    def __init__(self, spec: Spec, stored: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        self.spec: Spec = {
            "width": 128,
            "channels": [24, 48, 64, 96],
            "mels": 80,
            "max_frames": 200,
            "emotions": list(EMOTIONS),
            **spec,
        }
        self.width = int(self.spec["width"])
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
        self.project = nn.Linear(channels[-1] * (mels // 2**self.HALVINGS), self.width)
        self.temporal = nn.ModuleList(
            nn.Conv1d(self.width, self.width, 5, padding=2 * dilation, dilation=dilation)
            for dilation in (1, 2)
        )
        self.norm = nn.LayerNorm(self.width)
        self.dropout = nn.Dropout(0.3)
        self.emotion = nn.Linear(2 * self.width, len(self.spec["emotions"]))
        self.register_buffer("mel_filters", _mel_filters(mels, self.WINDOW), persistent=False)
        self.register_buffer("window", torch.hann_window(self.WINDOW), persistent=False)
        if stored:
            _load(self, stored, "audio encoder")

    def log_mel(self, sound: Tensor) -> Tensor:
        """Log-mel energies (frames, mels) of what is spoken in sound (n,).

        A frame counts as spoken where it is within 35 dB of the loudest and a quarter of the way
        from the quiet (the lowest tenth) to it. Each band's mean over such frames is removed, and
        what lies more than 0.1 s before the first or behind the last is cut away. Energies 80 dB
        below the highest are levelled.
        """
        sound = functional.pad(sound.float(), (0, max(0, self.WINDOW - len(sound))))
        spectrum = torch.stft(
            sound,
            self.WINDOW,
            self.HOP,
            window=self.window,
            pad_mode="constant",
            return_complex=True,
        )
        bands = (self.mel_filters @ spectrum.abs().square()).clamp(min=1e-10)
        loudness = bands.sum(dim=0).log()
        loudest, quiet = loudness.max(), loudness.quantile(0.1)
        bound = torch.maximum(loudest - 8.06, quiet + 0.25 * (loudest - quiet))
        spoken = loudness >= bound
        energies = bands.log().T
        energies = energies.clamp(min=float(energies.max()) - 18.4)
        energies = (energies - energies[spoken].mean(dim=0)) / 3.0
        where = spoken.nonzero()[:, 0]
        return energies[max(0, int(where[0]) - 10) : int(where[-1]) + 11]

    def forward(self, energies: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, L, D) and mask (B, L) of padded log-mel (B, frames, mels) and lengths."""
        maps = energies[:, None].contiguous(memory_format=torch.channels_last)
        for index, layer in enumerate(self.spectral):
            maps = layer(maps * _until(lengths, maps.shape[2])[:, None, :, None])
            if index < self.HALVINGS:
                lengths = (lengths + 1) // 2
        mask = _until(lengths, maps.shape[2])
        states = self.project(self.dropout(maps.permute(0, 2, 1, 3).flatten(2)))
        for layer in self.temporal:
            inside = (states * mask[..., None]).transpose(1, 2)
            states = states + functional.relu(layer(inside)).transpose(1, 2)
        return self.norm(states) * mask[..., None], mask

    def classify(self, features: Tensor, mask: Tensor) -> Tensor:
        """Emotion logits (B, classes) of features (B, L, D): mean and maximum over time."""
        mean = (features * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
        largest = features.masked_fill(~mask[..., None], -torch.inf).amax(dim=1)
        logits: Tensor = self.emotion(self.dropout(torch.cat([mean, largest], dim=-1)))
        return logits

    def energies(self, clips: Sequence[Clip]) -> tuple[Tensor, Tensor]:
        """What `forward` takes of clips that have sound."""
        most = self.spec["max_frames"] * 2**self.HALVINGS
        device = _device(self)
        mels = [self.log_mel(_sound(clip)[-most * self.HOP :].to(device))[:most] for clip in clips]
        lengths = torch.tensor([len(mel) for mel in mels], device=device)
        return nn.utils.rnn.pad_sequence(mels, batch_first=True), lengths

    def encode(self, clips: Sequence[Clip]) -> list[Tensor]:
        """Features (L, D) float32 of clips that have sound."""
        features, mask = self(*self.energies(clips))
        return [row[real].float() for row, real in zip(features, mask, strict=True)]

    def emotions(self, clips: Sequence[Clip]) -> list[str]:
        """The likeliest emotion of clips that have sound."""
        return _names(self.classify(*self(*self.energies(clips))), self.spec)


def _names(logits: Tensor, spec: Spec) -> list[str]:
    """The likeliest class of each row by its name."""
    return [spec["emotions"][index] for index in logits.argmax(dim=-1).tolist()]


def _until(lengths: Tensor, longest: int) -> Tensor:
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


# --- vision -----------------------------------------------------------------------------------


class Residual(nn.Module):
    """Two 3x3 convolutions around which the input is carried by a 1x1 convolution."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inner, outer, 3, padding=1, bias=False),
            nn.BatchNorm2d(outer),
            nn.ReLU(),
            nn.Conv2d(outer, outer, 3, padding=1, bias=False),
            nn.BatchNorm2d(outer),
        )
        self.carry = nn.Sequential(nn.Conv2d(inner, outer, 1, bias=False), nn.BatchNorm2d(outer))

    def forward(self, maps: Tensor) -> Tensor:
        """(B, inner, H, W) to (B, outer, H, W)."""
        return functional.relu(self.body(maps) + self.carry(maps))


class FaceEncoder(nn.Module):
    """A compact convolutional encoder of facial expression, one feature per grey 48x48 crop.

    A first convolution and three residual blocks, the size halved before each block; mean over
    what is left. Crops are scaled to mean 0 and deviation 1, so lighting does not count.

    Spec of kind `face_cnn`: `width` D; `channels` of the first convolution and the three blocks;
    `max_crops` of a clip that are read, evenly spread over its time; `emotions`, the classes of
    the emotion head.
    """

    SIDE = 48

    def __init__(self, spec: Spec, stored: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        self.spec: Spec = {
            "width": 128,
            "channels": [32, 48, 96, 192],
            "max_crops": 8,
            "emotions": list(EMOTIONS),
            **spec,
        }
        self.width = int(self.spec["width"])
        first, *channels = self.spec["channels"]
        self.first = nn.Sequential(
            nn.Conv2d(1, first, 3, padding=1, bias=False), nn.BatchNorm2d(first), nn.ReLU()
        )
        self.blocks = nn.ModuleList(
            Residual(inner, outer) for inner, outer in pairwise([first, *channels])
        )
        self.dropout = nn.Dropout(0.3)
        self.project = nn.Linear(channels[-1], self.width)
        self.norm = nn.LayerNorm(self.width)
        self.emotion = nn.Linear(self.width, len(self.spec["emotions"]))
        if stored:
            _load(self, stored, "face encoder")

    @classmethod
    def pixels(cls, crop: NDArray[np.uint8]) -> NDArray[np.float32]:
        """One crop, (H, W, 3) RGB or (H, W) grey of any size, to (48, 48) float32, standardised."""
        grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) if crop.ndim == 3 else crop
        if grey.shape != (cls.SIDE, cls.SIDE):
            shrinking = min(grey.shape) > cls.SIDE
            grey = cv2.resize(
                grey,
                (cls.SIDE, cls.SIDE),
                interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR,
            )
        values = np.asarray(grey, dtype=np.float32)
        return np.asarray((values - values.mean()) / max(float(values.std()), 8.0), np.float32)

    def forward(self, crops: Tensor) -> Tensor:
        """Features (B, D) of standardised crops (B, 1, 48, 48)."""
        maps = self.first(crops.contiguous(memory_format=torch.channels_last))
        for block in self.blocks:
            maps = block(functional.max_pool2d(maps, 2))
        features: Tensor = self.norm(self.project(self.dropout(maps.mean(dim=(2, 3)))))
        return features

    def classify(self, features: Tensor) -> Tensor:
        """Emotion logits (B, classes) of features (B, D)."""
        logits: Tensor = self.emotion(functional.relu(features))
        return logits

    def crops(self, clips: Sequence[Clip]) -> tuple[Tensor, list[int]]:
        """What `forward` takes of clips that have faces, and how many crops each gives."""
        faces = [_spread(clip.faces or [], self.spec["max_crops"]) for clip in clips]
        pixels = np.stack([self.pixels(crop) for clip in faces for crop in clip])
        return torch.from_numpy(pixels)[:, None].to(_device(self)), [len(clip) for clip in faces]

    def encode(self, clips: Sequence[Clip]) -> list[Tensor]:
        """Features (L, D) float32 of clips that have faces."""
        crops, counts = self.crops(clips)
        return list(torch.split(self(crops).float(), counts))

    def emotions(self, clips: Sequence[Clip]) -> list[str]:
        """The likeliest emotion of clips that have faces.

        By the mean over their crops and the mirrored ones.
        """
        crops, counts = self.crops(clips)
        both = torch.stack([self.classify(self(some)) for some in (crops, crops.flip(-1))])
        found = torch.split(both.float().softmax(dim=-1).mean(dim=0), counts)
        return _names(torch.stack([rows.mean(dim=0) for rows in found]), self.spec)


class FabNetEncoder(nn.Module):
    """FAb-Net's encoder (arXiv 1808.06882): 256-d for each 256x256 face crop.

    Spec of kind `fab_net`: `weights`, a safetensors file with the published names (`encoder.*`),
    written by `convert_fab_net` from the published file; `max_crops` of a clip, evenly spread.
    """

    SIDE = 256
    WIDTHS = (3, 32, 64, 128, 256, 256, 256, 256, 256)

    def __init__(self, spec: Spec, stored: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        self.spec: Spec = {"max_crops": 50, **spec}
        self.width = self.WIDTHS[-1]
        layers: list[nn.Module] = []
        for index, (inner, outer) in enumerate(pairwise(self.WIDTHS)):
            if index:
                layers.append(nn.LeakyReLU(0.2))
            layers.append(nn.Conv2d(inner, outer, 4, stride=2, padding=1))
            if 0 < index < len(self.WIDTHS) - 2:
                layers.append(nn.BatchNorm2d(outer))
        self.encoder = nn.Sequential(*layers)
        path = Path(self.spec.get("weights", ""))
        if not path.is_file():
            raise SemiIINError(
                f"FAb-Net's weights are not at '{path}': convert the published file and name the "
                "result as weights of the vision encoder"
            )
        weights = load_file(path)
        named = {name: value for name, value in weights.items() if name.startswith("encoder.")}
        _load(self, named, f"FAb-Net encoder in {path}")

    def forward(self, crops: Tensor) -> Tensor:
        """Features (B, 256) of RGB crops (B, 3, 256, 256) in [0, 1]."""
        features: Tensor = self.encoder(crops).flatten(1)
        return features

    def encode(self, clips: Sequence[Clip]) -> list[Tensor]:
        """Features (L, 256) float32 of clips that have faces, one clip at a time."""
        return [self._encode(_spread(clip.faces or [], self.spec["max_crops"])) for clip in clips]

    def _encode(self, crops: list[NDArray[np.uint8]]) -> Tensor:
        scaled = [
            cv2.resize(crop, (self.SIDE, self.SIDE), interpolation=cv2.INTER_AREA) for crop in crops
        ]
        pixels = torch.from_numpy(np.stack(scaled)).to(_device(self)).permute(0, 3, 1, 2)
        features: Tensor = self(pixels.float() / 255).float()
        return features


def convert_fab_net(published: Path, target: Path) -> Path:
    """Convert FAb-Net's published checkpoint (a pickle) to safetensors, without running its code.

    Args:
        published: the release's `.pth` file, with its weights under `state_dict_model`.
        target: the safetensors file to write; only `encoder.*` is kept.

    Returns:
        `target`.

    Raises:
        SemiIINError: when the file is no such checkpoint, or holds more than weights.
    """
    try:
        content = torch.load(published, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise SemiIINError(f"there is no FAb-Net checkpoint at {published}") from None
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise SemiIINError(
            f"{published} cannot be read as plain weights: {str(error).splitlines()[0]}"
        ) from error
    state = content.get("state_dict_model", content) if isinstance(content, dict) else {}
    kept = {
        name: value.contiguous()
        for name, value in state.items()
        if name.startswith("encoder.") and isinstance(value, Tensor)
    }
    if not kept:
        raise SemiIINError(f"{published} has no 'encoder.*' weights: it is no FAb-Net checkpoint")
    save_file(kept, target)
    return target


# --- together ---------------------------------------------------------------------------------

KINDS: dict[Modality, dict[str, type[Any]]] = {
    "audio": {"log_mel_audio": LogMelEncoder, "transformer_audio": TransformerAudioEncoder},
    "text": {"transformer_text": TextEncoder},
    "vision": {"face_cnn": FaceEncoder, "fab_net": FabNetEncoder},
}


class Encoders:
    """The encoders of a checkpoint or a training configuration, one for each modality it knows."""

    def __init__(self, encoders: Mapping[Modality, Any]) -> None:
        self.encoders = {name: encoders[name].eval() for name in MODALITIES if name in encoders}

    @classmethod
    def build(
        cls,
        specs: Mapping[str, Spec],
        tensors: Mapping[str, Tensor] | None = None,
        modalities: Sequence[Modality] = MODALITIES,
    ) -> "Encoders":
        """Build encoders from their specs.

        Args:
            specs: modality to spec; a modality without one is not encoded.
            tensors: a checkpoint's tensors, of which `MODALITY_encoder.*` are used.
            modalities: the ones to build.

        Raises:
            SemiIINError: for an unknown modality or kind, or weights that are missing or do not
                fit.
        """
        encoders = {}
        for name, spec in specs.items():
            if name not in MODALITIES:
                raise SemiIINError(f"there is no modality {name!r} to encode: use {MODALITIES}")
            kind = KINDS[name].get(str(spec.get("kind")))
            if kind is None:
                raise SemiIINError(
                    f"the {name} encoder's kind {spec.get('kind')!r} must be one of "
                    f"{', '.join(KINDS[name])}"
                )
            if name in modalities:
                prefix = f"{name}_encoder."
                stored = {
                    key.removeprefix(prefix): value
                    for key, value in (tensors or {}).items()
                    if key.startswith(prefix)
                }
                encoders[name] = kind(dict(spec), stored)
        return cls(encoders)

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """The modalities that are encoded, in the model's order."""
        return tuple(self.encoders)

    def specs(self) -> dict[str, Spec]:
        """What `build` needs beside `tensors`."""
        return {name: dict(encoder.spec) for name, encoder in self.encoders.items()}

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint must hold of the encoders, under their prefixes."""
        return {
            f"{name}_encoder.{key}": value
            for name, encoder in self.encoders.items()
            for key, value in _stored(encoder).items()
        }

    def to(self, device: torch.device | str) -> "Encoders":
        """Move every encoder to a device."""
        for encoder in self.encoders.values():
            encoder.to(device)
        return self

    def rows(self, clips: Sequence[Clip]) -> list[dict[Modality, Tensor]]:
        """Features of each clip, (L, D) float32 by modality; an absent one has no entry.

        Raises:
            SemiIINError: for a clip that cannot be read: wrong type, shape, or numbers.
        """
        for clip in clips:
            check(clip)
        rows: list[dict[Modality, Tensor]] = [{} for _ in clips]
        with torch.inference_mode():
            for name, encoder in self.encoders.items():
                having = [index for index, clip in enumerate(clips) if clip.has(name)]
                encoded = encoder.encode([clips[index] for index in having]) if having else []
                for index, features in zip(having, encoded, strict=True):
                    rows[index][name] = features
        return rows

    def encode(self, clips: Sequence[Clip]) -> Batch:
        """Features of several clips, padded to the longest."""
        return collate(self.rows(clips))

    def fingerprint(self) -> str:
        """A key that changes with the encoders' specs or weights."""
        digest = hashlib.sha256(json.dumps(self.specs(), sort_keys=True).encode())
        for encoder in self.encoders.values():
            for name, value in sorted(encoder.state_dict().items()):
                digest.update(name.encode())
                digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


def check(clip: Clip) -> None:
    """Refuse a clip that no encoder could read.

    Raises:
        SemiIINError: naming what is wrong with it.
    """
    if clip.audio is not None:
        if clip.audio.ndim != 1 or clip.audio.dtype != np.float32:
            raise SemiIINError(
                f"a clip's audio is {clip.audio.dtype} of shape {clip.audio.shape}, but it must be "
                "mono float32 samples"
            )
        if not np.isfinite(clip.audio).all():
            raise SemiIINError("a clip's audio holds numbers that are not finite")
    for crop in clip.faces or []:
        if crop.dtype != np.uint8 or crop.ndim != 3 or crop.shape[2] != 3 or not crop.size:
            raise SemiIINError(
                f"a face crop is {crop.dtype} of shape {crop.shape}, but it must be uint8 RGB "
                "(height, width, 3)"
            )


def find_device(name: str) -> torch.device:
    """A device by its name ("auto", "cpu", "cuda", "cuda:1", "mps"), checked to be there.

    Raises:
        SemiIINError: for another name, or a device that is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SemiIINError(f"device = {name!r} must be auto, cpu, cuda or mps") from None
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(device.type, False):
        raise SemiIINError(f"the device {name} is not there: use auto or cpu")
    return device


class Recorded(Protocol):
    """Something with a name whose clip can be read, such as a data set's sample."""

    @property
    def id(self) -> str:
        """Unique among those that are encoded together."""

    def clip(self) -> Clip:
        """Read it."""


def extract(
    samples: Sequence[Recorded],
    encoders: Encoders,
    directory: Path,
    *,
    shard_size: int = 512,
    batch_size: int = 32,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> list[dict[Modality, Tensor]]:
    """Features of samples, computed once and kept on disk.

    They lie in a folder of `directory` named after the encoders' specs and weights, the
    face cutter and the samples, in shards; a run that is stopped loses at most one shard.

    Args:
        samples: in any order; a batch is made of neighbours.
        encoders: on any device, in any precision; features are kept as float16.
        directory: of the cache.
        shard_size: samples a file.
        batch_size: samples encoded together.
        report: called with how many samples are done, of how many.

    Returns:
        For each sample its features (L, D) float16 by modality, on the CPU.
    """
    digest = hashlib.sha256(f"{encoders.fingerprint()} {FaceCutter()}".encode())
    for sample in samples:
        digest.update(repr(sample).encode())
    folder = directory / digest.hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[Modality, Tensor]] = []
    for first in range(0, len(samples), shard_size):
        path = folder / f"{first // shard_size:05d}.safetensors"
        shard = samples[first : first + shard_size]
        if not path.exists():
            _encode_shard(shard, encoders, path, batch_size)
        kept = load_file(path)
        for index in range(len(shard)):
            names = [name for name in MODALITIES if f"{index}.{name}" in kept]
            rows.append({name: kept[f"{index}.{name}"] for name in names})
        report(len(rows), len(samples))
    return rows


def _encode_shard(
    samples: Sequence[Recorded], encoders: Encoders, path: Path, batch_size: int
) -> None:
    """Encode samples, of like length together, and write them whole or not at all."""
    clips = [sample.clip() for sample in samples]
    order = sorted(range(len(clips)), key=lambda index: size(clips[index]))
    tensors = {}
    for first in range(0, len(order), batch_size):
        indices = order[first : first + batch_size]
        for index, row in zip(indices, encoders.rows([clips[i] for i in indices]), strict=True):
            for name, features in row.items():
                tensors[f"{index}.{name}"] = features.half().cpu().contiguous()
    partial = path.with_suffix(".partial")
    save_file(tensors, partial)
    os.replace(partial, path)


def size(clip: Clip) -> tuple[int, int, int]:
    """What makes clips alike for padding: the length of their words, then sound, then faces."""
    return (
        len((clip.text or "").split()) + len((clip.context or "").split()),
        0 if clip.audio is None else len(clip.audio),
        len(clip.faces or []),
    )


def _stored(encoder: nn.Module) -> dict[str, Tensor]:
    """An encoder's own tensors as a checkpoint holds them: float16, or as differences."""
    if isinstance(encoder, FabNetEncoder):
        return {}
    if isinstance(encoder, TextEncoder | TransformerAudioEncoder):
        return encoder.stored
    return {
        name: value.half() if value.is_floating_point() else value
        for name, value in encoder.state_dict().items()
    }


def _load(module: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Load weights that must fit name for name and shape for shape."""
    expected = module.state_dict()
    wrong = sorted(expected.keys() ^ state.keys()) or sorted(
        name for name, value in state.items() if value.shape != expected[name].shape
    )
    if wrong:
        raise SemiIINError(f"the {what}'s weights do not fit its spec: {', '.join(wrong[:3])}")
    module.load_state_dict(dict(state))


def _from_source(loader: Any, spec: Spec) -> Any:
    """Load a tokenizer or a model of transformers from where the spec says."""
    source = spec.get("source")
    if not source:
        raise SemiIINError("a transformer encoder's spec needs a source")
    place = _place(str(source))
    weights = Path(place) / "model.safetensors"
    if spec.get("sha256") and loader.__name__ == "AutoModel" and weights.is_file():
        with weights.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != spec["sha256"]:
            raise SemiIINError(
                f"{source} holds other weights than this checkpoint was trained on: install the "
                "version that it names, or train again"
            )
    with _quiet():
        try:
            return loader.from_pretrained(place, local_files_only=not spec.get("download", False))
        except (OSError, ValueError) as error:
            raise SemiIINError(
                f"{source} cannot be loaded: it is no directory of a transformer, nor in the "
                "local cache of the hub (download = true in the encoder's spec lets it be fetched)"
            ) from error


def _place(source: str) -> str:
    """A source as transformers takes it: a directory, or a hub id."""
    if not source.startswith("package:"):
        return source
    module, _, folder = source.removeprefix("package:").partition("/")
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        raise SemiIINError(
            f"the package {module} that carries the text encoder is not installed: install "
            f"{module.replace('_', '-')}"
        )
    return str(Path(found.origin).parent / folder)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the progress bars of transformers away while weights are read."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _device(module: nn.Module) -> torch.device:
    return next(module.parameters()).device


def _rms(sound: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))) if len(sound) else 0.0


def _sound(clip: Clip) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(clip.audio, dtype=np.float32))


def _spread(items: Sequence[NDArray[np.uint8]], most: int) -> list[NDArray[np.uint8]]:
    """At most `most` of the items, evenly spread, the last one always among them."""
    if len(items) <= most:
        return list(items)
    return [items[round((index + 1) * len(items) / most) - 1] for index in range(most)]
