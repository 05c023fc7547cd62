"""Calibration of class logits."""

import numpy as np
import pytest
from numpy.typing import NDArray

from semi_iin.calibration import (
    class_probabilities,
    fit_scale,
    fit_temperature,
    scaled_valences,
)


def drawn(chances: NDArray[np.float64]) -> list[int]:
    """One class for each row of probabilities."""
    random = np.random.default_rng(1)
    return [int(random.choice(7, p=row)) for row in chances]


def made_logits(count: int) -> NDArray[np.float64]:
    return np.random.default_rng(0).normal(0, 1.5, (count, 7))


def test_the_fitted_temperatures_undo_a_scaling() -> None:
    logits = made_logits(4000)
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    classes, polarity = fit_temperature(logits * 2.0, drawn(chances))
    assert classes == pytest.approx(2.0, rel=0.1)
    assert polarity == pytest.approx(1.0, rel=0.2)


def test_a_model_that_is_too_sure_of_the_polarity_alone_gets_a_temperature_of_it() -> None:
    logits = made_logits(4000)
    classes, polarity = fit_temperature(logits, drawn(calibrated(logits, 1.0, 1.8)))
    assert classes == pytest.approx(1.0, rel=0.15)
    assert polarity == pytest.approx(1.8, rel=0.15)


def test_the_temperature_of_the_polarities_leaves_the_degree_within_each() -> None:
    logits = made_logits(5)
    plain, softened = calibrated(logits, 1.3, 1.0), calibrated(logits, 1.3, 2.0)
    for side in (slice(0, 3), slice(4, 7)):
        before, after = plain[:, side], softened[:, side]
        np.testing.assert_allclose(
            after / after.sum(axis=1, keepdims=True), before / before.sum(axis=1, keepdims=True)
        )
    sums = [
        np.stack([rows[:, :3].sum(1), rows[:, 3], rows[:, 4:].sum(1)], axis=1)
        for rows in (plain, softened)
    ]
    np.testing.assert_allclose(
        sums[1], np.sqrt(sums[0]) / np.sqrt(sums[0]).sum(axis=1, keepdims=True)
    )


def test_a_number_is_the_temperature_of_the_classes_alone() -> None:
    logits = made_logits(3)
    tempered = np.exp(logits / 1.7)
    expected = tempered / tempered.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(class_probabilities(logits, ["text"] * 3, {"text": 1.7}), expected)
    assert class_probabilities(logits[:0], [], {"text": 1.7}).shape == (0, 7)


def test_the_fitted_scale_undoes_an_overstatement_and_small_parts_count_as_much() -> None:
    truth = np.random.default_rng(2).uniform(-2, 2, 200)
    assert fit_scale(truth * 1.25, truth, ["a"] * 200) == pytest.approx(0.8)
    overstated = np.where(np.arange(200) < 10, truth * 1.25, truth / 1.25)
    one_part = fit_scale(overstated, truth, ["a"] * 200)
    two_parts = fit_scale(overstated, truth, ["b"] * 10 + ["a"] * 190)
    assert one_part == pytest.approx(1.25)
    assert two_parts < one_part


def test_a_valence_has_the_scale_of_its_modalities() -> None:
    valence = np.array([-1.0, 2.0, 2.5, 1.0])
    combinations = ["text", "audio", "audio", "vision"]
    found = scaled_valences(valence, combinations, {"text": 0.8, "audio": 1.4})
    np.testing.assert_allclose(found, [-0.8, 2.8, 3.0, 1.0])


def calibrated(logits: NDArray[np.float64], classes: float, polarity: float) -> NDArray[np.float64]:
    return class_probabilities(logits, ["text"] * len(logits), {"text": (classes, polarity)})
