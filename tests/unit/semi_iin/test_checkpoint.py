"""Checkpoints on disk."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from semi_iin import checkpoint
from semi_iin.errors import SemiIINError
from semi_iin.model import SemiIIN
from semi_iin.model_config import SemiIINConfig

State = dict[str, Tensor]


def small() -> SemiIIN:
    torch.manual_seed(0)
    return SemiIIN(
        SemiIINConfig(
            audio_width=4,
            text_width=4,
            vision_width=4,
            hidden=8,
            heads=2,
            head_widths=(8,),
            max_audio=4,
            max_text=4,
            max_vision=4,
        )
    )


def contents(model: SemiIIN) -> tuple[State, dict[str, object]]:
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    return tensors, {"model": model.config.to_dict(), "provenance": {"data": "made up"}}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return checkpoint.save(tmp_path / "saved", *contents(small()))


def test_a_saved_checkpoint_is_loaded_unchanged(saved: Path) -> None:
    model = small()
    loaded = checkpoint.load(saved)
    assert loaded.config["provenance"] == {"data": "made up"}
    built = loaded.build_model()
    assert built.config == model.config
    assert built.state_dict().keys() == model.state_dict().keys()
    for name, value in model.state_dict().items():
        assert torch.equal(built.state_dict()[name], value)
    assert sorted(path.name for path in saved.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    assert "made up" in (saved / "README.md").read_text()


def test_the_directory_of_a_run_stands_for_its_checkpoint(saved: Path) -> None:
    run = saved.parent / "run"
    run.mkdir()
    with pytest.raises(SemiIINError, match=r"config\.json is missing"):
        checkpoint.load(run)
    saved.rename(run / "checkpoint")
    assert checkpoint.load(run).path == run / "checkpoint"


def test_other_users_may_read_a_saved_checkpoint(saved: Path) -> None:
    assert saved.stat().st_mode & 0o777 == 0o755
    assert {path.stat().st_mode & 0o444 for path in saved.iterdir()} == {0o444}


def test_tensors_under_other_prefixes_are_saved_too(tmp_path: Path) -> None:
    tensors, config = contents(small())
    tensors["text_encoder.lora"] = torch.ones(3)
    path = checkpoint.save(tmp_path / "saved", tensors, config, card="# Card\n")
    loaded = checkpoint.load(path)
    assert torch.equal(loaded.under("text_encoder.")["lora"], torch.ones(3))
    loaded.build_model()
    assert (path / "README.md").read_text() == "# Card\n"


def test_saving_again_replaces_the_whole_directory(saved: Path) -> None:
    tensors, config = contents(small())
    (saved / "left-over.txt").write_text("old")
    checkpoint.save(saved, tensors, config | {"metrics": {"mae": 0.5}})
    assert checkpoint.load(saved).config["metrics"] == {"mae": 0.5}
    assert [path.name for path in saved.parent.iterdir()] == ["saved"]
    assert not (saved / "left-over.txt").exists()


def test_saving_over_another_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"")
    with pytest.raises(SemiIINError, match="no checkpoint"):
        checkpoint.save(tmp_path / "photos", *contents(small()))
    assert (tmp_path / "photos" / "cat.jpg").exists()


def test_a_failed_save_leaves_the_old_checkpoint(saved: Path) -> None:
    tensors, config = contents(small())
    with pytest.raises(SemiIINError, match="JSON"):
        checkpoint.save(saved, tensors, config | {"metrics": {"mae": torch.zeros(1)}})
    assert checkpoint.load(saved).build_model()
    assert [path.name for path in saved.parent.iterdir()] == ["saved"]


def edit_config(saved: Path, **changes: Any) -> None:
    path = saved / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: (path / "config.json").unlink(), "config.json is missing"),
        (lambda path: (path / "model.safetensors").unlink(), "model.safetensors is missing"),
        (lambda path: (path / "config.json").write_text("{"), "cannot be read as JSON"),
        (lambda path: (path / "model.safetensors").write_bytes(b"junk" * 9), "damaged"),
        (lambda path: edit_config(path, format_version=99), "version 99.*reads 1"),
        (lambda path: edit_config(path, model=None), "no model configuration"),
    ],
)
def test_an_error_names_the_damage(saved: Path, damage: Any, message: str) -> None:
    damage(saved)
    with pytest.raises(SemiIINError, match=message):
        checkpoint.load(saved)


def test_an_error_names_weights_that_do_not_fit(saved: Path) -> None:
    edit_config(saved, model=small().config.to_dict() | {"max_text": 9, "variant": "intra"})
    with pytest.raises(SemiIINError, match=r"unknown branches\.inter.*position_embedding is"):
        checkpoint.load(saved).build_model()


def test_an_error_names_a_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(SemiIINError, match=r"no checkpoint at .*nowhere"):
        checkpoint.load(tmp_path / "nowhere")


def test_pickles_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(SemiIINError, match="pickled weights"):
        checkpoint.load(path)


def test_a_checkpoint_can_be_loaded_by_one_of_its_files(saved: Path) -> None:
    assert checkpoint.load(saved / "model.safetensors").path == saved


def test_files_of_safetensors_are_loaded(tmp_path: Path) -> None:
    tensors, config = contents(small())
    (tmp_path / "config.json").write_text(json.dumps(config | {"format_version": 1}))
    save_file(tensors, tmp_path / "model.safetensors")
    model = checkpoint.load(tmp_path).build_model()
    output = model(text=torch.ones(1, 2, 4))
    assert functional.softmax(output.class_logits, -1).sum().item() == pytest.approx(1)
