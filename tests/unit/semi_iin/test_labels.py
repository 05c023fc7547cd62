"""Labels: one vocabulary of classes for the model and for the published records."""

from semi_iin.labels import CLASS_EDGES, CLASS_NAMES, valence_class
from streamer.records import CLASS_LABELS


def test_the_model_and_the_records_name_the_classes_alike() -> None:
    assert CLASS_NAMES == CLASS_LABELS


def test_each_class_has_one_name() -> None:
    lowest_of_each = [-3.0, *CLASS_EDGES]
    assert valence_class(lowest_of_each).tolist() == list(range(len(CLASS_NAMES)))
