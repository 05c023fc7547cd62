"""Robustness: modalities withheld, contradicting, or replaced by noise."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import torch
from numpy.random import Generator

from semi_iin.errors import SemiIINError
from semi_iin.experiments.ablation import ABLATION, row_directory
from semi_iin.experiments.bench import Bench
from semi_iin.experiments.reporting import Row
from semi_iin.loop import Report
from semi_iin.modalities import MODALITIES, Modality
from semi_iin.task import Example, load_features, only, score

ROWS = ("intra + inter, gate (Semi-IIN)", "global attention")  # of the ablation
CLEAN = "nothing corrupted"
CLEAR_VALENCE = 0.5  # a label of at least this size has a sign to contradict


def corrupt(examples: Sequence[Example], seed: int = 0) -> dict[str, list[Example]]:
    """Return examples with modalities withheld, contradicting, or replaced by noise.

    Args:
        examples: labelled, in any order. Those with every modality that any of them has, and with
            a label of a clear sign, are used, so that all conditions have the same examples.
        seed: of chance.

    Returns:
        Condition to examples. `X contradicts`: X is taken from an example of the other sign.
        `X is noise`: X is Gaussian, with each channel's mean and deviation over the examples.

    Raises:
        SemiIINError: when there are not two modalities, or not both signs.
    """
    names = [name for name in MODALITIES if any(name in example.features for example in examples)]
    used = [
        example
        for example in examples
        if len(example.features) == len(names) and abs(example.valence or 0.0) >= CLEAR_VALENCE
    ]
    signs = {(example.valence or 0.0) > 0 for example in used}
    if len(names) < 2 or len(signs) < 2:
        raise SemiIINError(
            "robustness needs examples of two or more modalities and of both signs: add data with "
            "voices or faces"
        )
    random = np.random.default_rng(seed)
    conditions: dict[str, list[Example]] = {CLEAN: used}
    for count in range(len(names) - 1, 0, -1):
        for subset in combinations(names, count):
            conditions["only " + " + ".join(subset)] = [only(example, subset) for example in used]
    for name in names:
        conditions[f"{name} contradicts"] = _contradicting(used, name, random)
        conditions[f"{name} is noise"] = _noisy(used, name, random)
    return conditions


def robustness(
    bench: Bench, seeds: Sequence[int], report: Report = lambda progress: None
) -> list[Row]:
    """Compare Semi-IIN with the global-attention baseline on corrupted modalities.

    The models are those of the ablation, and share its directories.

    Returns:
        One record for each condition and model: `condition`, `model`, `n`, `seeds`, `mae`, and
        `degradation`, the error above that of the same model with nothing corrupted.
    """
    conditions = corrupt(bench.reported)
    errors = {name: _errors(bench, name, seeds, conditions, report) for name in ROWS}
    return [
        {
            "condition": condition,
            "model": name,
            "n": len(examples),
            "seeds": len(seeds),
            "mae": errors[name][condition],
            "degradation": [
                error - clean
                for error, clean in zip(errors[name][condition], errors[name][CLEAN], strict=True)
            ],
        }
        for condition, examples in conditions.items()
        for name in ROWS
    ]


def _errors(
    bench: Bench,
    row: str,
    seeds: Sequence[int],
    conditions: dict[str, list[Example]],
    report: Report,
) -> dict[str, list[float]]:
    """Return the mean absolute error of one of the models over the seeds, by condition."""
    errors: dict[str, list[float]] = {condition: [] for condition in conditions}
    for seed in seeds:
        model = bench.build(seed, ABLATION[row])
        directory = row_directory(bench.directory.parent / "ablation", row, seed)
        bench.train(model, directory, seed, report)
        for condition, examples in conditions.items():
            valence, _ = score(model, examples)
            label = np.array([example.valence for example in examples])
            errors[condition].append(float(np.abs(valence - label).mean()))
    return errors


def _contradicting(examples: Sequence[Example], name: Modality, random: Generator) -> list[Example]:
    """Return examples with one modality taken from an example of the other sign."""
    signs = [(example.valence or 0.0) > 0 for example in examples]
    others = {
        sign: [example for example, own in zip(examples, signs, strict=True) if own != sign]
        for sign in (True, False)
    }
    donors = [others[sign][int(random.integers(len(others[sign])))] for sign in signs]
    return [
        replace(example, features={**example.features, name: donor.features[name]})
        for example, donor in zip(examples, donors, strict=True)
    ]


def _noisy(examples: Sequence[Example], name: Modality, random: Generator) -> list[Example]:
    """Return examples with one modality replaced by noise of its own mean and deviation."""
    values = [load_features(example.features[name]) for example in examples]
    frames = torch.cat(values)
    mean, deviation = frames.mean(dim=0).numpy(), frames.std(dim=0).numpy()
    noise = [
        torch.from_numpy(random.normal(mean, deviation, tuple(value.shape)).astype(np.float32))
        for value in values
    ]
    return [
        replace(example, features={**example.features, name: value})
        for example, value in zip(examples, noise, strict=True)
    ]
