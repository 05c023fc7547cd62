"""The one training loop: resumable, with a schedule, averaging and selection of weights.

What enters: a task, settings and a directory. What leaves: the task's module with the selected
weights, and in the directory the state, a log and TensorBoard's events. A killed run resumes from
its state and ends with the same weights. The loop depends on no data sets and no encoders; a
task provides its module, batches, loss and metrics.
"""

import importlib.util
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.random import Generator
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from semi_iin.errors import SemiIINError
from semi_iin.settings import Training

Metrics = dict[str, float]


class Task(Protocol):
    """A module with its data and loss, for `fit`."""

    @property
    def module(self) -> nn.Module:
        """The module whose weights are trained."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Everything else that shapes the result, as JSON; other settings refuse a saved state."""

    def batches(self, epoch: int) -> list[list[int]]:
        """Return the epoch's batches of sample numbers; the same for the same epoch."""

    def loss(self, batch: list[int], random: Generator) -> Tensor:
        """Return the batch's mean loss, a scalar; only dropout draws from another generator."""

    def measure(self) -> Metrics:
        """Return metrics on the selection part; `score` selects weights, lower is better."""


@dataclass(frozen=True)
class Progress:
    """The progress of a stage, for a progress bar.

    Attributes:
        stage: its name.
        step: steps done.
        steps: all steps.
        loss: running mean.
        metrics: of the last epoch that was measured.
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
    """Train a task; afterwards its module holds the selected weights.

    The state is saved after every epoch and every `save_every` steps. A call with the same
    arguments on the same directory resumes from it, with the same result as a run that was never
    stopped. In the directory: `last.pt` (the state), `best.safetensors`, `log.jsonl` (one line for
    each epoch), TensorBoard's events where that package is installed, and `done.json`.

    Returns:
        The metrics of the selected weights.

    Raises:
        SemiIINError: when the loss is not finite, or the directory has another run's state.
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
    with _events(directory) as write_events:
        while run.epoch < training.epochs and not run.patience_is_over():
            batches = task.batches(run.epoch)
            module.train()
            while run.batch < len(batches):
                run.step(batches[run.batch], torch.device(device))
                report(Progress(directory.name, run.steps, run.total, run.mean_loss, run.metrics))
                if run.steps % save_every == 0:
                    run.save(directory / "last.pt")
            run.close_epoch(best_path)
            write_events(run.epoch, {"loss": run.epoch_loss, **run.metrics})
            _append(directory / "log.jsonl", run.log_line())
            run.save(directory / "last.pt")
    module.load_state_dict(load_file(best_path))
    _write(done, json.dumps(run.best_metrics))
    return run.best_metrics


def fit_in_memory(
    task: Task, training: Training, *, seed: int = 0, device: torch.device | str = "cpu"
) -> None:
    """Train a task whose fit takes seconds; afterwards its module holds the last weights.

    As `fit`, but nothing is stored, measured or selected: `keep` and `patience` do not apply.
    """
    module = task.module.to(device)
    torch.manual_seed(seed)
    run = _Run(task, training, seed)
    module.train()
    while run.epoch < training.epochs:
        for batch in task.batches(run.epoch):
            run.step(batch, torch.device(device))
        run.epoch, run.batch = run.epoch + 1, 0
    if run.mean:
        module.load_state_dict(run.mean)
    module.eval()


class _Run:
    """The state of one `fit`."""

    def __init__(self, task: Task, training: Training, seed: int) -> None:
        self.task, self.training, self.seed = task, training, seed
        parameters = list(_parameter_groups(task.module, training))
        optimizer = torch.optim.AdamW if training.decoupled else torch.optim.Adam
        self.optimizer = optimizer(
            parameters,
            lr=training.learning_rate,
            weight_decay=training.weight_decay,
            fused=True,  # three times as fast on a CPU
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
        """Train on one batch."""
        training = self.training
        share = self._rate_share()
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

    def _rate_share(self) -> float:
        """Return this step's share of the highest learning rate."""
        rising = self.training.warmup * self.total
        if self.steps < rising:
            return (self.steps + 1) / (rising + 1)
        if not self.training.decay:
            return 1.0
        return (self.total - self.steps) / max(1.0, self.total - rising)

    def patience_is_over(self) -> bool:
        """Return whether the selection score has not improved for `patience` epochs."""
        return bool(self.training.patience) and self.waited >= self.training.patience

    def close_epoch(self, best_path: Path) -> None:
        """Measure the epoch's weights, and write them where they are the selected ones."""
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
            weights = {
                name: value.cpu().contiguous().clone()
                for name, value in module.state_dict().items()
            }
            partial = best_path.with_suffix(".partial")
            save_file(weights, partial)
            os.replace(partial, best_path)
        if self.mean:
            module.load_state_dict(trained)
        self.epoch_loss = self.loss_sum / max(1, self.batch)
        self.loss_sum, self.batch = 0.0, 0
        self.epoch += 1

    def log_line(self) -> dict[str, Any]:
        """Return the epoch's line in the log."""
        return {"epoch": self.epoch, "loss": self.epoch_loss, **self.metrics}

    _PLAIN = (
        "seed", "epoch", "batch", "steps", "waited", "mean_loss", "loss_sum", "epoch_loss",
        "metrics", "best_metrics", "lengths",
    )  # fmt: skip

    def save(self, path: Path) -> None:
        """Write the whole state; a kill during the write leaves the former state."""
        state = {
            "plain": {name: getattr(self, name) for name in self._PLAIN},
            "training": self.training.model_dump(),
            "task": self._task_settings(),
            "module": self.task.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "mean": self.mean,
            "random": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, path)

    def _task_settings(self) -> str:
        return json.dumps(self.task.settings, sort_keys=True)

    def resume(self, path: Path) -> None:
        """Load a saved state, if there is one."""
        if not path.exists():
            return
        state = torch.load(path, map_location="cpu", weights_only=True)
        same = (
            state["training"] == self.training.model_dump()
            and state.get("task") == self._task_settings()
            and state["plain"]["seed"] == self.seed
            and state["plain"]["lengths"] == self.lengths
        )
        if not same:
            raise SemiIINError(
                f"{path.parent} has the state of another run (other settings, data or seed): "
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


def length_batches(
    lengths: Sequence[int], batch_size: int, seed: tuple[int, ...], window: int = 50
) -> list[list[int]]:
    """Return shuffled batches of samples of similar length.

    Args:
        lengths: of the samples.
        batch_size: samples in a batch; the last one may be smaller.
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


def _parameter_groups(module: nn.Module, training: Training) -> Iterable[dict[str, Any]]:
    """Yield the optimizer's parameter groups.

    A transformer's layers have rates of their own. Decoupled decay spares vectors and embeddings.
    """
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
        spared = training.decoupled and (parameter.ndim < 2 or "embeddings" in name)
        groups.setdefault((rate, 0.0 if spared else training.weight_decay), []).append(parameter)
    for (rate, weight_decay), parameters in groups.items():
        yield {"params": parameters, "lr": rate, "weight_decay": weight_decay}


def _layer(name: str) -> int:
    """Return the number of a parameter's transformer layer, from 1; 0 outside the layers."""
    match = re.search(r"\blayers?\.(\d+)\.", name)
    return int(match[1]) + 1 if match else 0


def _append(path: Path, line: Mapping[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def _write(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


@contextmanager
def _events(directory: Path) -> Iterator[Callable[[int, Mapping[str, float]], None]]:
    """Yield a function that writes an epoch's numbers for TensorBoard, where it is installed."""
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
