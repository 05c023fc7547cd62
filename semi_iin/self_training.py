"""Self-training: score the unlabeled, keep the most confident, retrain; in rounds.

What enters: a model, labelled and unlabeled examples. What leaves: the retrained model, and for
each round a CSV of the pseudo-labels that were kept, with their confidence. It does not know data
sets or encoders; the loop is `train.fit`.

As in the paper, pseudo-labels are classes only, retraining starts from the supervised weights, and
they weigh 0.2 in the loss (`Objective.pseudo`). Which are kept is a setting: the k most confident
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

from semi_iin.calibration import class_probabilities, combination
from semi_iin.errors import SemiIINError
from semi_iin.labels import CLASS_NAMES, valence_class
from semi_iin.model import SemiIIN
from semi_iin.run import (
    Prepared,
    RunConfig,
    SelfTraining,
    build_model,
    encode,
    prepare,
    save_run,
)
from semi_iin.train import (
    Compose,
    Example,
    Metrics,
    Objective,
    Report,
    SentimentTask,
    Training,
    fit,
    score,
    temperatures_of,
)


@dataclass(frozen=True)
class PseudoLabel:
    """What the model said of one unlabeled example that was kept.

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
    """One round's outcome.

    Attributes:
        number: from 1; 0 is the supervised training before the first.
        kept: its pseudo-labels, the most confident first.
        metrics: of the retrained model on the selection part.
    """

    number: int
    kept: tuple[PseudoLabel, ...]
    metrics: Metrics


def select(
    valence: NDArray[np.float64], probabilities: NDArray[np.float64], settings: SelfTraining
) -> list[PseudoLabel]:
    """Which predictions are kept as pseudo-labels.

    Args:
        valence: (n,) predicted.
        probabilities: (n, classes) predicted and calibrated.
        settings: how they are chosen.

    Returns:
        The most confident first; the earlier example first among equals.
    """
    sentiment, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wanted = np.ones(len(valence), dtype=bool)
    if settings.agreement:
        wanted &= valence_class(valence) == sentiment
    if settings.select == "threshold":
        wanted &= confidence >= settings.threshold
    order = [int(index) for index in np.argsort(-confidence, kind="stable") if wanted[index]]
    if settings.select == "overall":
        order = order[: settings.k]
    if settings.select == "per_class":
        rank = _rank_in_class(order, sentiment)
        order = [index for index, place in zip(order, rank, strict=True) if place < settings.k]
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
    """Train on labels, then in rounds on labels and pseudo-labels; the model keeps the last.

    Every `fit` has its own directory below `directory` (`supervised`, `round-1`, ...), so that a
    run that was killed goes on where it was. Each round's pseudo-labels are in
    `round-N/pseudo_labels.csv`.

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
        report: is told of progress.

    Returns:
        The supervised training as round 0, then every round.

    Raises:
        SemiIINError: without unlabeled examples, or when none is kept.
    """
    if not unlabeled:
        raise SemiIINError("self-training needs unlabeled examples: name a data set without labels")
    pool = sample(len(unlabeled), settings.share, seed)
    labels = names or [str(index) for index in range(len(unlabeled))]

    def run(place: Path, more: Sequence[Example]) -> Metrics:
        task = SentimentTask(
            model,
            [*examples, *more],
            selection,
            batch_size=training.batch_size,
            objective=objective,
            seed=seed,
            compose=compose and (lambda one, random: compose(_as_if_labelled(one), random)),
        )
        return fit(task, training, place, seed=seed, device=device, report=report)

    rounds = [Round(0, (), run(supervised or directory / "supervised", []))]
    start = {name: value.clone() for name, value in model.state_dict().items()}
    for number in range(1, settings.rounds + 1):
        kept = _pseudo_label(model, unlabeled, pool, selection, settings)
        place = directory / f"round-{number}"
        write_pseudo_labels(place / "pseudo_labels.csv", kept, labels)
        model.load_state_dict(start)
        more = [
            replace(unlabeled[label.index], valence=None, sentiment=label.sentiment)
            for label in kept
        ]
        rounds.append(Round(number, tuple(kept), run(place, more)))
    return rounds


def train(
    config: RunConfig,
    directory: str | Path,
    *,
    data_root: str | Path | None = None,
    report: Report = lambda progress: None,
) -> tuple[Path, list[Round]]:
    """Do a whole run with self-training, or what is left of it.

    Arguments and errors are those of `semi_iin.run.train`; the configuration's data sets without
    labels are what is pseudo-labelled.

    Returns:
        The checkpoint's directory, and the rounds.
    """
    run = Path(directory)
    ready = prepare(config, run, data_root, report)
    unlabeled, names = unlabeled_examples(config, ready, run, report)
    model = build_model(config, ready.encoders, ready.start)
    rounds = self_train(
        model,
        ready.examples,
        ready.selection,
        unlabeled,
        run / "self_training",
        settings=config.self_training.model_copy(update={"share": 1.0}),
        training=config.training,
        objective=config.objective,
        compose=ready.compose,
        names=names,
        seed=config.seed,
        device=ready.device,
        report=report,
    )
    path = save_run(
        run / "checkpoint",
        config,
        ready,
        model,
        temperatures=temperatures_of(model, ready.selection),
        metrics={"selection": rounds[-1].metrics, "supervised": rounds[0].metrics},
        provenance={"pseudo_labels": [len(outcome.kept) for outcome in rounds[1:]]},
    )
    return path, rounds


def unlabeled_examples(
    config: RunConfig, ready: Prepared, run: Path, report: Report = lambda progress: None
) -> tuple[list[Example], list[str]]:
    """Encode the share of a run's unlabeled samples that the configuration names.

    Returns:
        The examples, and the name of each.
    """
    examples: list[Example] = []
    names: list[str] = []
    for part in ready.parts:
        if part.unlabeled:
            share = sample(len(part.unlabeled), config.self_training.share, config.seed)
            chosen = [part.unlabeled[index] for index in share]
            rows = encode(chosen, ready.encoders, run, part.name, report)
            examples += [
                Example(dict(one.features) or row, None, 0, part.name)
                for one, row in zip(chosen, rows, strict=True)
            ]
            names += [one.id for one in chosen]
    return examples, names


def write_pseudo_labels(path: Path, kept: Sequence[PseudoLabel], names: Sequence[str]) -> None:
    """Write pseudo-labels as CSV: id, class (0 to 6), its name, confidence, valence."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "class", "sentiment", "confidence", "valence"])
        for label in kept:
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


def _as_if_labelled(example: Example) -> Example:
    """The example with the middle of its pseudo-labelled class for its valence."""
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
    looked_at = [unlabeled[index] for index in pool]
    valence, logits = score(model, looked_at)
    shown = [combination(example.features) for example in looked_at]
    probabilities = class_probabilities(logits, shown, temperatures_of(model, selection))
    kept = select(valence, probabilities, settings)
    if not kept:
        raise SemiIINError(
            "no pseudo-label is confident enough: lower threshold or switch agreement off"
        )
    return [replace(label, index=pool[label.index]) for label in kept]


def _rank_in_class(order: Sequence[int], sentiment: NDArray[np.int64]) -> list[int]:
    """How many of the same class stand before each, in a given order."""
    seen: dict[int, int] = {}
    ranks = []
    for index in order:
        each = int(sentiment[index])
        ranks.append(seen.get(each, 0))
        seen[each] = ranks[-1] + 1
    return ranks


def sample(count: int, share: float, seed: int) -> list[int]:
    """A share of `count` numbers, at least one, in order; a smaller share is part of a larger."""
    shuffled = np.random.default_rng(seed).permutation(count)
    return sorted(shuffled[: max(1, round(share * count))].tolist())
