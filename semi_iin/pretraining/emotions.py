"""Metrics that the voice and the face task share."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from semi_iin.labels import NEGATIVE_EMOTIONS, POSITIVE_EMOTIONS
from semi_iin.loop import Metrics


def emotion_metrics(predicted: Sequence[str], truth: Sequence[str]) -> Metrics:
    """Return the accuracy, and the balanced accuracy of the emotions' sign.

    The sign is that of happy against sad, angry, fearful and disgusted.
    """
    accuracy = float((np.array(predicted) == np.array(truth)).mean())
    positive, negative = _among(truth, POSITIVE_EMOTIONS), _among(truth, NEGATIVE_EMOTIONS)
    called_positive = _among(predicted, POSITIVE_EMOTIONS)
    called_negative = _among(predicted, NEGATIVE_EMOTIONS)
    sign = (
        (called_positive[positive].mean() + called_negative[negative].mean()) / 2
        if positive.any()
        else 0.0
    )
    return {"accuracy": accuracy, "sign_accuracy": float(sign), "score": 1 - accuracy}


def sign_auc(scores: NDArray[np.floating], truth: Sequence[str]) -> float:
    """Return how often a happy sample has a higher score than one of a negative emotion.

    NaN where either is missing.
    """
    positive, negative = _among(truth, POSITIVE_EMOTIONS), _among(truth, NEGATIVE_EMOTIONS)
    higher = np.sign(scores[positive][:, None] - scores[negative])
    return float((higher.mean() + 1) / 2) if higher.size else math.nan


def _among(names: Sequence[str], emotions: frozenset[str]) -> np.ndarray:
    return np.array([name in emotions for name in names])
