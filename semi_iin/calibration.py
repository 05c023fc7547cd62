"""Calibration: class logits become probabilities, and valence gets its scale, by the modalities.

A model is not as sure of a voice alone as of words and a face, so one temperature for all would fit
none. Nor is it as sure of the polarity (negative, neutral, positive) as of the degree within it, so
the first temperature is of all classes, and the second of the polarities. It also overstates
valence, most where it has little to go by. Training fits all of these and serving applies them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from semi_iin.labels import POLARITIES
from semi_iin.modalities import MODALITIES

ROUNDS = 4  # of fitting one temperature after the other
SCALES = np.linspace(0.5, 1.5, 101)
Temperatures = float | Sequence[float]
"""Of the classes and of the polarities; a number is of the classes alone."""


class Calibration(TypedDict):
    """What a checkpoint's configuration has, by the combination of modalities."""

    temperatures: dict[str, tuple[float, float]]
    valence_scales: dict[str, float]


def combination(modalities: Iterable[str]) -> str:
    """Return the name of a set of modalities, as in `audio+text`, whatever their order."""
    names = set(modalities)
    return "+".join(name for name in MODALITIES if name in names)


def fit_temperature(logits: NDArray[np.float64], sentiment: Sequence[int]) -> tuple[float, float]:
    """Return the temperatures, of classes and of polarities, with the least cross-entropy.

    Args:
        logits: (n, classes).
        sentiment: (n,) the true class, 0 to 6.
    """
    values, target = torch.from_numpy(logits), torch.tensor(sentiment)
    candidates = np.geomspace(0.25, 4.0, 161)
    classes = polarity = 1.0

    def loss(classes: float, polarity: float) -> float:
        return float(functional.nll_loss(_log_probabilities(values, classes, polarity), target))

    for _ in range(ROUNDS):
        classes = float(min(candidates, key=lambda candidate: loss(candidate, polarity)))
        polarity = float(min(candidates, key=lambda candidate: loss(classes, candidate)))
    return round(classes, 4), round(polarity, 4)


def fit_scale(
    valence: NDArray[np.float64], label: NDArray[np.float64], parts: Sequence[str]
) -> float:
    """Return the factor of the valence with the least absolute error, the mean over the parts.

    Args:
        valence: (n,) predicted.
        label: (n,) true.
        parts: (n,) the data set of each; all have the same weight, whatever their size.
    """
    names = np.array(parts)
    each = [(valence[names == name], label[names == name]) for name in sorted(set(parts))]

    def error(scale: float) -> float:
        return float(np.mean([np.abs(scaled(v, scale) - truth).mean() for v, truth in each]))

    return round(float(min(SCALES, key=error)), 2)


def scaled(
    valence: NDArray[np.float64], scales: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return valences (n,) with their scales, in [-3, 3]."""
    return np.clip(valence * scales, -3, 3)


def scaled_valences(
    valence: NDArray[np.float64], combinations: Sequence[str], scales: Mapping[str, float]
) -> NDArray[np.float64]:
    """Return calibrated valences (n,) in [-3, 3]; a combination without a scale has the scale 1."""
    return scaled(valence, np.array([scales.get(name, 1.0) for name in combinations]))


def class_probabilities(
    logits: NDArray[np.float64],
    combinations: Sequence[str],
    temperatures: Mapping[str, Temperatures],
) -> NDArray[np.float64]:
    """Return calibrated probabilities (n, classes).

    Args:
        logits: (n, classes).
        combinations: the modalities of each row, as `combination` names them.
        temperatures: by combination; a combination without any has the temperatures 1.
    """
    pairs = [_pair(temperatures.get(name, 1.0)) for name in combinations]
    classes, polarity = torch.tensor(pairs, dtype=torch.float64).reshape(-1, 2, 1).unbind(dim=1)
    return _log_probabilities(torch.from_numpy(logits), classes, polarity).exp().numpy()


def _pair(temperatures: Temperatures) -> tuple[float, float]:
    """Return the temperatures of the classes and of the polarities."""
    if isinstance(temperatures, Sequence):
        classes, polarity = temperatures
        return classes, polarity
    return temperatures, 1.0


def _log_probabilities(logits: Tensor, classes: Tensor | float, polarity: Tensor | float) -> Tensor:
    """Return log probabilities (n, C) of logits (n, C), with temperatures (n, 1) or of all rows.

    The polarity of a class is the side of the middle class that it is on.
    """
    inner = torch.log_softmax(logits / classes, dim=1)
    side = (torch.arange(logits.shape[1]) - logits.shape[1] // 2).sign() + 1
    shares = torch.zeros(len(logits), len(POLARITIES), dtype=logits.dtype)
    sides = shares.index_add(1, side, inner.exp()).clamp(min=1e-300).log()
    return inner + (torch.log_softmax(sides / polarity, dim=1) - sides)[:, side]
