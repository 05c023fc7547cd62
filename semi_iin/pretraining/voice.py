"""The voice task: the log-mel encoder learns the emotions of recordings."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from semi_iin.clips import Clip
from semi_iin.data.samples import Sample
from semi_iin.encoders.audio import LogMelEncoder
from semi_iin.errors import SemiIINError
from semi_iin.labels import NEGATIVE_EMOTIONS, POSITIVE_EMOTIONS
from semi_iin.loop import Metrics, length_batches
from semi_iin.pretraining.emotions import emotion_metrics


class VoiceTask:
    """The log-mel encoder, trained on the recordings' emotions and the sign of their valence."""

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
        """Take an encoder and recordings, which are read into memory."""
        self.module = self.encoder = encoder
        self.recordings = [read_voice(sample) for sample in samples]
        self.selection = [read_voice(sample) for sample in selection]
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
        """Return shuffled batches."""
        return length_batches([0] * len(self.recordings), self.batch_size, (self.seed, epoch))

    def loss(self, batch: list[int], random: Generator) -> Tensor:
        """Return the loss of altered recordings: smoothed cross-entropy, and that of the sign."""
        clips = [Clip(audio=altered_audio(self.recordings[index], random)) for index in batch]
        energies, lengths = self.encoder.energies(clips)
        energies = _masked_bands(energies, lengths, random)
        logits = self.encoder.classify(*self.encoder(energies, lengths)).float().cpu()
        targets = self.targets[batch]
        loss = functional.cross_entropy(logits, targets, label_smoothing=self.SMOOTHING)
        return loss + self.SIGN * self._sign_loss(logits, targets)

    def _sign_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the binary cross-entropy of positive against negative, both of equal weight."""
        signed = (self.positive | self.negative)[targets]
        if not signed.any() or not self.positive.any() or not self.negative.any():
            return logits.sum() * 0
        odds = logits[:, self.positive].logsumexp(1) - logits[:, self.negative].logsumexp(1)
        rare = (self.negative[self.targets].sum() / self.positive[self.targets].sum()).float()
        return functional.binary_cross_entropy_with_logits(
            odds[signed], self.positive[targets[signed]].float(), pos_weight=rare
        )

    def fusion_weights(self) -> None:
        """Return None: no Semi-IIN is trained along."""

    def measure(self) -> Metrics:
        """Return accuracy, and balanced accuracy of the valence's sign."""
        clips = [Clip(audio=audio) for audio in self.selection]
        predicted = [
            name
            for first in range(0, len(clips), 32)
            for name in self.encoder.emotions(clips[first : first + 32])
        ]
        return emotion_metrics(predicted, self.truth)


def altered_audio(audio: NDArray[np.float32], random: Generator) -> NDArray[np.float32]:
    """Return a recording at another speed and pitch, cut, and with noise."""
    speed = random.uniform(0.88, 1.12)
    count = max(1, round(len(audio) / speed))
    altered = np.interp(np.linspace(0, len(audio) - 1, count), np.arange(len(audio)), audio)
    if random.random() < 0.5:
        length = round(count * random.uniform(0.6, 1.0))
        first = int(random.integers(0, count - length + 1))
        altered = altered[first : first + length]
    if random.random() < 0.5:
        level = float(np.sqrt(np.mean(np.square(altered)))) * 10 ** (-random.uniform(5, 40) / 20)
        altered = altered + random.normal(0, 1, len(altered)) * level
    return np.clip(altered, -1, 1).astype(np.float32)


def _masked_bands(energies: Tensor, lengths: Tensor, random: Generator) -> Tensor:
    """SpecAugment: set two bands and two stretches of time in each clip to the mean (0)."""
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


def read_voice(sample: Sample) -> NDArray[np.float32]:
    """Read a recording's audio.

    Raises:
        SemiIINError: when it has none.
    """
    audio = sample.clip().audio
    if audio is None:
        raise SemiIINError(f"the recording {sample.id} has no audio")
    return audio
