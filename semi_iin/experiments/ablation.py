"""The ablation: variants of the model, each trained with several seeds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from semi_iin.experiments.bench import Bench, rows_by_part
from semi_iin.experiments.reporting import Row
from semi_iin.loop import Report

# Each row of the ablation, and its changes to the model's configuration.
ABLATION: dict[str, dict[str, Any]] = {
    "intra + inter, gate (Semi-IIN)": {"variant": "gate"},
    "global attention": {"variant": "global"},
    "global attention, no position embedding (release)": {
        "variant": "global",
        "use_position_embedding": False,
    },
    "intra only": {"variant": "intra"},
    "inter only": {"variant": "inter"},
    "intra + inter, sum": {"variant": "sum"},
    "intra + inter, product": {"variant": "product"},
    "intra + inter, concatenation": {"variant": "concat"},
    "gate, no attention dropout": {"variant": "gate", "attention_dropout": 0.0},
    "gate, attention dropout 0.3": {"variant": "gate", "attention_dropout": 0.3},
    "gate, sparse attention (16 keys)": {"variant": "gate", "sparse_top_k": 16},
    "gate, sparse attention (4 keys)": {"variant": "gate", "sparse_top_k": 4},
    "gate, entropy regularisation 0.01": {"variant": "gate", "entropy_weight": 0.01},
    "gate, entropy regularisation 0.1": {"variant": "gate", "entropy_weight": 0.1},
}


def ablate(
    bench: Bench,
    seeds: Sequence[int],
    rows: Mapping[str, Mapping[str, Any]] | None = None,
    report: Report = lambda progress: None,
) -> list[Row]:
    """Train each row of the ablation with each seed.

    Returns:
        One record for each row and reported part: `model`, `part`, `seeds`, and each metric's
        values over the seeds.
    """
    records = []
    for name, changes in (ABLATION if rows is None else rows).items():
        measured = []
        for seed in seeds:
            model = bench.build(seed, changes)
            bench.train(model, row_directory(bench.directory, name, seed), seed, report)
            measured.append(bench.measure(model))
        records += rows_by_part({"model": name}, measured)
    return records


def row_directory(directory: Path, row: str, seed: int) -> Path:
    """Return the directory of a row's run, below the ablation's."""
    words = "".join(letter if letter.isalnum() or letter == "." else " " for letter in row)
    return directory / "-".join(words.lower().split()) / f"seed-{seed}"
