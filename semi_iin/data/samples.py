"""Samples: labelled or unlabelled utterances, voices and faces, and their splits."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from semi_iin.clips import Clip
from semi_iin.data.media import Media, read_audio, read_faces
from semi_iin.errors import SemiIINError
from semi_iin.modalities import Modality

Split = Literal["train", "valid", "test", "unlabeled"]
LabelScale = Literal["valence", "emobank", "sign"]


@dataclass(frozen=True)
class Sample:
    """One labelled (or unlabelled) utterance, voice or face.

    Attributes:
        id: unique within its data set.
        split: the part that it belongs to.
        group: its video, speaker or dialogue, which must not be in two splits; "" = unknown.
        label: on its scale; None = none.
        scale: of the label: "valence", a degree in [-3, 3]; "emobank", a degree on EmoBank's own
            scale; "sign", -1, 0 or 1, where 1 means positive and not a valence of 1.
        corpus: the name of the part of a run that trains an encoder with it; "" = none.
        emotion: a class as `semi_iin.labels.emotion_name` spells it; None = none.
        votes: emotion to the share of raters who named it; none = not rated so.
        text: the words; None = absent.
        context: earlier words in the same video or dialogue; None = none.
        audio: where the voice is; None = absent.
        video: where the face is; None = absent.
        face: (H, W) uint8 grey or (H, W, 3) RGB, a single crop; None = absent.
        features: modality to a `.npy` file of ready features (L, D).
    """

    id: str
    split: Split = "train"
    group: str = ""
    label: float | None = None
    scale: LabelScale = "valence"
    corpus: str = ""
    emotion: str | None = None
    votes: Mapping[str, float] = field(default_factory=dict)
    text: str | None = None
    context: str | None = None
    audio: Media | None = None
    video: Media | None = None
    face: NDArray[np.uint8] | None = None
    features: Mapping[Modality, Path] = field(default_factory=dict)

    @property
    def valence(self) -> float | None:
        """The label where it is a valence, else None."""
        return self.label if self.scale == "valence" else None

    def clip(self) -> Clip:
        """Read the sample's media.

        Raises:
            SemiIINError: when a file cannot be read.
        """
        faces: list[NDArray[np.uint8]] = []
        if self.face is not None:
            faces = [self.face if self.face.ndim == 3 else np.repeat(self.face[..., None], 3, 2)]
        elif self.video is not None:
            faces = read_faces(self.video)
        return Clip(
            audio=read_audio(self.audio) if self.audio is not None else None,
            text=self.text,
            context=self.context,
            faces=faces or None,
        )


def check_no_leaks(samples: Iterable[Sample]) -> None:
    """Check that no group (video, speaker, dialogue) is in two splits.

    Raises:
        SemiIINError: naming a group that is.
    """
    splits: dict[str, Split] = {}
    for sample in samples:
        if not sample.group:
            continue
        first = splits.setdefault(sample.group, sample.split)
        if first != sample.split:
            raise SemiIINError(
                f"{sample.group} is in both {first} and {sample.split}: training data must not be "
                "measured on"
            )


def split_off(
    samples: Sequence[Sample], share: int, split: Split = "valid", salt: str = ""
) -> list[Sample]:
    """Move about one group in `share` of the training part to another split, by a fixed hash.

    It gives a selection part without touching the validation part that is reported. Samples
    without a group are moved one by one; another `salt` moves others.
    """
    result = []
    for sample in samples:
        key = salt + (sample.group or sample.id)
        if sample.split == "train" and _hash(key) % share == 0:
            sample = replace(sample, split=split)
        result.append(sample)
    return result


def share_of(samples: Sequence[Sample], share: float, skip: float = 0.0) -> list[Sample]:
    """Return the samples of about this share of the groups, by a fixed hash.

    The groups of `share_of(samples, skip)` are not among them.
    """
    first, end = 1000 * skip, 1000 * (skip + share)
    return [
        sample
        for sample in samples
        if first <= _hash(f"share{sample.group or sample.id}") % 1000 < end
    ]


def split_of_name(name: str, default: Split = "train") -> Split:
    """Return the split that a file's name contains, such as `meld_dev.csv`."""
    letters = "".join(letter if letter.isalpha() else " " for letter in name.lower())
    return next((SPLIT_NAMES[word] for word in letters.split() if word in SPLIT_NAMES), default)


SPLIT_NAMES: dict[str, Split] = {
    "train": "train", "training": "train", "valid": "valid", "val": "valid", "dev": "valid",
    "validation": "valid", "test": "test", "unlabeled": "unlabeled", "unlabelled": "unlabeled",
}  # fmt: skip


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
