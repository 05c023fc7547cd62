"""Cross-validation of small sets: folds, scaling, and the linear models to compare with.

What enters: arrays and groups. What leaves: folds and predictions. Pure NumPy, without models or
files.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Frames = NDArray[np.float32]  # (L, D)

PENALTIES = np.geomspace(1.0, 1e5, 11)
INNER_FOLDS = 3
LARGEST = 5.0  # standard deviations: outliers of a few recordings end here


def folds(groups: Sequence[str], count: int, seed: int) -> NDArray[np.int64]:
    """Return the fold (n,) of each clip; a group is in one fold, in an order drawn by seed."""
    names = sorted(set(groups))
    order = np.random.default_rng(seed).permutation(len(names))
    fold = {names[index]: place % count for place, index in enumerate(order.tolist())}
    return np.array([fold[group] for group in groups])


def standardised(rows: Sequence[Frames], known: NDArray[np.bool_]) -> list[Frames]:
    """Return frames with the mean 0 and deviation 1 that those of the `known` clips have."""
    frames = np.concatenate([row for row, is_known in zip(rows, known, strict=True) if is_known])
    centre, spread = frames.mean(axis=0), frames.std(axis=0)
    spread = np.where(spread > 1e-6, spread, 1.0)
    return [np.clip((row - centre) / spread, -LARGEST, LARGEST).astype(np.float32) for row in rows]


def pooled(rows: Sequence[Frames]) -> Floats:
    """Return the mean over time of each clip's frames. (n, D)."""
    return np.array([row.mean(axis=0) for row in rows], dtype=np.float64)


def ridge(known: Floats, label: Floats, groups: Sequence[str], unknown: Floats) -> Floats:
    """Return predictions (m,) of a ridge regression.

    The penalty is the one of `PENALTIES` with the least absolute error in three inner folds.

    Args:
        known: (n, D) of the training clips.
        label: (n,) of those.
        groups: (n,) of those.
        unknown: (m, D).
    """
    inner = folds(groups, INNER_FOLDS, seed=0)
    errors = np.zeros(len(PENALTIES))
    for fold in range(INNER_FOLDS):
        test = inner == fold
        if test.any() and not test.all():
            predicted = _ridges(known[~test], label[~test], known[test])
            errors += np.abs(predicted - label[test]).sum(axis=1)
    best = int(np.argmin(errors))
    predictions: Floats = _ridges(known, label, unknown)[best]
    return predictions


def _ridges(known: Floats, label: Floats, unknown: Floats) -> Floats:
    """Return predictions (P, m) with each of the penalties."""
    centre, mean = known.mean(axis=0), label.mean()
    left, sizes, right = np.linalg.svd(known - centre, full_matrices=False)
    towards = left.T @ (label - mean)
    shrunk = sizes / (sizes**2 + PENALTIES[:, None]) * towards
    predictions: Floats = shrunk @ right @ (unknown - centre).T + mean
    return predictions


def late_fusion(singles: Floats, label: Floats, fold: NDArray[np.int64]) -> Floats:
    """Return predictions (n,) combined from those of one model for each modality.

    The weights for a fold are least squares on the predictions of the other folds, all of which
    are of clips that the predicting model had not trained on.

    Args:
        singles: (n, M) out-of-fold predictions.
        label: (n,).
        fold: (n,) of each clip.
    """
    inputs = np.column_stack([singles, np.ones(len(label))])
    combined = np.zeros(len(label))
    for each in np.unique(fold):
        test = fold == each
        weights = np.linalg.lstsq(inputs[~test], label[~test], rcond=None)[0]
        combined[test] = inputs[test] @ weights
    return np.clip(combined, -3, 3)
