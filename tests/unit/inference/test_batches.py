"""Batches through the model: memory, failures, one by one, and loading a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from semi_iin.clips import Clip
from semi_iin.predict import Prediction
from streamer.config import build
from streamer.errors import ModelError
from streamer.inference import batches
from streamer.inference.batches import Refused, Scorer
from streamer.inference.clips import to_clip
from streamer.records import MODALITIES
from tests.fake_model import FakeModel
from tests.made_windows import TONE, pcm16, window


def test_one_window_that_never_fits_is_refused_while_the_model_works_otherwise() -> None:
    class Small(FakeModel):
        def predict(self, clips: Sequence[Clip]) -> list[Prediction]:
            if any(len(clip.faces or ()) > 10 for clip in clips):
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().predict(clips)

    large, small = Clip(text="x", faces=[np.zeros((8, 8, 3), np.uint8)] * 11), Clip(text="good")
    scorer = Scorer(Small())
    refused, prediction = scorer.score([large, small])
    assert isinstance(refused, Refused) and isinstance(prediction, Prediction)
    assert "out of memory" in refused.reason
    assert prediction.valence == 1.0


def test_warm_up_names_the_failure() -> None:
    with pytest.raises(ModelError, match=r"fake-1 fails .* check its device, inference.dtype"):
        Scorer(FakeModel(broken=True)).warm_up()


@pytest.mark.parametrize(
    ("reproducible", "device", "alone"),
    [
        ("auto", "cpu", True),
        ("auto", "cuda", False),
        ("auto", "mps", False),
        ("always", "cuda", True),
        ("never", "cpu", False),
    ],
)
def test_windows_are_scored_one_at_a_time_on_the_cpu_or_where_it_is_set(
    reproducible: str, device: str, alone: bool
) -> None:
    config = build({"inference": {"reproducible": reproducible}})
    assert batches.scored_alone(config, FakeModel(device=torch.device(device))) is alone


def valences(results: Sequence[Prediction | Refused]) -> list[float | None]:
    return [result.valence for result in results if isinstance(result, Prediction)]


def test_a_batch_gives_nearly_the_scores_of_one_by_one(checkpoint: str) -> None:
    config = build({"inference": {"checkpoint": checkpoint, "device": "cpu"}})
    scorer = Scorer(batches.load_predictor(config))
    windows = [window(k, audio=pcm16(TONE * k / 8)) for k in range(1, 6)]
    clips = [clip for each in windows if (clip := to_clip(each, config, MODALITIES))]
    together = scorer.score(clips)
    alone = [scorer.score([clip])[0] for clip in clips]
    assert len(together) == len(windows)
    assert valences(together) == pytest.approx(valences(alone), abs=1e-4)


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
def test_the_model_is_compiled_only_where_it_is_set(checkpoint: str) -> None:
    settings = {"checkpoint": checkpoint, "device": "cpu"}
    assert not batches.load_predictor(build({"inference": settings})).compiled
    assert batches.load_predictor(build({"inference": {**settings, "compile": True}})).compiled


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"checkpoint": "nowhere"}, "cannot be loaded from nowhere"),
        ({"device": "abacus"}, "for the device abacus: .* must be auto, cpu, cuda or mps"),
    ],
)
def test_a_checkpoint_or_device_that_cannot_be_used_is_one_sentence(
    checkpoint: Any, settings: dict[str, Any], reason: str
) -> None:
    config = build({"inference": {"checkpoint": checkpoint, **settings}})
    with pytest.raises(ModelError, match=reason) as caught:
        batches.load_predictor(config)
    assert "\n" not in str(caught.value)
