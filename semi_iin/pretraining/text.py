"""The text encoder's task: fine-tuning through a Semi-IIN on labelled texts, and on a teacher.

What enters: texts with labels on different scales, and for some of them a teacher's valence. What
leaves: an encoder and a Semi-IIN. Labels of sign are not labels of degree, so each scale of labels
has its own mapping from the one valence that is learned (`ScaleMaps`).
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from semi_iin.clips import Clip
from semi_iin.data.samples import Sample
from semi_iin.encoders.text import TextEncoder
from semi_iin.labels import valence_class
from semi_iin.loop import Metrics, length_batches
from semi_iin.model import SemiIIN, SemiIINOutput
from semi_iin.pretraining.teacher import TEACHER_SHARE
from semi_iin.settings import Objective
from semi_iin.task import valence_error

STRIPPED = 0.35  # of texts lose case and punctuation, as recognised speech has none
DISTURBED = 0.2  # of texts lose, double or join some words, as recognised speech does
FASTER = 10.0  # times the rate of other weights, for slopes that start far from where they end
SIGN_EDGE = 0.5  # a valence beyond it is called positive or negative, as in the seven classes


class ScaleMaps(nn.Module):
    """The mappings from valence to the labels of other scales, learned with the encoder.

    A degree on EmoBank's scale is a line of the valence. A sign is an ordered choice: positive
    above SIGN_EDGE, negative below -SIGN_EDGE, with a slope that is learned. Each corpus of signs
    has a slope of its own, which says how far its labels are to be trusted.
    """

    def __init__(self, corpora: Collection[str] = ("",)) -> None:
        """Take the names of the corpora whose labels are signs."""
        super().__init__()
        self.corpora = {name: index for index, name in enumerate(sorted(corpora))}
        self.line = nn.Parameter(torch.tensor([0.5, 0.0]))  # slope and offset of EmoBank
        self.log_slope = nn.Parameter(torch.full((len(self.corpora),), 1 / FASTER))

    def emobank_error(self, valence: Tensor, label: Tensor) -> Tensor:
        """Return the absolute error (B,) of EmoBank's degrees."""
        return (self.line[0] * valence + self.line[1] - label).abs()

    def sign_error(self, valence: Tensor, sign: Tensor, corpora: Sequence[str]) -> Tensor:
        """Return the negative log-likelihood (B,) of signs -1, 0 and 1 of these corpora.

        A corpus whose labels are no signs has the first slope, and its error means nothing.
        """
        rows = [self.corpora.get(corpus, 0) for corpus in corpora]
        slope = (FASTER * self.log_slope)[rows].exp()
        above_negative = slope * (valence + SIGN_EDGE)
        above_neutral = slope * (valence - SIGN_EDGE)
        return functional.binary_cross_entropy_with_logits(
            torch.stack([above_negative, above_neutral]),
            torch.stack([(sign > -0.5).float(), (sign > 0.5).float()]),
            reduction="none",
        ).sum(dim=0)


class TextTask:
    """A text encoder and a Semi-IIN, trained together.

    A second head, a linear map of the mean state, is trained on the same labels: it teaches the
    encoder while Semi-IIN is still new, or alone. It is left behind after training.
    """

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
        context: float = 1 / 3,
        head: Literal["both", "linear"] = "both",
        taught: NDArray[np.float32] | None = None,
    ) -> None:
        """Take an encoder, a model and texts.

        Args:
            encoder: whose transformer is fine-tuned.
            model: reads its states.
            samples: with text; without a label only where `taught` is given.
            selection: labelled with a valence.
            batch_size: texts in a step.
            objective: the loss; None = the paper's.
            seed: of order and chance.
            words: train the word embeddings too.
            context: share of batches that are read with their context.
            head: whose error reaches the encoder: that of "both" heads, or of the "linear" one.
            taught: a teacher's valence (n,) of every sample; None = no teacher.
        """
        self.encoder, self.model = encoder, model
        signs = {sample.corpus for sample in samples if sample.scale == "sign"}
        self.scales, self.mean_head = ScaleMaps(signs or {""}), nn.Linear(encoder.width, 1)
        self.module = nn.ModuleDict(
            {
                "encoder": encoder,
                "model": model,
                "scales": self.scales,
                "mean_head": self.mean_head,
            }
        )
        encoder.backbone.get_input_embeddings().requires_grad_(words)
        self.samples = samples
        self.selection = [sample for sample in selection if sample.valence is not None]
        self.batch_size, self.seed = batch_size, seed
        self.objective = objective or Objective()
        self.words, self.taught = words, taught
        self.context, self.head = context, head

    @property
    def settings(self) -> Mapping[str, Any]:
        """The encoder, the model and the loss."""
        return {
            "encoder": self.encoder.spec,
            "model": asdict(self.model.config),
            "objective": self.objective.model_dump(),
            "words": self.words,
            "context": self.context,
            "head": self.head,
            "taught": None if self.taught is None else float(np.abs(self.taught).sum()),
        }

    def batches(self, epoch: int) -> list[list[int]]:
        """Return shuffled batches of texts of similar length."""
        lengths = [
            len((sample.text or "").split()) + len((sample.context or "").split()) // 2
            for sample in self.samples
        ]
        return length_batches(lengths, self.batch_size, (self.seed, epoch))

    def loss(self, batch: list[int], random: Generator) -> Tensor:
        """Return the error of the labels, of the teacher's valence, or of both."""
        samples = [self.samples[index] for index in batch]
        context = random.random() < self.context
        clips = [as_recognised(sample, random, context=context) for sample in samples]
        output, mean_valence = self._read(clips)
        device = output.valence.device
        label = torch.tensor([sample.label or 0.0 for sample in samples], device=device)
        error = self._label_error(output, mean_valence, label, samples)
        if self.taught is None:
            return error.mean()
        taught = torch.from_numpy(self.taught[batch]).to(device)
        share = torch.tensor(
            [1.0 if sample.label is None else TEACHER_SHARE for sample in samples], device=device
        )
        taught_error = self._valence_error(output, mean_valence, taught)
        return (share * taught_error + (1 - share) * error).mean()

    def _label_error(
        self, output: SemiIINOutput, mean_valence: Tensor, label: Tensor, samples: Sequence[Sample]
    ) -> Tensor:
        """Return the error (B,) of each label on its own scale."""
        corpora = [sample.corpus for sample in samples]
        sign_error = partial(self.scales.sign_error, corpora=corpora)
        on_scale = {
            "valence": self._valence_error(output, mean_valence, label),
            "emobank": self._both(self.scales.emobank_error, output, mean_valence, label),
            "sign": self._both(sign_error, output, mean_valence, label.sign()),
        }
        scales = [sample.scale for sample in samples]
        error = torch.zeros_like(label)
        for name, value in on_scale.items():
            error = torch.where(
                torch.tensor([scale == name for scale in scales], device=label.device),
                value,
                error,
            )
        return error

    def _valence_error(self, output: SemiIINOutput, mean_valence: Tensor, label: Tensor) -> Tensor:
        """Return the objective's error (B,) of valence and class, and the second head's."""
        weights = self.objective
        classes = torch.from_numpy(valence_class(label.cpu())).to(label.device)
        entropy = functional.cross_entropy(output.class_logits.float(), classes, reduction="none")
        valence = valence_error(weights, output.valence, label) + valence_error(
            weights, mean_valence, label
        )
        return weights.valence * valence + weights.classes * entropy

    def _both(
        self, error: Any, output: SemiIINOutput, mean_valence: Tensor, label: Tensor
    ) -> Tensor:
        """Return an error (B,) of both heads' valences, weighed as the objective's valence."""
        both: Tensor = error(output.valence.float(), label) + error(mean_valence, label)
        return self.objective.valence * both

    def _read(self, clips: Sequence[Clip]) -> tuple[SemiIINOutput, Tensor]:
        """Return the model's output and the second head's valence (B,)."""
        device = next(self.module.parameters()).device
        ids, real, words = (tensor.to(device) for tensor in self.encoder.tokenize(clips))
        states = self.encoder(ids, real, words).float()
        words = words[:, : states.shape[1]]
        read = states.detach() if self.head == "linear" else states
        output: SemiIINOutput = self.model(text=read, text_mask=words)
        count = words.sum(dim=1, keepdim=True)
        mean = (states * words[..., None]).sum(dim=1) / count
        return output, self.mean_head(mean)[:, 0].float()

    def fusion_weights(self) -> dict[str, Tensor]:
        """Return the weights of the Semi-IIN, on the CPU."""
        return {name: value.cpu() for name, value in self.model.state_dict().items()}

    def measure(self) -> Metrics:
        """Return mean absolute error and correlation on the selection part, with its context.

        The score is the error of Semi-IIN, or of the linear head where that alone is learned from.
        """
        order = sorted(self.selection, key=lambda sample: len(sample.text or ""))
        clips = [Clip(text=sample.text, context=sample.context) for sample in order]
        outputs = [self._read(clips[first : first + 64]) for first in range(0, len(clips), 64)]
        label = torch.tensor([sample.label or 0.0 for sample in order])
        model = _agreement(torch.cat([output.valence for output, _ in outputs]), label)
        mean_head = _agreement(torch.cat([valence for _, valence in outputs]), label)
        score = (mean_head if self.head == "linear" else model)["mae"]
        of_mean_head = {f"mean_head_{name}": value for name, value in mean_head.items()}
        return {**model, **of_mean_head, "score": score}


def _agreement(valence: Tensor, label: Tensor) -> Metrics:
    """Return mean absolute error and correlation of valences (B,) with labels (B,)."""
    predicted = valence.float().cpu()
    return {
        "mae": float((predicted.clamp(-3, 3) - label).abs().mean()),
        "corr": float(torch.corrcoef(torch.stack([predicted, label]))[0, 1]),
    }


def as_recognised(sample: Sample, random: Generator, *, context: bool) -> Clip:
    """Return a text as it may reach the model, with or without context.

    Some texts have no case and punctuation; some lose, double or join words, as a recogniser's do.
    """
    text, before = sample.text or "", sample.context if context else None
    if random.random() < DISTURBED:
        text = disturbed(text, 0.1, random)
    if random.random() < STRIPPED:
        text, before = bare(text), bare(before) if before else None
    return Clip(text=text, context=before)


def disturbed(text: str, share: float, random: Generator) -> str:
    """Return a text in which about this share of the words is lost, doubled or joined.

    Half of the disturbed words are lost, a quarter said twice, a quarter run into the next word.
    """
    pieces: list[str] = []
    for word in text.split():
        chance = random.random() / share
        if chance < 0.5:
            continue
        pieces.append(word if chance >= 1 or chance < 0.75 else f"{word} {word}")
        pieces.append("" if 0.5 <= chance < 0.75 else " ")
    return "".join(pieces).strip() or text


def bare(text: str) -> str:
    """Return words as a speech recogniser gives them: lower case, only apostrophes kept."""
    return " ".join(re.sub(r"[^\w' ]", " ", text.lower()).split()) or text
