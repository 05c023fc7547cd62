"""The text encoder's task: fine-tuning through a Semi-IIN on labelled texts."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from numpy.random import Generator
from torch import Tensor, nn
from torch.nn import functional

from semi_iin.clips import Clip
from semi_iin.data.samples import Sample
from semi_iin.encoders.text import TextEncoder
from semi_iin.labels import valence_class
from semi_iin.loop import Metrics, length_batches
from semi_iin.model import SemiIIN, SemiIINOutput
from semi_iin.settings import Objective
from semi_iin.task import valence_error

STRIPPED = 0.35  # of texts lose case and punctuation, as recognised speech has none
WITH_CONTEXT = 0.5  # of texts that have context are read with it


class TextTask:
    """A text encoder and a Semi-IIN, trained together."""

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
        """Return shuffled batches of texts of similar length."""
        lengths = [
            len((sample.text or "").split()) + len((sample.context or "").split()) // 2
            for sample in self.samples
        ]
        return length_batches(lengths, self.batch_size, (self.seed, epoch))

    def loss(self, batch: list[int], random: Generator) -> Tensor:
        """Return the objective's errors of valence and classes."""
        samples = [self.samples[index] for index in batch]
        output = self._read([as_recognised(sample, random) for sample in samples])
        device = output.valence.device
        valence = torch.tensor([sample.label or 0.0 for sample in samples], device=device)
        sentiment = torch.from_numpy(valence_class(valence.cpu())).to(device)
        weights = self.objective
        return weights.valence * valence_error(weights, output.valence, valence).mean() + (
            weights.classes * functional.cross_entropy(output.class_logits.float(), sentiment)
        )

    def _read(self, clips: Sequence[Clip]) -> SemiIINOutput:
        device = next(self.module.parameters()).device
        ids, real, words = (tensor.to(device) for tensor in self.encoder.tokenize(clips))
        states = self.encoder(ids, real, words).float()
        output: SemiIINOutput = self.model(text=states, text_mask=words[:, : states.shape[1]])
        return output

    def fusion_weights(self) -> dict[str, Tensor]:
        """Return the weights of the Semi-IIN, on the CPU."""
        return {name: value.cpu() for name, value in self.model.state_dict().items()}

    def measure(self) -> Metrics:
        """Return mean absolute error and correlation on the selection part, with context."""
        order = sorted(self.selection, key=lambda sample: len(sample.text or ""))
        clips = [Clip(text=sample.text, context=sample.context) for sample in order]
        predicted = torch.cat(
            [self._read(clips[first : first + 64]).valence for first in range(0, len(clips), 64)]
        )
        label = torch.tensor([sample.label or 0.0 for sample in order], device=predicted.device)
        error = float((predicted.clamp(-3, 3) - label).abs().mean())
        corr = float(torch.corrcoef(torch.stack([predicted, label]))[0, 1])
        return {"mae": error, "corr": corr, "score": error}


def as_recognised(sample: Sample, random: Generator) -> Clip:
    """Return a text as it may reach the model: with or without context, case and punctuation."""
    text = sample.text or ""
    context = sample.context if random.random() < WITH_CONTEXT else None
    if random.random() < STRIPPED:
        text, context = bare(text), bare(context) if context else None
    return Clip(text=text, context=context)


def bare(text: str) -> str:
    """Return words as a speech recogniser gives them: lower case, only apostrophes kept."""
    return " ".join(re.sub(r"[^\w' ]", " ", text.lower()).split()) or text
