"""Selection of pseudo-labels, and rounds on generated data."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from semi_iin.errors import SemiIINError
from semi_iin.labels import valence_class
from semi_iin.model import SemiIIN
from semi_iin.model_config import SemiIINConfig
from semi_iin.self_training import select, self_train
from semi_iin.settings import SelfTraining, Training
from semi_iin.task import Example

WIDTH = 6


def certain(classes: list[int], confidence: list[float]) -> np.ndarray:
    """Class probabilities with this winner and confidence, the rest uniform."""
    rows = np.repeat((1 - np.array(confidence))[:, None] / 6, 7, axis=1)
    rows[np.arange(len(classes)), classes] = confidence
    return rows


CLASSES = [3, 3, 3, 5, 5, 0]
CONFIDENCE = [0.5, 0.9, 0.7, 0.8, 0.6, 0.4]
VALENCE = np.array([0.0, 0.2, 1.0, 2.0, 1.9, -3.0])  # the third is in class 4, not 3


def selected(**settings: Any) -> list[int]:
    chosen = select(VALENCE, certain(CLASSES, CONFIDENCE), SelfTraining(**settings))
    return [label.index for label in chosen]


def test_per_class_selects_the_k_most_confident_of_each_class() -> None:
    assert selected(k=1) == [1, 3, 5]
    assert selected(k=2) == [1, 3, 2, 4, 5]
    assert selected(k=40) == [1, 3, 2, 4, 0, 5]


def test_overall_selects_the_k_most_confident_of_all() -> None:
    assert selected(select="overall", k=3) == [1, 3, 2]


def test_a_threshold_is_inclusive() -> None:
    assert selected(select="threshold", threshold=0.7) == [1, 3, 2]


@pytest.mark.parametrize("settings", [{"k": 2}, {"select": "overall", "k": 9}])
def test_agreement_drops_examples_whose_heads_differ(settings: dict[str, Any]) -> None:
    assert 2 not in selected(agreement=True, **settings)
    assert 2 in selected(**settings)


def test_agreement_selects_the_next_of_the_class_instead() -> None:
    assert selected(agreement=True, k=2) == [1, 3, 4, 0, 5]


def test_a_pseudo_label_has_class_valence_and_confidence() -> None:
    first = select(VALENCE, certain(CLASSES, CONFIDENCE), SelfTraining(k=1))[0]
    assert (first.sentiment, first.valence) == (3, 0.2)
    assert first.confidence == pytest.approx(0.9)


def test_settings_out_of_range_are_refused() -> None:
    for wrong in ({"k": 0}, {"select": "best"}, {"share": 0.0}, {"kk": 1}):
        with pytest.raises(ValidationError):
            SelfTraining(**wrong)


def example(valence: float, generator: torch.Generator, labelled: bool = True) -> Example:
    """Words whose first channel is the valence."""
    words = 0.3 * torch.randn(5, WIDTH, generator=generator)
    words[:, 0] += valence
    return Example(
        features={"text": words},
        valence=valence if labelled else None,
        sentiment=int(valence_class(valence)) if labelled else 0,
    )


def examples(count: int, seed: int, labelled: bool = True) -> list[Example]:
    generator = torch.Generator().manual_seed(seed)
    return [
        example(float(valence), generator, labelled) for valence in np.linspace(-2.8, 2.8, count)
    ]


def model() -> SemiIIN:
    torch.manual_seed(0)
    return SemiIIN(
        SemiIINConfig(
            audio_width=4,
            text_width=WIDTH,
            vision_width=4,
            hidden=16,
            heads=2,
            head_widths=(16,),
            max_audio=4,
            max_text=6,
            max_vision=4,
            feature_dropout=0.0,
        )
    )


def train(directory: Path, settings: SelfTraining, unlabeled: int = 60, **changes: Any) -> Any:
    trained = model()
    rounds = self_train(
        trained,
        examples(48, seed=1),
        examples(24, seed=2),
        examples(unlabeled, seed=3, labelled=False),
        directory,
        settings=settings,
        training=Training(epochs=3, batch_size=8, learning_rate=5e-3),
        **changes,
    )
    return trained, rounds


@pytest.mark.slow
def test_rounds_write_their_pseudo_labels_and_train_the_model(tmp_path: Path) -> None:
    trained, rounds = train(
        tmp_path,
        SelfTraining(rounds=2, k=3),
        names=[f"meeting-{index}" for index in range(60)],
    )
    assert [outcome.number for outcome in rounds] == [0, 1, 2]
    assert rounds[0].pseudo_labels == ()
    assert all(outcome.metrics["score"] < 1.5 for outcome in rounds)  # predicting 0 scores 1.5
    for outcome in rounds[1:]:
        path = tmp_path / f"round-{outcome.number}" / "pseudo_labels.csv"
        rows = list(csv.DictReader(path.read_text().splitlines()))
        assert len(rows) == len(outcome.pseudo_labels)
        counts = [sum(row["class"] == str(each) for row in rows) for each in range(7)]
        assert max(counts) == 3
        assert rows[0]["id"] == f"meeting-{outcome.pseudo_labels[0].index}"
        confidence = [float(row["confidence"]) for row in rows]
        assert confidence == sorted(confidence, reverse=True)
    # Most pseudo-labels are right: the unlabeled examples run evenly from -2.8 to 2.8.
    truth = valence_class(np.linspace(-2.8, 2.8, 60))
    right = [abs(label.sentiment - truth[label.index]) <= 1 for label in rounds[1].pseudo_labels]
    assert np.mean(right) > 0.7
    assert not trained.training


@pytest.mark.slow
def test_finished_self_training_is_not_repeated(tmp_path: Path) -> None:
    first_model, first = train(tmp_path, SelfTraining(k=2))
    again_model, again = train(tmp_path, SelfTraining(k=2))
    assert again == first
    for name, value in first_model.state_dict().items():
        assert torch.equal(value, again_model.state_dict()[name])


def test_retraining_starts_from_the_supervised_weights(tmp_path: Path) -> None:
    """With a negligible learning rate, a round ends with the supervised weights."""
    trained = model()
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    self_train(
        trained,
        examples(16, seed=1),
        examples(8, seed=2),
        examples(20, seed=3, labelled=False),
        tmp_path,
        settings=SelfTraining(rounds=2, k=2),
        training=Training(epochs=1, batch_size=8, learning_rate=1e-12, weight_decay=0),
    )
    for name, value in trained.state_dict().items():
        torch.testing.assert_close(value, before[name], atol=1e-7, rtol=0)


@pytest.mark.slow
def test_a_share_scores_fewer_examples(tmp_path: Path) -> None:
    _, rounds = train(tmp_path, SelfTraining(select="overall", k=60, share=0.25))
    assert len(rounds[1].pseudo_labels) == 15


def test_self_training_without_unlabeled_examples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SemiIINError, match="needs unlabeled examples"):
        train(tmp_path, SelfTraining(), unlabeled=0)


def test_an_error_says_that_no_pseudo_label_is_confident_enough(tmp_path: Path) -> None:
    with pytest.raises(SemiIINError, match="no pseudo-label is confident enough"):
        train(tmp_path, SelfTraining(select="threshold", threshold=1.0))
