"""What the logits of an emotion head tell of valence."""

import math

import pytest
import torch

from semi_iin.encoders.emotions import SCALE, VALENCE_COLUMNS, emotion_columns


def test_columns_are_shares_valence_and_odds() -> None:
    logits = torch.tensor([[0.6, 0.3, 0.1]]).log()
    columns = emotion_columns(logits, ["happy", "sad", "neutral"]) / SCALE
    expected = [3 * (share - 1 / 3) for share in (0.6, 0.3, 0.1)]
    assert columns[0].tolist() == pytest.approx([*expected, 0.9, math.log(2) / 2], abs=1e-5)


@pytest.mark.parametrize("classes", [["happy", "neutral"], ["sad", "angry"], ["calm", "neutral"]])
def test_columns_are_finite_where_a_sign_has_no_class(classes: list[str]) -> None:
    columns = emotion_columns(torch.tensor([[1.0, -200.0], [1e4, 0.0]]), classes)
    assert columns.shape == (2, 2 + VALENCE_COLUMNS)
    assert columns.isfinite().all() and columns.abs().max() <= 5 * SCALE
