"""Labels: one vocabulary of classes for the model and for the published records."""

import pytest

from semi_iin.labels import CLASS_EDGES, CLASS_NAMES, emotion_sign, valence_class, valence_sign
from streamer.records import CLASS_LABELS


def test_the_model_and_the_records_name_the_classes_alike() -> None:
    assert CLASS_NAMES == CLASS_LABELS


def test_each_class_has_one_name() -> None:
    lowest_of_each = [-3.0, *CLASS_EDGES]
    assert valence_class(lowest_of_each).tolist() == list(range(len(CLASS_NAMES)))


@pytest.mark.parametrize(("valence", "sign"), [(-3, -1), (-0.5, 0), (0.0, 0), (0.5, 1), (2, 1)])
def test_a_valence_has_the_sign_of_its_class(valence: float, sign: int) -> None:
    assert valence_sign(valence) == sign


def test_surprise_has_no_sign() -> None:
    assert [emotion_sign(name) for name in ("happy", "sad", "calm", "surprised")] == [
        1, -1, 0, None,
    ]  # fmt: skip
