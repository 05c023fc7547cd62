"""Calibration of class logits."""

import numpy as np
import pytest

from semi_iin.calibration import fit_temperature


def test_the_fitted_temperature_undoes_a_scaling() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 1.5, (4000, 7))
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    drawn = [int(random.choice(7, p=row)) for row in chances]
    assert fit_temperature(logits * 2.0, drawn) == pytest.approx(2.0, rel=0.1)
