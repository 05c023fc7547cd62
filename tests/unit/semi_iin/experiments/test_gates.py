"""Gate shares."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from semi_iin.errors import SemiIINError
from semi_iin.experiments.bench import Bench
from semi_iin.experiments.gates import gate_lines, gate_shares, plot_gates, summarise_gates
from semi_iin.experiments.sweep import plot_sweep
from tests.unit.semi_iin.generated import valence_examples


@pytest.fixture
def gates(bench: Bench) -> list[dict[str, Any]]:
    """Gate shares of three examples: a text with a voice, a text alone, and a text with a voice."""
    model = bench.build(0)
    with torch.no_grad():
        model.get_parameter("gates.val.intra.bias").fill_(50.0)
    pair, alone, other = (valence_examples(1, seed)[0] for seed in (5, 6, 7))
    chosen = [
        replace(pair, valence=0.0, sentiment=3),
        replace(alone, features={"text": alone.features["text"]}, valence=-1.0, sentiment=2),
        replace(other, valence=2.6, sentiment=6),
    ]
    return gate_shares(model, chosen)


def test_gates_are_measured_on_every_subset_that_an_example_has(
    gates: list[dict[str, Any]],
) -> None:
    subsets = Counter(record["modalities"] for record in gates)
    assert subsets == {"audio": 2, "text": 3, "audio + text": 2}
    assert [record["valence_gate"] for record in gates] == pytest.approx([1.0] * 7, abs=1e-3)
    assert all(0 < record["class_gate"] < 1 for record in gates)
    assert {record["intensity"] for record in gates} == {"0", "(0, 1]", "(2, 3]"}


def test_gates_are_summarised_in_the_order_of_the_classes(gates: list[dict[str, Any]]) -> None:
    rows = summarise_gates(gates, "class")
    texts = [(row["class"], row["n"]) for row in rows if row["modalities"] == "text"]
    assert texts == [("weakly negative", 1), ("neutral", 1), ("strongly positive", 1)]
    assert [row["n"] for row in summarise_gates(gates, "modalities")] == [2, 3, 2]


def test_a_model_without_a_gate_has_no_shares(bench: Bench) -> None:
    with pytest.raises(SemiIINError, match="no gate: its variant is sum"):
        gate_shares(bench.build(0, {"variant": "sum"}), bench.reported)


@pytest.mark.slow
def test_lines_are_in_the_order_of_the_classes_though_the_first_lacks_some() -> None:
    records = [
        {"modalities": modalities, "class": name, "valence_gate": gate, "class_gate": 0.5}
        for modalities, name, gate in (
            ("audio", "positive", 0.4),
            ("audio", "negative", 0.2),
            ("text", "strongly negative", 0.1),
            ("text", "positive", 0.6),
            ("text", "positive", 0.8),
        )
    ]
    groups, lines = gate_lines(records, "class")
    assert groups == ["strongly negative", "negative", "positive"]
    assert lines["audio"] == {1: 0.2, 2: 0.4}
    assert lines["text"] == {0: 0.1, 2: pytest.approx(0.7)}


def test_plots_are_written(tmp_path: Path, gates: list[dict[str, Any]]) -> None:
    plot_gates(gates, tmp_path / "plots" / "gates.png")
    sweep = [
        {"retrained": again, "k": k, "share": 1.0, "part": part, "mae": [0.7], "corr": [0.6, 0.7]}
        for again, k in (("no", 0), ("yes", 0), ("yes", 10), ("yes", 40))
        for part in ("mosi", "mosei")
    ]
    plot_sweep(sweep, tmp_path / "plots" / "sweep.png")
    for name in ("gates.png", "sweep.png"):
        assert (tmp_path / "plots" / name).read_bytes().startswith(b"\x89PNG")
