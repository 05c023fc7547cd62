"""The experiment on real clips: resuming, pairing, and its table."""

from pathlib import Path

import numpy as np
import pytest

from semi_iin.data.same_utterance import Clips
from semi_iin.errors import SemiIINError
from semi_iin.experiments.same_utterance import (
    SEMI_IIN,
    ClipBench,
    Predict,
    SameUtterance,
    averaged,
    predictions,
    read_same_utterance,
    table,
)

CONFIG = SameUtterance.model_validate(
    {
        "name": "made",
        "sets": [
            {
                "title": "Made", "kind": "mosi", "path": "x.npz", "folds": 2, "epochs": 1,
                "repetitions": 2, "ablation_repetitions": 1,
            }
        ],
        "model": {
            "hidden": 8, "heads": 2, "head_widths": [8], "max_audio": 2, "max_text": 2,
            "max_vision": 2, "audio_convs": [[3, 1, 1]],
        },
        "training": {"batch_size": 16, "learning_rate": 1e-2},
    }
)  # fmt: skip


def made_clips(count: int = 16) -> Clips:
    random = np.random.default_rng(0)
    valence = random.uniform(-3, 3, count)
    features = {
        name: [random.normal(value, 1, (1, 3)).astype(np.float32) for value in valence]
        for name in ("text", "vision")
    }
    return Clips(features, valence, tuple(str(index // 2) for index in range(count)))  # type: ignore[arg-type]


def bench_in(directory: Path) -> ClipBench:
    return ClipBench(CONFIG, CONFIG.sets[0], made_clips(), directory)


def test_every_model_predicts_each_clip_once_in_every_repetition(tmp_path: Path) -> None:
    made = predictions(bench_in(tmp_path))
    assert len(made[SEMI_IIN]) == len(made["late fusion of those"]) == 2
    assert len(made["global attention"]) == 1
    assert {len(rows) for repeated in made.values() for rows in repeated} == {16}
    assert set(made) >= {"Semi-IIN, text alone", "Semi-IIN, vision alone", "ridge, late fusion"}
    assert "Semi-IIN, audio alone" not in made
    again = predictions(bench_in(tmp_path / "elsewhere"))
    assert np.array_equal(made[SEMI_IIN], again[SEMI_IIN])


def test_stored_predictions_are_not_made_again(tmp_path: Path) -> None:
    bench = bench_in(tmp_path)
    predictions(bench)
    (path,) = tmp_path.glob("no-features*/00.npy")
    np.save(path, np.full(16, 1.5))
    assert predictions(bench)["no features: the training labels' median"][0].tolist() == [1.5] * 16


def test_a_clip_is_predicted_by_a_model_that_did_not_train_on_its_group(tmp_path: Path) -> None:
    bench = bench_in(tmp_path)
    groups = np.array(bench.clips.groups)

    def predict(known: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
        assert not set(groups[known]) & set(groups[test])
        return np.flatnonzero(test).astype(float)

    asked: Predict = predict
    assert bench.out_of_fold(0, asked).tolist() == list(range(16))


def test_the_table_compares_with_semi_iin_on_the_same_clips() -> None:
    clips = made_clips()
    good, bad = clips.valence + 0.1, clips.valence + 0.6
    repeated = {
        SEMI_IIN: [good, good],
        "Semi-IIN, text alone": [bad],
        "late fusion of those": [good, good],
        "ridge, all modalities": [bad, bad],
        "no features: the training labels' median": [np.zeros(16), np.zeros(16)],
    }
    lines = table(clips, repeated, resamples=50).splitlines()
    assert lines[0].endswith("| MAE − Semi-IIN's |")
    assert lines[2].startswith(f"| {SEMI_IIN} | 0.100 (0.100 to 0.100) |")
    assert "| 0.500 (0.500 to 0.500) |" in lines[3]  # constant, though both vary
    assert len(lines) == 7


def test_acted_clips_are_measured_by_their_sign() -> None:
    clips = made_clips()
    emotions = tuple("happy" if value > 0 else "sad" for value in clips.valence)
    acted = Clips(clips.features, clips.valence, clips.groups, emotions)
    names = (SEMI_IIN, "late fusion of those", "no features: the training labels' median")
    lines = table(acted, {name: [clips.valence] for name in names}, resamples=20).splitlines()
    assert "AUC (neg / pos)" in lines[0]
    assert "1.000 (1.000 to 1.000)" in lines[2]


def test_frames_are_averaged_in_groups() -> None:
    rows = np.array([[1.0], [3.0], [7.0]], np.float32)
    clips = Clips({"text": [rows]}, np.zeros(1), ("a",))
    assert averaged(clips, 2).features["text"][0].tolist() == [[2.0], [7.0]]


def test_the_configuration_in_the_repository_is_read_and_unknown_keys_are_refused(
    tmp_path: Path,
) -> None:
    path = Path(__file__).parents[4] / "configs" / "same-utterance.toml"
    config = read_same_utterance(path)
    assert [chosen.kind for chosen in config.sets] == ["mosi", "ravdess", "mmmo"]
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(path.read_text().replace("folds = 10", "fold = 10"))
    with pytest.raises(SemiIINError, match="did you mean folds"):
        read_same_utterance(wrong)
