"""Clips to features: the encoders of a checkpoint, and padded batches with masks.

What enters: clips in memory. What leaves: feature tensors as `SemiIIN` takes them. The same code
trains and serves. It depends on no data sets, labels or media files.

Legend for shapes: B batch, L frames, D feature width.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from semi_iin.clips import Clip
from semi_iin.encoders.audio import LogMelEncoder, TransformerAudioEncoder
from semi_iin.encoders.fab_net import FabNetEncoder
from semi_iin.encoders.protocol import Encoder, Spec
from semi_iin.encoders.text import TextEncoder
from semi_iin.encoders.vision import FaceEncoder
from semi_iin.encoders.whisper import WhisperEncoder
from semi_iin.errors import SemiIINError
from semi_iin.kept import KeptEncodings
from semi_iin.modalities import MODALITIES, Modality

# The encoder of each kind that a spec may name.
KINDS: dict[Modality, dict[str, type[Any]]] = {
    "audio": {
        "log_mel_audio": LogMelEncoder,
        "transformer_audio": TransformerAudioEncoder,
        "whisper_audio": WhisperEncoder,
    },
    "text": {"transformer_text": TextEncoder},
    "vision": {"face_cnn": FaceEncoder, "fab_net": FabNetEncoder},
}


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
        """Return the keyword arguments of `SemiIIN.forward`."""
        return {name: value for name, value in vars(self).items() if value is not None}


def collate(rows: Sequence[Mapping[Modality, Tensor]]) -> Batch:
    """Pad the features of single clips, (L, D) by modality, to one batch with masks."""
    batch = Batch()
    for modality in MODALITIES:
        values = [row.get(modality) for row in rows]
        present = [value for value in values if value is not None]
        if not present:
            continue
        longest = max(len(value) for value in present)
        padded = present[0].new_zeros(len(rows), longest, present[0].shape[1])
        mask = torch.zeros(len(rows), longest, dtype=torch.bool, device=padded.device)
        for index, value in enumerate(values):
            if value is not None:
                padded[index, : len(value)] = value
                mask[index, : len(value)] = True
        setattr(batch, modality, padded)
        setattr(batch, f"{modality}_mask", mask)
    return batch


class Encoders:
    """The encoders of a checkpoint or a training configuration, at most one for each modality.

    Attributes:
        encoders: by modality, in the model's order.
        bfloat16: whether they compute in bfloat16 autocast rather than in the caller's precision.
    """

    def __init__(self, encoders: Mapping[Modality, Encoder], *, bfloat16: bool = False) -> None:
        self.bfloat16 = bfloat16
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
        encoders: dict[Modality, Encoder] = {}
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
                _check_sizes(name, spec, stored)
                encoder: Encoder = kind(dict(spec), stored)
                if spec.get("emotion_columns") and not encoder.names_emotions:
                    raise SemiIINError(
                        f"an encoder of kind {spec['kind']} has no emotion head: remove "
                        f"emotion_columns from the spec of the {name} encoder"
                    )
                encoders[name] = encoder
        return cls(encoders)

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """The modalities that are encoded, in the model's order."""
        return tuple(self.encoders)

    def specs(self) -> dict[str, Spec]:
        """Return the specs, which `build` needs beside `tensors`."""
        return {name: dict(encoder.spec) for name, encoder in self.encoders.items()}

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors that a checkpoint stores, under the prefixes of their encoders."""
        return {
            f"{name}_encoder.{key}": value
            for name, encoder in self.encoders.items()
            for key, value in encoder.checkpoint_tensors().items()
        }

    def to(self, device: torch.device | str) -> "Encoders":
        """Move every encoder to a device."""
        for encoder in self.encoders.values():
            encoder.to(device)
        return self

    def prepare(self, dtype: torch.dtype = torch.float32) -> "Encoders":
        """Prepare every encoder for inference alone; see `Encoder.prepare`.

        Args:
            dtype: of the autocast that they will run in. It would convert all weights again for
                each clip, so on a CPU they are converted here, with the same results.
        """
        for encoder in self.encoders.values():
            encoder.prepare()
            if dtype is not torch.float32 and encoder.device.type == "cpu":
                for module in encoder.modules():
                    if isinstance(module, nn.Linear | nn.Conv1d | nn.MultiheadAttention):
                        module.to(dtype)
        return self

    def rows(self, clips: Sequence[Clip]) -> list[dict[Modality, Tensor]]:
        """Encode clips.

        Returns:
            For each clip its features (L, D) float32 by modality, without the absent ones.

        Raises:
            SemiIINError: for a clip of the wrong type, shape or numbers.
        """
        for clip in clips:
            clip.check()
        rows: list[dict[Modality, Tensor]] = [{} for _ in clips]
        with torch.inference_mode(), self._autocast():
            for name, encoder in self.encoders.items():
                indices = [index for index, clip in enumerate(clips) if clip.has(name)]
                encoded = encoder.encode([clips[index] for index in indices]) if indices else []
                for index, features in zip(indices, encoded, strict=True):
                    rows[index][name] = features.float() if self.bfloat16 else features
        return rows

    def row(self, clip: Clip, kept: KeptEncodings) -> dict[Modality, Tensor]:
        """Encode one clip part by part, each part alone: what is kept changes no digit.

        Args:
            clip: see `rows`, also for the result and the errors.
            kept: gives the parts that it has, and keeps the others.
        """
        clip.check()
        row: dict[Modality, Tensor] = {}
        with torch.inference_mode(), self._autocast():
            for name, encoder in self.encoders.items():
                if clip.has(name):
                    features = torch.cat(
                        [
                            kept.get(part.digest(name), partial(_encoded, encoder, part))
                            for part in encoder.parts(clip)
                        ]
                    )
                    row[name] = features.float() if self.bfloat16 else features
        return row

    def _autocast(self) -> AbstractContextManager[Any]:
        """Return bfloat16 autocast, or nothing: then the caller's own autocast is in force."""
        if not self.bfloat16 or not self.encoders:
            return nullcontext()
        device = next(next(iter(self.encoders.values())).parameters()).device
        return torch.autocast(device.type, torch.bfloat16)

    def encode(self, clips: Sequence[Clip]) -> Batch:
        """Encode clips, padded to the longest; errors as for `rows`."""
        return collate(self.rows(clips))

    def fingerprint(self) -> str:
        """Return a key that changes with the encoders' specs, weights or precision."""
        digest = hashlib.sha256(json.dumps(self.specs(), sort_keys=True).encode())
        if self.bfloat16:
            digest.update(b"bfloat16")
        for encoder in self.encoders.values():
            for name, value in sorted(encoder.state_dict().items()):
                digest.update(name.encode())
                digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


def _encoded(encoder: Encoder, clip: Clip) -> Tensor:
    return encoder.encode([clip])[0]


def _check_sizes(modality: Modality, spec: Spec, stored: Mapping[str, Tensor]) -> None:
    """Refuse widths that no stored weight has, before memory is taken for them.

    Raises:
        SemiIINError: naming the width.
    """
    sizes = [size for tensor in stored.values() if tensor.numel() for size in tensor.shape]
    for key in ("width", "channels", "states") if sizes else ():
        value = spec.get(key, 0)
        for size in value if isinstance(value, list) else [value]:
            if not isinstance(size, int) or size > max(sizes):
                raise SemiIINError(
                    f"the {modality} encoder's {key} = {size} does not fit its weights, whose "
                    f"largest size is {max(sizes)}"
                )
