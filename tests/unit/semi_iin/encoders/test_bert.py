"""BERT and its tokenizer without transformers give what transformers gives."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer

from semi_iin.encoders.bert import Bert, WordPieces, read_config
from semi_iin.encoders.transformer import load_backbone, load_tokenizer
from semi_iin.errors import SemiIINError

TEXTS = (
    "i love this film .",
    "",
    " tab\tand\nline ",
    "IT WAS Good, bad!",
    "naïve Café [SEP] 北京 🙂",
    "good " * 40,
)


def inputs(mask: list[list[int]]) -> dict[str, torch.Tensor]:
    real = torch.tensor(mask)
    ids = torch.arange(5, 5 + real.numel()).view(real.shape) * real
    return {"input_ids": ids, "attention_mask": real, "token_type_ids": (ids > 8).long()}


@pytest.fixture
def own(tiny_bert: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bert, tmp_path / "bert"))


def changed(folder: Path, **keys: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))
    return folder


@pytest.mark.parametrize("mask", [[[1, 1, 1, 1, 1]], [[1, 1, 1, 1], [1, 1, 0, 0]]])
@pytest.mark.parametrize("training", [False, True])
def test_states_equal_those_of_transformers(
    tiny_bert: Path, mask: list[list[int]], training: bool
) -> None:
    ours = load_backbone({"source": str(tiny_bert)}).train(training)
    theirs = AutoModel.from_pretrained(tiny_bert).float().train(training)
    states = []
    for network in (ours, theirs):
        torch.manual_seed(3)  # of dropout
        states.append(network(**inputs(mask)).last_hidden_state)
    assert isinstance(ours, Bert)
    assert torch.equal(states[0], states[1])


def test_parameters_have_the_names_and_the_order_of_transformers(tiny_bert: Path) -> None:
    ours = load_backbone({"source": str(tiny_bert)})
    theirs = AutoModel.from_pretrained(tiny_bert)
    names = [name for name, _ in theirs.named_parameters() if not name.startswith("pooler.")]
    assert [name for name, _ in ours.named_parameters()] == names
    assert all(parameter.requires_grad for parameter in ours.parameters())


@pytest.mark.parametrize("special", [False, True])
def test_tokens_equal_those_of_transformers(tiny_bert: Path, special: bool) -> None:
    ours, theirs = (
        load_tokenizer({"source": str(tiny_bert)}),
        AutoTokenizer.from_pretrained(tiny_bert),
    )
    assert isinstance(ours, WordPieces)
    for text in TEXTS:
        for cut in (False, True):
            options: dict[str, Any] = {"add_special_tokens": special, "truncation": cut}
            ids = theirs(text, max_length=8, **options)["input_ids"]
            assert ours(text, max_length=8, **options)["input_ids"] == ids
    assert ours(TEXTS)["input_ids"] == theirs(list(TEXTS))["input_ids"]
    assert (ours.pad_token_id, ours.sep_token_id) == (theirs.pad_token_id, theirs.sep_token_id)


@pytest.mark.parametrize(
    "other",
    [{"hidden_act": "relu"}, {"is_decoder": True}, {"model_type": "roberta"},
     {"position_embedding_type": "relative_key"}, {"pad_token_id": None}],
)  # fmt: skip
def test_another_kind_of_network_is_left_to_transformers(own: Path, other: dict[str, Any]) -> None:
    assert read_config(own) is not None
    assert read_config(changed(own, **other)) is None


def test_weights_of_a_larger_task_are_read(own: Path) -> None:
    weights = own / "model.safetensors"
    state = {f"bert.{name}": value for name, value in load_file(weights).items()}
    save_file({**state, "cls.predictions.bias": torch.zeros(3)}, weights)
    assert load_backbone({"source": str(own)}).config.hidden_size == 16


def test_weights_that_do_not_fit_are_a_sentence(own: Path) -> None:
    with pytest.raises(SemiIINError, match="do not fit: misshapen"):
        load_backbone({"source": str(changed(own, hidden_size=18))})


def test_damaged_files_are_a_sentence(own: Path) -> None:
    (own / "tokenizer.json").write_text("{}")
    with pytest.raises(SemiIINError, match=r"tokenizer\.json cannot be read"):
        load_tokenizer({"source": str(own)})
    (own / "model.safetensors").write_bytes(b"short")
    with pytest.raises(SemiIINError, match="cannot be loaded"):
        load_backbone({"source": str(own)})
