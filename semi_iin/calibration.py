"""Calibration: class logits become probabilities by a temperature for each set of modalities.

A model is not as sure of a voice alone as of words and a face, so one temperature for all would
fit none. Training fits the temperatures and serving applies them.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from semi_iin.modalities import MODALITIES


def combination(modalities: Iterable[str]) -> str:
    """Return the name of a set of modalities, as in `audio+text`, whatever their order."""
    names = set(modalities)
    return "+".join(name for name in MODALITIES if name in names)


def fit_temperature(logits: NDArray[np.float64], sentiment: Sequence[int]) -> float:
    """Return the temperature with the least cross-entropy.

    Args:
        logits: (n, classes).
        sentiment: (n,) the true class, 0 to 6.
    """
    values, target = torch.from_numpy(logits), torch.tensor(sentiment)
    candidates = np.geomspace(0.25, 4.0, 161)
    losses = [float(functional.cross_entropy(values / scale, target)) for scale in candidates]
    return round(float(candidates[int(np.argmin(losses))]), 4)


def class_probabilities(
    logits: NDArray[np.float64],
    combinations: Sequence[str],
    temperatures: Mapping[str, float],
) -> NDArray[np.float64]:
    """Return calibrated probabilities (n, classes).

    Args:
        logits: (n, classes).
        combinations: the modalities of each row, as `combination` names them.
        temperatures: by combination; a combination without one has the temperature 1.
    """
    divisors = [[temperatures.get(name, 1.0)] for name in combinations]
    scaled = torch.from_numpy(logits) / torch.tensor(divisors, dtype=torch.float64)
    return torch.softmax(scaled, dim=1).numpy()
