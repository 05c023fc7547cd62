"""Self-training: score the unlabeled, select the most confident, retrain; in rounds.

What enters: a model, labelled and unlabeled examples. What leaves: the retrained model, and for
each round a CSV of the selected pseudo-labels with their confidence. The loop is `loop.fit`.

As in the paper, pseudo-labels are classes only, retraining starts from the supervised weights, and
they weigh 0.2 in the loss (`Objective.pseudo`). The selection is a setting: the k most confident
of each class (the paper's), the k most confident of all, or all above a threshold; and, as a
filter on any of them, only those on whose class both heads agree.
"""

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from semi_iin.calibration import class_probabilities, combination, scaled_valences
from semi_iin.errors import SemiIINError
from semi_iin.examples import encode
from semi_iin.labels import CLASS_NAMES, valence_class
from semi_iin.loop import Metrics, Report, fit
from semi_iin.model import SemiIIN
from semi_iin.run import Prepared, prepare, save_run
from semi_iin.settings import Objective, RunConfig, SelfTraining, Training
from semi_iin.task import (
    Compose,
    Example,
    SentimentTask,
    build_model,
    fit_calibration,
    score,
)


@dataclass(frozen=True)
class PseudoLabel:
    """The prediction for one unlabeled example that was selected.

    Attributes:
        index: of the example among the unlabeled.
        sentiment: the likeliest class, 0 to 6.
        confidence: its calibrated probability.
        valence: predicted, in [-3, 3].
    """

    index: int
    sentiment: int
    confidence: float
    valence: float


@dataclass(frozen=True)
class Round:
    """The outcome of one round.

    Attributes:
        number: from 1; 0 is the supervised training before the first.
        pseudo_labels: the selected ones, the most confident first.
        metrics: of the retrained model on the selection part.
    """

    number: int
    pseudo_labels: tuple[PseudoLabel, ...]
    metrics: Metrics


def select(
    valence: NDArray[np.float64], probabilities: NDArray[np.float64], settings: SelfTraining
) -> list[PseudoLabel]:
    """Select predictions as pseudo-labels.

    Args:
        valence: (n,) predicted.
        probabilities: (n, classes) predicted and calibrated.
        settings: the rule of selection.

    Returns:
        The most confident first; the earlier example first among equals.
    """
    sentiment, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    eligible = np.ones(len(valence), dtype=bool)
    if settings.agreement:
        eligible &= valence_class(valence) == sentiment
    if settings.select == "threshold":
        eligible &= confidence >= settings.threshold
    order = [int(index) for index in np.argsort(-confidence, kind="stable") if eligible[index]]
    if settings.select == "overall":
        order = order[: settings.k]
    if settings.select == "per_class":
        ranks = _ranks_in_class(order, sentiment)
        order = [index for index, rank in zip(order, ranks, strict=True) if rank < settings.k]
    return [
        PseudoLabel(index, int(sentiment[index]), float(confidence[index]), float(valence[index]))
        for index in order
    ]


def self_train(
    model: SemiIIN,
    examples: Sequence[Example],
    selection: Sequence[Example],
    unlabeled: Sequence[Example],
    directory: Path,
    *,
    settings: SelfTraining,
    training: Training,
    objective: Objective | None = None,
    compose: Compose | None = None,
    names: Sequence[str] | None = None,
    supervised: Path | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    report: Report = lambda progress: None,
) -> list[Round]:
    """Train on labels, then in rounds on labels and pseudo-labels.

    Every `fit` has its own directory below `directory` (`supervised`, `round-1`, ...), so that a
    killed run resumes. Each round's pseudo-labels are in `round-N/pseudo_labels.csv`.

    Args:
        model: starts the supervised training; afterwards it holds the last round's weights.
        examples: labelled ones that train.
        selection: labelled ones that select weights and calibrate the confidence.
        unlabeled: their labels, if any, are not read.
        directory: of the run.
        settings: of the rounds.
        training: of every `fit`.
        objective: the loss; None = the paper's.
        compose: as for `SentimentTask`.
        names: of the unlabeled examples, for the files; None = their numbers.
        supervised: directory of the supervised training, which several runs may share; None =
            `supervised` below `directory`.
        seed: of order and chance.
        device: where to train.
        report: called after every step.

    Returns:
        The supervised training as round 0, then every round.

    Raises:
        SemiIINError: without unlabeled examples, or when no pseudo-label is selected.
    """
    if not unlabeled:
        raise SemiIINError("self-training needs unlabeled examples: name a data set without labels")
    pool = sample(len(unlabeled), settings.share, seed)
    labels = names or [str(index) for index in range(len(unlabeled))]

    def train_round(path: Path, pseudo_labelled: Sequence[Example]) -> Metrics:
        task = SentimentTask(
            model,
            [*examples, *pseudo_labelled],
            selection,
            batch_size=training.batch_size,
            objective=objective,
            seed=seed,
            compose=compose and (lambda example, random: compose(_as_if_labelled(example), random)),
        )
        return fit(task, training, path, seed=seed, device=device, report=report)

    rounds = [Round(0, (), train_round(supervised or directory / "supervised", []))]
    start = {name: value.clone() for name, value in model.state_dict().items()}
    for number in range(1, settings.rounds + 1):
        selected = _pseudo_label(model, unlabeled, pool, selection, settings)
        path = directory / f"round-{number}"
        write_pseudo_labels(path / "pseudo_labels.csv", selected, labels)
        model.load_state_dict(start)
        pseudo_labelled = [
            replace(unlabeled[label.index], valence=None, sentiment=label.sentiment)
            for label in selected
        ]
        rounds.append(Round(number, tuple(selected), train_round(path, pseudo_labelled)))
    return rounds


def train(
    config: RunConfig,
    directory: str | Path,
    *,
    data_root: str | Path | None = None,
    report: Report = lambda progress: None,
) -> tuple[Path, list[Round]]:
    """Do a whole run with self-training, or the rest of it.

    Arguments and errors are those of `semi_iin.run.train`; the configuration's data sets without
    labels are pseudo-labelled.

    Returns:
        The checkpoint's directory, and the rounds.
    """
    run = Path(directory)
    prepared = prepare(config, run, data_root, report)
    unlabeled, names = unlabeled_examples(config, prepared, run, report)
    model = build_model(config, prepared.encoders, prepared.start)
    rounds = self_train(
        model,
        prepared.examples,
        prepared.selection,
        unlabeled,
        run / "self_training",
        settings=config.self_training.model_copy(update={"share": 1.0}),
        training=config.training,
        objective=config.objective,
        compose=prepared.compose,
        names=names,
        seed=config.seed,
        device=prepared.device,
        report=report,
    )
    path = save_run(
        run / "checkpoint",
        config,
        prepared,
        model,
        calibration=fit_calibration(model, prepared.selection),
        metrics={"selection": rounds[-1].metrics, "supervised": rounds[0].metrics},
        provenance={"pseudo_labels": [len(outcome.pseudo_labels) for outcome in rounds[1:]]},
    )
    return path, rounds


def unlabeled_examples(
    config: RunConfig, prepared: Prepared, run: Path, report: Report = lambda progress: None
) -> tuple[list[Example], list[str]]:
    """Encode the configured share of a run's unlabeled samples.

    Returns:
        The examples, and the name of each.
    """
    examples: list[Example] = []
    names: list[str] = []
    for part in prepared.parts:
        if part.unlabeled:
            share = sample(len(part.unlabeled), config.self_training.share, config.seed)
            samples = [part.unlabeled[index] for index in share]
            rows = encode(samples, prepared.encoders, run, part.name, report)
            examples += [
                Example(dict(unlabeled.features) or row, None, 0, part.name)
                for unlabeled, row in zip(samples, rows, strict=True)
            ]
            names += [unlabeled.id for unlabeled in samples]
    return examples, names


def write_pseudo_labels(path: Path, labels: Sequence[PseudoLabel], names: Sequence[str]) -> None:
    """Write pseudo-labels as CSV: id, class (0 to 6), its name, confidence, valence."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "class", "sentiment", "confidence", "valence"])
        for label in labels:
            writer.writerow(
                [
                    names[label.index],
                    label.sentiment,
                    CLASS_NAMES[label.sentiment],
                    f"{label.confidence:.6f}",
                    f"{label.valence:.4f}",
                ]
            )
    os.replace(partial, path)


def sample(count: int, share: float, seed: int) -> list[int]:
    """Return a share of `count` numbers, at least one; a larger share contains a smaller one."""
    shuffled = np.random.default_rng(seed).permutation(count)
    return sorted(shuffled[: max(1, round(share * count))].tolist())


def _as_if_labelled(example: Example) -> Example:
    """Return the example with the middle of its pseudo-labelled class as its valence."""
    if example.valence is not None:
        return example
    return replace(example, valence=float(example.sentiment - len(CLASS_NAMES) // 2))


def _pseudo_label(
    model: SemiIIN,
    unlabeled: Sequence[Example],
    pool: Sequence[int],
    selection: Sequence[Example],
    settings: SelfTraining,
) -> list[PseudoLabel]:
    """Score the pool with the model as it is, and select."""
    examples = [unlabeled[index] for index in pool]
    valence, logits = score(model, examples)
    combinations = [combination(example.features) for example in examples]
    calibration = fit_calibration(model, selection)
    valence = scaled_valences(valence, combinations, calibration["valence_scales"])
    probabilities = class_probabilities(logits, combinations, calibration["temperatures"])
    selected = select(valence, probabilities, settings)
    if not selected:
        raise SemiIINError(
            "no pseudo-label is confident enough: lower threshold or switch agreement off"
        )
    return [replace(label, index=pool[label.index]) for label in selected]


def _ranks_in_class(order: Sequence[int], sentiment: NDArray[np.int64]) -> list[int]:
    """Return how many of the same class precede each index, in this order."""
    counts: dict[int, int] = {}
    ranks = []
    for index in order:
        each = int(sentiment[index])
        ranks.append(counts.get(each, 0))
        counts[each] = ranks[-1] + 1
    return ranks
