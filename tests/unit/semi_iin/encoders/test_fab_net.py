"""FAb-Net."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from semi_iin.clips import Clip
from semi_iin.encoders.fab_net import FabNetEncoder, convert_fab_net
from semi_iin.errors import SemiIINError
from semi_iin.features import Encoders
from tests.unit.semi_iin.generated import fab_net_state, random_faces


def test_the_papers_vision_encoder_loads_the_published_weights(tmp_path: Path) -> None:
    published = tmp_path / "release.pth"
    state = {**fab_net_state(), "decoder.2.weight": torch.zeros(1)}
    torch.save({"epoch": 3, "state_dict_model": state}, published)
    weights = convert_fab_net(published, tmp_path / "fab_net.safetensors")
    encoders = Encoders.build({"vision": {"kind": "fab_net", "weights": str(weights)}})
    (row,) = encoders.rows([Clip(faces=random_faces(3, 300))])
    assert row["vision"].shape == (3, 256)
    assert row["vision"].std() > 0
    clips = [Clip(faces=random_faces(2, 300)), Clip(faces=random_faces(3, 200)[1:])]
    for clip, together in zip(clips, encoders.rows(clips), strict=True):
        torch.testing.assert_close(together, encoders.rows([clip])[0], atol=1e-5, rtol=1e-4)
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
