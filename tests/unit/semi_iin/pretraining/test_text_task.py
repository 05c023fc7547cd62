"""Fine-tuning of the text encoder."""

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from semi_iin.data.samples import Sample
from semi_iin.encoders.text import TextEncoder
from semi_iin.loop import fit
from semi_iin.model import SemiIIN
from semi_iin.pretraining.text import FASTER, ScaleMaps, TextTask, bare, disturbed
from semi_iin.settings import Training
from tests.unit.semi_iin.generated import SMALL


@pytest.mark.slow
def test_fine_tuning_leaves_the_word_embeddings(tiny_bert: Path, tmp_path: Path) -> None:
    encoder = TextEncoder({"source": str(tiny_bert), "context_tokens": 4})
    before = {name: value.clone() for name, value in encoder.backbone.named_parameters()}
    texts = {"i love this film": 2.0, "good": 1.5, "i hate this film": -2.0, "bad": -1.5}
    samples = [
        Sample(f"{index}", label=label, text=text, context="it was")
        for index, (text, label) in enumerate(texts.items())
    ]
    torch.manual_seed(0)
    model = SemiIIN(replace(SMALL, text_width=16))
    task = TextTask(encoder, model, samples * 4, samples, batch_size=4)
    with torch.no_grad():
        start = task.measure()["mae"]
    metrics = fit(task, Training(epochs=12, learning_rate=5e-3, layer_decay=0.9), tmp_path)
    assert metrics["mae"] < 0.7 * start
    changed = {
        name
        for name, value in encoder.backbone.named_parameters()
        if not torch.equal(value, before[name])
    }
    assert "embeddings.word_embeddings.weight" not in changed
    assert "encoder.layer.0.attention.self.query.weight" in changed


def test_word_embeddings_can_be_fine_tuned(tiny_bert: Path, tmp_path: Path) -> None:
    encoder = TextEncoder({"source": str(tiny_bert)})
    words = encoder.backbone.get_input_embeddings().weight
    before = words.detach().clone()
    samples = [Sample("a", label=2.0, text="good"), Sample("b", label=-2.0, text="bad")]
    model = SemiIIN(replace(SMALL, text_width=16))
    task = TextTask(encoder, model, samples, samples, batch_size=2, words=True)
    fit(task, Training(epochs=1, decoupled=True, weight_decay=0.1), tmp_path)
    ids = encoder.tokenizer(["good", "bad", "film"])["input_ids"]
    good, bad, film = (row[1] for row in ids)
    changed = (words.detach() != before).any(dim=1)
    assert changed[good] and changed[bad] and not changed[film]  # nor decayed


def test_bare_text_has_no_case_and_no_punctuation() -> None:
    assert bare("Well, I DON'T know -- maybe.") == "well i don't know maybe"
    assert bare("?!") == "?!"  # nothing else is left of it


def test_disturbed_text_loses_about_that_share_of_its_words() -> None:
    text = " ".join(f"w{index}" for index in range(4000))
    result = disturbed(text, 0.2, np.random.default_rng(0))
    assert result.split()[0].startswith("w")
    lost = set(text.split()) - set(re.findall(r"w\d+", result))
    assert 0.08 < len(lost) / 4000 < 0.12  # half of the share
    joined = [word for word in result.split() if word.count("w") > 1]
    assert 0.03 < len(joined) / 4000 < 0.07  # a quarter
    assert disturbed("one", 1.0, np.random.default_rng(0)) in ("one", "one one")
    assert disturbed(text, 1e-9, np.random.default_rng(1)) == text


def test_signs_pull_valence_over_the_edge_and_no_further() -> None:
    sign_error = partial(ScaleMaps().sign_error, corpora=[""])
    far, near = torch.tensor([2.5]), torch.tensor([0.2])
    positive, neutral = torch.tensor([1.0]), torch.tensor([0.0])
    assert sign_error(far, positive) < 0.2 < sign_error(near, positive)
    assert sign_error(near, neutral) < sign_error(far, neutral)
    mirrored = sign_error(-far, torch.tensor([-1.0]))
    torch.testing.assert_close(mirrored, sign_error(far, positive))


def test_a_corpus_whose_signs_follow_valence_less_gets_a_flatter_slope() -> None:
    maps = ScaleMaps({"clean", "doubtful"})
    valence = torch.tensor([2.0, -2.0, 2.0, -2.0]).repeat(2)
    sign = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0, -1.0, -1.0, 1.0])  # two of the last four
    corpora = ["clean"] * 4 + ["doubtful"] * 4
    optimizer = torch.optim.Adam(maps.parameters(), lr=0.01)
    for _ in range(50):
        optimizer.zero_grad()
        maps.sign_error(valence, sign, corpora).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    clean, doubtful = (maps.log_slope[maps.corpora[name]] for name in ("clean", "doubtful"))
    assert clean > 1 / FASTER > doubtful


@pytest.mark.slow
def test_labels_of_sign_are_not_learned_as_degrees(tiny_bert: Path, tmp_path: Path) -> None:
    degrees = [("i love this film", 2.8), ("i hate this film", -2.8)]
    samples = [Sample(text, label=label, text=text) for text, label in degrees]
    signs = [Sample(f"sign {text}", label=np.sign(label), scale="sign", text=text)
             for text, label in degrees]  # fmt: skip
    emobank = [Sample("emobank", label=0.3, scale="emobank", text="good")]
    encoder = TextEncoder({"source": str(tiny_bert)})
    torch.manual_seed(0)
    model = SemiIIN(replace(SMALL, text_width=16))
    task = TextTask(encoder, model, (samples + signs * 3 + emobank) * 2, samples, batch_size=6)
    metrics = fit(task, Training(epochs=60, learning_rate=5e-3), tmp_path)
    assert metrics["mae"] < 0.9  # three times as many labels of 1 and -1 do not move it to 1


@pytest.mark.slow
def test_a_teacher_is_learned_from_where_there_is_no_label(tiny_bert: Path, tmp_path: Path) -> None:
    texts = ["i love this film", "i hate this film"]
    samples = [Sample(text, split="unlabeled", text=text) for text in texts] * 4
    taught = np.array([1.5, -1.5] * 4, dtype=np.float32)
    selection = [
        Sample(text, label=value, text=text) for text, value in zip(texts, (1.5, -1.5), strict=True)
    ]
    encoder = TextEncoder({"source": str(tiny_bert)})
    torch.manual_seed(0)
    model = SemiIIN(replace(SMALL, text_width=16))
    task = TextTask(encoder, model, samples, selection, batch_size=4, taught=taught)
    metrics = fit(task, Training(epochs=40, learning_rate=5e-3), tmp_path)
    assert metrics["mae"] < 0.5


def test_a_linear_head_alone_teaches_the_encoder_and_semi_iin_reads_it(tiny_bert: Path) -> None:
    encoder = TextEncoder({"source": str(tiny_bert)})
    samples = [Sample("a", label=2.0, text="good"), Sample("b", label=-2.0, text="bad")]
    model = SemiIIN(replace(SMALL, text_width=16))
    task = TextTask(encoder, model, samples, samples, batch_size=2, head="linear")
    with torch.no_grad():
        task.mean_head.weight.zero_()  # lets no error through to the encoder
    task.module.train()
    task.loss([0, 1], np.random.default_rng(0)).backward()  # type: ignore[no-untyped-call]
    reached = [value.grad is not None and bool(value.grad.any()) for value in encoder.parameters()]
    assert not any(reached)
    assert any(value.grad is not None and value.grad.any() for value in model.parameters())
    assert bool(task.mean_head.weight.grad.any())  # type: ignore[union-attr]
    task.module.eval()
    with torch.no_grad():
        metrics = task.measure()
    assert metrics["score"] == metrics["mean_head_mae"] != metrics["mae"]


@pytest.mark.parametrize(("share", "read"), [(0.0, set[bool]()), (1.0, {True})])
def test_a_share_of_batches_is_read_with_context(
    tiny_bert: Path, share: float, read: set[bool]
) -> None:
    encoder = TextEncoder({"source": str(tiny_bert), "context_tokens": 8})
    samples = [Sample(str(n), label=2.0, text="good", context="it was") for n in range(2)]
    model = SemiIIN(replace(SMALL, text_width=16))
    task = TextTask(encoder, model, samples, samples, batch_size=2, context=share)
    parts: list[bool] = []
    encoder.backbone.register_forward_pre_hook(
        lambda module, args, inputs: parts.append(bool(inputs["token_type_ids"].any())),
        with_kwargs=True,
    )
    for number in range(4):
        task.loss([0, 1], np.random.default_rng(number))
    assert set(parts) - {False} == read and len(parts) == 4
