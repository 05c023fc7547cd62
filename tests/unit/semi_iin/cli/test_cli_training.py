"""Commands that train."""

import csv
from pathlib import Path

import torch

from semi_iin import checkpoint
from tests.unit.semi_iin.cli.conftest import CommandLine


def test_train_prints_the_checkpoint_and_resumes(on_made_up: CommandLine, tmp_path: Path) -> None:
    code, out, _ = on_made_up("train")
    assert code == 0
    assert out.strip() == str(tmp_path / "run" / "checkpoint")
    first = checkpoint.load(out.strip()).tensors
    code, out, _ = on_made_up("train")
    assert code == 0
    for name, value in checkpoint.load(out.strip()).tensors.items():
        assert torch.equal(value, first[name])


def test_self_training_writes_pseudo_labels_and_a_checkpoint(
    on_made_up: CommandLine, tmp_path: Path
) -> None:
    code, out, _ = on_made_up("self-train")
    assert code == 0
    rows = list(
        csv.DictReader(
            (tmp_path / "run" / "self_training" / "round-1" / "pseudo_labels.csv")
            .read_text()
            .splitlines()
        )
    )
    assert rows
    assert all(row["id"].startswith("p") for row in rows)
    saved = checkpoint.load(out.strip())
    assert saved.config["provenance"]["pseudo_labels"] == [len(rows)]
    assert saved.config["metrics"].keys() == {"selection", "supervised"}
