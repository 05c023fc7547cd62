"""The face encoder: a compact network over grey face crops."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from semi_iin.clips import Clip
from semi_iin.device import on_device
from semi_iin.encoders.packed import PackedConvolution, can_pack
from semi_iin.encoders.protocol import EMOTIONS, EmotionEncoder, Spec, spread
from semi_iin.state import load_exactly


class Residual(nn.Module):
    """Two 3x3 convolutions, added to a 1x1 convolution of their input."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inner, outer, 3, padding=1, bias=False),
            nn.BatchNorm2d(outer),
            nn.ReLU(),
            nn.Conv2d(outer, outer, 3, padding=1, bias=False),
            nn.BatchNorm2d(outer),
        )
        # Checkpoints store the shortcut under this name.
        self.carry = nn.Sequential(nn.Conv2d(inner, outer, 1, bias=False), nn.BatchNorm2d(outer))

    def forward(self, maps: Tensor) -> Tensor:
        """(B, inner, H, W) to (B, outer, H, W)."""
        return functional.relu(self.body(maps) + self.carry(maps))

    def packed(self, side: int) -> Callable[[Tensor], Tensor]:
        """Return `forward` for maps of `side` by `side` on the CPU, without gradients."""
        first, second, carry = (
            PackedConvolution(layers, side) for layers in (self.body[:2], self.body[3:], self.carry)
        )
        return lambda maps: (second(first(maps, "relu")) + carry(maps)).relu_()


class FaceEncoder(EmotionEncoder):
    """A compact convolutional encoder of facial expression, one feature per grey 48x48 crop.

    A first convolution and three residual blocks; the maps are halved before each block and
    averaged after the last. Crops are scaled to mean 0 and deviation 1, so lighting does not
    count.

    Spec of kind `face_cnn`: `width` W of the states; `channels` of the first convolution and the
    three blocks; `max_crops` of a clip that are read, evenly spread over its time; `emotions`, the
    classes of the emotion head; `emotion_columns`, see `EmotionEncoder`.
    """

    SIDE = 48

    def __init__(self, spec: Spec, stored: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        self.spec = {
            "width": 128,
            "channels": [32, 48, 96, 192],
            "max_crops": 8,
            "emotions": list(EMOTIONS),
            "emotion_columns": False,
            **spec,
        }
        states = int(self.spec["width"])
        self.width = states + self.columns
        first, *channels = self.spec["channels"]
        self.first = nn.Sequential(
            nn.Conv2d(1, first, 3, padding=1, bias=False), nn.BatchNorm2d(first), nn.ReLU()
        )
        self.blocks = nn.ModuleList(
            Residual(inner, outer) for inner, outer in pairwise([first, *channels])
        )
        self.dropout = nn.Dropout(0.3)
        self.project = nn.Linear(channels[-1], states)
        self.norm = nn.LayerNorm(states)
        self.emotion = nn.Linear(states, len(self.spec["emotions"]))
        self._maps: list[Callable[[Tensor], Tensor]] = [self.first, *self.blocks]
        if stored:
            load_exactly(self, stored, "the face encoder's weights")

    @classmethod
    def pixels(cls, crop: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Standardise one crop.

        Args:
            crop: (H, W, 3) RGB or (H, W) grey of any size.

        Returns:
            (48, 48) float32, of mean 0 and deviation 1.
        """
        grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) if crop.ndim == 3 else crop
        if grey.shape != (cls.SIDE, cls.SIDE):
            shrinking = min(grey.shape) > cls.SIDE
            grey = cv2.resize(
                grey,
                (cls.SIDE, cls.SIDE),
                interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR,
            )
        values = np.asarray(grey, dtype=np.float32)
        return np.asarray((values - values.mean()) / max(float(values.std()), 8.0), np.float32)

    def prepare(self) -> None:
        """Pack the convolutions on a CPU: a crop takes about a third of the time."""
        if self.device.type == "cpu" and can_pack():
            first = PackedConvolution(self.first, self.SIDE)
            sides = [self.SIDE >> halvings for halvings in range(1, 1 + len(self.blocks))]
            blocks = [
                block.packed(side)
                for block, side in zip(self.blocks, sides, strict=True)
                if isinstance(block, Residual)
            ]
            self._maps = [lambda crops: first(crops, "relu"), *blocks]

    def forward(self, crops: Tensor) -> Tensor:
        """Return states (B, W) of standardised crops (B, 1, 48, 48)."""
        first, *blocks = self._maps
        maps = first(crops.contiguous(memory_format=torch.channels_last))
        for block in blocks:
            maps = block(functional.max_pool2d(maps, 2))
        states: Tensor = self.norm(self.project(self.dropout(maps.mean(dim=(2, 3)))))
        return states

    def classify(self, states: Tensor) -> Tensor:
        """Return emotion logits (B, classes) of states (B, W)."""
        logits: Tensor = self.emotion(functional.relu(states))
        return logits

    def features(self, crops: Tensor) -> Tensor:
        """Return features (B, D) float32 of standardised crops (B, 1, 48, 48)."""
        states = self(crops)
        return self.with_emotions(states, self.classify(states)).float()

    def crops(self, clips: Sequence[Clip]) -> tuple[Tensor, list[int]]:
        """Return the argument of `forward` for clips that have faces, and the crops of each."""
        faces = [spread(clip.faces or [], self.spec["max_crops"]) for clip in clips]
        pixels = np.stack([self.pixels(crop) for clip in faces for crop in clip])
        crops = on_device(torch.from_numpy(pixels)[:, None], self.device)
        return crops, [len(clip) for clip in faces]

    def parts(self, clip: Clip) -> Sequence[Clip]:
        """Return a clip for each crop that is read."""
        return [Clip(faces=[crop]) for crop in spread(clip.faces or [], self.spec["max_crops"])]

    def encode(self, clips: Sequence[Clip]) -> list[Tensor]:
        """Return features (L, D) float32 of clips that have faces."""
        crops, counts = self.crops(clips)
        return list(torch.split(self.features(crops), counts))

    def emotions(self, clips: Sequence[Clip]) -> list[str]:
        """Return the likeliest emotion of clips that have faces.

        The probabilities are means over the clip's crops and their mirror images.
        """
        crops, counts = self.crops(clips)
        both = torch.stack([self.classify(self(view)) for view in (crops, crops.flip(-1))])
        per_clip = torch.split(both.float().softmax(dim=-1).mean(dim=0), counts)
        return self.emotion_names(torch.stack([rows.mean(dim=0) for rows in per_clip]))
