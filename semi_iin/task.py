"""The fusion task: Semi-IIN on features. Its examples, its loss, its scores and calibration.

What enters: a model and examples with features in memory or on disk. What leaves: a task for
`loop.fit`, predictions, and the calibration of class logits and valence. Data sets
and encoders are elsewhere.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from semi_iin.calibration import Calibration, combination, fit_scale, fit_temperature
from semi_iin.data.features import load_array
from semi_iin.errors import SemiIINError
from semi_iin.features import Encoders, collate
from semi_iin.labels import valence_class
from semi_iin.loop import Metrics, length_batches
from semi_iin.modalities import MODALITIES, Modality
from semi_iin.model import SemiIIN
from semi_iin.model_config import SemiIINConfig
from semi_iin.perceived import together
from semi_iin.settings import Objective, RunConfig


@dataclass(frozen=True)
class Example:
    """One sample as Semi-IIN reads it.

    Attributes:
        features: modality to (L, D) features, in memory or as a `.npy` file.
        others: further readings of the same sample, such as its words without their context;
            training takes one at random, measuring takes `features`.
        expressed: valence of the composed voice ("audio") and face ("vision"), each alone; none
            where nothing is composed.
        valence: the label; None for a pseudo-labelled sample.
        sentiment: its class, 0 to 6, from the label or pseudo.
        part: the data set, for separate metrics.
    """

    features: Mapping[Modality, Tensor | Path]
    valence: float | None
    sentiment: int
    part: str = ""
    others: tuple[Mapping[Modality, Tensor | Path], ...] = ()
    expressed: Mapping[Modality, float] = field(default_factory=dict)


Compose = Callable[[Example, Generator], Example]


def load_features(value: Tensor | Path) -> Tensor:
    """Return features (L, D) as float32, read from a `.npy` file where they are on disk."""
    return load_array(value) if isinstance(value, Path) else value.float()


def load(example: Example, config: SemiIINConfig) -> dict[Modality, Tensor]:
    """Return an example's features as float32, cut to the model's maxima."""
    return {
        modality: load_features(value)[: config.max_frames(modality)]
        for modality, value in example.features.items()
    }


def valence_error(
    objective: Objective, predicted: Tensor, label: Tensor, wordless: Tensor | None = None
) -> Tensor:
    """Return the objective's error of each valence (B,), unweighted.

    Args:
        objective: the loss.
        predicted: (B,).
        label: (B,).
        wordless: (B,) bool, which clips have no words; None = all have.
    """
    error = predicted.float() - label
    kinds = {"absolute": error.abs(), "squared": error.square()}
    spoken = kinds[objective.error]
    if wordless is None or not objective.wordless_error:
        return spoken
    return torch.where(wordless, kinds[objective.wordless_error], spoken)


def build_model(
    config: RunConfig, encoders: Encoders, start: Mapping[str, Tensor] | None = None
) -> SemiIIN:
    """Return a Semi-IIN of a run's settings, with the encoders' feature widths.

    Args:
        config: the run.
        encoders: of the run.
        start: weights to start from, where their shapes fit, as those of modalities of another
            width do not; where only an encoder's columns are new, the weights of its states fit.
            None = fresh ones, by the run's seed.

    Raises:
        SemiIINError: when no weight of `start` fits.
    """
    widths = {f"{name}_width": encoder.width for name, encoder in encoders.encoders.items()}
    columns = {
        f"{name}_columns": encoder.columns
        for name, encoder in encoders.encoders.items()
        if encoder.columns
    }
    torch.manual_seed(config.seed)
    model = SemiIIN(SemiIINConfig.from_dict({**config.model, **widths, **columns}))
    if start is not None:
        own = model.state_dict()
        start = {**start, **_with_fresh_columns(model, start)}
        fitting = {
            name: value.float()
            for name, value in start.items()
            if name in own and own[name].shape == value.shape
        }
        if not fitting:
            raise SemiIINError("no weight to start from fits the model: see `start` and `model`")
        model.load_state_dict({**own, **fitting})
    return model


def _with_fresh_columns(model: SemiIIN, start: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the first convolutions of `start` that lack only the model's columns, with those.

    Their weights are zero, so that the model begins as the one of `start` is.
    """
    own, widened = model.state_dict(), {}
    for modality in MODALITIES:
        name, columns = f"tokenizers.{modality}.convs.0.weight", model.config.columns(modality)
        if columns and name in start:
            wide, narrow = own[name], start[name].float()  # (H, D, kernel)
            if narrow.shape == wide[:, :-columns].shape:
                widened[name] = torch.cat([narrow, torch.zeros_like(wide[:, -columns:])], dim=1)
    return widened


class SentimentTask:
    """Semi-IIN on features."""

    def __init__(
        self,
        model: SemiIIN,
        examples: Sequence[Example],
        selection: Sequence[Example],
        *,
        batch_size: int,
        objective: Objective | None = None,
        seed: int = 0,
        compose: Compose | None = None,
    ) -> None:
        """Take a model and its data.

        Args:
            model: any variant.
            examples: labelled and pseudo-labelled ones for training.
            selection: labelled ones for selection; never those that are reported.
            batch_size: examples in a step.
            objective: the loss; None = the paper's.
            seed: of order and chance.
            compose: returns what is trained on each time an example is used, such as a text with a
                voice and a face; None = the example itself.

        Raises:
            SemiIINError: without examples or selection.
        """
        if not examples or not selection:
            raise SemiIINError("training needs at least one example to train on and one to select")
        self.module = model
        self.examples, self.selection = examples, selection
        self.batch_size, self.seed = batch_size, seed
        self.objective = objective or Objective()
        self.compose = compose

    @property
    def settings(self) -> Mapping[str, Any]:
        """The model and the loss."""
        return {"model": asdict(self.module.config), "objective": self.objective.model_dump()}

    def batches(self, epoch: int) -> list[list[int]]:
        """Return shuffled batches of examples of similar length."""
        lengths = [_length(example) for example in self.examples]
        return length_batches(lengths, self.batch_size, (self.seed, epoch))

    def loss(self, batch: list[int], random: Generator) -> Tensor:
        """Return the paper's loss; pseudo-labelled examples count by their class alone."""
        examples = [self._reading(self.examples[index], random) for index in batch]
        rows = [self._drop(load(example, self.module.config), random) for example in examples]
        device = next(self.module.parameters()).device
        inputs = {name: value.to(device) for name, value in collate(rows).inputs().items()}
        output = self.module(**inputs)
        known = torch.tensor([example.valence is not None for example in examples], device=device)
        valence = torch.tensor([example.valence or 0.0 for example in examples], device=device)
        sentiment = torch.tensor([example.sentiment for example in examples], device=device)
        entropy = functional.cross_entropy(output.class_logits.float(), sentiment, reduction="none")
        weights = self.objective
        wordless = torch.tensor(["text" not in row for row in rows], device=device)
        error = valence_error(weights, output.valence, valence, wordless)
        labelled = weights.valence * error + weights.classes * entropy
        loss = _mean(labelled, known) + weights.pseudo * _mean(entropy, ~known)
        spread: Tensor = output.attention_entropy.mean()
        return loss + self.module.config.entropy_weight * spread

    def _reading(self, example: Example, random: Generator) -> Example:
        if example.others:
            readings = (example.features, *example.others)
            example = replace(example, features=readings[random.integers(len(readings))])
        return example if self.compose is None else self.compose(example, random)

    def _drop(self, row: dict[Modality, Tensor], random: Generator) -> dict[Modality, Tensor]:
        """Leave out some of several modalities, never all."""
        if len(row) < 2 or random.random() >= self.objective.modality_dropout:
            return row
        names = list(row)
        chosen = random.choice(len(names), size=random.integers(1, len(names)), replace=False)
        return {names[index]: row[names[index]] for index in sorted(chosen)}

    def measure(self) -> Metrics:
        """Return error and correlation of each part; `score` is the mean of the errors."""
        valence, _ = score(self.module, self.selection)
        label = np.array([example.valence for example in self.selection])
        parts = np.array([example.part for example in self.selection])
        metrics: Metrics = {}
        for part in sorted(set(parts)):
            predicted, true = valence[parts == part], label[parts == part]
            metrics[f"{part}_mae".lstrip("_")] = float(np.abs(predicted - true).mean())
            if predicted.std() > 0 and true.std() > 0:
                metrics[f"{part}_corr".lstrip("_")] = float(np.corrcoef(predicted, true)[0, 1])
        errors = [value for name, value in metrics.items() if name.endswith("mae")]
        return {**metrics, "score": float(np.mean(errors))}


def score(
    model: SemiIIN, examples: Sequence[Example], batch_size: int = 64
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return predicted valence (n,), clipped to [-3, 3], and class logits (n, 7) of examples."""
    device = next(model.parameters()).device
    valence = np.zeros(len(examples))
    logits = np.zeros((len(examples), model.config.classes))
    order = sorted(range(len(examples)), key=lambda index: _length(examples[index]))
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        for first in range(0, len(order), batch_size):
            indices = order[first : first + batch_size]
            batch = collate([load(examples[index], model.config) for index in indices])
            output = model(**{name: value.to(device) for name, value in batch.inputs().items()})
            valence[indices] = output.valence.float().clamp(-3, 3).cpu().numpy()
            logits[indices] = output.class_logits.float().cpu().numpy()
    model.train(was_training)
    return valence, logits


def only(example: Example, modalities: Sequence[Modality]) -> Example:
    """Return an example with some of its modalities, without its other readings.

    Without its words, a composed example has the valence of its voice and face.
    """
    features = {name: example.features[name] for name in modalities}
    expressed = {name: example.expressed[name] for name in modalities if name in example.expressed}
    part = replace(example, features=features, others=(), expressed=expressed)
    if "text" in features or not expressed:
        return part
    valence = wordless_valence(part)
    return replace(part, valence=valence, sentiment=int(valence_class(valence)))


def wordless_valence(example: Example) -> float:
    """Return the valence of a composed example's voice, its face, or both."""
    voice, face = example.expressed.get("audio"), example.expressed.get("vision")
    if voice is not None and face is not None:
        return together(voice, face)
    return voice or face or 0.0


def fit_calibration(model: SemiIIN, selection: Sequence[Example]) -> Calibration:
    """Return temperatures and scale for every combination of modalities in the selection.

    An example counts for every combination of the modalities that it has.
    """
    calibration = Calibration(temperatures={}, valence_scales={})
    for count in range(1, len(MODALITIES) + 1):
        for names in combinations(MODALITIES, count):
            examples = [
                only(example, names)
                for example in selection
                if all(name in example.features for name in names)
            ]
            if examples:
                valence, logits = score(model, examples)
                classes = [example.sentiment for example in examples]
                label = np.array([example.valence for example in examples], dtype=np.float64)
                parts = [example.part for example in examples]
                name = combination(names)
                calibration["temperatures"][name] = fit_temperature(logits, classes)
                calibration["valence_scales"][name] = fit_scale(valence, label, parts)
    return calibration


def _length(example: Example) -> int:
    """Return the length that decides an example's padding; files are not opened for it."""
    return max(
        (len(value) for value in example.features.values() if isinstance(value, Tensor)), default=0
    )


def _mean(values: Tensor, among: Tensor) -> Tensor:
    """Return the mean of the values in `among`; 0 where there are none."""
    return (values * among).sum() / among.sum().clamp(min=1)
