"""Small sets in which voice, face and (in two) words come from one recording of one person.

What enters: the published files of features, which other people's encoders made. What leaves:
`Clips`, one set each. The features are not those of this package's encoders, so no checkpoint can
read them; models are trained on each set from the start.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semi_iin.data.ravdess import EMOTIONS
from semi_iin.errors import SemiIINError
from semi_iin.labels import emotion_sign
from semi_iin.modalities import Modality

Frames = NDArray[np.float32]  # (L, D)

ACTED = 2.0
"""Valence of an acted positive emotion; that of a negative one is -2, of neutral and calm 0."""


@dataclass(frozen=True)
class Clips:
    """A set of clips in which all modalities are of the same recording.

    Attributes:
        features: by modality, one array (L, D) for each clip.
        valence: (n,) the label in [-3, 3].
        groups: (n,) clips of one group (a speaker or a video) are never in two folds.
        emotions: (n,) that were acted; empty where people rated the valence.
    """

    features: Mapping[Modality, Sequence[Frames]]
    valence: NDArray[np.float64]
    groups: tuple[str, ...]
    emotions: tuple[str, ...] = ()


def read_mmmo(path: Path) -> Clips:
    """Read ICT-MMMO: the film reviews that have words, a voice and a face.

    The training part has no words and is left out. Frames of zeros fill short reviews up; they are
    left out too.

    Raises:
        SemiIINError: for a file that is missing or malformed.
    """
    arrays = _arrays(path, [f"{kind}_{part}" for kind in _MMMO.values() for part in _MMMO_PARTS])
    label = _arrays(path, [f"y_{part}" for part in _MMMO_PARTS])
    features: dict[Modality, list[Frames]] = {
        name: [_without_padding(rows) for part in _MMMO_PARTS for rows in arrays[f"{kind}_{part}"]]
        for name, kind in _MMMO.items()
    }
    stars = np.concatenate([label[f"y_{part}"] for part in _MMMO_PARTS]).astype(np.float64)
    groups = tuple(f"review {index}" for index in range(len(stars)))
    return Clips(features, 1.5 * (stars - 3), groups)


_MMMO: Mapping[Modality, str] = {"audio": "audio", "text": "text", "vision": "video"}
_MMMO_PARTS = ("valid", "test")


def _without_padding(rows: Frames) -> Frames:
    """Return the frames that are not zero, or one frame of zeros where all are."""
    kept = rows[np.abs(rows).sum(axis=1) > 0]
    return kept if len(kept) else rows[:1]


def read_mosi_rows(path: Path) -> Clips:
    """Read the MOSI utterances whose published features were fitted on other videos.

    Each modality is one vector. Clips are grouped by video.

    Raises:
        SemiIINError: for a file that is missing or malformed.
    """
    arrays = _arrays(path, ["id", "poria_split", "label", *_MOSI.values()])
    clean = arrays["poria_split"] == "test"
    features: dict[Modality, list[Frames]] = {
        name: list(arrays[kind][clean][:, None].astype(np.float32)) for name, kind in _MOSI.items()
    }
    videos = tuple(str(name).rsplit("_", 1)[0] for name in arrays["id"][clean])
    return Clips(features, arrays["label"][clean].astype(np.float64), videos)


_MOSI: Mapping[Modality, str] = {"audio": "audio", "text": "text100", "vision": "video"}


@dataclass(frozen=True)
class ActedFace:
    """The face of one RAVDESS recording.

    Attributes:
        recording: name of the file with its voice, without suffix.
        actor: its number.
        emotion: that was acted.
        units: (35,) facial action units, means over the video.
    """

    recording: str
    actor: str
    emotion: str
    units: Frames


def read_action_units(path: Path) -> list[ActedFace]:
    """Read OpenFace's action units of RAVDESS; recordings without a known valence are left out.

    Raises:
        SemiIINError: for a file that is missing or malformed.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        names = [name for name in rows[0] if name.startswith("AU")]
        faces = [
            ActedFace(
                row["audio"],
                row["actor"],
                EMOTIONS[int(row["emotion"]) - 1],
                np.array([float(row[name]) for name in names], dtype=np.float32),
            )
            for row in rows
        ]
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise SemiIINError(f"{path} cannot be read as action units of RAVDESS: {error}") from error
    return [face for face in faces if emotion_sign(face.emotion) is not None]


def acted_clips(faces: Sequence[ActedFace], voices: NDArray[np.float32]) -> Clips:
    """Return clips of faces and, in the same order, their voices (n, D)."""
    emotions = tuple(face.emotion for face in faces)
    return Clips(
        {
            "audio": list(voices[:, None]),
            "vision": [face.units[None] for face in faces],
        },
        np.array([ACTED * (emotion_sign(emotion) or 0) for emotion in emotions]),
        tuple(face.actor for face in faces),
        emotions,
    )


def _arrays(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in names}
    except (OSError, ValueError, KeyError) as error:
        raise SemiIINError(f"{path} cannot be read as same-utterance features: {error}") from error
