"""Training of the face encoder."""

from pathlib import Path

import numpy as np
import torch

from semi_iin.encoders.vision import FaceEncoder
from semi_iin.loop import fit
from semi_iin.pretraining.face import FaceTask, altered_crops
from semi_iin.settings import Training
from tests.unit.semi_iin.generated import drawings


def test_the_face_encoder_learns_expressions(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = FaceEncoder({"width": 16, "channels": [4, 8, 8, 8], "emotions": ["happy", "sad"]})
    task = FaceTask(encoder, drawings(40, 0), drawings(16, 1), batch_size=8)
    metrics = fit(task, Training(epochs=6, learning_rate=5e-3), tmp_path)
    assert metrics["accuracy"] == 1.0


def test_altered_crops_keep_their_shape_and_differ() -> None:
    crops = torch.rand(8, 1, 48, 48)
    altered = altered_crops(crops, np.random.default_rng(0))
    assert altered.shape == crops.shape and altered.isfinite().all()
    assert all(not torch.allclose(crop, other) for crop, other in zip(crops, altered, strict=True))
    still = torch.ones(1, 1, 48, 48)
    assert altered_crops(still, np.random.default_rng(3)).max() <= 1.3 + 1e-5
