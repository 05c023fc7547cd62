"""Metrics that the voice and the face task share, and valence from emotions."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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


def emotion_valence(shares: Tensor, classes: Sequence[str]) -> Tensor:
    """Return valences (B,) in [-1, 1] of the shares (B, classes) of emotions.

    Valence is the share of happy less that of the negative emotions.
    """
    positive, negative = signed_classes(classes)
    return shares[:, positive].sum(dim=1) - shares[:, negative].sum(dim=1)


def sign_odds(logits: Tensor, classes: Sequence[str]) -> Tensor:
    """Return the log odds (B,) of a positive against a negative emotion, of logits (B, classes)."""
    positive, negative = signed_classes(classes)
    return logits[:, positive].logsumexp(dim=1) - logits[:, negative].logsumexp(dim=1)


def signed_classes(classes: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return which classes are positive, and which are negative. (classes,) bool each."""
    return (
        torch.tensor([name in POSITIVE_EMOTIONS for name in classes]),
        torch.tensor([name in NEGATIVE_EMOTIONS for name in classes]),
    )


def sign_auc(scores: NDArray[np.floating], truth: Sequence[str]) -> float:
    """Return how often a happy sample has a higher score than one of a negative emotion.

    NaN where either is missing.
    """
    positive, negative = _among(truth, POSITIVE_EMOTIONS), _among(truth, NEGATIVE_EMOTIONS)
    higher = np.sign(scores[positive][:, None] - scores[negative])
    return float((higher.mean() + 1) / 2) if higher.size else math.nan


def _among(names: Sequence[str], emotions: frozenset[str]) -> np.ndarray:
    return np.array([name in emotions for name in names])
