"""Ablation, sweep, gate shares and tables, on data made up here."""

import csv
import math

import numpy as np
import pytest
import torch

from semi_iin import experiments
from semi_iin.data import Sample
from semi_iin.errors import SemiIINError
from semi_iin.evaluate import valence_class
from semi_iin.experiments import Bench
from semi_iin.features import Clip
from semi_iin.model import SemiIIN, SemiIINConfig
from semi_iin.predict import Prediction
from semi_iin.train import Example, Objective, Training

WIDTH = 6


def examples(count: int, seed: int, labelled: bool = True) -> list[Example]:
    """Words and sounds whose first channel says the valence."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for valence in np.linspace(-2.8, 2.8, count):
        features = {name: torch.randn(4, WIDTH, generator=generator) for name in ("text", "audio")}
        for rows in features.values():
            rows[:, 0] += float(valence)
        made.append(
            Example(
                features=features,
                valence=float(valence) if labelled else None,
                sentiment=int(valence_class(valence)) if labelled else 0,
            )
        )
    return made


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(
        config=SemiIINConfig(
            audio_width=WIDTH,
            text_width=WIDTH,
            vision_width=WIDTH,
            hidden=8,
            heads=2,
            head_widths=(8,),
            audio_convs=((3, 1, 1),),
            max_audio=5,
            max_text=5,
            max_vision=5,
        ),
        examples=examples(24, seed=1),
        selection=examples(12, seed=2),
        reported=examples(16, seed=3),
        training=Training(epochs=1, batch_size=8, learning_rate=3e-3),
        directory=tmp_path / "runs",
        objective=Objective(),
    )


def test_an_ablation_trains_each_row_with_each_seed(bench):
    rows = {"gate": {"variant": "gate"}, "global": {"variant": "global"}}
    records = experiments.ablate(bench, [0, 1], rows)
    assert [record["model"] for record in records] == ["gate", "global"]
    for record in records:
        assert len(record["mae"]) == len(record["corr"]) == 2
        assert record["mae"][0] != record["mae"][1]
        assert all(0 < value < 3 for value in record["mae"])
    assert records[0]["mae"] != records[1]["mae"]


def test_a_finished_ablation_gives_the_same_again(bench):
    rows = {"gate": {}}
    assert experiments.ablate(bench, [0], rows) == experiments.ablate(bench, [0], rows)


def test_every_row_of_the_published_ablation_can_be_built(bench):
    built = {name: bench.build(0, row) for name, row in experiments.ABLATION.items()}
    assert all(isinstance(model, SemiIIN) for model in built.values())
    assert len({str(model.config) for model in built.values()}) == len(built)
    # The first row is the paper's model itself.
    assert next(iter(built.values())).config == bench.config


def test_the_sweep_shares_the_supervised_training(bench):
    records = experiments.sweep_k(
        bench, examples(30, seed=4, labelled=False), seeds=[0, 1], ks=[1, 3], shares=[0.5, 1.0]
    )
    assert [(record["k"], record["share"]) for record in records] == [
        (0, 0.0),
        (1, 0.5),
        (1, 1.0),
        (3, 0.5),
        (3, 1.0),
    ]
    assert records[0]["kept"] == [0.0, 0.0]
    for small, large in zip(records[1:3], records[3:], strict=True):
        assert max(small["kept"]) <= 7
        assert small["kept"] <= large["kept"]
    supervised = sorted((bench.directory / "supervised").iterdir())
    assert [path.name for path in supervised] == ["seed-0", "seed-1"]
    assert not list(bench.directory.glob("k-*/seed-*/supervised"))


class Gated:
    """A predictor whose gates say how many modalities and how much valence a clip has."""

    modalities = ("audio", "text")

    def predict(self, clips):
        return [
            Prediction(
                valence=0.0,
                class_probabilities=(1 / 7,) * 7,
                valence_gate=(clip.audio is not None) * 0.2 + (clip.text is not None) * 0.1,
                class_gate=0.5,
            )
            for clip in clips
        ]


def clips() -> list[Clip]:
    sound = np.full(1600, 0.5, dtype=np.float32)
    return [Clip(audio=sound, text="both"), Clip(text="words"), Clip(audio=sound, text="more")]


def test_gates_are_measured_on_every_subset_that_a_clip_has():
    records = experiments.gate_shares(Gated(), clips(), [0.0, -1.0, 2.6])
    counts = {}
    for record in records:
        counts[record["modalities"]] = counts.get(record["modalities"], 0) + 1
    assert counts == {"audio": 2, "text": 3, "audio + text": 2}
    assert [r["valence_gate"] for r in records if r["modalities"] == "audio + text"] == (
        pytest.approx([0.3, 0.3])
    )
    assert {record["intensity"] for record in records} == {"0", "(0, 1]", "(2, 3]"}


def test_gates_are_summarised_in_the_order_of_the_classes():
    records = experiments.gate_shares(Gated(), clips(), [0.0, -1.0, 2.6])
    rows = experiments.summarise_gates(records, "class")
    texts = [(row["class"], row["n"]) for row in rows if row["modalities"] == "text"]
    assert texts == [("slightly negative", 1), ("neutral", 1), ("very positive", 1)]
    assert [row["n"] for row in experiments.summarise_gates(records, "modalities")] == [2, 3, 2]


def test_a_model_without_a_gate_has_no_shares():
    class Ungated(Gated):
        def predict(self, clips):
            return [Prediction(valence=0.0) for _ in clips]

    with pytest.raises(SemiIINError, match="no gate"):
        experiments.gate_shares(Ungated(), clips(), [0.0, 1.0, 2.0])


def test_plots_are_written(tmp_path, bench):
    records = experiments.gate_shares(Gated(), clips(), [0.0, -1.0, 2.6])
    experiments.plot_gates(records, tmp_path / "plots" / "gates.png")
    sweep = [
        {"k": k, "share": share, "mae": [0.7, 0.8], "corr": [0.6, 0.7]}
        for k, share in ((0, 0.0), (10, 1.0), (40, 1.0))
    ]
    experiments.plot_sweep(sweep, tmp_path / "plots" / "sweep.png")
    for name in ("gates.png", "sweep.png"):
        assert (tmp_path / "plots" / name).read_bytes().startswith(b"\x89PNG")


def test_tables_give_mean_and_deviation(tmp_path):
    records = [{"model": "a", "mae": [0.5, 0.7]}, {"model": "b", "mae": [0.6], "note": "one seed"}]
    assert experiments.markdown(records).splitlines() == [
        "| model | mae | note |",
        "| --- | --- | --- |",
        "| a | 0.600 ± 0.141 |  |",
        "| b | 0.600 | one seed |",
    ]
    experiments.write_table(records, tmp_path / "made" / "table")
    rows = list(csv.DictReader((tmp_path / "made" / "table.csv").read_text().splitlines()))
    assert float(rows[0]["mae_sd"]) == pytest.approx(math.sqrt(0.02))
    assert (tmp_path / "made" / "table.md").read_text() == experiments.markdown(records)


def test_words_for_labels_are_measured_as_three_classes_too():
    samples = [Sample(id=str(index), label=label) for index, label in enumerate((-1.0, 0.0, 1.0))]
    predictions = [
        Prediction(valence=valence, class_probabilities=(1 / 7,) * 7) for valence in (-1, 0.1, 2)
    ]
    report = experiments.report_samples(samples, predictions)
    assert report["f1_3class"]["value"] == pytest.approx(1.0)
    assert report["mae"]["value"] == pytest.approx(1.1 / 3)


def test_samples_without_labels_are_left_out_and_none_is_an_error():
    samples = [Sample(id="a", label=2.0), Sample(id="b")]
    report = experiments.report_samples(samples, [Prediction(valence=1.0), Prediction()])
    assert report["n"] == 1
    with pytest.raises(SemiIINError, match="no labels"):
        experiments.report_samples(samples[1:], [Prediction()])
