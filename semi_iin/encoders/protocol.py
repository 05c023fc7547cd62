"""The protocol of encoders: encode clips, name emotions, and store weights in a checkpoint."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from semi_iin.clips import Clip
from semi_iin.encoders.emotions import VALENCE_COLUMNS, emotion_columns
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

    @property
    def network(self) -> nn.Module:
        """The module that does the work, which may be compiled: by default the encoder itself."""
        return self

    @property
    def columns(self) -> int:
        """How many of the last features are no states, which dropout then spares."""
        return 0

    def finish_training(self, rank: int) -> None:
        """Prepare trained weights for `checkpoint_tensors`.

        Args:
            rank: of the factors by which a fine-tuned transformer is stored.
        """

    def prepare(self) -> None:
        """Prepare for inference alone; from then on the weights neither change nor move."""

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
    """An encoder with an emotion head that is trained here; a checkpoint stores all of its weights.

    Its features are its states, and where its spec says `emotion_columns = true` what the head
    makes of them too (`emotions.emotion_columns`). So Semi-IIN need not find again in the states
    what the head has learned from many more recordings or faces than Semi-IIN has.
    """

    @property
    def columns(self) -> int:
        """How many of the last features are the emotion head's."""
        return (len(self.spec["emotions"]) + VALENCE_COLUMNS) * bool(self.spec["emotion_columns"])

    def with_emotions(self, states: Tensor, logits: Tensor) -> Tensor:
        """Return features (B, ..., D) of states and of the head's logits for them.

        Args:
            states: (B, ..., W).
            logits: (B, classes); every state of a row has the columns of its logits.
        """
        if not self.columns:
            return states
        columns = emotion_columns(logits, self.spec["emotions"])
        columns = columns.reshape(len(states), *[1] * (states.ndim - 2), self.columns)
        return torch.cat([states, columns.expand(*states.shape[:-1], -1)], dim=-1)

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
