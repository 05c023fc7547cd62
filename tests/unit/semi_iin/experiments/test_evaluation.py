"""Metrics by the kind of label."""

from pathlib import Path

import pytest

from semi_iin.data.media import Media
from semi_iin.data.samples import Sample
from semi_iin.errors import SemiIINError
from semi_iin.experiments.evaluation import report_samples
from semi_iin.predict import Prediction


def test_word_labels_are_also_measured_as_three_classes() -> None:
    samples = [Sample(id=str(index), label=label) for index, label in enumerate((-1.0, 0.0, 1.0))]
    predictions = [
        Prediction(valence=valence, class_probabilities=(1 / 7,) * 7) for valence in (-1, 0.1, 2)
    ]
    report = report_samples(samples, predictions)
    assert report["f1_3class"]["value"] == pytest.approx(1.0)
    assert report["mae"]["value"] == pytest.approx(1.1 / 3)


def test_rated_voices_are_also_measured_by_the_acted_sign() -> None:
    votes = {"happy": 0.4, "angry": 0.6}
    samples = [
        Sample(
            emotion, group=actor, label=-0.6, emotion=emotion, votes=votes, audio=Media(Path("x"))
        )
        for actor, emotion in (("1", "happy"), ("1", "angry"), ("2", "sad"))
    ]
    valences = (0.1, -1.0, 1.0)
    predictions = [
        Prediction(valence=valence, class_probabilities=(1 / 7,) * 7) for valence in valences
    ]
    report = report_samples(samples, predictions)
    assert report["sign_auc"]["value"] == pytest.approx(0.5)
    assert report["mae"]["ci95"] == pytest.approx([0.55, 1.6])  # of either actor alone


def test_unlabeled_samples_are_left_out_and_data_without_labels_are_refused() -> None:
    samples = [Sample(id="a", label=2.0), Sample(id="b")]
    report = report_samples(samples, [Prediction(valence=1.0), Prediction()])
    assert report["n"] == 1
    with pytest.raises(SemiIINError, match="no labels"):
        report_samples(samples[1:], [Prediction()])
