"""Metrics against values calculated by hand, and the bootstrap against plain resampling."""

import json
import math
from typing import Any

import numpy as np
import pytest

from semi_iin import evaluate
from semi_iin.errors import SemiIINError
from semi_iin.labels import valence_class

LABEL = np.array([-3.0, -1.0, 0.0, 0.4, 1.0, 2.6])
GUESS = np.array([-2.6, 0.2, -0.1, 0.6, 1.4, 2.0])


def value(report: dict[str, Any], name: str) -> Any:
    return report[name]["value"]


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return evaluate.evaluate_valence(GUESS, LABEL)


def test_the_report_has_the_documented_shape() -> None:
    probabilities = np.full((6, 7), 1 / 7)
    report = evaluate.evaluate_valence(GUESS, LABEL, probabilities)
    names = ["mae", "corr", "acc7", "acc2_nonneg", "acc2_nonzero", "f1_nonneg", "f1_nonzero", "ece",
             "ece_if_calibrated"]  # fmt: skip
    assert list(report) == ["n", *names]
    for name in names:
        assert list(report[name]) == ["value", "ci95"]
        low, high = report[name]["ci95"]
        assert low <= high
    assert json.loads(json.dumps(report)) == report


def test_errors_and_correlation_are_as_calculated_by_hand(report: dict[str, Any]) -> None:
    assert report["n"] == 6
    assert value(report, "mae") == pytest.approx((0.4 + 1.2 + 0.1 + 0.2 + 0.4 + 0.6) / 6)
    assert value(report, "corr") == pytest.approx(np.corrcoef(GUESS, LABEL)[0, 1])


def test_the_accuracy_of_seven_classes_is_as_calculated_by_hand(report: dict[str, Any]) -> None:
    # Classes 0|0, 2|3, 3|3, 3|4, 4|4, 6|5 of label and prediction.
    assert value(report, "acc7") == pytest.approx(3 / 6)


def test_both_conventions_of_two_classes_are_as_calculated_by_hand(report: dict[str, Any]) -> None:
    # Non-negative: labels n n p p p p, predictions n p n p p p.
    assert value(report, "acc2_nonneg") == pytest.approx(4 / 6)
    # Negative: precision 1/2, recall 1/2: F1 1/2. Positive: precision 3/4, recall 3/4: F1 3/4.
    assert value(report, "f1_nonneg") == pytest.approx((2 * 1 / 2 + 4 * 3 / 4) / 6)
    # Non-zero: labels n n p p p, predictions n p p p p.
    assert value(report, "acc2_nonzero") == pytest.approx(4 / 5)
    # Negative: precision 1, recall 1/2: 2/3. Positive: precision 3/4, recall 1: 6/7.
    assert value(report, "f1_nonzero") == pytest.approx((2 * 2 / 3 + 3 * 6 / 7) / 5)


def test_class_edges_are_closed_below() -> None:
    valence = [-3, -2.5, -2.51, -1.5, -0.5, -0.51, 0, 0.49, 0.5, 1.5, 2.49, 2.5, 3]
    assert valence_class(valence).tolist() == [0, 1, 0, 2, 3, 2, 3, 3, 4, 5, 5, 6, 6]


def test_predictions_outside_the_scale_are_in_the_outer_classes() -> None:
    assert valence_class([-9, 9]).tolist() == [0, 6]


def test_the_calibration_error_is_as_calculated_by_hand() -> None:
    probabilities = np.full((4, 7), 0.0)
    probabilities[:, 3], probabilities[:, 4] = 0.9, 0.1
    probabilities[3] = [0.6, 0.4, 0, 0, 0, 0, 0]
    label = np.array([0.0, 0.0, 1.0, -3.0])  # classes 3, 3, 4, 0: right, right, wrong, right
    report = evaluate.evaluate_valence(label, label, probabilities)
    # One bin has three of confidence 0.9 and accuracy 2/3, one bin one of 0.6 and accuracy 1.
    assert value(report, "ece") == pytest.approx(abs(2.7 - 2) / 4 + 0.4 / 4)


def test_the_intervals_are_those_of_plain_resampling() -> None:
    generator = np.random.default_rng(5)
    label = np.round(generator.uniform(-3, 3, 150), 1)
    guess = label + generator.normal(0, 1, 150)
    report = evaluate.evaluate_valence(guess, label, resamples=2000)
    drawn = generator.integers(0, 150, (2000, 150))
    plain = {
        "mae": np.abs(guess - label)[drawn].mean(axis=1),
        "corr": np.array([np.corrcoef(guess[rows], label[rows])[0, 1] for rows in drawn]),
        "acc2_nonneg": ((guess >= 0) == (label >= 0))[drawn].mean(axis=1),
    }
    for name, values in plain.items():
        expected = np.percentile(values, [2.5, 97.5])
        width = expected[1] - expected[0]
        assert report[name]["ci95"] == pytest.approx(expected, abs=0.12 * width)


def test_samples_of_a_group_are_drawn_together() -> None:
    # Both groups are wrong in half of their samples: whichever is drawn, the error is the same.
    label, valence = [1.0, 1.0, 2.0, 2.0] * 3, [1.0, 0.0, 2.0, 1.0] * 3
    groups = ["one", "one", "other", "other"] * 3
    together = evaluate.evaluate_valence(valence, label, groups=groups)
    alone = evaluate.evaluate_valence(valence, label)
    assert together["mae"] == {"value": 0.5, "ci95": [0.5, 0.5]}
    assert alone["mae"]["value"] == 0.5 and alone["mae"]["ci95"][0] < 0.4


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evaluate.evaluate_valence(GUESS, LABEL, resamples=50)
    monkeypatch.setattr(evaluate, "_CHUNK", 60)
    assert evaluate.evaluate_valence(GUESS, LABEL, resamples=50) == whole


def test_the_seed_determines_the_intervals() -> None:
    first, again, other = (
        evaluate.evaluate_valence(GUESS, LABEL, seed=seed, resamples=200) for seed in (1, 1, 2)
    )
    assert first == again
    assert first["mae"]["ci95"] != other["mae"]["ci95"]


def test_samples_without_evidence_count_as_uninformed_predictions() -> None:
    report = evaluate.evaluate_valence(
        [None, 1.0, math.nan], [2.0, 1.0, 0.0], [None, [0, 0, 0, 0, 1, 0, 0], None]
    )
    assert report["n"] == 3
    assert report["unscored"] == 2
    assert value(report, "mae") == pytest.approx(2 / 3)


def test_an_undefined_metric_is_none() -> None:
    report = evaluate.evaluate_valence([1.0, 1.0], [0.0, 0.0])
    assert report["corr"] == {"value": None, "ci95": [None, None]}
    assert report["acc2_nonzero"]["value"] is None
    assert json.dumps(report, allow_nan=False)


@pytest.mark.parametrize(
    ("guess", "label", "message"),
    [
        ([], [], "no sample"),
        ([1.0], [4.0], r"in \[-3, 3\]"),
        ([1.0], [math.nan], r"in \[-3, 3\]"),
        ([1.0, 2.0], [1.0], "2 predictions for 1 labels"),
    ],
)
def test_an_error_names_unfit_arrays(guess: Any, label: Any, message: str) -> None:
    with pytest.raises(SemiIINError, match=message):
        evaluate.evaluate_valence(guess, label)


def test_probabilities_of_another_shape_are_refused() -> None:
    with pytest.raises(SemiIINError, match="1 rows of 7"):
        evaluate.evaluate_valence([1.0], [1.0], [[0.5, 0.5]])


def test_emotion_metrics_are_as_calculated_by_hand() -> None:
    label = ["happy", "Happiness", "anger", "sad", "fear", "disgust", "neutral", "surprise", "calm"]
    valence = [1.0, -1.0, -0.5, -2.0, 0.0, None, 3.0, -3.0, 0.0]
    emotion = ["joy", "sad", "angry", "sadness", "fearful", None, "neutral", "happy", "neutral"]
    report = evaluate.evaluate_emotions(valence, label, emotion)
    assert report["n"] == 9
    assert report["unscored"] == 1
    assert value(report, "accuracy") == pytest.approx(5 / 9)
    # Happy: 1 of 2 above zero. Others: 2 of 4 below; exactly zero and no evidence are not.
    assert value(report, "valence_sign_balanced_accuracy") == pytest.approx((1 / 2 + 2 / 4) / 2)
    # 1 is above -0.5, -2, 0 and no evidence (0); -1 is above -2 alone.
    assert value(report, "sign_auc") == pytest.approx(5 / 8)


def test_emotions_can_be_measured_without_a_head_or_without_valence() -> None:
    assert list(evaluate.evaluate_emotions([1.0], ["happy"])) == [
        "n",
        "valence_sign_balanced_accuracy",
        "sign_auc",
    ]
    assert list(evaluate.evaluate_emotions(None, ["happy"], ["happy"])) == ["n", "accuracy"]


def test_one_sided_emotions_have_no_balanced_accuracy() -> None:
    report = evaluate.evaluate_emotions([1.0], ["happy"])
    assert value(report, "valence_sign_balanced_accuracy") is None


def test_polarity_metrics_are_as_calculated_by_hand() -> None:
    report = evaluate.evaluate_polarity(
        [-1.0, -0.4, 0.2, 0.5, 2.0], ["Negative", "negative", "neutral", "neutral", "positive"]
    )
    assert value(report, "acc3") == pytest.approx(3 / 5)
    # Negative: P 1, R 1/2; neutral: P 1/2, R 1/2; positive: P 1/2, R 1.
    assert value(report, "f1_3class") == pytest.approx((2 * 2 / 3 + 2 * 1 / 2 + 2 / 3) / 5)


def test_other_polarities_are_refused() -> None:
    with pytest.raises(SemiIINError, match="mixed"):
        evaluate.evaluate_polarity([0.0], ["mixed"])


def test_the_area_under_the_curve_counts_ordered_pairs() -> None:
    valence = [2.0, 0.5, 0.5, -1.0, 0.1]
    words = ["positive", "positive", "negative", "negative", "neutral"]
    report = evaluate.evaluate_polarity(valence, words, resamples=10)
    assert report["sign_auc"]["value"] == pytest.approx((1 + 1 + 1 + 0.5) / 4)


def test_neutral_samples_beyond_one_are_counted() -> None:
    valence = [1.2, -1.2, 0.9, 3.0]
    words = ["neutral", "neutral", "neutral", "positive"]
    report = evaluate.evaluate_polarity(valence, words, resamples=10)
    assert report["neutral_beyond_1"]["value"] == pytest.approx(2 / 3)
    assert evaluate.evaluate_polarity([1.0], ["positive"], resamples=1)["sign_auc"]["value"] is None


def test_the_calibration_error_of_polarities_is_of_three_classes() -> None:
    probabilities = np.array([[0.3, 0.3, 0.2, 0.1, 0.1, 0, 0], [0, 0, 0, 0.1, 0.2, 0.3, 0.4]])
    report = evaluate.evaluate_polarity([-1.0, 1.0], ["negative", "neutral"], probabilities)
    assert value(report, "ece_polarity") == pytest.approx((0.2 + 0.9) / 2)
    assert report["n"] == 2


def test_the_calibration_error_of_emotions_is_of_the_sign_alone() -> None:
    probabilities = np.array(
        [[0.4, 0, 0, 0.5, 0, 0, 0.1], [0, 0, 0.1, 0.5, 0.4, 0, 0], [0, 0, 0, 1, 0, 0, 0]]
    )
    report = evaluate.evaluate_emotions(
        [-1.0, 0.1, 0.0], ["sad", "sad", "neutral"], class_probabilities=probabilities
    )
    assert value(report, "ece_sign") == pytest.approx(abs(2 * 0.8 - 1) / 2)
    assert report["n"] == 3


def test_a_calibrated_model_has_the_error_that_is_expected_of_it() -> None:
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.full(7, 0.6), 400)
    classes = [int(random.choice(7, p=row)) for row in probabilities]
    report = evaluate.evaluate_valence(
        np.zeros(400), np.array(classes) - 3.0, probabilities, resamples=20
    )
    low, high = report["ece_if_calibrated"]["ci95"]
    assert low <= value(report, "ece") <= high
    assert 0.01 < value(report, "ece_if_calibrated") < 0.1
    sure = evaluate.evaluate_valence(
        np.zeros(400), np.array(classes) - 3.0, np.eye(7)[probabilities.argmax(axis=1)],
        resamples=20,
    )  # fmt: skip
    assert value(sure, "ece") > sure["ece_if_calibrated"]["ci95"][1]
