"""Corrupted modalities."""

from dataclasses import replace

import pytest
import torch

from semi_iin.errors import SemiIINError
from semi_iin.experiments.robustness import corrupt
from semi_iin.task import load_features
from tests.unit.semi_iin.generated import valence_examples


def test_every_condition_has_the_same_labels() -> None:
    examples = valence_examples(20, seed=8)
    conditions = corrupt(examples)
    clear = [example.valence for example in examples if abs(example.valence or 0.0) >= 0.5]
    for corrupted in conditions.values():
        assert [example.valence for example in corrupted] == clear
    assert set(conditions["only text"][0].features) == {"text"}


def test_only_the_contradicting_modality_has_the_other_sign() -> None:
    examples = valence_examples(20, seed=8)
    valence_of = {id(example.features["audio"]): example.valence or 0.0 for example in examples}
    conditions = corrupt(examples)
    clean, corrupted = conditions["nothing corrupted"], conditions["audio contradicts"]
    for before, after in zip(clean, corrupted, strict=True):
        assert after.features["text"] is before.features["text"]
        assert valence_of[id(after.features["audio"])] * (before.valence or 0.0) < 0


def test_noise_has_the_spread_of_the_features_and_no_information() -> None:
    examples = valence_examples(200, seed=8)
    conditions = corrupt(examples)
    clean, noisy = (
        torch.stack([load_features(example.features["text"]) for example in conditions[name]])
        for name in ("nothing corrupted", "text is noise")
    )
    torch.testing.assert_close(noisy.std(dim=(0, 1)), clean.std(dim=(0, 1)), atol=0.2, rtol=0.1)
    valence = torch.tensor([example.valence for example in conditions["text is noise"]])
    shown = noisy[:, :, 0].mean(dim=1)
    assert abs(float(torch.corrcoef(torch.stack([valence, shown]))[0, 1])) < 0.25


def test_examples_of_one_modality_are_refused() -> None:
    texts = [
        replace(example, features={"text": example.features["text"]})
        for example in valence_examples(8, seed=8)
    ]
    with pytest.raises(SemiIINError, match="two or more modalities"):
        corrupt(texts)
