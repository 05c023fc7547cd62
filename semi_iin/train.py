"""One training loop, and the task that it was made for: Semi-IIN on features.

What enters: a task, settings and a directory. What leaves: the task's module with the weights
that are kept, and in the directory the state, a log and TensorBoard's events. What was killed
goes on where it was and ends with the same weights. It does not know data sets or encoders; a
task knows its module, its batches, its loss and how to measure itself.
"""

import importlib.util
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from semi_iin.calibration import combination, fit_temperature
from semi_iin.data.features import load_array
from semi_iin.errors import SemiIINError
from semi_iin.features import collate
from semi_iin.model import MODALITIES, Modality, SemiIIN, SemiIINConfig

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

    @property
    def settings(self) -> Mapping[str, Any]:
        """What else shapes the result, as JSON; a state of other settings is refused."""

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
    torch.manual_seed(seed)
    run = _Run(task, training, seed)
    run.resume(directory / "last.pt")
    if done.exists():
        module.load_state_dict(load_file(best_path))
        finished: Metrics = json.loads(done.read_text())
        return finished
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
            "task": self._task(),
            "module": self.task.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "mean": self.mean,
            "random": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, path)

    def _task(self) -> str:
        return json.dumps(self.task.settings, sort_keys=True)

    def resume(self, path: Path) -> None:
        """Take up a saved state, if there is one."""
        if not path.exists():
            return
        state = torch.load(path, map_location="cpu", weights_only=True)
        same = (
            state["training"] == self.training.model_dump()
            and state.get("task") == self._task()
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
    """Parameter groups: layers' rates as configured; decoupled decay spares vectors and words."""
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
        plain = training.decoupled and (parameter.ndim < 2 or "embeddings" in name)
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
        valence: of the error of valence.
        error: of valence, "squared" as in the paper, or "absolute", which aims at the MAE.
        classes: of the cross-entropy of the seven classes.
        pseudo: of the cross-entropy on pseudo-labels, classes only.
        modality_dropout: the chance that a sample with several modalities loses some of them.
    """

    valence: float = Field(default=0.6, ge=0)
    error: Literal["squared", "absolute"] = "squared"
    classes: float = Field(default=0.4, ge=0)
    pseudo: float = Field(default=0.2, ge=0)
    modality_dropout: float = Field(default=0.0, ge=0, le=1)

    def valence_error(self, guess: Tensor, label: Tensor) -> Tensor:
        """Error of valence (B,), unweighted."""
        error = guess.float() - label
        return error.abs() if self.error == "absolute" else error.square()


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
            value = load_array(value)
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

    @property
    def settings(self) -> Mapping[str, Any]:
        """The model and the loss."""
        return {"model": asdict(self.module.config), "objective": self.objective.model_dump()}

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
        entropy = functional.cross_entropy(output.class_logits.float(), sentiment, reduction="none")
        weights = self.objective
        error = weights.valence_error(output.valence, valence)
        labelled = weights.valence * error + weights.classes * entropy
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


def temperatures_of(model: SemiIIN, selection: Sequence[Example]) -> dict[str, float]:
    """The temperature for every combination of modalities that the selection can show.

    A model is not as sure of a voice alone as of words and a face: one temperature for all would
    fit none. Examples that hold more than a combination are cut down to it.
    """
    found = {}
    for count in range(1, len(MODALITIES) + 1):
        for names in combinations(MODALITIES, count):
            shown = [
                replace(one, features={name: one.features[name] for name in names}, others=())
                for one in selection
                if all(name in one.features for name in names)
            ]
            if shown:
                _, logits = score(model, shown)
                classes = [example.sentiment for example in shown]
                found[combination(names)] = fit_temperature(logits, classes)
    return found


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
