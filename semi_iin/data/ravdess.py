"""RAVDESS: acted speech, with emotion and actor in the files' names."""

import re
from collections.abc import Sequence
from pathlib import Path

from semi_iin.data.media import MEDIA_SUFFIXES, Media
from semi_iin.data.samples import Sample
from semi_iin.errors import SemiIINError

EMOTIONS = (
    "neutral", "calm", "happy", "sad", "angry", "fearful", "disgusted", "surprised",
)  # fmt: skip


def read_ravdess(path: Path, *, valid_actors: Sequence[int] = (17, 18, 19, 20)) -> list[Sample]:
    """Read RAVDESS speech.

    Args:
        path: the folder, read at any depth.
        valid_actors: the actors of the validation part; the others train.

    Raises:
        SemiIINError: when no file is named as RAVDESS names them, or a name has no known emotion.
    """
    samples = []
    for file in sorted(path.rglob("*")):
        is_recording = re.fullmatch(r"\d\d(-\d\d){6}", file.stem)
        if file.suffix.lower() not in MEDIA_SUFFIXES or not is_recording:
            continue
        parts = [int(part) for part in file.stem.split("-")]
        if not 1 <= parts[2] <= len(EMOTIONS):
            raise SemiIINError(f"{file} names the emotion {parts[2]}, but RAVDESS has 1 to 8")
        samples.append(
            Sample(
                id=file.stem,
                split="valid" if parts[6] in valid_actors else "train",
                group=f"ravdess/{parts[6]}",
                emotion=EMOTIONS[parts[2] - 1],
                audio=Media(file),
            )
        )
    if not samples:
        raise SemiIINError(
            f"{path} contains no RAVDESS recordings, such as 03-01-03-01-01-01-17.flac"
        )
    return samples
