"""One training loop, and the tasks that it trains: Semi-IIN, and the embedded encoders.

What enters: a configuration, and data sets by `data`. What leaves: a checkpoint directory, and
beside it a run directory with the state of every stage, its log and its TensorBoard events. A
run that is killed goes on where it was and ends with the same weights.

The loop (`fit`) knows no task; a task knows its module, its batches, its loss and how to
measure itself. A stage is one `fit`: the text, audio and vision encoders where the
configuration trains them, then Semi-IIN on their features.
"""

import difflib
import importlib.util
import json
import math
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from semi_iin import checkpoint as checkpoints
from semi_iin.data import Format, Sample, Split, carve, read, refuse_leaks
from semi_iin.errors import SemiIINError
from semi_iin.evaluate import NEGATIVE_EMOTIONS, POSITIVE_EMOTIONS, valence_class
from semi_iin.features import (
    Clip,
    Encoders,
    FaceEncoder,
    LogMelEncoder,
    Spec,
    TextEncoder,
    collate,
    difference,
    extract,
    find_device,
)
from semi_iin.model import MODALITIES, Modality, SemiIIN, SemiIINConfig, SemiIINOutput

Metrics = dict[str, float]


class Settings(BaseModel):
    """Frozen settings in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Training(Settings):
    """How one stage is trained; the defaults are the paper's for Semi-IIN.

    Attributes:
        epochs: at most.
        batch_size: samples a step.
        learning_rate: the highest.
        weight_decay: of Adam; decoupled from the gradient (AdamW) when `decoupled`.
        decoupled: see `weight_decay`.
        warmup: share of all steps over which the rate rises from 0.
        decay: let the rate fall to 0, linearly, by the last step.
        layer_decay: factor on the rate of each layer of a transformer below its last.
        head_rate: factor on the rate of what is trained beside a transformer.
        clip_norm: of the gradient; 0 = not clipped.
        patience: epochs without a better selection score after which it stops; 0 = never.
        keep: "best" weights by the selection score, or the "last".
        average: decay of a running mean of the weights, which is what is measured and kept;
            0 = none.
        precision: "float32", or "bfloat16" autocast.
    """

    epochs: int = Field(default=30, ge=1)
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=1e-4, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    decoupled: bool = False
    warmup: float = Field(default=0.0, ge=0, lt=1)
    decay: bool = False
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    head_rate: float = Field(default=1.0, gt=0)
    clip_norm: float = Field(default=0.0, ge=0)
    patience: int = Field(default=0, ge=0)
    keep: Literal["best", "last"] = "best"
    average: float = Field(default=0.0, ge=0, lt=1)
    precision: Literal["float32", "bfloat16"] = "float32"


class Task(Protocol):
    """What `fit` trains."""

    @property
    def module(self) -> nn.Module:
        """Holds every weight that is trained."""

    def batches(self, epoch: int) -> list[list[int]]:
        """The epoch's batches of sample numbers; the same for the same epoch."""

    def loss(self, batch: list[int], random: Generator) -> Tensor:
        """The batch's mean loss, a scalar; all chance but dropout's comes from `random`."""

    def measure(self) -> Metrics:
        """Metrics on the selection part; `score` is what is selected by, lower is better."""


@dataclass(frozen=True)
class Progress:
    """Where a stage stands, for a progress bar.

    Attributes:
        stage: its name.
        step: steps done.
        steps: steps in all.
        loss: running mean.
        metrics: of the last epoch measured.
    """

    stage: str
    step: int
    steps: int
    loss: float
    metrics: Mapping[str, float] = field(default_factory=dict)


Report = Callable[[Progress], None]


def fit(
    task: Task,
    training: Training,
    directory: Path,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    report: Report = lambda progress: None,
    save_every: int = 200,
) -> Metrics:
    """Train a task, and leave its module with the weights that are kept.

    The state is saved after every epoch and every `save_every` steps; a call with the same
    arguments on the same directory goes on from there and gives the same result as one that was
    never stopped. In the directory: `last.pt` (the state), `best.safetensors`, `log.jsonl` (one
    line an epoch), TensorBoard's events where that package is installed, and `done.json`.

    Returns:
        The metrics of the weights that are kept.

    Raises:
        SemiIINError: when the loss is not finite, or the directory holds another run's state.
    """
    directory.mkdir(parents=True, exist_ok=True)
    module = task.module.to(device)
    done, best_path = directory / "done.json", directory / "best.safetensors"
    if done.exists():
        module.load_state_dict(load_file(best_path))
        finished: Metrics = json.loads(done.read_text())
        return finished
    torch.manual_seed(seed)
    run = _Run(task, training, seed)
    run.resume(directory / "last.pt")
    with _events(directory) as events:
        while run.epoch < training.epochs and not run.stale():
            batches = task.batches(run.epoch)
            module.train()
            while run.batch < len(batches):
                run.step(batches[run.batch], torch.device(device))
                report(Progress(directory.name, run.steps, run.total, run.mean_loss, run.metrics))
                if run.steps % save_every == 0:
                    run.save(directory / "last.pt")
            run.close_epoch(best_path)
            events(run.epoch, {"loss": run.epoch_loss, **run.metrics})
            _append(directory / "log.jsonl", run.line())
            run.save(directory / "last.pt")
    module.load_state_dict(load_file(best_path))
    _write(done, json.dumps(run.best_metrics))
    return run.best_metrics


class _Run:
    """The state of one `fit`."""

    def __init__(self, task: Task, training: Training, seed: int) -> None:
        self.task, self.training, self.seed = task, training, seed
        parameters = list(_groups(task.module, training))
        kind = torch.optim.AdamW if training.decoupled else torch.optim.Adam
        self.optimizer = kind(
            parameters, lr=training.learning_rate, weight_decay=training.weight_decay
        )
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.lengths = [len(task.batches(epoch)) for epoch in range(training.epochs)]
        self.total = sum(self.lengths)
        self.mean: dict[str, Tensor] = {}
        self.epoch = self.batch = self.steps = self.waited = 0
        self.mean_loss = self.loss_sum = self.epoch_loss = 0.0
        self.metrics: Metrics = {}
        self.best_metrics: Metrics = {}
        if training.average:
            self.mean = {
                name: value.detach().clone() for name, value in task.module.state_dict().items()
            }

    def step(self, batch: list[int], device: torch.device) -> None:
        training = self.training
        share = self._share()
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * share
        random = np.random.default_rng((self.seed, self.epoch, self.batch))
        with torch.autocast(device.type, torch.bfloat16, training.precision == "bfloat16"):
            loss = self.task.loss(batch, random)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise SemiIINError(
                f"the loss is {value} at step {self.steps}: lower learning_rate or set clip_norm"
            )
        loss.backward()  # type: ignore[no-untyped-call]
        if training.clip_norm:
            nn.utils.clip_grad_norm_(self.task.module.parameters(), training.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.steps += 1
        self.batch += 1
        self.loss_sum += value
        self.mean_loss = value if self.steps == 1 else 0.98 * self.mean_loss + 0.02 * value
        self._average()

    def _average(self) -> None:
        """Move the running mean towards the weights; faster at first."""
        if not self.mean:
            return
        rate = 1 - min(self.training.average, (1 + self.steps) / (10 + self.steps))
        for name, value in self.task.module.state_dict().items():
            if value.is_floating_point():
                self.mean[name].lerp_(value.detach(), rate)
            else:
                self.mean[name].copy_(value)

    def _share(self) -> float:
        """Of the highest learning rate, at this step."""
        rising = self.training.warmup * self.total
        if self.steps < rising:
            return (self.steps + 1) / (rising + 1)
        if not self.training.decay:
            return 1.0
        return (self.total - self.steps) / max(1.0, self.total - rising)

    def stale(self) -> bool:
        """Whether the selection score has not improved for too long."""
        return bool(self.training.patience) and self.waited >= self.training.patience

    def close_epoch(self, best_path: Path) -> None:
        """Measure, and keep the weights where they are to be kept."""
        module = self.task.module.eval()
        trained = {name: value.detach().clone() for name, value in module.state_dict().items()}
        if self.mean:
            module.load_state_dict(self.mean)
        with torch.inference_mode():
            self.metrics = self.task.measure()
        better = self.metrics["score"] < self.best_metrics.get("score", math.inf)
        self.waited = 0 if better else self.waited + 1
        if better or self.training.keep == "last" or not self.best_metrics:
            self.best_metrics = dict(self.metrics)
            kept = {name: value.cpu().contiguous() for name, value in module.state_dict().items()}
            partial = best_path.with_suffix(".partial")
            save_file({name: value.clone() for name, value in kept.items()}, partial)
            os.replace(partial, best_path)
        if self.mean:
            module.load_state_dict(trained)
        self.epoch_loss = self.loss_sum / max(1, self.batch)
        self.loss_sum, self.batch = 0.0, 0
        self.epoch += 1

    def line(self) -> dict[str, Any]:
        """The epoch's line in the log."""
        return {"epoch": self.epoch, "loss": self.epoch_loss, **self.metrics}

    _PLAIN = (
        "seed", "epoch", "batch", "steps", "waited", "mean_loss", "loss_sum", "epoch_loss",
        "metrics", "best_metrics", "lengths",
    )  # fmt: skip

    def save(self, path: Path) -> None:
        """Write the whole state; a kill in the middle leaves the former one."""
        state = {
            "plain": {name: getattr(self, name) for name in self._PLAIN},
            "training": self.training.model_dump(),
            "module": self.task.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "mean": self.mean,
            "random": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, path)

    def resume(self, path: Path) -> None:
        """Take up a saved state, if there is one."""
        if not path.exists():
            return
        state = torch.load(path, map_location="cpu", weights_only=True)
        same = (
            state["training"] == self.training.model_dump()
            and state["plain"]["seed"] == self.seed
            and state["plain"]["lengths"] == self.lengths
        )
        if not same:
            raise SemiIINError(
                f"{path.parent} holds the state of another run (other settings, data or seed): "
                "name another directory or remove it"
            )
        for name, value in state["plain"].items():
            setattr(self, name, value)
        self.task.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.mean = {
            name: value.to(self.task.module.state_dict()[name].device)
            for name, value in state["mean"].items()
        }
        torch.set_rng_state(state["random"])
        if state["cuda"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(state["cuda"])


def _groups(module: nn.Module, training: Training) -> Iterable[dict[str, Any]]:
    """Parameter groups: vectors are not decayed when decay is decoupled; layers as configured."""
    names = [name for name, _ in module.named_parameters() if "backbone" in name]
    depth = max(map(_layer, names), default=0)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        if "backbone" in name:
            factor = training.layer_decay ** (depth - _layer(name))
        else:
            factor = training.head_rate
        rate = training.learning_rate * factor
        plain = training.decoupled and parameter.ndim < 2
        groups.setdefault((rate, 0.0 if plain else training.weight_decay), []).append(parameter)
    for (rate, weight_decay), parameters in groups.items():
        yield {"params": parameters, "lr": rate, "weight_decay": weight_decay}


def _layer(name: str) -> int:
    """The number of the transformer layer that a parameter stands in, from 1; else 0."""
    found = re.search(r"\blayers?\.(\d+)\.", name)
    return int(found[1]) + 1 if found else 0


# --- Semi-IIN ---------------------------------------------------------------------------------


class Objective(Settings):
    """Weights of the loss (the paper's Eqs. for its multi-task loss and for self-training).

    Attributes:
        valence: of the mean squared error of valence.
        classes: of the cross-entropy of the seven classes.
        pseudo: of the cross-entropy on pseudo-labels, classes only.
        modality_dropout: the chance that a sample with several modalities loses some of them.
    """

    valence: float = Field(default=0.6, ge=0)
    classes: float = Field(default=0.4, ge=0)
    pseudo: float = Field(default=0.2, ge=0)
    modality_dropout: float = Field(default=0.0, ge=0, le=1)


@dataclass(frozen=True)
class Example:
    """One sample as Semi-IIN sees it.

    Attributes:
        features: modality to (L, D) features, in memory or as a `.npy` file.
        others: further readings of the same sample, such as its words without their context;
            training takes one at random, measuring takes `features`.
        valence: the label; None for a pseudo-labelled sample.
        sentiment: its class, 0 to 6, from the label or pseudo.
        part: the data set, for metrics apart.
    """

    features: Mapping[Modality, Tensor | Path]
    valence: float | None
    sentiment: int
    part: str = ""
    others: tuple[Mapping[Modality, Tensor | Path], ...] = ()


def load(example: Example, config: SemiIINConfig) -> dict[Modality, Tensor]:
    """An example's features as float32, cut to what the model takes."""
    rows = {}
    for modality, value in example.features.items():
        if isinstance(value, Path):
            value = torch.from_numpy(np.load(value, allow_pickle=False))
        rows[modality] = value[: config.max_frames(modality)].float()
    return rows


Compose = Callable[[Example, Generator], Mapping[Modality, Tensor | Path]]


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
            examples: labelled and pseudo-labelled ones that train.
            selection: labelled ones that select; never those that are reported.
            batch_size: examples a step.
            objective: the loss; None = the paper's.
            seed: of order and chance.
            compose: gives an example's features of the moment, such as a text with a voice and a
                face of like valence; None = the example's own.
        """
        if not examples or not selection:
            raise SemiIINError("training needs at least one example to train on and one to select")
        self.module = model
        self.examples, self.selection = examples, selection
        self.batch_size, self.seed = batch_size, seed
        self.objective = objective or Objective()
        self.compose = compose

    def batches(self, epoch: int) -> list[list[int]]:
        """Shuffled, with examples of like length together."""
        lengths = [_length(example) for example in self.examples]
        return bucketed(lengths, self.batch_size, (self.seed, epoch))

    def loss(self, batch: list[int], random: Generator) -> Tensor:
        """The paper's loss; pseudo-labelled examples count by their class alone."""
        examples = [self.examples[index] for index in batch]
        rows = [self._drop(self._features(example, random), random) for example in examples]
        device = next(self.module.parameters()).device
        inputs = {name: value.to(device) for name, value in collate(rows).inputs().items()}
        output = self.module(**inputs)
        known = torch.tensor([example.valence is not None for example in examples], device=device)
        valence = torch.tensor([example.valence or 0.0 for example in examples], device=device)
        sentiment = torch.tensor([example.sentiment for example in examples], device=device)
        squared = (output.valence.float() - valence).square()
        entropy = functional.cross_entropy(output.class_logits.float(), sentiment, reduction="none")
        weights = self.objective
        labelled = weights.valence * squared + weights.classes * entropy
        loss = _mean(labelled, known) + weights.pseudo * _mean(entropy, ~known)
        spread: Tensor = output.attention_entropy.mean()
        return loss + self.module.config.entropy_weight * spread

    def _features(self, example: Example, random: Generator) -> dict[Modality, Tensor]:
        if example.others:
            readings = (example.features, *example.others)
            example = replace(example, features=readings[random.integers(len(readings))])
        if self.compose is not None:
            example = replace(example, features=self.compose(example, random))
        return load(example, self.module.config)

    def _drop(self, row: dict[Modality, Tensor], random: Generator) -> dict[Modality, Tensor]:
        """Leave out some, never all, of several modalities."""
        if len(row) < 2 or random.random() >= self.objective.modality_dropout:
            return row
        names = list(row)
        kept = random.choice(len(names), size=random.integers(1, len(names)), replace=False)
        return {names[index]: row[names[index]] for index in sorted(kept)}

    def measure(self) -> Metrics:
        """Mean absolute error and correlation of each part; `score` is the mean of the errors."""
        valence, _ = score(self.module, self.selection)
        truth = np.array([example.valence for example in self.selection])
        parts = np.array([example.part for example in self.selection])
        metrics: Metrics = {}
        for part in sorted(set(parts)):
            guess, label = valence[parts == part], truth[parts == part]
            metrics[f"{part}_mae".lstrip("_")] = float(np.abs(guess - label).mean())
            if guess.std() > 0 and label.std() > 0:
                metrics[f"{part}_corr".lstrip("_")] = float(np.corrcoef(guess, label)[0, 1])
        errors = [value for name, value in metrics.items() if name.endswith("mae")]
        return {**metrics, "score": float(np.mean(errors))}


def score(
    model: SemiIIN, examples: Sequence[Example], batch_size: int = 64
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Predicted valence (n,), clipped to [-3, 3], and class logits (n, 7) of examples."""
    device = next(model.parameters()).device
    valence = np.zeros(len(examples))
    logits = np.zeros((len(examples), model.config.classes))
    order = sorted(range(len(examples)), key=lambda index: _length(examples[index]))
    training = model.training
    model.eval()
    with torch.inference_mode():
        for first in range(0, len(order), batch_size):
            indices = order[first : first + batch_size]
            batch = collate([load(examples[index], model.config) for index in indices])
            output = model(**{name: value.to(device) for name, value in batch.inputs().items()})
            valence[indices] = output.valence.float().clamp(-3, 3).cpu().numpy()
            logits[indices] = output.class_logits.float().cpu().numpy()
    model.train(training)
    return valence, logits


def calibrate(logits: NDArray[np.float64], sentiment: Sequence[int]) -> float:
    """The temperature by which class logits fit their classes best (least cross-entropy)."""
    values, target = torch.from_numpy(logits), torch.tensor(sentiment)
    candidates = np.geomspace(0.25, 4.0, 161)
    losses = [float(functional.cross_entropy(values / scale, target)) for scale in candidates]
    return round(float(candidates[int(np.argmin(losses))]), 4)


def bucketed(
    lengths: Sequence[int], batch_size: int, seed: tuple[int, ...], window: int = 50
) -> list[list[int]]:
    """Shuffled batches in which samples of like length stand together.

    Args:
        lengths: of the samples.
        batch_size: samples a batch; the last one may be smaller.
        seed: of the order.
        window: batches within which samples are sorted by length.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(lengths)).tolist()
    batches = []
    for first in range(0, len(order), batch_size * window):
        chunk = sorted(order[first : first + batch_size * window], key=lambda i: lengths[i])
        batches += [chunk[at : at + batch_size] for at in range(0, len(chunk), batch_size)]
    return [batches[index] for index in random.permutation(len(batches))]


def _length(example: Example) -> int:
    """What decides an example's padding; features on disk are not opened for it."""
    return max(
        (len(value) for value in example.features.values() if isinstance(value, Tensor)), default=0
    )


def _mean(values: Tensor, among: Tensor) -> Tensor:
    """The mean of some values; 0 of none."""
    return (values * among).sum() / among.sum().clamp(min=1)


# --- the embedded encoders --------------------------------------------------------------------

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
    ) -> None:
        """Take an encoder, a model and labelled texts; the word embeddings stay as they are."""
        self.encoder, self.model = encoder, model
        self.module = nn.ModuleDict({"encoder": encoder, "model": model})
        encoder.backbone.get_input_embeddings().requires_grad_(False)
        self.samples, self.selection = samples, selection
        self.batch_size, self.seed = batch_size, seed
        self.objective = objective or Objective()

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
        return weights.valence * functional.mse_loss(output.valence.float(), valence) + (
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
    """The log-mel encoder, trained to tell emotions of recordings."""

    SMOOTHING = 0.1

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
        self.sounds = [_voice(sample) for sample in samples]
        self.heard = [_voice(sample) for sample in selection]
        classes: list[str] = encoder.spec["emotions"]
        self.targets = [classes.index(sample.emotion or "") for sample in samples]
        self.truth = [sample.emotion or "" for sample in selection]
        self.batch_size, self.seed = batch_size, seed

    def batches(self, epoch: int) -> list[list[int]]:
        """Shuffled."""
        return bucketed([0] * len(self.sounds), self.batch_size, (self.seed, epoch))

    def loss(self, batch: list[int], random: Generator) -> Tensor:
        """Cross-entropy with smoothed labels, of altered recordings."""
        clips = [Clip(audio=altered_sound(self.sounds[index], random)) for index in batch]
        energies, lengths = self.encoder.energies(clips)
        energies = _masked_bands(energies, lengths, random)
        logits = self.encoder.classify(*self.encoder(energies, lengths)).float()
        targets = torch.tensor([self.targets[index] for index in batch], device=logits.device)
        return functional.cross_entropy(logits, targets, label_smoothing=self.SMOOTHING)

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
        self.crops = _pixels(samples)
        self.seen = _pixels(selection)
        classes: list[str] = encoder.spec["emotions"]
        self.targets = torch.tensor([classes.index(sample.emotion or "") for sample in samples])
        self.truth = [sample.emotion or "" for sample in selection]
        self.batch_size, self.seed = batch_size, seed

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


def _voice(sample: Sample) -> NDArray[np.float32]:
    """A recording without the silence around it."""
    sound = sample.clip().audio
    if sound is None:
        raise SemiIINError(f"the recording {sample.id} has no sound")
    loud = np.flatnonzero(np.abs(sound) > 0.02 * np.abs(sound).max())
    return sound[max(0, loud[0] - 1600) : loud[-1] + 1600] if len(loud) else sound


def _pixels(samples: Sequence[Sample]) -> Tensor:
    """Single crops as the face encoder takes them. (N, 1, 48, 48) float32."""
    crops = [sample.crop for sample in samples]
    return torch.from_numpy(
        np.stack([FaceEncoder.pixels(crop) for crop in crops if crop is not None])
    )[:, None]


# --- a whole run ------------------------------------------------------------------------------


class Data(Settings):
    """One data set of a run.

    Attributes:
        path: relative to the run's data root.
        format: as `semi_iin.data.read` names it.
        part: its name in metrics; "" = its file's or folder's name.
        labels: for features and clips: the label CSV, relative to the data root.
        media: for clips: the folder, relative to the data root.
        scale: of the labels: "valence", or "sst5" for classes 0 to 4.
        repeat: how often each training sample is seen in an epoch.
        selection: one training group in so many is kept for selection and calibration; 0 = none,
            the data set's validation part selects.
        fusion: one training group in so many is kept from the encoders and trains Semi-IIN alone:
            encoders are surer of what they were trained on than they will be of anything else. 0
            = Semi-IIN trains on what the encoders train on; but where any set keeps texts for
            Semi-IIN, it trains on no others.
    """

    path: str
    format: Format = "text-csv"
    part: str = ""
    labels: str = ""
    media: str = ""
    scale: Literal["valence", "sst5"] = "valence"
    repeat: int = Field(default=1, ge=1)
    selection: int = Field(default=0, ge=0)
    fusion: int = Field(default=0, ge=0)


class Encoder(Settings):
    """One encoder of a run.

    Attributes:
        spec: as `semi_iin.features` describes it.
        checkpoint: take spec and weights from this checkpoint instead.
        rank: of the differences by which a fine-tuned transformer is stored.
        training: how it is trained before Semi-IIN; absent = it is used as it is.
    """

    spec: dict[str, Any] = {}
    checkpoint: str = ""
    rank: int = Field(default=64, ge=1)
    training: Training | None = None


class SelfTraining(Settings):
    """Which pseudo-labels are kept, and how often.

    Attributes:
        rounds: of score, select, retrain.
        select: "per_class": the `k` most confident of each class; "overall": the `k` most
            confident of all; "threshold": all of at least `threshold`.
        k: see `select`; the paper has 40 on MOSI, and all of its AMI segments on MOSEI.
        threshold: confidence (after calibration on the selection part) in [0, 1].
        agreement: keep only those whose predicted valence lies in the predicted class.
        share: of the unlabeled examples, chosen by seed, that are looked at at all.
    """

    rounds: int = Field(default=1, ge=1)
    select: Literal["per_class", "overall", "threshold"] = "per_class"
    k: int = Field(default=40, ge=1)
    threshold: float = Field(default=0.9, ge=0, le=1)
    agreement: bool = False
    share: float = Field(default=1.0, gt=0, le=1)


class RunConfig(Settings):
    """A run: data, encoders, model, training.

    Attributes:
        name: the checkpoint's name, which records carry.
        seed: of everything.
        device: "auto", "cpu", "cuda", "mps".
        data_root: what the data's paths are relative to; itself relative to where the command
            runs.
        data: the data sets.
        encoders: by modality; none at all where the data are ready features.
        model: settings of `SemiIINConfig`; widths of encoders are filled in.
        training: of Semi-IIN.
        objective: the loss.
        self_training: of `semi-iin self-train`, on the unlabeled part of the data.
    """

    name: str
    seed: int = 0
    device: str = "auto"
    data_root: str = "."
    data: tuple[Data, ...]
    encoders: dict[Modality, Encoder] = {}
    model: dict[str, Any] = {}
    training: Training = Training()
    objective: Objective = Objective()
    self_training: SelfTraining = SelfTraining()


def read_config(path: str | Path) -> RunConfig:
    """Read a run's TOML.

    Raises:
        SemiIINError: for a file that is missing or malformed, an unknown key (naming the nearest
            known one), or a value out of range.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SemiIINError(f"there is no configuration at {path}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SemiIINError(f"{path} cannot be read as TOML: {error}") from error
    try:
        return RunConfig.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(first["loc"][-1]), _keys(RunConfig), 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SemiIINError(f"{path} has the unknown setting {where}{hint}") from None
        raise SemiIINError(f"{path}: {where}: {first['msg']}") from None


def _keys(settings: type[BaseModel]) -> set[str]:
    """Every key that a tree of settings knows."""
    known = set(settings.model_fields)
    for name in ("Data", "Encoder", "Training", "Objective", "SelfTraining"):
        known |= set(globals()[name].model_fields)
    return known


def train(
    config: RunConfig,
    directory: str | Path,
    *,
    data_root: str | Path | None = None,
    report: Report = lambda progress: None,
) -> Path:
    """Do a whole run, or what is left of it.

    Args:
        config: the run.
        directory: of the run: a folder for each stage, and `checkpoint`.
        data_root: in place of the configuration's.
        report: called after every step.

    Returns:
        The checkpoint's directory.

    Raises:
        SemiIINError: naming what is wrong with the data, the configuration or the directory.
    """
    run = Path(directory)
    ready = prepare(config, run, data_root, report)
    model = build_model(config, ready.encoders, ready.start)
    task = SentimentTask(
        model,
        ready.examples,
        ready.selection,
        batch_size=config.training.batch_size,
        objective=config.objective,
        seed=config.seed,
        compose=ready.compose,
    )
    metrics = fit(
        task,
        config.training,
        run / "semi_iin",
        seed=config.seed,
        device=ready.device,
        report=report,
    )
    return save_run(
        run / "checkpoint",
        config,
        ready,
        model,
        temperature=temperature_of(model, ready.selection),
        metrics={"selection": metrics},
    )


@dataclass(frozen=True)
class Prepared:
    """What a run has before Semi-IIN is trained.

    Attributes:
        device: where it trains.
        parts: its data sets.
        encoders: trained, on the device; none where the data are ready features.
        examples: what trains Semi-IIN.
        selection: what selects its weights and calibrates it.
        compose: as for `SentimentTask`.
        start: weights that Semi-IIN starts from; None = fresh ones.
    """

    device: torch.device
    parts: list["Part"]
    encoders: Encoders
    examples: list[Example]
    selection: list[Example]
    compose: Compose | None
    start: dict[str, Tensor] | None = None


def prepare(
    config: RunConfig,
    run: Path,
    data_root: str | Path | None = None,
    report: Report = lambda progress: None,
) -> Prepared:
    """Read the data, train the encoders and encode; arguments and errors as for `train`."""
    device = find_device(config.device)
    parts = gather(config, Path(data_root if data_root is not None else config.data_root))
    encoders, start = train_encoders(config, parts, run, device, report)
    examples, selection, compose = examples_of(config, parts, encoders, run, report)
    return Prepared(device, parts, encoders, examples, selection, compose, start)


def temperature_of(model: SemiIIN, selection: Sequence[Example]) -> float:
    """The temperature that calibrates a model's classes on the selection part."""
    _, logits = score(model, selection)
    return calibrate(logits, [example.sentiment for example in selection])


def save_run(
    directory: Path,
    config: RunConfig,
    ready: Prepared,
    model: SemiIIN,
    *,
    temperature: float,
    metrics: Mapping[str, Any],
    provenance: Mapping[str, Any] | None = None,
) -> Path:
    """Write a run's checkpoint, with where it comes from; `provenance` adds to that."""
    saved = {
        "name": config.name,
        "model": model.config.to_dict(),
        "encoders": ready.encoders.specs(),
        "temperature": temperature,
        "provenance": {
            "configuration": config.model_dump(mode="json", exclude_defaults=True),
            "samples": {part.name: len(part.train) for part in ready.parts},
            **(provenance or {}),
        },
        "metrics": metrics,
    }
    weights = {f"model.{name}": value.half() for name, value in model.state_dict().items()}
    return checkpoints.save(directory, weights | ready.encoders.tensors(), saved)


@dataclass(frozen=True)
class Part:
    """One data set of a run, split.

    Attributes:
        name: for metrics.
        train: what trains the encoders, before repetition.
        fusion: what trains Semi-IIN, before repetition.
        selection: what selects and calibrates.
        repeat: how often each training sample is seen in an epoch.
        reported: what neither trains nor selects: the validation part where selection is carved
            from the training part, else the test part.
        unlabeled: for self-training.
    """

    name: str
    train: list[Sample]
    fusion: list[Sample]
    selection: list[Sample]
    repeat: int
    reported: list[Sample] = field(default_factory=list)
    unlabeled: list[Sample] = field(default_factory=list)

    def repeated(self) -> list[Sample]:
        """The training samples as often as an epoch sees them."""
        return self.train * self.repeat


def gather(config: RunConfig, root: Path) -> list[Part]:
    """Read a run's data sets and split each; the validation part trains nothing.

    Raises:
        SemiIINError: for data that are missing, malformed, or leak between splits.
    """
    parts = []
    texts_are_kept = any(data.fusion for data in config.data if data.format == "text-csv")
    for data in config.data:
        options: dict[str, Any] = {}
        if data.format in ("text-csv", "clips"):
            options["scale"] = data.scale
        if data.labels:
            options["labels"] = root / data.labels
        if data.media:
            options["media"] = root / data.media
        place = root / (data.labels if data.format == "clips" else data.path)
        samples = read(place, data.format, **options)
        refuse_leaks(samples)
        held: Split = "valid" if data.selection else "test"
        reported = [sample for sample in samples if sample.split == held]
        unlabeled = [sample for sample in samples if sample.split == "unlabeled"]
        if data.selection:
            train = [sample for sample in samples if sample.split == "train"]
            samples = carve(train, data.selection)
        train = [sample for sample in samples if sample.split == "train"]
        if data.fusion:
            kept = carve(train, data.fusion, salt="fusion")
            train, fusion = (
                [one for one in kept if one.split == split] for split in ("train", "valid")
            )
        else:
            fusion = [one for one in train if one.label is None or not texts_are_kept]
        parts.append(
            Part(
                name=data.part or Path(data.path).stem,
                train=train,
                fusion=fusion,
                selection=[sample for sample in samples if sample.split == "valid"],
                repeat=data.repeat,
                reported=reported,
                unlabeled=unlabeled,
            )
        )
    return parts


def train_encoders(
    config: RunConfig,
    parts: Sequence[Part],
    run: Path,
    device: torch.device,
    report: Report = lambda progress: None,
) -> tuple[Encoders, dict[str, Tensor] | None]:
    """Train the encoders whose configuration asks for it, each on what the data have for it.

    The audio encoder trains on recordings with emotions, the vision encoder on face crops with
    emotions, and last the text encoder on labelled texts, through a Semi-IIN of the run's
    settings.

    Returns:
        All encoders of the configuration, on the device; a fine-tuned one is as a checkpoint
        would give it back, rounding and low rank included. And the weights of the Semi-IIN
        through which the text encoder was trained; None where it was not.
    """
    specs: dict[str, Spec] = {name: dict(encoder.spec) for name, encoder in config.encoders.items()}
    stored: dict[str, Tensor] = {}
    for name, encoder in config.encoders.items():
        if encoder.checkpoint:
            specs[name], taken = _taken(encoder.checkpoint, name)
            stored.update(taken)
    start = None
    for name in ("audio", "vision", "text"):
        found = config.encoders.get(name)
        if found is None or found.training is None or found.checkpoint:
            continue
        seen = [sample for part in parts for sample in part.repeated() if _teaches(sample, name)]
        chosen = [sample for part in parts for sample in part.selection if _teaches(sample, name)]
        if not seen or not chosen:
            raise SemiIINError(
                f"no data of the configuration can train the {name} encoder: it needs labelled "
                "samples to train on and to select by"
            )
        if name != "text":
            known = {sample.emotion or "" for sample in (*seen, *chosen)}
            specs[name] = {**specs[name], "emotions": sorted(known)}
        torch.manual_seed(config.seed)
        fresh = Encoders.build(specs, stored)
        task = _encoder_task(config, found.training, fresh, name, seen, chosen)
        fit(task, found.training, run / name, seed=config.seed, device=device, report=report)
        trained = fresh.encoders[name].eval().cpu()
        if isinstance(task, TextTask):
            source = Encoders.build({name: specs[name]}).encoders[name]
            trained.stored = difference(source.backbone, trained.backbone, found.rank)
            start = {key: value.cpu() for key, value in task.model.state_dict().items()}
        stored.update(Encoders({name: trained}).tensors())
    return Encoders.build(specs, stored).to(device), start


def _taken(place: str, modality: Modality) -> tuple[Spec, dict[str, Tensor]]:
    """The spec and the tensors of a checkpoint's encoder."""
    loaded = checkpoints.load(place)
    specs: dict[str, Spec] = loaded.config.get("encoders", {})
    if modality not in specs:
        raise SemiIINError(f"the checkpoint {place} has no {modality} encoder to take")
    prefix = f"{modality}_encoder."
    return dict(specs[modality]), {
        name: value for name, value in loaded.tensors.items() if name.startswith(prefix)
    }


def _teaches(sample: Sample, modality: Modality) -> bool:
    """Whether a sample can train the encoder of a modality."""
    match modality:
        case "text":
            return sample.text is not None and sample.label is not None
        case "audio":
            return sample.sound is not None and sample.emotion is not None
        case "vision":
            return sample.crop is not None and sample.emotion is not None


def _encoder_task(
    config: RunConfig,
    training: Training,
    encoders: Encoders,
    modality: Modality,
    seen: Sequence[Sample],
    chosen: Sequence[Sample],
) -> Task:
    encoder, size, seed = encoders.encoders[modality], training.batch_size, config.seed
    match encoder:
        case TextEncoder():
            model = build_model(config, encoders)
            return TextTask(
                encoder,
                model,
                seen,
                chosen,
                batch_size=size,
                objective=config.objective,
                seed=seed,
            )
        case LogMelEncoder():
            return VoiceTask(encoder, seen, chosen, batch_size=size, seed=seed)
        case FaceEncoder():
            return FaceTask(encoder, seen, chosen, batch_size=size, seed=seed)
    raise SemiIINError(
        f"an encoder of kind {encoder.spec['kind']} is not trained here: leave its training out"
    )


def build_model(
    config: RunConfig, encoders: Encoders, start: Mapping[str, Tensor] | None = None
) -> SemiIIN:
    """A Semi-IIN of the run's settings, its feature widths those of the encoders.

    Args:
        config: the run.
        encoders: of the run.
        start: weights to start from; None = fresh ones.
    """
    widths = {f"{name}_width": encoder.width for name, encoder in encoders.encoders.items()}
    torch.manual_seed(config.seed)
    model = SemiIIN(SemiIINConfig.from_dict({**config.model, **widths}))
    if start is not None:
        model.load_state_dict(dict(start))
    return model


# --- composed clips ---------------------------------------------------------------------------


class Composer:
    """Gives labelled texts a voice and a face of like valence, from sets of their own.

    No set at hand labels words, voice and face of one person together, so they are paired by the
    sign of their valence: happy with positive, sad, angry, fearful and disgusted with negative,
    neutral and calm with what is between. What is made is named composed wherever it is measured.

    A voice or a face is now and then neutral, or of any sign, beside words: people say clear
    things flatly, and words must then prevail. Without words, the label is still the text's, so
    that a voice or a face alone comes to mean what texts of its sign are on average.
    """

    SHARES: Mapping[tuple[Modality, ...], float] = {
        ("text",): 0.30,
        ("audio", "text"): 0.14,
        ("text", "vision"): 0.14,
        ("audio", "text", "vision"): 0.22,
        ("audio",): 0.07,
        ("vision",): 0.07,
        ("audio", "vision"): 0.06,
    }
    FLAT = 0.25  # of voices and faces beside words are neutral
    STRAY = 0.08  # of voices and faces beside words are of any sign
    MOST_FACES = 8

    def __init__(
        self,
        voices: Mapping[int, Sequence[Tensor]],
        faces: Mapping[int, Sequence[Tensor]],
    ) -> None:
        """Take features (L, D) of voices and of single faces, by the sign of their valence."""
        pools: dict[Modality, Mapping[int, Sequence[Tensor]]] = {"audio": voices, "vision": faces}
        self.pools = {name: pool for name, pool in pools.items() if all(pool.values()) and pool}
        self.choices = [
            names
            for names in self.SHARES
            if all(name == "text" or name in self.pools for name in names)
        ]
        weights = np.array([self.SHARES[names] for names in self.choices])
        self.weights = weights / weights.sum()

    def __call__(self, example: Example, random: Generator) -> dict[Modality, Tensor | Path]:
        """The features of an example of the moment."""
        names = self.choices[int(random.choice(len(self.choices), p=self.weights))]
        return self.compose(example, names, random, "text" in names)

    def compose(
        self,
        example: Example,
        names: Sequence[Modality],
        random: Generator,
        varied: bool = False,
    ) -> dict[Modality, Tensor | Path]:
        """The example's words with a voice and a face of like sign, of which `names` are kept."""
        sign = valence_sign(example.valence or 0.0)
        features: dict[Modality, Tensor | Path] = {}
        for name in names:
            if name == "text":
                features[name] = example.features[name]
                continue
            chance = random.random() if varied else 1.0
            if chance < self.STRAY:
                shown = int(random.integers(-1, 2))
            else:
                shown = 0 if chance < self.STRAY + self.FLAT else sign
            pool = self.pools[name][shown]
            chosen = pool[int(random.integers(len(pool)))]
            if name == "vision":
                count = int(random.integers(1, self.MOST_FACES + 1))
                chosen = chosen[random.integers(0, len(chosen), count)]
            features[name] = chosen
        return features


def valence_sign(valence: float) -> int:
    """-1, 0 or 1: 0 for what the seven classes call neutral."""
    return int(valence >= 0.5) - int(valence < -0.5)


def emotion_sign(emotion: str) -> int | None:
    """-1, 0 or 1; None for emotions, such as surprise, whose valence may be either."""
    if emotion in POSITIVE_EMOTIONS or emotion in NEGATIVE_EMOTIONS:
        return 1 if emotion in POSITIVE_EMOTIONS else -1
    return 0 if emotion in ("neutral", "calm") else None


VARIANTS_OF_FACE = 4
MOST_IN_POOL = 6000  # faces or voices that are composed with texts


def examples_of(
    config: RunConfig,
    parts: Sequence[Part],
    encoders: Encoders,
    run: Path,
    report: Report = lambda progress: None,
) -> tuple[list[Example], list[Example], Composer | None]:
    """What trains and what selects Semi-IIN, and a composer where voices or faces stand apart.

    Returns:
        Training examples with their repetitions, selection examples, and the composer; None
        where the data have no voices or faces without words.
    """
    held = [(part.name, part.selection) for part in parts]
    selection = held_examples(held, encoders, run, config.seed, report)
    trained: list[Example] = []
    for part in parts:
        labelled = [sample for sample in part.fusion if sample.label is not None]
        rows = _readings(labelled, encoders, run, config.seed, part.name, report)
        trained += [
            _example(sample, readings, part.name)
            for sample, readings in zip(labelled, rows, strict=True)
        ] * part.repeat
    voices, faces = (
        [sample for part in parts for sample in part.fusion if _stands_apart(sample, name)]
        for name in ("audio", "vision")
    )
    if not voices and not faces:
        return trained, selection, None
    composer = Composer(
        _voice_pool(voices, encoders, config.seed), _face_pool(faces, encoders, config.seed)
    )
    return trained, selection, composer


def held_examples(
    held: Sequence[tuple[str, Sequence[Sample]]],
    encoders: Encoders,
    run: Path,
    seed: int,
    report: Report = lambda progress: None,
) -> list[Example]:
    """Examples of data that do not train, by the name of their part.

    Where there are voices or faces apart from words, every labelled example comes a second time,
    composed with one of each, in the part "composed".
    """
    plain = []
    for part, samples in held:
        labelled = [sample for sample in samples if sample.label is not None]
        rows = encode(labelled, encoders, run, part, report)
        plain += [_example(sample, [row], part) for sample, row in zip(labelled, rows, strict=True)]
    voices, faces = (
        [sample for _, samples in held for sample in samples if _stands_apart(sample, name)]
        for name in ("audio", "vision")
    )
    judge = Composer(_voice_pool(voices, encoders, None), _face_pool(faces, encoders, None))
    if not judge.pools:
        return plain
    random = np.random.default_rng((seed, 1))
    names = [name for name in MODALITIES if name == "text" or name in judge.pools]
    composed = [
        replace(example, part="composed", features=judge.compose(example, names, random))
        for example in plain
    ]
    return [*plain, *composed]


def _stands_apart(sample: Sample, modality: Modality) -> bool:
    """Whether a sample is a voice, or a face, without words or valence."""
    if sample.label is not None or sample.text is not None or sample.emotion is None:
        return False
    return (sample.sound if modality == "audio" else sample.crop) is not None


def _example(sample: Sample, readings: Sequence[Mapping[Modality, Any]], part: str) -> Example:
    valence = float(sample.label or 0.0)
    features = dict(sample.features) or readings[0]
    return Example(features, valence, int(valence_class(valence)), part, tuple(readings[1:]))


def _readings(
    samples: Sequence[Sample],
    encoders: Encoders,
    run: Path,
    seed: int,
    part: str,
    report: Report,
) -> list[list[dict[Modality, Tensor]]]:
    """Features of each training sample: with its context, and without where it has one.

    Of either, some read bare words, as recognised speech is.
    """
    random = np.random.default_rng((seed, 2))

    def maybe_bare(sample: Sample) -> Sample:
        if sample.text is None or random.random() >= STRIPPED:
            return sample
        context = bare(sample.context) if sample.context else None
        return replace(sample, text=bare(sample.text), context=context)

    full = encode([maybe_bare(sample) for sample in samples], encoders, run, part, report)
    encoder = encoders.encoders.get("text")
    if encoder is None or not encoder.spec["context_tokens"]:
        return [[row] for row in full]
    alone = [index for index, sample in enumerate(samples) if sample.context]
    without = encode(
        [maybe_bare(replace(samples[index], context=None)) for index in alone],
        encoders,
        run,
        part,
        report,
    )
    readings = [[row] for row in full]
    for index, row in zip(alone, without, strict=True):
        readings[index].append(row)
    return readings


def encode(
    samples: Sequence[Sample], encoders: Encoders, run: Path, part: str, report: Report
) -> list[dict[Modality, Tensor]]:
    """Cached features; nothing for samples that carry ready ones."""
    if not samples or samples[0].features or not encoders.modalities:
        return [{} for _ in samples]
    return extract(
        samples,
        encoders,
        run / "features",
        report=lambda done, total: report(Progress(f"features {part}", done, total, math.nan)),
    )


def _voice_pool(
    samples: Sequence[Sample], encoders: Encoders, seed: int | None
) -> dict[int, list[Tensor]]:
    """Features of recordings by the sign of their emotion; altered once each, with a seed."""
    random = None if seed is None else np.random.default_rng((seed, 3))
    pool: dict[int, list[Tensor]] = {-1: [], 0: [], 1: []}
    for sample in samples[:MOST_IN_POOL]:
        sign = emotion_sign(sample.emotion or "")
        if sign is None or "audio" not in encoders.encoders:
            continue
        sound = _voice(sample)
        if random is not None:
            sound = altered_sound(sound, random)
        pool[sign] += [row["audio"].cpu() for row in encoders.rows([Clip(audio=sound)])]
    return pool


def _face_pool(
    samples: Sequence[Sample], encoders: Encoders, seed: int | None
) -> dict[int, list[Tensor]]:
    """Features (variants, D) of crops by the sign of their emotion; altered, with a seed."""
    random = None if seed is None else np.random.default_rng((seed, 4))
    pool: dict[int, list[Tensor]] = {-1: [], 0: [], 1: []}
    encoder = encoders.encoders.get("vision")
    if not isinstance(encoder, FaceEncoder) or not samples:
        return pool
    signed = [sample for sample in samples if emotion_sign(sample.emotion or "") is not None]
    signed = signed[:: max(1, len(signed) // MOST_IN_POOL)]
    device = next(encoder.parameters()).device
    variants = []
    with torch.inference_mode():
        for _ in range(1 if random is None else VARIANTS_OF_FACE):
            crops = _pixels(signed)
            if random is not None:
                crops = altered_crops(crops, random)
            rows = [encoder(some.to(device)).cpu() for some in torch.split(crops, 256)]
            variants.append(torch.cat(rows))
    stacked = torch.stack(variants, dim=1)
    for sample, features in zip(signed, stacked, strict=True):
        pool[emotion_sign(sample.emotion or "") or 0].append(features)
    return pool


# --- what is written beside a stage -----------------------------------------------------------


def _append(path: Path, line: Mapping[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def _write(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


@contextmanager
def _events(directory: Path) -> Iterator[Callable[[int, Mapping[str, float]], None]]:
    """A function that writes an epoch's numbers for TensorBoard, where it is installed."""
    if importlib.util.find_spec("tensorboard") is None:
        yield lambda epoch, numbers: None
        return
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(directory / "events")

    def write(epoch: int, numbers: Mapping[str, float]) -> None:
        for name, value in numbers.items():
            writer.add_scalar(name, value, epoch)
        writer.flush()

    try:
        yield write
    finally:
        writer.close()
