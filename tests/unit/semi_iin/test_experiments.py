"""Ablation, sweep, gate shares and tables, on data made up here."""

import csv
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from semi_iin.data.samples import Sample
from semi_iin.errors import SemiIINError
from semi_iin.experiments.ablation import ABLATION, ablate
from semi_iin.experiments.bench import Bench
from semi_iin.experiments.evaluation import report_samples
from semi_iin.experiments.gates import gate_shares, plot_gates, summarise_gates
from semi_iin.experiments.reporting import markdown, write_table
from semi_iin.experiments.robustness import corrupt
from semi_iin.experiments.sweep import plot_sweep, sweep_k
from semi_iin.labels import valence_class
from semi_iin.model import SemiIIN
from semi_iin.model_config import SemiIINConfig
from semi_iin.predict import Prediction
from semi_iin.settings import Objective, Training
from semi_iin.task import Example

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
    records = ablate(bench, [0, 1], rows)
    assert [record["model"] for record in records] == ["gate", "global"]
    for record in records:
        assert len(record["mae"]) == len(record["corr"]) == 2
        assert record["mae"][0] != record["mae"][1]
        assert all(0 < value < 3 for value in record["mae"])
    assert records[0]["mae"] != records[1]["mae"]


def test_a_finished_ablation_gives_the_same_again(bench):
    rows = {"gate": {}}
    assert ablate(bench, [0], rows) == ablate(bench, [0], rows)


def test_every_row_of_the_published_ablation_can_be_built(bench):
    built = {name: bench.build(0, row) for name, row in ABLATION.items()}
    assert all(isinstance(model, SemiIIN) for model in built.values())
    assert len({str(model.config) for model in built.values()}) == len(built)
    # The first row is the paper's model itself.
    assert next(iter(built.values())).config == bench.config


def test_the_sweep_shares_the_supervised_training(bench):
    records = sweep_k(
        bench, examples(30, seed=4, labelled=False), seeds=[0, 1], ks=[1, 3], shares=[0.5, 1.0]
    )
    assert [(record["retrained"], record["k"], record["share"]) for record in records] == [
        ("no", 0, 0.0),
        ("yes", 0, 0.0),
        ("yes", 1, 0.5),
        ("yes", 1, 1.0),
        ("yes", 3, 0.5),
        ("yes", 3, 1.0),
    ]
    assert records[0]["kept"] == records[1]["kept"] == [0.0, 0.0]
    assert records[0]["mae"] != records[1]["mae"]
    for small, large in zip(records[2:4], records[4:], strict=True):
        assert max(small["kept"]) <= 7
        assert small["kept"] <= large["kept"]
    supervised = sorted((bench.directory / "supervised").iterdir())
    assert [path.name for path in supervised] == ["seed-0", "seed-1"]
    assert not list(bench.directory.glob("k-*/seed-*/supervised"))


def test_corrupted_conditions_hold_the_same_labels():
    given = examples(20, seed=8)
    conditions = corrupt(given)
    clear = [example.valence for example in given if abs(example.valence) >= 0.5]
    for corrupted in conditions.values():
        assert [example.valence for example in corrupted] == clear
    assert set(conditions["only text"][0].features) == {"text"}


def test_a_contradicting_modality_is_of_the_other_sign_and_only_that_one():
    given = examples(20, seed=8)
    valence_of = {id(example.features["audio"]): example.valence for example in given}
    conditions = corrupt(given)
    clean, corrupted = conditions["nothing corrupted"], conditions["audio contradicts"]
    for before, after in zip(clean, corrupted, strict=True):
        assert after.features["text"] is before.features["text"]
        assert valence_of[id(after.features["audio"])] * before.valence < 0


def test_noise_has_the_spread_of_what_it_replaces_and_says_nothing():
    given = examples(200, seed=8)
    conditions = corrupt(given)
    clean, noisy = (
        torch.stack([example.features["text"] for example in conditions[name]])
        for name in ("nothing corrupted", "text is noise")
    )
    torch.testing.assert_close(noisy.std(dim=(0, 1)), clean.std(dim=(0, 1)), atol=0.2, rtol=0.1)
    valence = torch.tensor([example.valence for example in conditions["text is noise"]])
    shown = noisy[:, :, 0].mean(dim=1)
    assert abs(float(torch.corrcoef(torch.stack([valence, shown]))[0, 1])) < 0.25


def test_nothing_can_be_corrupted_of_one_modality():
    texts = [
        replace(example, features={"text": example.features["text"]})
        for example in examples(8, seed=8)
    ]
    with pytest.raises(SemiIINError, match="two or more modalities"):
        corrupt(texts)


@pytest.fixture
def gates(bench):
    """Gate shares of a text, a text with a sound, and another such, of three intensities."""
    model = bench.build(0)
    with torch.no_grad():
        model.gates["val"].intra.bias.fill_(50.0)
    pair, alone, other = (examples(1, seed)[0] for seed in (5, 6, 7))
    chosen = [
        replace(pair, valence=0.0, sentiment=3),
        replace(alone, features={"text": alone.features["text"]}, valence=-1.0, sentiment=2),
        replace(other, valence=2.6, sentiment=6),
    ]
    return gate_shares(model, chosen)


def test_gates_are_measured_on_every_subset_that_an_example_has(gates):
    subsets = Counter(record["modalities"] for record in gates)
    assert subsets == {"audio": 2, "text": 3, "audio + text": 2}
    assert [record["valence_gate"] for record in gates] == pytest.approx([1.0] * 7)
    assert all(0 < record["class_gate"] < 1 for record in gates)
    assert {record["intensity"] for record in gates} == {"0", "(0, 1]", "(2, 3]"}


def test_gates_are_summarised_in_the_order_of_the_classes(gates):
    rows = summarise_gates(gates, "class")
    texts = [(row["class"], row["n"]) for row in rows if row["modalities"] == "text"]
    assert texts == [("weakly negative", 1), ("neutral", 1), ("strongly positive", 1)]
    assert [row["n"] for row in summarise_gates(gates, "modalities")] == [2, 3, 2]


def test_a_model_without_a_gate_has_no_shares(bench):
    with pytest.raises(SemiIINError, match="no gate: its variant is sum"):
        gate_shares(bench.build(0, {"variant": "sum"}), bench.reported)


def test_plots_are_written(tmp_path, gates):
    plot_gates(gates, tmp_path / "plots" / "gates.png")
    sweep = [
        {"retrained": again, "k": k, "share": 1.0, "part": part, "mae": [0.7], "corr": [0.6, 0.7]}
        for again, k in (("no", 0), ("yes", 0), ("yes", 10), ("yes", 40))
        for part in ("mosi", "mosei")
    ]
    plot_sweep(sweep, tmp_path / "plots" / "sweep.png")
    for name in ("gates.png", "sweep.png"):
        assert (tmp_path / "plots" / name).read_bytes().startswith(b"\x89PNG")


def test_tables_give_mean_and_deviation(tmp_path):
    records = [{"model": "a", "mae": [0.5, 0.7]}, {"model": "b", "mae": [0.6], "note": "one seed"}]
    assert markdown(records).splitlines() == [
        "| model | mae | note |",
        "| --- | --- | --- |",
        "| a | 0.600 ± 0.141 |  |",
        "| b | 0.600 | one seed |",
    ]
    write_table(records, tmp_path / "made" / "table")
    rows = list(csv.DictReader((tmp_path / "made" / "table.csv").read_text().splitlines()))
    assert float(rows[0]["mae_sd"]) == pytest.approx(math.sqrt(0.02))
    assert (tmp_path / "made" / "table.md").read_text() == markdown(records)


def test_words_for_labels_are_measured_as_three_classes_too():
    samples = [Sample(id=str(index), label=label) for index, label in enumerate((-1.0, 0.0, 1.0))]
    predictions = [
        Prediction(valence=valence, class_probabilities=(1 / 7,) * 7) for valence in (-1, 0.1, 2)
    ]
    report = report_samples(samples, predictions)
    assert report["f1_3class"]["value"] == pytest.approx(1.0)
    assert report["mae"]["value"] == pytest.approx(1.1 / 3)


def test_samples_without_labels_are_left_out_and_none_is_an_error():
    samples = [Sample(id="a", label=2.0), Sample(id="b")]
    report = report_samples(samples, [Prediction(valence=1.0), Prediction()])
    assert report["n"] == 1
    with pytest.raises(SemiIINError, match="no labels"):
        report_samples(samples[1:], [Prediction()])
