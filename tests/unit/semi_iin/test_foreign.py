"""A checkpoint from elsewhere: its configuration starts nothing, and takes no absurd memory."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from semi_iin import checkpoint
from semi_iin.encoders.transformer import load_backbone, locate
from semi_iin.errors import SemiIINError
from semi_iin.features import Encoders
from semi_iin.foreign import check_transformer, checked_encoders
from semi_iin.model_config import SemiIINConfig


def written(folder: Path, **config: Any) -> Path:
    save_file({"model.weight": torch.zeros(2, 2)}, folder / checkpoint.WEIGHTS)
    content = {"format_version": checkpoint.FORMAT_VERSION, "model": {}, **config}
    (folder / checkpoint.CONFIG).write_text(json.dumps(content))
    return folder


@pytest.fixture
def own_bert(tiny_bert: Path, tmp_path: Path) -> Path:
    """A copy of the tiny transformer, to be changed."""
    return Path(shutil.copytree(tiny_bert, tmp_path / "bert"))


def test_a_checkpoint_cannot_start_a_download(tmp_path: Path) -> None:
    spec = {"kind": "transformer_text", "source": "no-such/model", "download": True}
    loaded = checkpoint.load(written(tmp_path, encoders={"text": spec}))
    assert loaded.config["encoders"] == {
        "text": {"kind": "transformer_text", "source": "no-such/model"}
    }
    with pytest.raises(SemiIINError, match="no-such/model cannot be loaded"):
        Encoders.build(loaded.config["encoders"])


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("package:antigravity/model", "none of those"),
        ("package:os.path/model", "none of those"),
        ("package:semi_iin/../../etc", "outside the package"),
    ],
)
def test_weights_come_from_few_packages_and_from_inside_them(source: str, reason: str) -> None:
    with pytest.raises(SemiIINError, match=reason):
        locate(source) if reason == "none of those" else locate(source, ["semi_iin"])


def test_code_that_a_source_names_is_not_run(own_bert: Path) -> None:
    ran = own_bert / "ran"
    (own_bert / "code.py").write_text(f"open({str(ran)!r}, 'w')\nclass Evil: pass\n")
    path = own_bert / "config.json"
    own = json.loads(path.read_text())
    path.write_text(
        json.dumps({**own, "model_type": "evil", "auto_map": {"AutoModel": "code.Evil"}})
    )
    with pytest.raises(SemiIINError, match="cannot be loaded"):
        load_backbone({"source": str(own_bert)})
    assert not ran.exists()


def test_a_transformer_of_absurd_size_is_refused_before_it_is_built(own_bert: Path) -> None:
    path = own_bert / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "vocab_size": 10**12}))
    with pytest.raises(SemiIINError, match=r"vocab_size of .* = 1000000000000 is not at most"):
        load_backbone({"source": str(own_bert)})


@pytest.mark.parametrize(
    "spec",
    [{"width": 10**9}, {"channels": [4, 10**7]}, {"channels": [1] * 1000}, {"width": float("inf")},
     {"max_frames": 10**12}, {"source": "x" * 5000}, {"channels": [[1]]}, "log_mel_audio"],
)  # fmt: skip
def test_absurd_specs_of_encoders_are_a_sentence(spec: Any) -> None:
    with pytest.raises(SemiIINError, match="checkpoint's"):
        checked_encoders({"audio": spec})


def test_a_width_that_no_weight_has_is_refused_before_memory_is_taken() -> None:
    spec = {"kind": "log_mel_audio", "width": 8000}
    with pytest.raises(SemiIINError, match="largest size is 4"):
        Encoders.build({"audio": spec}, {"audio_encoder.project.weight": torch.zeros(4, 4)})


@pytest.mark.parametrize(
    "model",
    [{"hidden": 2**20}, {"max_audio": 10**9}, {"head_widths": [10**9]}, {"hidden": "128"},
     {"hidden": 128.0}, {"applications": 10**6}, {"audio_convs": [[3, 1, 1]] * 1000},
     {"audio_convs": [[10**9, 1, 1]]}, {"feature_dropout": float("nan")}],
)  # fmt: skip
def test_absurd_sizes_of_the_model_are_a_sentence(model: dict[str, Any]) -> None:
    with pytest.raises(SemiIINError):
        SemiIINConfig.from_dict(model)


def test_a_large_model_without_its_weights_is_refused_without_memory(tmp_path: Path) -> None:
    sizes = {"hidden": 16_384, "ffn_multiple": 64, "heads": 4}  # 70 GB of weights
    loaded = checkpoint.load(written(tmp_path, model=sizes))
    with pytest.raises(SemiIINError, match="do not fit"):
        loaded.build_model()


def test_a_deep_or_large_configuration_is_a_sentence(tmp_path: Path) -> None:
    written(tmp_path)
    damage: dict[str, Callable[[], str]] = {
        "cannot be read as JSON": lambda: "[" * 100_000,
        "is larger than": lambda: " " * (checkpoint.MAX_CONFIG_BYTES + 1),
    }
    for reason, text in damage.items():
        (tmp_path / checkpoint.CONFIG).write_text(text())
        with pytest.raises(SemiIINError, match=reason):
            checkpoint.load(tmp_path)


def test_sizes_that_models_have_are_accepted() -> None:
    class RobertaLarge:
        hidden_size, num_hidden_layers, vocab_size = 1024, 24, 50_265

    check_transformer(RobertaLarge(), "roberta-large")
    SemiIINConfig()
