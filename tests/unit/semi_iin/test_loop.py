"""The training loop: schedule, selection of weights, state and resuming."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.random import Generator
from torch import Tensor, nn

from semi_iin.errors import SemiIINError
from semi_iin.loop import Metrics, Progress, fit, fit_in_memory, length_batches
from semi_iin.settings import Training


class Line:
    """A task whose weights, loss and data fit on one line: learn y = 3 x with noise in x."""

    def __init__(self, broken_at: int | None = None) -> None:
        torch.manual_seed(7)
        self.module = nn.Sequential(nn.Linear(1, 4), nn.Dropout(0.2), nn.Linear(4, 1))
        self.broken_at, self.steps = broken_at, 0
        self.settings: dict[str, float] = {"slope": 3.0}
        self.scores: list[float] = []

    def batches(self, epoch: int) -> list[list[int]]:
        return length_batches([1] * 20, 4, (0, epoch))

    def loss(self, batch: list[int], random: Generator) -> Tensor:
        if self.steps == self.broken_at:
            raise KeyboardInterrupt
        self.steps += 1
        x = torch.tensor(batch, dtype=torch.float32)[:, None] / 10
        noisy = x + torch.from_numpy(random.normal(0, 0.01, x.shape)).float()
        loss: Tensor = (self.module(noisy) - 3 * x).square().mean()
        return loss

    def measure(self) -> Metrics:
        x = torch.linspace(0, 2, 20)[:, None]
        return {"score": float((self.module(x) - 3 * x).detach().abs().mean())}


LINE = Training(epochs=6, learning_rate=0.05, weight_decay=0.0)


def weights(task: Line) -> Tensor:
    return torch.cat([value.flatten() for value in task.module.state_dict().values()])


@pytest.mark.slow
def test_fit_learns_and_leaves_the_best_weights(tmp_path: Path) -> None:
    task = Line()
    before = task.measure()["score"]
    best = fit(task, LINE.model_copy(update={"epochs": 40}), tmp_path)
    assert best["score"] < before / 4
    assert task.module.eval() and task.measure() == pytest.approx(best)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, 41))
    assert best["score"] == min(line["score"] for line in lines)


@pytest.mark.parametrize("average", [0.0, 0.9], ids=["plain", "averaged"])
@pytest.mark.parametrize("stop", [3, 5, 12], ids=["mid epoch", "between epochs", "later"])
def test_a_killed_run_resumes_and_ends_with_the_same_weights(
    tmp_path: Path, stop: int, average: float
) -> None:
    training = LINE.model_copy(update={"average": average, "decay": True, "warmup": 0.2})
    whole = Line()
    expected = fit(whole, training, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(Line(broken_at=stop), training, tmp_path / "killed", save_every=2)
    resumed = Line()
    torch.manual_seed(99)  # whatever the new process starts with
    metrics = fit(resumed, training, tmp_path / "killed", save_every=2)
    assert resumed.steps < whole.steps
    assert metrics == expected
    assert torch.equal(weights(resumed), weights(whole))


@pytest.mark.parametrize("average", [0.0, 0.9], ids=["plain", "averaged"])
def test_a_fit_in_memory_ends_with_the_last_weights_of_a_stored_one(
    tmp_path: Path, average: float
) -> None:
    training = LINE.model_copy(update={"average": average, "decay": True, "keep": "last"})
    stored, unstored = Line(), Line()
    fit(stored, training, tmp_path)
    fit_in_memory(unstored, training)
    assert torch.equal(weights(unstored), weights(stored))


def test_a_finished_run_is_not_repeated(tmp_path: Path) -> None:
    first = Line()
    expected = fit(first, LINE, tmp_path)
    again = Line(broken_at=0)
    assert fit(again, LINE, tmp_path) == expected
    assert torch.equal(weights(again), weights(first))
    with pytest.raises(SemiIINError, match="another run"):
        fit(Line(), LINE.model_copy(update={"epochs": LINE.epochs + 1}), tmp_path)


def test_the_state_of_another_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(Line(broken_at=7), LINE, tmp_path, save_every=2)
    with pytest.raises(SemiIINError, match="another run"):
        fit(Line(), LINE.model_copy(update={"learning_rate": 0.01}), tmp_path)
    with pytest.raises(SemiIINError, match="another run"):
        fit(Line(), LINE, tmp_path, seed=5)
    other = Line()
    other.settings = {"slope": 4.0}
    with pytest.raises(SemiIINError, match="another run"):
        fit(other, LINE, tmp_path)


def test_training_stops_when_patience_is_over(tmp_path: Path) -> None:
    class Flat(Line):
        def measure(self) -> Metrics:
            return {"score": 1.0}

    task = Flat()
    fit(task, LINE.model_copy(update={"epochs": 50, "patience": 3}), tmp_path)
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 1 + 3


def test_the_last_weights_can_be_kept(tmp_path: Path) -> None:
    class Worse(Line):
        def measure(self) -> Metrics:
            self.scores.append(float(len(self.scores)))
            return {"score": self.scores[-1]}

    assert fit(Worse(), LINE, tmp_path / "best") == {"score": 0.0}
    last = LINE.model_copy(update={"keep": "last"})
    assert fit(Worse(), last, tmp_path / "last") == {"score": 5.0}


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    class Broken(Line):
        def loss(self, batch: list[int], random: Generator) -> Tensor:
            return super().loss(batch, random) * float("nan")

    with pytest.raises(SemiIINError, match="the loss is nan at step 0"):
        fit(Broken(), LINE, tmp_path)


def test_progress_is_reported_at_each_step(tmp_path: Path) -> None:
    reports: list[Progress] = []
    fit(Line(), LINE, tmp_path / "line", report=reports.append)
    assert [progress.step for progress in reports] == list(range(1, 31))
    assert {(progress.stage, progress.steps) for progress in reports} == {("line", 30)}


def test_tensorboard_can_read_the_run(tmp_path: Path) -> None:
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    fit(Line(), LINE, tmp_path)
    events = loader.EventAccumulator(str(tmp_path / "events")).Reload()
    assert set(events.Tags()["scalars"]) == {"loss", "score"}
    assert [event.step for event in events.Scalars("loss")] == list(range(1, 7))


def test_batches_contain_every_sample_once_and_similar_lengths() -> None:
    lengths = list(range(1000))
    batches = length_batches(lengths, 8, (1, 2), window=25)
    assert sorted(index for batch in batches for index in batch) == lengths
    assert length_batches(lengths, 8, (1, 2), window=25) == batches
    assert length_batches(lengths, 8, (1, 3), window=25) != batches
    spread = np.mean([max(batch) - min(batch) for batch in batches])
    assert spread < 100  # eight of a thousand at random would spread over about 780


def test_a_saved_state_has_the_layout_that_older_runs_wrote(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(Line(broken_at=7), LINE, tmp_path, save_every=2)
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    assert set(state) == {
        "plain", "training", "task", "module", "optimizer", "mean", "random", "cuda",
    }  # fmt: skip
    assert set(state["plain"]) == {
        "seed", "epoch", "batch", "steps", "waited", "mean_loss", "loss_sum", "epoch_loss",
        "metrics", "best_metrics", "lengths",
    }  # fmt: skip
    assert set(state["training"]) == {
        "epochs", "batch_size", "learning_rate", "weight_decay", "decoupled", "warmup", "decay",
        "layer_decay", "head_rate", "clip_norm", "patience", "keep", "average", "precision",
    }  # fmt: skip
