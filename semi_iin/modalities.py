"""The three modalities, in the model's order."""

from typing import Literal, get_args

Modality = Literal["audio", "text", "vision"]
MODALITIES: tuple[Modality, ...] = get_args(Modality)
