"""Commands that train."""

import csv
from pathlib import Path

import pytest
import torch

from semi_iin import checkpoint
from semi_iin.settings import read_config
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


def test_calibrating_again_changes_no_weight(
    run: CommandLine, on_made_up: CommandLine, made_up: Path, tmp_path: Path
) -> None:
    trained = checkpoint.load(on_made_up("train")[1].strip())
    fitted = {name: trained.config[name] for name in ("temperatures", "valence_scales")}
    nothing: dict[str, object] = {name: {} for name in fitted}
    uncalibrated = checkpoint.save(
        tmp_path / "uncalibrated", trained.tensors, {**trained.config, **nothing}
    )
    config = tmp_path / "again.toml"
    text = (made_up / "made_up.toml").read_text(encoding="utf-8")
    config.write_text(text.replace('name = "made-up"', 'name = "made-up-2"'), encoding="utf-8")
    code, out, err = run(
        "calibrate", uncalibrated, config, "--run", tmp_path / "again", "--data-root", made_up
    )
    assert code == 0, err
    again = checkpoint.load(out.strip())
    assert again.path == tmp_path / "again" / "checkpoint"
    assert again.config["name"] == "made-up-2"
    for name, values in fitted.items():
        assert again.config[name].keys() == values.keys()
        for modalities, value in values.items():
            assert again.config[name][modalities] == pytest.approx(value, rel=0.1)
    for name, value in trained.tensors.items():
        assert torch.equal(again.tensors[name], value)


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


def test_new_writes_a_configuration_and_never_over_a_file(run: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    code, out, err = run("new", file, "--data", "talk.csv")
    assert (code, out.strip()) == (0, str(file))
    assert f"semi-iin train {file}" in err
    assert read_config(file).name == "run"
    code, _, err = run("new", file)
    assert code == 1 and "exists: name another file" in err.replace("\n", " ")
    code, _, err = run("new", tmp_path / "other.toml", "--format", "tsv")
    assert code == 1 and "no data format 'tsv'" in err
