"""The protocol of encoders: encode clips, name emotions, and store weights in a checkpoint."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from semi_iin.clips import Clip
from semi_iin.errors import SemiIINError

T = TypeVar("T")
Spec = dict[str, Any]
EMOTIONS = ("angry", "disgusted", "fearful", "happy", "neutral", "sad", "surprised")


class Encoder(nn.Module, ABC):
    """An encoder of one modality.

    An encoder is built as `Encoder(spec, stored)`, where `stored` holds the tensors that
    `checkpoint_tensors` returned; None or empty = an untrained encoder.

    Attributes:
        spec: its description, JSON-able, with the defaults filled in.
        width: the feature width D.
    """

    spec: Spec
    width: int

    @abstractmethod
    def encode(self, clips: Sequence[Clip]) -> list[Tensor]:
        """Return features (L, D) float32 of each clip; every clip has the encoder's modality."""

    def parts(self, clip: Clip) -> Sequence[Clip]:
        """Return clips whose features, one after another, are the clip's: by default it alone."""
        return [clip]

    @abstractmethod
    def checkpoint_tensors(self) -> dict[str, Tensor]:
        """Return the tensors that a checkpoint stores, to be given back to the constructor."""

    def finish_training(self, rank: int) -> None:
        """Prepare trained weights for `checkpoint_tensors`.

        Args:
            rank: of the factors by which a fine-tuned transformer is stored.
        """

    @property
    def names_emotions(self) -> bool:
        """Whether `emotions` works."""
        return False

    def emotions(self, clips: Sequence[Clip]) -> list[str]:
        """Return the likeliest emotion of each clip; every clip has the encoder's modality.

        Raises:
            SemiIINError: when the encoder has no emotion head.
        """
        raise SemiIINError(f"an encoder of kind {self.spec.get('kind')} names no emotions")

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.parameters()).device


class EmotionEncoder(Encoder):
    """An encoder trained from nothing on emotions; a checkpoint stores all of its weights."""

    @property
    def names_emotions(self) -> bool:
        """True: there is an emotion head."""
        return True

    def checkpoint_tensors(self) -> dict[str, Tensor]:
        """Return every weight as float16, and counters as they are."""
        return {
            name: value.half() if value.is_floating_point() else value
            for name, value in self.state_dict().items()
        }

    def emotion_names(self, logits: Tensor) -> list[str]:
        """Return the likeliest class of each row of logits (B, classes)."""
        return [self.spec["emotions"][index] for index in logits.argmax(dim=-1).tolist()]


def spread(crops: Sequence[T], limit: int) -> list[T]:
    """Return at most `limit` crops, evenly spread over time; the last one is always among them."""
    if len(crops) <= limit:
        return list(crops)
    return [crops[round((index + 1) * len(crops) / limit) - 1] for index in range(limit)]
