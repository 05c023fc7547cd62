"""FAb-Net, the face encoder of the paper, and the conversion of its published weights."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from semi_iin.clips import Clip
from semi_iin.device import on_device
from semi_iin.encoders.protocol import Encoder, Spec, spread
from semi_iin.errors import SemiIINError
from semi_iin.state import load_exactly, read_pickled_state


class FabNetEncoder(Encoder):
    """FAb-Net's encoder (arXiv 1808.06882): 256-d for each 256x256 face crop.

    Spec of kind `fab_net`: `weights`, a safetensors file with the published names (`encoder.*`),
    written by `convert_fab_net` from the published file; `max_crops` of a clip, evenly spread.
    The weights are not trained here, so a checkpoint stores none of them.
    """

    SIDE = 256
    WIDTHS = (3, 32, 64, 128, 256, 256, 256, 256, 256)

    def __init__(self, spec: Spec, stored: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        self.spec = {"max_crops": 50, **spec}
        self.width = self.WIDTHS[-1]
        self.encoder = self.untrained()
        path = Path(self.spec.get("weights", ""))
        if not path.is_file():
            raise SemiIINError(
                f"FAb-Net's weights are not at '{path}': convert the published file and name the "
                "result as weights of the vision encoder"
            )
        weights = load_file(path)
        named = {name: value for name, value in weights.items() if name.startswith("encoder.")}
        load_exactly(self, named, f"FAb-Net's weights in {path}")

    @classmethod
    def untrained(cls) -> nn.Sequential:
        """Return the network, untrained."""
        layers: list[nn.Module] = []
        for index, (inner, outer) in enumerate(pairwise(cls.WIDTHS)):
            if index:
                layers.append(nn.LeakyReLU(0.2))
            layers.append(nn.Conv2d(inner, outer, 4, stride=2, padding=1))
            if 0 < index < len(cls.WIDTHS) - 2:
                layers.append(nn.BatchNorm2d(outer))
        return nn.Sequential(*layers)

    def forward(self, crops: Tensor) -> Tensor:
        """Return features (B, 256) of RGB crops (B, 3, 256, 256) in [0, 1]."""
        features: Tensor = self.encoder(crops).flatten(1)
        return features

    def encode(self, clips: Sequence[Clip]) -> list[Tensor]:
        """Return features (L, 256) float32 of clips that have faces."""
        faces = [spread(clip.faces or [], self.spec["max_crops"]) for clip in clips]
        scaled = [
            cv2.resize(crop, (self.SIDE, self.SIDE), interpolation=cv2.INTER_AREA)
            for clip in faces
            for crop in clip
        ]
        pixels = on_device(torch.from_numpy(np.stack(scaled)), self.device).permute(0, 3, 1, 2)
        features: Tensor = self(pixels.float() / 255).float()
        return list(torch.split(features, [len(clip) for clip in faces]))

    def checkpoint_tensors(self) -> dict[str, Tensor]:
        """Return nothing: the weights stay in their own file."""
        return {}


def convert_fab_net(published: Path, target: Path) -> Path:
    """Convert FAb-Net's published checkpoint (a pickle) to safetensors, without running its code.

    Args:
        published: the release's `.pth` file, with its weights under `state_dict_model`.
        target: the safetensors file to write; only `encoder.*` is kept.

    Returns:
        `target`.

    Raises:
        SemiIINError: when the file is no such checkpoint, or contains more than weights.
    """
    weights = {
        name: value.contiguous()
        for name, value in read_pickled_state(published, "state_dict_model").items()
        if name.startswith("encoder.")
    }
    if not weights:
        raise SemiIINError(
            f"{published} contains no 'encoder.*' weights: it is no FAb-Net checkpoint"
        )
    save_file(weights, target)
    return target
