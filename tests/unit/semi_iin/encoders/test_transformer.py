"""Sources of transformers, and differences from them."""

import shutil
from pathlib import Path

import pytest
import torch

from semi_iin import weights
from semi_iin.encoders.text import TextEncoder
from semi_iin.encoders.transformer import add_difference, difference, locate
from semi_iin.errors import SemiIINError


def test_a_difference_of_full_rank_restores_the_trained_weights(tiny_bert: Path) -> None:
    before, after = (TextEncoder({"source": str(tiny_bert)}).backbone for _ in range(2))
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in after.encoder.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    stored = difference(before, after, rank=16)
    assert not any("embeddings" in name for name in stored)
    add_difference(before, stored)
    for name, parameter in before.named_parameters():
        torch.testing.assert_close(
            parameter, dict(after.named_parameters())[name], atol=1e-4, rtol=1e-3
        )


def test_a_low_rank_difference_is_small_and_exact_for_a_low_rank_change(tiny_bert: Path) -> None:
    before, after = (TextEncoder({"source": str(tiny_bert)}).backbone for _ in range(2))
    weight = after.encoder.layer[0].intermediate.dense.weight
    torch.manual_seed(1)
    with torch.no_grad():
        weight.add_(torch.randn(32, 2) @ torch.randn(2, 16) * 0.1)
    stored = difference(before, after, rank=2)
    name = "encoder.layer.0.intermediate.dense.weight"
    assert {key: tuple(value.shape) for key, value in stored.items()} == {
        f"{name}.left": (32, 2),
        f"{name}.right": (2, 16),
    }
    add_difference(before, stored)
    torch.testing.assert_close(
        before.encoder.layer[0].intermediate.dense.weight, weight, atol=2e-3, rtol=1e-2
    )


def test_a_difference_of_another_model_is_refused(tiny_bert: Path) -> None:
    stored = {"encoder.layer.9.output.dense.bias.change": torch.ones(16)}
    with pytest.raises(SemiIINError, match="trained on another"):
        TextEncoder({"source": str(tiny_bert)}, stored)


def test_weights_with_another_digest_are_refused(tiny_bert: Path) -> None:
    with pytest.raises(SemiIINError, match="other weights"):
        TextEncoder({"source": str(tiny_bert), "sha256": "0" * 64})


def test_an_error_names_a_missing_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(SemiIINError, match="no/such-model cannot be loaded"):
        TextEncoder({"source": "no/such-model"})
    with pytest.raises(SemiIINError, match="install no-such-package"):
        locate("package:no_such_package/model", ["no_such_package"])
    with pytest.raises(SemiIINError, match="streamer models get all-mpnet-base-v2"):
        TextEncoder({"source": "weights:all-mpnet-base-v2"})


def test_a_source_can_be_an_entry_of_the_weights(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = tuple(
        weights.File(path.name, path.stat().st_size, "", ()) for path in tiny_bert.iterdir()
    )
    entry = weights.Weights("tiny-bert", "tests", "none", "", {}, files)
    monkeypatch.setattr(weights, "KNOWN", {"tiny-bert": entry})
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    shutil.copytree(tiny_bert, tmp_path / "tiny-bert")
    assert TextEncoder({"source": "weights:tiny-bert"}).width == 16
