"""The voice task: an audio encoder learns which emotions people hear in recordings.

What enters: recordings with the emotion that was acted, and where there are any with the votes of
people who heard them. What leaves: a task for `loop.fit`. Each recording is altered anew every time
that it is used.
"""

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
from semi_iin.encoders.audio import VoiceEncoder
from semi_iin.encoders.emotions import emotion_valence, sign_odds, signed_classes
from semi_iin.errors import SemiIINError
from semi_iin.loop import Metrics, length_batches
from semi_iin.pretraining.emotions import emotion_metrics, sign_auc
from semi_iin.pretraining.recordings import altered_audio


class VoiceTask:
    """An audio encoder, trained on emotions: their shares of votes, and the sign of their valence.

    The target of a recording with votes is their distribution; that of another is its emotion.
    Valence follows from the distribution, as the share of happy less that of the negative
    emotions, and has a loss of its own for recordings with votes. So has the sign of the acted
    emotion, because happy voices are rare and otherwise named angry or fearful.
    """

    SMOOTHING = 0.1  # of the target of a recording without votes
    SIGN = 0.3  # weight of the sign's loss
    VALENCE = 2.0  # weight of the squared error of valence, which is in [-1, 1] here
    CHUNK = 32  # recordings measured together

    def __init__(
        self,
        encoder: VoiceEncoder,
        samples: Sequence[Sample],
        selection: Sequence[Sample],
        *,
        batch_size: int,
        seed: int = 0,
    ) -> None:
        """Take an encoder and recordings, which are read into memory."""
        self.module = self.encoder = encoder
        read = {id(sample): read_voice(sample) for sample in samples}  # repeated ones once
        self.recordings = [read[id(sample)] for sample in samples]
        self.selection = [read_voice(sample) for sample in selection]
        classes: list[str] = encoder.spec["emotions"]
        self.acted = torch.tensor([classes.index(sample.emotion or "") for sample in samples])
        self.rated = torch.tensor([bool(sample.votes) for sample in samples])
        self.targets = torch.tensor([self._target(sample, classes) for sample in samples])
        self.truth = [sample.emotion or "" for sample in selection]
        self.heard = np.array([sample.label if sample.votes else np.nan for sample in selection])
        self.classes = classes
        self.positive, self.negative = signed_classes(classes)
        self.batch_size, self.seed = batch_size, seed

    def _target(self, sample: Sample, classes: Sequence[str]) -> list[float]:
        """Return the distribution over the classes that a recording should have."""
        if sample.votes:
            return [sample.votes.get(name, 0.0) for name in classes]
        rest = self.SMOOTHING / len(classes)
        return [(1 - self.SMOOTHING) * (name == sample.emotion) + rest for name in classes]

    @property
    def settings(self) -> Mapping[str, Any]:
        """The encoder."""
        return {"encoder": self.encoder.spec}

    def batches(self, epoch: int) -> list[list[int]]:
        """Return shuffled batches of recordings of similar length."""
        lengths = [len(recording) for recording in self.recordings]
        return length_batches(lengths, self.batch_size, (self.seed, epoch))

    def loss(self, batch: list[int], random: Generator) -> Tensor:
        """Return the loss of altered recordings: of emotions, valence and sign."""
        clips = [Clip(audio=altered_audio(self.recordings[index], random)) for index in batch]
        energies, lengths = self.encoder.energies(clips)
        energies = _masked_bands(energies, lengths, random)
        logits = self.encoder.classify(*self.encoder(energies, lengths)).float().cpu()
        targets = self.targets[batch]
        valence = emotion_valence(logits.softmax(dim=1), self.classes)
        error = (valence - emotion_valence(targets, self.classes)).square()
        rated = self.rated[batch]
        valence_loss = (error * rated).sum() / rated.sum().clamp(min=1)
        loss = functional.cross_entropy(logits, targets) + self.VALENCE * valence_loss
        return loss + self.SIGN * self._sign_loss(logits, self.acted[batch])

    def _sign_loss(self, logits: Tensor, acted: Tensor) -> Tensor:
        """Return the binary cross-entropy of positive against negative, both of equal weight."""
        signed = (self.positive | self.negative)[acted]
        if not signed.any() or not self.positive.any() or not self.negative.any():
            return logits.sum() * 0
        rare = (self.negative[self.acted].sum() / self.positive[self.acted].sum()).float()
        odds = sign_odds(logits, self.classes)[signed]
        return functional.binary_cross_entropy_with_logits(
            odds, self.positive[acted[signed]].float(), pos_weight=rare
        )

    def fusion_weights(self) -> None:
        """Return None: no Semi-IIN is trained along."""

    def measure(self) -> Metrics:
        """Return metrics of the emotions, and where there are votes the correlation of valence.

        The score is 1 less the correlation; without votes, 1 less the accuracy.
        """
        chunks = range(0, len(self.selection), self.CHUNK)
        logits = torch.cat([self._logits(self.selection[at : at + self.CHUNK]) for at in chunks])
        metrics = emotion_metrics(self.encoder.emotion_names(logits), self.truth)
        if self.positive.any() and self.negative.any():
            metrics["sign_auc"] = sign_auc(sign_odds(logits, self.classes).numpy(), self.truth)
        rated = ~np.isnan(self.heard)
        predicted = emotion_valence(logits.softmax(dim=1), self.classes).numpy()[rated]
        if rated.any() and predicted.std() > 0 and self.heard[rated].std() > 0:
            metrics["corr"] = float(np.corrcoef(predicted, self.heard[rated])[0, 1])
            metrics["score"] = 1 - metrics["corr"]
        return metrics

    def _logits(self, recordings: Sequence[NDArray[np.float32]]) -> Tensor:
        """Return emotion logits (B, classes) of recordings, on the CPU."""
        energies = self.encoder.energies([Clip(audio=audio) for audio in recordings])
        return self.encoder.classify(*self.encoder(*energies)).float().cpu()


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
