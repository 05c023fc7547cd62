"""The text encoder."""

from pathlib import Path

import torch
from transformers import RobertaConfig, RobertaModel, RobertaTokenizer

from semi_iin.clips import Clip
from semi_iin.encoders.text import TextEncoder
from semi_iin.features import Encoders


def test_context_changes_features_but_adds_no_tokens(embedded: Encoders) -> None:
    without, with_context = embedded.rows(
        [Clip(text="it was"), Clip(text="it was", context="bad film")]
    )
    assert without["text"].shape == with_context["text"].shape
    assert not torch.allclose(without["text"], with_context["text"], atol=1e-3)
    (alone,) = embedded.rows([Clip(context="bad film")])
    assert alone == {}


def test_only_the_latest_context_is_read(embedded: Encoders) -> None:
    recent = "good film . good film . it was"
    long, short = embedded.rows(
        [Clip(text="it", context="hate hate " + recent), Clip(text="it", context=recent)]
    )
    torch.testing.assert_close(long["text"], short["text"])


def test_text_longer_than_the_maximum_is_cut(tiny_bert: Path) -> None:
    encoder = TextEncoder({"source": str(tiny_bert), "max_tokens": 6})
    (features,) = encoder.encode([Clip(text="good " * 50)])
    assert features.shape == (6, 16)


def test_the_papers_text_encoder_gives_last_hidden_states(tmp_path: Path) -> None:
    vocabulary = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "g": 4, "o": 5, "d": 6, "good": 7}
    merges = [("g", "o"), ("o", "d"), ("go", "od")]
    vocabulary |= {"go": 8, "od": 9}
    RobertaTokenizer(vocabulary, merges).save_pretrained(tmp_path)
    torch.manual_seed(0)
    model = RobertaModel(
        RobertaConfig(
            vocab_size=10, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=32, type_vocab_size=1, max_position_embeddings=40,
        )
    )  # fmt: skip
    model.save_pretrained(tmp_path)
    encoder = TextEncoder({"source": str(tmp_path), "context_tokens": 4}).eval()
    with torch.inference_mode():
        (features,) = encoder.encode([Clip(text="good", context="good")])
        expected = model.eval()(torch.tensor([[0, 7, 2, 7, 2]])).last_hidden_state[0, :3]
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-4)
