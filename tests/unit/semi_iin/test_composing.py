"""Clips composed of words, voices and faces."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from semi_iin.composing import Composer, altered_voices
from semi_iin.data.formats import read
from semi_iin.features import Encoders
from semi_iin.task import Example
from tests.unit.semi_iin.generated import recordings, tones


def pools(width: int) -> dict[int, list[Tensor]]:
    """Features that say their sign."""
    return {sign: [torch.full((3, width), float(sign))] for sign in (-1, 0, 1)}


def test_a_composed_clip_has_the_sign_of_its_words() -> None:
    composer = Composer(pools(6), pools(4))
    random = np.random.default_rng(0)
    for valence, sign in ((2.0, 1), (-1.0, -1), (0.2, 0)):
        example = Example({"text": torch.ones(2, 5)}, valence, 0)
        features = composer.compose(example, ("audio", "text", "vision"), random)
        assert list(features) == ["audio", "text", "vision"]
        assert {float(features[name].mean()) for name in ("audio", "vision")} == {float(sign)}  # type: ignore[union-attr]


def test_training_gets_every_set_of_modalities_and_flat_voices_beside_words() -> None:
    composer = Composer(pools(6), pools(4))
    random = np.random.default_rng(0)
    example = Example({"text": torch.ones(2, 5)}, 2.0, 6)
    seen = [composer(example, random) for _ in range(600)]
    assert {tuple(features) for features in seen} == set(Composer.SHARES)
    beside = [float(row["audio"].mean()) for row in seen if {"audio", "text"} <= set(row)]  # type: ignore[union-attr]
    alone = [float(row["audio"].mean()) for row in seen if "text" not in row and "audio" in row]  # type: ignore[union-attr]
    assert 0.15 < np.mean(np.array(beside) == 0) < 0.45
    assert set(alone) == {1.0}


def test_a_voice_with_a_valence_of_its_own_stays_as_it_is() -> None:
    composer = Composer(pools(6), pools(4))
    example = Example({"audio": torch.ones(2, 6)}, 2.0, 6)
    assert list(composer(example, np.random.default_rng(0))) == ["audio"]


def test_without_faces_only_voices_are_composed() -> None:
    composer = Composer(pools(6), {-1: [], 0: [], 1: []})
    random = np.random.default_rng(0)
    example = Example({"text": torch.ones(2, 5)}, 2.0, 6)
    assert {tuple(composer(example, random)) for _ in range(200)} == {
        ("text",), ("audio", "text"), ("audio",),
    }  # fmt: skip


def test_a_voice_alone_has_an_altered_reading(embedded: Encoders, tmp_path: Path) -> None:
    recordings(tmp_path, tones(2, 0), 1)
    voice, _ = read(tmp_path, "ravdess")
    (altered,), none = altered_voices([voice, replace(voice, text="good")], embedded, 0)
    (plain,) = embedded.rows([voice.clip()])
    assert none == [] and list(altered) == ["audio"]
    assert altered["audio"].shape[1] == plain["audio"].shape[1]
    assert not torch.equal(altered["audio"], plain["audio"])
