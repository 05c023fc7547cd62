"""Valence as people perceive voices and faces."""

import csv
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from semi_iin import perceived
from semi_iin.data.samples import Sample

LETTERS = {"A": "angry", "D": "disgusted", "F": "fearful", "H": "happy", "S": "sad"}


def test_votes_count_from_where_neutral_voices_are_heard() -> None:
    def voice(label: float) -> Sample:
        return Sample("x", label=label, votes={"happy": 1.0}, emotion="angry")

    assert perceived.heard(voice(perceived.NEUTRAL_VOICE)) == 0.0
    assert perceived.heard(voice(3.0)) == 3.0
    assert perceived.heard(voice(-3.0)) == pytest.approx(-3.0 - perceived.NEUTRAL_VOICE)


def test_an_emotion_has_the_valence_that_people_perceive() -> None:
    assert perceived.heard(Sample("x", emotion="calm")) == 0.0
    assert perceived.heard(Sample("x", emotion="surprised")) is None
    assert perceived.seen(Sample("x", emotion="happy")) == perceived.FACE["happy"]
    assert perceived.seen(Sample("x")) is None


def test_who_is_heard_and_seen_is_judged_mostly_by_the_face() -> None:
    assert perceived.together(-2.0, 2.0) > 1.0
    assert perceived.together(2.0, -2.0) < -1.0
    assert perceived.together(3.0, 3.0) == 3.0


def test_the_figures_are_those_of_crema_d(shared_data: Path) -> None:
    path = shared_data / "crema-d" / "labels.csv"
    if not path.is_file():
        pytest.skip(f"no real data at {path}")
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if int(row["actor"]) < 1070]
    neutral = np.array([row["acted"] == "NEU" for row in rows])

    def valence(rating: str) -> NDArray[np.float64]:
        values = np.array([float(row[f"{rating}_valence"]) for row in rows])
        centred: NDArray[np.float64] = values - values[neutral].mean()
        return centred

    for rating, known in (("voice", perceived.VOICE), ("face", perceived.FACE)):
        votes = np.array([[int(row[f"{rating}_{letter}"]) for letter in "ADFHNS"] for row in rows])
        most = np.array(list("ADFHNS"))[votes.argmax(axis=1)]
        for letter, emotion in LETTERS.items():
            mean = np.clip(valence(rating)[most == letter], -3, 3).mean()
            assert known[emotion] == pytest.approx(mean, abs=0.006)
    raw = np.array([float(row["voice_valence"]) for row in rows])
    assert raw[neutral].mean() == pytest.approx(perceived.NEUTRAL_VOICE, abs=0.006)
    both = np.column_stack([valence("voice"), valence("face")])
    weights = np.linalg.lstsq(both, valence("av"), rcond=None)[0]
    assert weights == pytest.approx([perceived.VOICE_WEIGHT, perceived.FACE_WEIGHT], abs=0.006)


def test_a_voice_trains_by_what_was_heard_and_a_little_by_what_was_acted() -> None:
    rated = Sample("a", emotion="happy", label=-0.60, votes={"neutral": 1.0})
    assert perceived.heard(rated) == 0.0
    assert perceived.conveyed(rated) == pytest.approx(0.3 * 1.87)
    acted = Sample("b", emotion="sad")
    assert perceived.conveyed(acted) == perceived.heard(acted) == -1.71
    assert perceived.conveyed(Sample("c", emotion="surprised")) is None
    unclear = Sample("d", emotion="surprised", label=1.0, votes={"happy": 1.0})
    assert perceived.conveyed(unclear) == perceived.heard(unclear)
