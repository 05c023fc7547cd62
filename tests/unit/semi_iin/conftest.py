"""Tiny generated encoders for the tests of semi_iin."""

from pathlib import Path

import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizer,
)

from semi_iin.features import Encoders

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = ["i", "love", "hate", "this", "film", "good", "bad", "it", "was", ".", ",", "'"]


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a two-layer BERT of width 16 and its tokenizer."""
    folder = tmp_path_factory.mktemp("tiny-bert")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *LETTERS[1:]]
    vocabulary += [f"##{letter}" for letter in LETTERS]
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(vocabulary)), encoding="utf-8")
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(dict.fromkeys(vocabulary)),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def embedded(tiny_bert: Path) -> Encoders:
    torch.manual_seed(0)
    return Encoders.build(
        {
            "text": {"kind": "transformer_text", "source": str(tiny_bert), "context_tokens": 8},
            "audio": {"kind": "log_mel_audio", "width": 24, "channels": [4, 8, 8, 8]},
            "vision": {"kind": "face_cnn", "width": 20, "channels": [4, 8, 8, 8]},
        }
    )
