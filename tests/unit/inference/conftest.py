"""A small checkpoint for the tests of inference."""

from __future__ import annotations

import pytest
import torch

from semi_iin.checkpoint import save
from semi_iin.features import Encoders
from semi_iin.model import SemiIIN
from semi_iin.model_config import SemiIINConfig


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small untrained model that knows voice and face."""
    specs = {"audio": {"kind": "log_mel_audio"}, "vision": {"kind": "face_cnn"}}
    encoders = Encoders.build(specs)
    torch.manual_seed(0)
    sizes = SemiIINConfig(
        hidden=16,
        audio_width=encoders.encoders["audio"].width,
        vision_width=encoders.encoders["vision"].width,
        audio_convs=((3, 2, 1),),
    )
    model = {f"model.{name}": value for name, value in SemiIIN(sizes).state_dict().items()}
    described = {"name": "small", "model": sizes.to_dict(), "encoders": encoders.specs()}
    folder = tmp_path_factory.mktemp("checkpoint") / "small"
    return str(save(folder, {**model, **encoders.tensors()}, described))
