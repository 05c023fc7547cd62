"""The usual metrics of sentiment and emotion, each with a bootstrap interval.

What enters: predictions and labels as NumPy arrays. What leaves: `{"n": ..., "mae": {"value": ...,
"ci95": [low, high]}, ...}`. It depends on no models, data sets or files.

Every metric is a function of weights (R, n), where row r counts how often resample r drew each
sample. A row of ones gives the value; rows of multinomial counts give the bootstrap, all resamples
at once.

Conventions, where the field has more than one:

* Acc-7 compares classes cut at -2.5, -1.5, ..., 2.5, each class closed below, as in the Semi-IIN
  paper. Rounding to the nearest integer, as most published code does, gives the same except for
  values exactly half-way between two integers (half to even there, always upwards here).
* `nonneg` is negative against non-negative over all samples; `nonzero` is negative against
  positive, samples labelled exactly 0 left out.
* F1 is the mean of both classes' F1, weighted by how often each is the label (scikit-learn's
  `weighted`). Much published code swaps labels and predictions in that call and so weights by how
  often each is predicted.
* The calibration error is |confidence - accuracy| in 15 bins of equal width, weighted by how many
  samples fall in each: `ece` of the seven classes, `ece_polarity` of negative, neutral and
  positive, `ece_sign` of negative against positive. It is above 0 for every model, most where
  samples are few, so `..._if_calibrated` says how large it would be if each sample were right with
  the probability that the model gives; there `ci95` is the range of 95 % of such outcomes.
* A sample without a prediction (it has no evidence) counts as the uninformed prediction: valence 0
  and even class probabilities. `unscored` is the number of such samples.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semi_iin.errors import SemiIINError
from semi_iin.labels import (
    CLASS_NAMES,
    NEGATIVE_EMOTIONS,
    POLARITIES,
    POSITIVE_EMOTIONS,
    emotion_name,
    valence_class,
)

Floats = NDArray[np.float64]
Metric = Callable[[Floats], Floats]  # weights (R, n) to values (R,)

CALIBRATION_BINS = 15
OUTCOMES = 200  # that are drawn of a calibrated model
RESAMPLES = 1000
_CHUNK = 4_000_000  # weights held at a time (32 MB)


def evaluate_valence(
    valence: Sequence[float | None] | Floats,
    label: ArrayLike,
    class_probabilities: Sequence[Sequence[float] | None] | Floats | None = None,
    *,
    groups: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Score predicted valences against labels.

    Args:
        valence: (n,) predicted, None or NaN where the model had no evidence.
        label: (n,) true valence in [-3, 3].
        class_probabilities: (n, 7) predicted, None for a sample without evidence; None as a
            whole leaves `ece` out.
        groups: (n,) of samples that are alike, such as an actor's, which the bootstrap draws
            together; None = each sample alone.
        resamples: bootstrap resamples.
        seed: of the bootstrap.

    Returns:
        `n`, then `mae`, `corr`, `acc7`, `acc2_nonneg`, `acc2_nonzero`, `f1_nonneg`, `f1_nonzero`,
        `ece` and `ece_if_calibrated`, each `{"value": ..., "ci95": [low, high]}`, and `unscored`
        where there are any. A value that is not defined (a correlation with a constant) is None.

    Raises:
        SemiIINError: without samples, or for labels outside [-3, 3].
    """
    truth = np.asarray(label, dtype=np.float64)
    predicted, unscored = _valences(valence, len(truth))
    _require(len(truth) > 0, "there is no sample to evaluate")
    _require(
        bool(np.all(np.abs(truth) <= 3)),
        "the labels must be valences in [-3, 3]; a number outside them, or no number, was found",
    )
    metrics = valence_metrics(predicted, truth)
    if class_probabilities is not None:
        probabilities = _probabilities(class_probabilities, len(truth))
        return _report(metrics, len(truth), unscored, resamples, seed, groups) | _calibration(
            "ece", probabilities, valence_class(truth), groups, resamples, seed
        )
    return _report(metrics, len(truth), unscored, resamples, seed, groups)


def valence_metrics(predicted: Floats, truth: Floats) -> dict[str, Metric]:
    """Return the metrics of predicted valences (n,) against true ones, but for calibration."""
    signed = truth != 0
    return {
        "mae": _mean(np.abs(predicted - truth)),
        "corr": _correlation(predicted, truth),
        "acc7": _mean(valence_class(predicted) == valence_class(truth)),
        "acc2_nonneg": _mean((predicted >= 0) == (truth >= 0)),
        "acc2_nonzero": _mean((predicted > 0) == (truth > 0), signed),
        "f1_nonneg": _weighted_f1(predicted >= 0, truth >= 0),
        "f1_nonzero": _weighted_f1(predicted > 0, truth > 0, signed),
    }


def emotion_metrics(valence: Floats, truth: NDArray[Any]) -> dict[str, Metric]:
    """Return the metrics of predicted valences (n,) against the emotions (n,) that were acted."""
    positive = np.isin(truth, sorted(POSITIVE_EMOTIONS))
    negative = np.isin(truth, sorted(NEGATIVE_EMOTIONS))
    above, below = _mean(valence > 0, positive), _mean(valence < 0, negative)
    return {
        "valence_sign_balanced_accuracy": lambda weights: (above(weights) + below(weights)) / 2,
        "sign_auc": _area_under_curve(valence, positive, negative),
    }


def evaluate_polarity(
    valence: Sequence[float | None] | Floats,
    label: Sequence[str],
    class_probabilities: Sequence[Sequence[float] | None] | Floats | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Score valences against the words negative, neutral and positive.

    A predicted valence is neutral in [-0.5, 0.5), as its class is.

    Returns:
        `n`, then as for `evaluate_valence`: `acc3`, the weighted `f1_3class`, `sign_auc` (how
        often a positive sample has a higher valence than a negative one), `neutral_beyond_1`
        (the share of neutral samples whose valence is above 1 or below -1), and, where there are
        class probabilities, `ece_polarity` and `ece_polarity_if_calibrated`.

    Raises:
        SemiIINError: for another word among the labels.
    """
    plain = [str(word).strip().lower() for word in label]
    others = sorted(set(plain) - set(POLARITIES))
    _require(not others, f"the labels must be of {POLARITIES}, but there is {others[:1]}")
    _require(bool(plain), "there is no sample to evaluate")
    truth = np.array([POLARITIES.index(word) for word in plain])
    predicted, unscored = _valences(valence, len(truth))
    polarity = np.searchsorted([-0.5, 0.5], predicted, side="right")
    metrics = {
        "acc3": _mean(polarity == truth),
        "f1_3class": _weighted_f1(polarity, truth),
        "sign_auc": _area_under_curve(predicted, truth == 2, truth == 0),
        "neutral_beyond_1": _mean(np.abs(predicted) > 1, truth == 1),
    }
    report = _report(metrics, len(truth), unscored, resamples, seed)
    if class_probabilities is not None:
        merged = _polarities(_probabilities(class_probabilities, len(truth)))
        report |= _calibration("ece_polarity", merged, truth, None, resamples, seed)
    return report


def evaluate_emotions(
    valence: Sequence[float | None] | Floats | None,
    label: Sequence[str],
    emotion: Sequence[str | None] | None = None,
    class_probabilities: Sequence[Sequence[float] | None] | Floats | None = None,
    *,
    groups: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Score voices or faces against emotion classes.

    Args:
        valence: (n,) predicted, None where the model had no evidence; None as a whole leaves
            `valence_sign_balanced_accuracy` and `sign_auc` out.
        label: (n,) true class in any common spelling.
        emotion: (n,) predicted class, where the encoder has such a head; without it `accuracy`
            is left out.
        class_probabilities: (n, 7) predicted sentiment, None for a sample without evidence.
        groups: (n,) of samples that are alike, such as an actor's, which the bootstrap draws
            together; None = each sample alone.
        resamples: bootstrap resamples.
        seed: of the bootstrap.

    Returns:
        `n`, `accuracy` over all classes, `valence_sign_balanced_accuracy`: the mean of how often a
        happy sample has valence above 0 and how often a sad, angry, fearful or disgusted one has
        it below; `sign_auc`: how often the former has a higher valence than the latter; and,
        where there are class probabilities, `ece_sign` and `ece_sign_if_calibrated`. The other
        classes are left out of all but the accuracy.

    Raises:
        SemiIINError: without samples.
    """
    truth = np.array([emotion_name(name) for name in label])
    _require(len(truth) > 0, "there is no sample to evaluate")
    metrics: dict[str, Metric] = {}
    unscored = 0
    if emotion is not None:
        named = np.array(["" if name is None else emotion_name(name) for name in emotion])
        metrics["accuracy"] = _mean(named == truth)
        unscored = int((named == "").sum())
    if valence is not None:
        predicted, unscored = _valences(valence, len(truth))
        metrics |= emotion_metrics(predicted, truth)
    report = _report(metrics, len(truth), unscored, resamples, seed, groups)
    signed = np.isin(truth, sorted(POSITIVE_EMOTIONS | NEGATIVE_EMOTIONS))
    if class_probabilities is not None and signed.any():
        merged = _polarities(_probabilities(class_probabilities, len(truth)))[signed][:, [0, 2]]
        merged = merged / merged.sum(axis=1, keepdims=True)
        positive = np.isin(truth[signed], sorted(POSITIVE_EMOTIONS)).astype(np.int64)
        chosen = None if groups is None else [groups[i] for i in np.flatnonzero(signed).tolist()]
        report |= _calibration("ece_sign", merged, positive, chosen, resamples, seed)
    return report


def _polarities(probabilities: Floats) -> Floats:
    """Return the probabilities (n, 3) of negative, neutral and positive."""
    return np.stack(
        [probabilities[:, :3].sum(1), probabilities[:, 3], probabilities[:, 4:].sum(1)], axis=1
    )


def _mean(values: NDArray[Any], among: NDArray[np.bool_] | None = None) -> Metric:
    """Return the weighted mean of (n,) values, over the samples in `among` where given."""
    included = np.ones(len(values), dtype=bool) if among is None else among

    def metric(weights: Floats) -> Floats:
        return _ratio(
            weights @ (values * included).astype(np.float64), weights @ included.astype(float)
        )

    return metric


def _correlation(first: Floats, second: Floats) -> Metric:
    """Return Pearson's correlation; NaN where one of them is constant."""
    # Centred once, so that sums of squares stay of the size of the spread.
    a, b = first - first.mean(), second - second.mean()

    def metric(weights: Floats) -> Floats:
        total = weights.sum(axis=1)
        mean_a, mean_b = weights @ a / total, weights @ b / total
        covariance = weights @ (a * b) / total - mean_a * mean_b
        spread = (weights @ a**2 / total - mean_a**2) * (weights @ b**2 / total - mean_b**2)
        spread[spread < 1e-18] = 0
        return np.clip(_ratio(covariance, np.sqrt(spread)), -1, 1)

    return metric


def _weighted_f1(
    predicted: NDArray[Any], truth: NDArray[Any], among: NDArray[np.bool_] | None = None
) -> Metric:
    """Return each class's F1, averaged by how often the class is the label."""
    included = np.ones(len(truth), dtype=bool) if among is None else among
    classes = np.unique(truth[included])

    def metric(weights: Floats) -> Floats:
        score = np.zeros(len(weights))
        for each in classes:
            true, positive = (truth == each) & included, (predicted == each) & included
            support = weights @ true.astype(float)
            both = weights @ (true & positive).astype(float)
            largest = support + weights @ positive.astype(float)
            score += support * 2 * both / np.where(largest > 0, largest, 1)
        return _ratio(score, weights @ included.astype(float))

    return metric


def _area_under_curve(
    score: Floats, positive: NDArray[np.bool_], negative: NDArray[np.bool_]
) -> Metric:
    """Return the area under the ROC curve; equal scores count half."""
    _, group = np.unique(score, return_inverse=True)
    order = np.argsort(group, kind="stable")
    firsts = np.flatnonzero(np.diff(group[order], prepend=-1))

    def metric(weights: Floats) -> Floats:
        def of_groups(among: NDArray[np.bool_]) -> Floats:
            return np.add.reduceat((weights * among)[:, order], firsts, axis=1)

        positives, negatives = of_groups(positive), of_groups(negative)
        below = np.cumsum(negatives, axis=1) - negatives / 2
        pairs = positives.sum(axis=1) * negatives.sum(axis=1)
        return _ratio((positives * below).sum(axis=1), pairs)

    return metric


def _calibration(
    name: str,
    probabilities: Floats,
    truth: NDArray[np.int64],
    groups: Sequence[str] | None,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Report the calibration error of (n, C) probabilities, and that of a calibrated model."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    error = {name: _calibration_error(confidence, right)}
    measured = _report(error, len(truth), 0, resamples, seed, groups)[name]
    every, generator = np.ones((1, len(truth))), np.random.default_rng(seed)
    outcomes = np.array(
        [
            _calibration_error(confidence, generator.random(len(truth)) < confidence)(every)[0]
            for _ in range(OUTCOMES)
        ]
    )
    expected = {"value": float(outcomes.mean()), "ci95": interval(outcomes)}
    return {name: measured, f"{name}_if_calibrated": expected}


def _calibration_error(confidence: Floats, right: NDArray[np.bool_]) -> Metric:
    """Return the expected calibration error of (n,) confidences in what is right or not."""
    gap = confidence - right
    bins = np.clip((confidence * CALIBRATION_BINS).astype(int), 0, CALIBRATION_BINS - 1)
    gaps = np.where(bins[:, None] == np.arange(CALIBRATION_BINS), gap[:, None], 0.0)

    def metric(weights: Floats) -> Floats:
        return _ratio(np.abs(weights @ gaps).sum(axis=1), weights.sum(axis=1))

    return metric


def _report(
    metrics: Mapping[str, Metric],
    count: int,
    unscored: int,
    resamples: int,
    seed: int,
    groups: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Return every metric's value and interval, with the number of samples.

    Where `groups` are given, the bootstrap draws whole groups.
    """
    every = np.ones((1, count))
    drawn: dict[str, list[Floats]] = {name: [] for name in metrics}
    for weights in bootstrap_weights(count, groups, resamples, seed):
        for name, metric in metrics.items():
            drawn[name].append(metric(weights))
    report: dict[str, Any] = {"n": count}
    if unscored:
        report["unscored"] = unscored
    for name, metric in metrics.items():
        report[name] = {
            "value": _plain(metric(every)[0]),
            "ci95": interval(np.concatenate([*drawn[name], np.empty(0)])),
        }
    return report


def bootstrap_weights(
    count: int, groups: Sequence[str] | None, resamples: int = RESAMPLES, seed: int = 0
) -> Iterator[Floats]:
    """Yield weights (R, n) of resamples, as many rows at a time as memory allows.

    Args:
        count: n.
        groups: (n,) of samples that are drawn together; None = each sample alone.
        resamples: rows in all.
        seed: of the draw; the same seed draws the same rows.
    """
    names = range(count) if groups is None else groups
    units, unit_of = np.unique(np.array(names), return_inverse=True)
    generator = np.random.default_rng(seed)
    chunk = max(1, _CHUNK // count)
    shares = np.full(len(units), 1 / len(units))
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        yield generator.multinomial(len(units), shares, size=rows)[:, unit_of].astype(float)


def interval(values: Floats) -> list[float | None]:
    """Return the 2.5th and 97.5th percentile of the defined values."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return [None, None]
    return [_plain(value) for value in np.percentile(defined, [2.5, 97.5])]


def _valences(valence: Sequence[float | None] | Floats, count: int) -> tuple[Floats, int]:
    """Return predictions (n,), 0 where there is none, and the number of missing ones."""
    predicted = np.array(
        [np.nan if value is None else value for value in valence], dtype=np.float64
    )
    _require(
        predicted.shape == (count,), f"there are {len(predicted)} predictions for {count} labels"
    )
    missing = np.isnan(predicted)
    return np.where(missing, 0.0, predicted), int(missing.sum())


def _probabilities(rows: Sequence[Sequence[float] | None] | Floats, count: int) -> Floats:
    """Return class probabilities (n, C), uniform where there are none."""
    classes = len(CLASS_NAMES)
    filled = [np.full(classes, 1 / classes) if row is None else np.asarray(row) for row in rows]
    _require(
        len(filled) == count and all(row.shape == (classes,) for row in filled),
        f"the class probabilities must be {count} rows of {classes}",
    )
    return np.array(filled, dtype=np.float64)


def _ratio(above: Floats, below: Floats) -> Floats:
    """Return `above / below`, NaN where `below` is zero."""
    empty = below == 0
    return np.where(empty, np.nan, above / np.where(empty, 1, below))


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise SemiIINError(message)
