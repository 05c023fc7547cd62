"""FAb-Net."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from semi_iin.clips import Clip
from semi_iin.encoders.fab_net import FabNetEncoder, convert_fab_net
from semi_iin.errors import SemiIINError
from semi_iin.features import Encoders
from tests.unit.semi_iin.generated import random_faces


def release_of_fab_net() -> dict[str, torch.Tensor]:
    """Names and shapes of the published encoder, written out by hand."""
    torch.manual_seed(0)
    widths = [(3, 32), (32, 64), (64, 128), (128, 256)] + [(256, 256)] * 4
    state = {}
    for index, (at, (inner, outer)) in enumerate(
        zip((0, 2, 5, 8, 11, 14, 17, 20), widths, strict=True)
    ):
        state[f"encoder.{at}.weight"] = torch.randn(outer, inner, 4, 4) * 0.05
        state[f"encoder.{at}.bias"] = torch.randn(outer) * 0.05
        if 0 < index < 7:
            for name, value in (
                ("weight", torch.ones(outer)), ("bias", torch.zeros(outer)),
                ("running_mean", torch.zeros(outer)), ("running_var", torch.ones(outer)),
                ("num_batches_tracked", torch.tensor(7)),
            ):  # fmt: skip
                state[f"encoder.{at + 1}.{name}"] = value
    return state


def test_the_papers_vision_encoder_loads_the_published_weights(tmp_path: Path) -> None:
    published = tmp_path / "release.pth"
    state = {**release_of_fab_net(), "decoder.2.weight": torch.zeros(1)}
    torch.save({"epoch": 3, "state_dict_model": state}, published)
    weights = convert_fab_net(published, tmp_path / "fab_net.safetensors")
    encoders = Encoders.build({"vision": {"kind": "fab_net", "weights": str(weights)}})
    (row,) = encoders.rows([Clip(faces=random_faces(3, 300))])
    assert row["vision"].shape == (3, 256)
    assert row["vision"].std() > 0
    assert encoders.tensors() == {}


def test_fab_net_refuses_files_other_than_its_release(tmp_path: Path) -> None:
    with pytest.raises(SemiIINError, match="FAb-Net's weights are not at"):
        FabNetEncoder({"weights": str(tmp_path / "none.safetensors")})
    other = tmp_path / "other.pth"
    torch.save({"state_dict_model": {"decoder.0.weight": torch.zeros(1)}}, other)
    with pytest.raises(SemiIINError, match="no FAb-Net checkpoint"):
        convert_fab_net(other, tmp_path / "x.safetensors")
    torch.save({"state_dict_model": Path("not weights")}, other)
    with pytest.raises(SemiIINError, match="plain weights"):
        convert_fab_net(other, tmp_path / "x.safetensors")
    save_file({"encoder.0.weight": torch.zeros(1)}, tmp_path / "wrong.safetensors")
    with pytest.raises(SemiIINError, match="do not fit"):
        FabNetEncoder({"weights": str(tmp_path / "wrong.safetensors")})
