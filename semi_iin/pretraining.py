"""Tasks that train the embedded encoders, for `train.fit`.

What enters: encoders and samples. What leaves: the encoders, trained: on words through Semi-IIN, on
voices and faces by the emotions that they show. It does not know files, configurations or how the
modalities are fused.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from semi_iin.clips import Clip
from semi_iin.data.samples import Sample
from semi_iin.encoders.audio import LogMelEncoder
from semi_iin.encoders.text import TextEncoder
from semi_iin.encoders.vision import FaceEncoder
from semi_iin.errors import SemiIINError
from semi_iin.labels import NEGATIVE_EMOTIONS, POSITIVE_EMOTIONS, valence_class
from semi_iin.model import SemiIIN, SemiIINOutput
from semi_iin.train import Metrics, Objective, bucketed

STRIPPED = 0.35  # of texts lose case and punctuation, as recognised speech has none
WITH_CONTEXT = 0.5  # of texts that have context are read with it


class TextTask:
    """A text encoder, fine-tuned through Semi-IIN, both at once."""

    def __init__(
        self,
        encoder: TextEncoder,
        model: SemiIIN,
        samples: Sequence[Sample],
        selection: Sequence[Sample],
        *,
        batch_size: int,
        objective: Objective | None = None,
        seed: int = 0,
        words: bool = False,
    ) -> None:
        """Take an encoder, a model and labelled texts; `words` trains the word embeddings too."""
        self.encoder, self.model = encoder, model
        self.module = nn.ModuleDict({"encoder": encoder, "model": model})
        encoder.backbone.get_input_embeddings().requires_grad_(words)
        self.samples, self.selection = samples, selection
        self.batch_size, self.seed = batch_size, seed
        self.objective = objective or Objective()
        self.words = words

    @property
    def settings(self) -> Mapping[str, Any]:
        """The encoder, the model and the loss."""
        return {
            "encoder": self.encoder.spec,
            "model": asdict(self.model.config),
            "objective": self.objective.model_dump(),
            "words": self.words,
        }

    def batches(self, epoch: int) -> list[list[int]]:
        """Shuffled, with texts of like length together."""
        lengths = [
            len((sample.text or "").split()) + len((sample.context or "").split()) // 2
            for sample in self.samples
        ]
        return bucketed(lengths, self.batch_size, (self.seed, epoch))

    def loss(self, batch: list[int], random: Generator) -> Tensor:
        """The objective's errors of valence and classes."""
        samples = [self.samples[index] for index in batch]
        output = self._read([spoken(sample, random) for sample in samples])
        device = output.valence.device
        valence = torch.tensor([sample.label or 0.0 for sample in samples], device=device)
        sentiment = torch.from_numpy(valence_class(valence.cpu())).to(device)
        weights = self.objective
        return weights.valence * weights.valence_error(output.valence, valence).mean() + (
            weights.classes * functional.cross_entropy(output.class_logits.float(), sentiment)
        )

    def _read(self, clips: Sequence[Clip]) -> SemiIINOutput:
        device = next(self.module.parameters()).device
        ids, real, words = (tensor.to(device) for tensor in self.encoder.tokenize(clips))
        states = self.encoder(ids, real, words).float()
        output: SemiIINOutput = self.model(text=states, text_mask=words[:, : states.shape[1]])
        return output

    def measure(self) -> Metrics:
        """Mean absolute error and correlation on the selection part, with context."""
        order = sorted(self.selection, key=lambda sample: len(sample.text or ""))
        clips = [Clip(text=sample.text, context=sample.context) for sample in order]
        guess = torch.cat(
            [self._read(clips[first : first + 64]).valence for first in range(0, len(clips), 64)]
        )
        label = torch.tensor([sample.label or 0.0 for sample in order], device=guess.device)
        error = float((guess.clamp(-3, 3) - label).abs().mean())
        corr = float(torch.corrcoef(torch.stack([guess, label]))[0, 1])
        return {"mae": error, "corr": corr, "score": error}


def spoken(sample: Sample, random: Generator) -> Clip:
    """A text as it may reach the model: with or without context, case and punctuation."""
    text = sample.text or ""
    context = sample.context if random.random() < WITH_CONTEXT else None
    if random.random() < STRIPPED:
        text, context = bare(text), bare(context) if context else None
    return Clip(text=text, context=context)


def bare(text: str) -> str:
    """Words as a speech recogniser gives them: lower case, no punctuation but apostrophes."""
    return " ".join(re.sub(r"[^\w' ]", " ", text.lower()).split()) or text


class VoiceTask:
    """The log-mel encoder, trained to tell recordings' emotions and the sign of their valence."""

    SMOOTHING = 0.1
    SIGN = 0.3  # weight of the sign's loss

    def __init__(
        self,
        encoder: LogMelEncoder,
        samples: Sequence[Sample],
        selection: Sequence[Sample],
        *,
        batch_size: int,
        seed: int = 0,
    ) -> None:
        """Take an encoder and recordings; they are read into memory."""
        self.module = self.encoder = encoder
        self.sounds = [voice(sample) for sample in samples]
        self.heard = [voice(sample) for sample in selection]
        classes: list[str] = encoder.spec["emotions"]
        self.targets = torch.tensor([classes.index(sample.emotion or "") for sample in samples])
        self.truth = [sample.emotion or "" for sample in selection]
        self.positive = torch.tensor([name in POSITIVE_EMOTIONS for name in classes])
        self.negative = torch.tensor([name in NEGATIVE_EMOTIONS for name in classes])
        self.batch_size, self.seed = batch_size, seed

    @property
    def settings(self) -> Mapping[str, Any]:
        """The encoder."""
        return {"encoder": self.encoder.spec}

    def batches(self, epoch: int) -> list[list[int]]:
        """Shuffled."""
        return bucketed([0] * len(self.sounds), self.batch_size, (self.seed, epoch))

    def loss(self, batch: list[int], random: Generator) -> Tensor:
        """Cross-entropy with smoothed labels, and that of the sign, of altered recordings."""
        clips = [Clip(audio=altered_sound(self.sounds[index], random)) for index in batch]
        energies, lengths = self.encoder.energies(clips)
        energies = _masked_bands(energies, lengths, random)
        logits = self.encoder.classify(*self.encoder(energies, lengths)).float().cpu()
        targets = self.targets[batch]
        loss = functional.cross_entropy(logits, targets, label_smoothing=self.SMOOTHING)
        return loss + self.SIGN * self._sign_loss(logits, targets)

    def _sign_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Binary cross-entropy of positive against negative emotions, both of equal weight."""
        signed = (self.positive | self.negative)[targets]
        if not signed.any() or not self.positive.any() or not self.negative.any():
            return logits.sum() * 0
        happy = logits[:, self.positive].logsumexp(1) - logits[:, self.negative].logsumexp(1)
        rare = (self.negative[self.targets].sum() / self.positive[self.targets].sum()).float()
        return functional.binary_cross_entropy_with_logits(
            happy[signed], self.positive[targets[signed]].float(), pos_weight=rare
        )

    def measure(self) -> Metrics:
        """Accuracy and balanced accuracy of the valence's sign."""
        clips = [Clip(audio=sound) for sound in self.heard]
        found = [
            name
            for first in range(0, len(clips), 32)
            for name in self.encoder.emotions(clips[first : first + 32])
        ]
        return _emotion_metrics(found, self.truth)


def altered_sound(sound: NDArray[np.float32], random: Generator) -> NDArray[np.float32]:
    """A recording at another speed and pitch, cut, and with noise."""
    speed = random.uniform(0.88, 1.12)
    count = max(1, round(len(sound) / speed))
    changed = np.interp(np.linspace(0, len(sound) - 1, count), np.arange(len(sound)), sound)
    if random.random() < 0.5:
        kept = round(count * random.uniform(0.6, 1.0))
        first = int(random.integers(0, count - kept + 1))
        changed = changed[first : first + kept]
    if random.random() < 0.5:
        level = float(np.sqrt(np.mean(np.square(changed)))) * 10 ** (-random.uniform(5, 40) / 20)
        changed = changed + random.normal(0, 1, len(changed)) * level
    return np.clip(changed, -1, 1).astype(np.float32)


def _masked_bands(energies: Tensor, lengths: Tensor, random: Generator) -> Tensor:
    """SpecAugment: two bands and two stretches of time set to the mean (0) in each clip."""
    energies = energies.clone()
    for row, length in zip(energies, lengths.tolist(), strict=True):
        for _ in range(2):
            width = int(random.integers(0, row.shape[1] // 6))
            low = int(random.integers(0, row.shape[1] - width))
            row[:, low : low + width] = 0
            span = int(random.integers(0, max(1, length // 6)))
            begin = int(random.integers(0, length - span))
            row[begin : begin + span] = 0
    return energies


class FaceTask:
    """The face encoder, trained to tell expressions."""

    SMOOTHING = 0.1

    def __init__(
        self,
        encoder: FaceEncoder,
        samples: Sequence[Sample],
        selection: Sequence[Sample],
        *,
        batch_size: int,
        seed: int = 0,
    ) -> None:
        """Take an encoder and single crops."""
        self.module = self.encoder = encoder
        self.crops = pixels(samples)
        self.seen = pixels(selection)
        classes: list[str] = encoder.spec["emotions"]
        self.targets = torch.tensor([classes.index(sample.emotion or "") for sample in samples])
        self.truth = [sample.emotion or "" for sample in selection]
        self.batch_size, self.seed = batch_size, seed

    @property
    def settings(self) -> Mapping[str, Any]:
        """The encoder."""
        return {"encoder": self.encoder.spec}

    def batches(self, epoch: int) -> list[list[int]]:
        """Shuffled."""
        return bucketed([0] * len(self.crops), self.batch_size, (self.seed, epoch))

    def loss(self, batch: list[int], random: Generator) -> Tensor:
        """Cross-entropy with smoothed labels, of altered crops."""
        device = next(self.module.parameters()).device
        crops = altered_crops(self.crops[batch], random).to(device)
        logits = self.encoder.classify(self.encoder(crops)).float()
        return functional.cross_entropy(
            logits, self.targets[batch].to(device), label_smoothing=self.SMOOTHING
        )

    def measure(self) -> Metrics:
        """Accuracy and balanced accuracy of the valence's sign."""
        device = next(self.module.parameters()).device
        classes: list[str] = self.encoder.spec["emotions"]
        found = [
            classes[index]
            for crops in torch.split(self.seen, 256)
            for index in self.encoder.classify(self.encoder(crops.to(device))).argmax(1).tolist()
        ]
        return _emotion_metrics(found, self.truth)


def altered_crops(crops: Tensor, random: Generator) -> Tensor:
    """Crops (B, 1, S, S) mirrored, turned, scaled, moved, with contrast, and partly covered."""
    count, side = len(crops), crops.shape[-1]
    angle = random.uniform(-0.3, 0.3, count)
    scale = random.uniform(0.8, 1.2, count)
    mirror = random.choice([-1.0, 1.0], count)
    matrix = np.zeros((count, 2, 3), dtype=np.float32)
    matrix[:, 0, 0], matrix[:, 0, 1] = mirror * np.cos(angle) * scale, -np.sin(angle) * scale
    matrix[:, 1, 0], matrix[:, 1, 1] = mirror * np.sin(angle) * scale, np.cos(angle) * scale
    matrix[:, :, 2] = random.uniform(-0.12, 0.12, (count, 2))
    grid = functional.affine_grid(torch.from_numpy(matrix), list(crops.shape), align_corners=False)
    moved = functional.grid_sample(crops, grid, padding_mode="border", align_corners=False)
    contrast = random.uniform(0.7, 1.3, (count, 1, 1, 1)).astype(np.float32)
    moved = moved * torch.from_numpy(contrast)
    for index in np.flatnonzero(random.random(count) < 0.5):
        height, width = random.integers(side // 8, side // 2, 2)
        top, left = random.integers(0, side - height), random.integers(0, side - width)
        moved[index, :, top : top + height, left : left + width] = 0
    return moved


def _emotion_metrics(found: Sequence[str], truth: Sequence[str]) -> Metrics:
    """Accuracy, and balanced accuracy of happy against negative emotions by the named class."""
    right = np.array(found) == np.array(truth)
    happy = np.array([name in POSITIVE_EMOTIONS for name in truth])
    bad = np.array([name in NEGATIVE_EMOTIONS for name in truth])
    called_happy = np.array([name in POSITIVE_EMOTIONS for name in found])
    called_bad = np.array([name in NEGATIVE_EMOTIONS for name in found])
    sign = (called_happy[happy].mean() + called_bad[bad].mean()) / 2 if happy.any() else 0.0
    accuracy = float(right.mean())
    return {"accuracy": accuracy, "sign_accuracy": float(sign), "score": 1 - accuracy}


def voice(sample: Sample) -> NDArray[np.float32]:
    """A recording's sound.

    Raises:
        SemiIINError: when it has none.
    """
    sound = sample.clip().audio
    if sound is None:
        raise SemiIINError(f"the recording {sample.id} has no sound")
    return sound


def pixels(samples: Sequence[Sample]) -> Tensor:
    """Single crops as the face encoder takes them. (N, 1, 48, 48) float32."""
    crops = [sample.face for sample in samples]
    return torch.from_numpy(
        np.stack([FaceEncoder.pixels(crop) for crop in crops if crop is not None])
    )[:, None]
