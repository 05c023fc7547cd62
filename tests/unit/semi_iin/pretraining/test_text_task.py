"""Fine-tuning of the text encoder."""

from dataclasses import replace
from pathlib import Path

import torch

from semi_iin.data.samples import Sample
from semi_iin.encoders.text import TextEncoder
from semi_iin.loop import fit
from semi_iin.model import SemiIIN
from semi_iin.pretraining.text import TextTask, bare
from semi_iin.settings import Training
from tests.unit.semi_iin.generated import SMALL


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
