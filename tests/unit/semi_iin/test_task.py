"""The fusion task: loss, modality dropout, scores."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from semi_iin.errors import SemiIINError
from semi_iin.features import Encoders, collate
from semi_iin.loop import fit
from semi_iin.model import SemiIIN
from semi_iin.settings import Objective, RunConfig, Training
from semi_iin.task import (
    Example,
    SentimentTask,
    build_model,
    load,
    load_features,
    score,
    valence_error,
)
from tests.unit.semi_iin.generated import SMALL


def examples(count: int, seed: int = 0) -> list[Example]:
    """Texts whose first feature is the valence."""
    random = np.random.default_rng(seed)
    result = []
    for valence in random.uniform(-3, 3, count):
        features = random.normal(0, 0.3, (int(random.integers(2, 9)), 5))
        features[:, 0] = valence
        result.append(
            Example(
                {"text": torch.from_numpy(features).float()},
                float(valence),
                int(np.digitize(valence, (-2.5, -1.5, -0.5, 0.5, 1.5, 2.5))),
                "made",
            )
        )
    return result


@pytest.mark.slow
def test_semi_iin_learns_valence_from_text(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = SemiIIN(SMALL)
    selection = examples(60, seed=1)
    task = SentimentTask(model, examples(300), selection, batch_size=16)
    metrics = fit(task, Training(epochs=12, learning_rate=3e-3), tmp_path)
    assert metrics["made_mae"] < 0.5 and metrics["made_corr"] > 0.95
    valence, logits = score(model, selection, batch_size=7)
    assert np.abs(valence - [example.valence for example in selection]).mean() == pytest.approx(
        metrics["score"], abs=1e-4
    )
    assert (logits.argmax(axis=1) == [example.sentiment for example in selection]).mean() > 0.5


def test_the_loss_is_the_papers() -> None:
    torch.manual_seed(0)
    model = SemiIIN(SMALL).eval()
    labelled, pseudo = examples(2)
    pseudo = replace(pseudo, valence=None, sentiment=3)
    task = SentimentTask(model, [labelled, pseudo], [labelled], batch_size=2)
    with torch.no_grad():
        output = [
            model(text=load_features(example.features["text"])[None])
            for example in (labelled, pseudo)
        ]
    entropy = [
        float(nn.functional.cross_entropy(out.class_logits, torch.tensor([example.sentiment])))
        for out, example in zip(output, (labelled, pseudo), strict=True)
    ]
    squared = float((output[0].valence.detach() - labelled.valence).square())
    expected = 0.6 * squared + 0.4 * entropy[0] + 0.2 * entropy[1]
    loss = task.loss([0, 1], np.random.default_rng(0))
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-4)


def test_clips_without_words_have_an_error_of_their_own() -> None:
    predicted, label = torch.tensor([2.0, 2.0]), torch.tensor([0.0, 0.0])
    wordless = torch.tensor([False, True])
    mixed = Objective(error="absolute", wordless_error="squared")
    assert valence_error(mixed, predicted, label, wordless).tolist() == [2.0, 4.0]
    assert valence_error(mixed, predicted, label).tolist() == [2.0, 2.0]
    assert valence_error(Objective(), predicted, label, wordless).tolist() == [4.0, 4.0]
    voice = Example({"audio": torch.ones(4, 6)}, 3.0, 6)
    spoken = Example({"audio": torch.ones(4, 6), "text": torch.ones(3, 5)}, 3.0, 6)
    model = SemiIIN(SMALL).eval()
    for example, power in ((voice, 2), (spoken, 1)):
        only_valence = mixed.model_copy(update={"classes": 0.0, "valence": 1.0})
        task = SentimentTask(model, [example], [example], batch_size=1, objective=only_valence)
        error = abs(3.0 - score_one(model, example))
        loss = float(task.loss([0], np.random.default_rng(0)).detach())
        assert loss == pytest.approx(error**power, rel=1e-4)


def score_one(model: SemiIIN, example: Example) -> float:
    rows = collate([load(example, SMALL)]).inputs()
    return float(model(**rows).valence.detach())


def test_a_model_that_gets_columns_goes_on_from_the_weights_of_the_states(
    embedded: Encoders,
) -> None:
    config = RunConfig(name="made", data=(), model={"hidden": 16, "head_widths": [16, 8]})
    old = build_model(config, embedded)
    specs = embedded.specs()
    specs["audio"] = {**specs["audio"], "emotion_columns": True}
    encoders = Encoders.build(specs, embedded.tensors())
    other = config.model_copy(update={"seed": 1})
    new = build_model(other, encoders, old.state_dict())
    audio = encoders.encoders["audio"]
    assert new.config.audio_columns == audio.columns == 9 and new.config.vision_columns == 0
    assert new.config.audio_width == old.config.audio_width + 9
    for name, value in new.state_dict().items():
        before = old.state_dict()[name]
        if name == "tokenizers.audio.convs.0.weight":
            assert not value[:, -9:].any()
            value = value[:, :-9]
        assert torch.equal(value, before), name
    again = build_model(other, encoders, new.state_dict())
    for name, value in again.state_dict().items():
        assert torch.equal(value, new.state_dict()[name]), name


def test_modality_dropout_leaves_at_least_one_modality() -> None:
    model = SemiIIN(SMALL)
    whole = Example(
        {"audio": torch.ones(4, 6), "text": torch.ones(3, 5), "vision": torch.ones(2, 4)}, 1.0, 4
    )
    task = SentimentTask(
        model, [whole], [whole], batch_size=1, objective=Objective(modality_dropout=1.0)
    )
    random = np.random.default_rng(0)
    rows = [task._drop(load(whole, SMALL), random) for _ in range(200)]
    remaining = {tuple(row) for row in rows}
    assert len(remaining) == 6  # every subset but the empty and the whole


def test_a_task_without_examples_is_refused() -> None:
    with pytest.raises(SemiIINError, match="at least one example"):
        SentimentTask(SemiIIN(SMALL), [], examples(1), batch_size=1)


def test_features_on_disk_are_read_and_cut(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((500, 5), dtype=np.float16))
    selection = [Example({"text": tmp_path / "a.npy"}, 0.0, 3)]
    valence, logits = score(SemiIIN(SMALL), selection)
    assert valence.shape == (1,) and logits.shape == (1, 7)
