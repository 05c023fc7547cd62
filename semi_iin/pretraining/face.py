"""The face task: the face encoder learns expressions from single crops."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional

from semi_iin.data.samples import Sample
from semi_iin.encoders.vision import FaceEncoder
from semi_iin.loop import Metrics, length_batches
from semi_iin.pretraining.emotions import emotion_metrics


class FaceTask:
    """The face encoder, trained on the expressions of single crops."""

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
        self.crops = crop_pixels(samples)
        self.selection = crop_pixels(selection)
        classes: list[str] = encoder.spec["emotions"]
        self.targets = torch.tensor([classes.index(sample.emotion or "") for sample in samples])
        self.truth = [sample.emotion or "" for sample in selection]
        self.batch_size, self.seed = batch_size, seed

    @property
    def settings(self) -> Mapping[str, Any]:
        """The encoder."""
        return {"encoder": self.encoder.spec}

    def batches(self, epoch: int) -> list[list[int]]:
        """Return shuffled batches."""
        return length_batches([0] * len(self.crops), self.batch_size, (self.seed, epoch))

    def loss(self, batch: list[int], random: Generator) -> Tensor:
        """Return the smoothed cross-entropy of altered crops."""
        device = self.encoder.device
        crops = altered_crops(self.crops[batch], random).to(device)
        logits = self.encoder.classify(self.encoder(crops)).float()
        return functional.cross_entropy(
            logits, self.targets[batch].to(device), label_smoothing=self.SMOOTHING
        )

    def fusion_weights(self) -> None:
        """Return None: no Semi-IIN is trained along."""

    def measure(self) -> Metrics:
        """Return accuracy, and balanced accuracy of the valence's sign."""
        predicted = [
            name
            for crops in torch.split(self.selection, 256)
            for name in self.encoder.emotion_names(
                self.encoder.classify(self.encoder(crops.to(self.encoder.device)))
            )
        ]
        return emotion_metrics(predicted, self.truth)


def altered_crops(crops: Tensor, random: Generator) -> Tensor:
    """Return crops (B, 1, S, S) mirrored, rotated, scaled, moved, recontrasted, partly covered."""
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


def crop_pixels(samples: Sequence[Sample]) -> Tensor:
    """Return single crops as the face encoder takes them. (N, 1, 48, 48) float32."""
    crops = [sample.face for sample in samples]
    return torch.from_numpy(
        np.stack([FaceEncoder.pixels(crop) for crop in crops if crop is not None])
    )[:, None]
