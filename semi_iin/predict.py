"""Predictions of a checkpoint on clips, for a stream or an evaluation.

What enters: a checkpoint and clips in memory. What leaves: one prediction for each clip, in order.
It depends on no windows, topics or data sets. A clip's prediction does not depend on the other
clips of its batch. On a CPU several threads may predict at once; elsewhere a lock admits one.
"""

import logging
import math
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from semi_iin import checkpoint as checkpoints
from semi_iin.calibration import Temperatures, class_probabilities, combination, scaled_valences
from semi_iin.clips import Clip
from semi_iin.device import find_device
from semi_iin.errors import SemiIINError
from semi_iin.features import Batch, Encoders, collate
from semi_iin.kept import KeptEncodings
from semi_iin.modalities import MODALITIES, Modality
from semi_iin.model import SemiIIN

COMPILED_FORMS = 64
"""Of one module, by which modalities are there; the others run as they are."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Prediction:
    """The prediction for one clip; all None where the clip has no modality that the model reads.

    Attributes:
        valence: in [-3, 3].
        class_probabilities: of the seven classes from most negative to most positive, calibrated
            by the checkpoint's temperatures; they add up to 1.
        valence_gate: in [0, 1], how far valence relies on interaction between modalities rather
            than within them; None for a model without a gate.
        class_gate: likewise for the classes.
        modalities: those that the clip was scored from, in the model's order.
    """

    valence: float | None = None
    class_probabilities: tuple[float, ...] | None = None
    valence_gate: float | None = None
    class_gate: float | None = None
    modalities: tuple[Modality, ...] = ()


class Predictor:
    """A model with its encoders on one device.

    Attributes:
        name: the model's name, which published records carry.
        modalities: those that it reads, in the model's order.
        device: of the model and the encoders.
        kept: encodings of clips that are scored alone on the CPU.
        compiled: whether `compile` was called.
    """

    def __init__(
        self,
        model: SemiIIN,
        encoders: Encoders,
        *,
        name: str = "semi-iin",
        temperatures: Mapping[str, Temperatures] | None = None,
        valence_scales: Mapping[str, float] | None = None,
        device: str = "auto",
        dtype: str = "float32",
        kept_bytes: int = 0,
    ) -> None:
        """Take a model and the encoders that it was trained on.

        Args:
            model: in any mode; it is set to evaluation.
            encoders: of the modalities to read; they are prepared for inference alone.
            name: the model's name.
            temperatures: of the classes and of their polarities, by the combination of modalities
                in the clip (`calibration.combination`); missing ones are 1.
            valence_scales: factors of the valence, likewise.
            device: "auto" (CUDA, else MPS, else CPU), "cpu", "cuda", "cuda:1", "mps".
            dtype: "float32", or "bfloat16" or "float16" for encoders and model under autocast.
                On a CPU only the encoders are: what Semi-IIN saves is less than conversions cost.
            kept_bytes: of encodings that are kept by content, see `kept`.

        Raises:
            SemiIINError: for an unknown device or dtype, or a width that does not fit.
        """
        if dtype not in DTYPES:
            raise SemiIINError(f"dtype = {dtype!r} must be one of {', '.join(DTYPES)}")
        for modality, encoder in encoders.encoders.items():
            if encoder.width != model.config.width(modality):
                raise SemiIINError(
                    f"the {modality} encoder gives features of width {encoder.width}, but the "
                    f"model takes {model.config.width(modality)}"
                )
        self.name = name
        self.device = find_device(device)
        self.modalities = encoders.modalities
        self._dtype = DTYPES[dtype]
        self._temperatures = dict(temperatures or {})
        self._valence_scales = dict(valence_scales or {})
        self._model = model.to(self.device).eval()
        self._encoders = encoders.to(self.device).prepare(self._dtype)
        self.kept = KeptEncodings(kept_bytes)
        self.compiled = False
        self._lock = threading.Lock()

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path = "default",
        device: str = "auto",
        dtype: str = "float32",
        modalities: Sequence[str] | None = None,
        kept_bytes: int = 0,
    ) -> "Predictor":
        """Load a checkpoint.

        Args:
            path: a directory; "default" is the checkpoint in this package.
            device: as for the constructor.
            dtype: as for the constructor.
            modalities: the ones to read; others are ignored as if absent. None = all that the
                checkpoint was trained on.
            kept_bytes: as for the constructor.

        Raises:
            SemiIINError: naming what is wrong with the checkpoint or with an argument.
        """
        loaded = checkpoints.load(path)
        requested = tuple(modalities) if modalities is not None else MODALITIES
        unknown = [name for name in requested if name not in MODALITIES]
        if unknown:
            raise SemiIINError(
                f"there is no modality {unknown[0]!r}: use any of {', '.join(MODALITIES)}"
            )
        specs: dict[str, Any] = loaded.config.get("encoders", {})
        if not any(name in specs for name in requested):
            raise SemiIINError(
                f"the checkpoint {path} reads {', '.join(specs) or 'no modality'}, "
                f"and none of the requested ones: {', '.join(requested) or 'none'}"
            )
        encoders = Encoders.build(
            specs, loaded.tensors, [name for name in MODALITIES if name in requested]
        )
        return cls(
            loaded.build_model(),
            encoders,
            name=str(loaded.config.get("name", loaded.path.name)),
            temperatures=loaded.config.get("temperatures"),
            valence_scales=loaded.config.get("valence_scales"),
            device=device,
            dtype=dtype,
            kept_bytes=kept_bytes,
        )

    def compile(self, backend: str = "inductor") -> None:
        """Have the encoders and the network compiled when they first run; it takes minutes.

        Sizes that vary are compiled once, combinations of modalities each. The last digits of
        results change.

        Args:
            backend: of `torch.compile`.
        """
        logging.getLogger("torch._dynamo").setLevel(logging.ERROR)  # it reports each graph's end
        torch._dynamo.config.recompile_limit = COMPILED_FORMS
        for module in (
            self._model,
            *(encoder.network for encoder in self._encoders.encoders.values()),
        ):
            module.compile(backend=backend, dynamic=True)
        self.compiled = True

    @property
    def parallel(self) -> bool:
        """Whether several threads predict at once: on a CPU, where nothing is compiled."""
        return self.device.type == "cpu" and not self.compiled

    @property
    def most_faces(self) -> int | None:
        """How many crops of a clip are read, as `spread` chooses them; None where all are."""
        vision = self._encoders.encoders.get("vision")
        return None if vision is None else vision.spec.get("max_crops")

    def predict(self, clips: Sequence[Clip]) -> list[Prediction]:
        """Score clips as one batch, in order.

        The caller decides the size of the batch, and memory grows with it.

        Raises:
            SemiIINError: for a clip that cannot be read (its dtype, shape or numbers).
        """
        for clip in clips:
            clip.check()
        with self._turn():
            return self._score(clips)

    def emotions(self, clips: Sequence[Clip], modality: Modality) -> list[str | None]:
        """Return the likeliest emotion of each voice ("audio") or face ("vision"), as one batch.

        It comes from the encoder's own head, before any fusion; None where the modality is absent.

        Raises:
            SemiIINError: for an encoder without an emotion head, or an unreadable clip.
        """
        encoder = self._encoders.encoders.get(modality)
        if encoder is None or not encoder.names_emotions:
            raise SemiIINError(f"the checkpoint's {modality} encoder names no emotions")
        for clip in clips:
            clip.check()
        indices = [index for index, clip in enumerate(clips) if clip.has(modality)]
        names: list[str | None] = [None] * len(clips)
        if indices:
            with self._turn(), torch.inference_mode(), self._autocast():
                emotions = encoder.emotions([clips[index] for index in indices])
            for index, name in zip(indices, emotions, strict=True):
                names[index] = name
        return names

    def _score(self, clips: Sequence[Clip]) -> list[Prediction]:
        """Score one batch; a clip with evidence gets a prediction."""
        present = [tuple(name for name in self.modalities if clip.has(name)) for clip in clips]
        if not any(present):
            return [Prediction() for _ in clips]
        with torch.inference_mode():
            with self._autocast():
                batch = _cut(self._encode(clips), self._model)
            with nullcontext() if self.device.type == "cpu" else self._autocast():
                output = self._model(**batch.inputs())
        logits = output.class_logits.double().cpu().numpy()
        combinations = [combination(used) for used in present]
        raw = output.valence.float().clamp(-3, 3).cpu().double().numpy()
        valence = scaled_valences(raw, combinations, self._valence_scales).tolist()
        probabilities = class_probabilities(logits, combinations, self._temperatures).tolist()
        gates = zip(
            output.valence_gate.float().tolist(), output.class_gate.float().tolist(), strict=True
        )
        return [
            Prediction(value, tuple(classes), _known(val), _known(cls), used)
            if used
            else Prediction()
            for value, classes, (val, cls), used in zip(
                valence, probabilities, gates, present, strict=True
            )
        ]

    def _turn(self) -> AbstractContextManager[object]:
        """Wait for other threads where they share memory of a device or a compiler's state."""
        return nullcontext() if self.parallel else self._lock

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self._dtype, self._dtype is not torch.float32)

    def _encode(self, clips: Sequence[Clip]) -> Batch:
        """Encode a batch; one clip alone, as a CPU takes them, by way of what is kept."""
        if len(clips) == 1 and self.device.type == "cpu":
            return collate([self._encoders.row(clips[0], self.kept)])
        return self._encoders.encode(clips)


def _cut(batch: Batch, model: SemiIIN) -> Batch:
    """Cut a batch to the model's most frames; the first ones stay."""
    for modality in MODALITIES:
        limit = model.config.max_frames(modality)
        for name in (modality, f"{modality}_mask"):
            value: Tensor | None = getattr(batch, name)
            setattr(batch, name, value if value is None else value[:, :limit])
    return batch


def _known(share: float) -> float | None:
    return None if math.isnan(share) else share
