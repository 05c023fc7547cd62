"""Clips composed of words, voices and faces."""

import numpy as np
import pytest
import torch

from semi_iin.composing import Composer, Expression, read_by_the_head
from semi_iin.errors import SemiIINError
from semi_iin.perceived import together
from semi_iin.task import Example, only

NONE: dict[int, list[Expression]] = {-1: [], 0: [], 1: []}


def pool(width: int) -> dict[int, list[Expression]]:
    """Expressions whose features and valence say their sign."""
    return {
        sign: [Expression(torch.full((3, width), float(sign)), 2.0 * sign)] for sign in (-1, 0, 1)
    }


def text(valence: float) -> Example:
    return Example({"text": torch.ones(2, 5)}, valence, 0)


def sign(example: Example, name: str) -> float:
    value = example.features[name]  # type: ignore[index]
    assert isinstance(value, torch.Tensor)
    return float(value.mean())


def test_an_agreeing_clip_has_the_sign_of_its_words() -> None:
    composer = Composer(pool(6), pool(4))
    random = np.random.default_rng(0)
    for valence, expected in ((2.0, 1), (-1.0, -1), (0.2, 0)):
        clip = composer.agreeing(text(valence), ("audio", "text", "vision"), random)
        assert list(clip.features) == ["audio", "text", "vision"]
        assert {sign(clip, name) for name in ("audio", "vision")} == {float(expected)}
        assert clip.valence == valence


def test_training_gets_every_set_of_modalities_and_flat_voices_beside_words() -> None:
    composer = Composer(pool(6), pool(4))
    random = np.random.default_rng(0)
    clips = [composer(text(2.0), random) for _ in range(600)]
    assert {tuple(clip.features) for clip in clips} == set(Composer.SHARES)
    beside = [sign(clip, "audio") for clip in clips if {"audio", "text"} <= set(clip.features)]
    assert 0.15 < np.mean(np.array(beside) == 0) < 0.45
    assert all(clip.valence == 2.0 for clip in clips if "text" in clip.features)


def test_without_words_the_label_is_what_people_perceive() -> None:
    composer = Composer(pool(6), pool(4))
    random = np.random.default_rng(0)
    clips = [composer(text(2.0), random) for _ in range(600)]
    for clip in clips:
        if tuple(clip.features) == ("audio",):
            assert clip.valence == 2.0 * sign(clip, "audio")
        if tuple(clip.features) == ("audio", "vision"):
            voice, face = sign(clip, "audio"), sign(clip, "vision")
            assert clip.valence == pytest.approx(together(2 * voice, 2 * face))
    both = [clip for clip in clips if tuple(clip.features) == ("audio", "vision")]
    apart = np.mean([sign(clip, "audio") != sign(clip, "vision") for clip in both])
    assert 0.1 < apart < 0.5
    assert {clip.sentiment for clip in both} >= {1, 3, 5}


def test_leaving_out_the_words_leaves_the_valence_of_voice_and_face() -> None:
    composer = Composer(pool(6), pool(4))
    clip = composer.agreeing(text(0.9), ("audio", "text", "vision"), np.random.default_rng(0))
    assert only(clip, ["audio"]).valence == 2.0
    assert only(clip, ["audio", "vision"]).valence == pytest.approx(together(2.0, 2.0))
    assert only(clip, ["audio", "text"]).valence == 0.9


def test_without_faces_only_voices_are_composed() -> None:
    composer = Composer(pool(6), NONE)
    random = np.random.default_rng(0)
    assert {tuple(composer(text(2.0), random).features) for _ in range(200)} == {
        ("text",), ("audio", "text"), ("audio",),
    }  # fmt: skip


def voice(column: float, valence: float) -> Expression:
    """A voice of two states, whose last column is what the head gives."""
    return Expression(torch.tensor([[7.0, column], [-7.0, column]]), valence)


def test_a_rated_voice_trains_in_part_by_what_its_emotion_head_gives() -> None:
    """The head gives half of each valence without the chance of the votes, which cancels out."""
    rated = {
        -1: [voice(-1.0, -2.5), voice(-1.0, -1.5)],
        0: [voice(0.0, 0.2), voice(0.0, -0.2)],
        1: [voice(1.0, 2.3), voice(1.0, 1.7)],
    }

    def valences(share: float) -> list[float]:
        read = read_by_the_head(rated, 1, share)
        return [voice.valence for kind in read.values() for voice in kind]

    assert valences(1.0) == pytest.approx([-2, -2, 0, 0, 2, 2])
    assert valences(0.5) == pytest.approx([-2.25, -1.75, 0.1, -0.1, 2.15, 1.85])


def test_signs_have_one_weight_whatever_the_number_of_their_voices() -> None:
    """Nine negative voices to one positive, which a constant column cannot tell apart."""
    rated = {-1: [voice(1.0, -1.0)] * 9, 0: [], 1: [voice(1.0, 1.0)]}
    read = read_by_the_head(rated, 1, 1.0)
    assert read[1][0].valence == pytest.approx(0.0, abs=1e-9)


def test_without_emotion_columns_the_setting_is_refused() -> None:
    with pytest.raises(SemiIINError, match="emotion_columns = true"):
        read_by_the_head({1: [voice(1.0, 1.0)]}, 0, 0.5)
