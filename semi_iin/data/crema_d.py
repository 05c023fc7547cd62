"""CREMA-D: acted speech, rated by people who only heard it."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from semi_iin.data.media import Media
from semi_iin.data.samples import Sample
from semi_iin.errors import SemiIINError
from semi_iin.labels import NEGATIVE_EMOTIONS, emotion_name

VOTES = {
    "A": "angry", "D": "disgusted", "F": "fearful", "H": "happy", "N": "neutral", "S": "sad",
}  # fmt: skip
LABELS = "labels.csv"


def read_crema_d(path: Path, *, valid_actors: Sequence[int] = range(1070, 1080)) -> list[Sample]:
    """Read CREMA-D's voices.

    A sample's votes are the shares of listeners who named each emotion, its valence is three times
    the share that named happiness less the share that named a negative emotion, and its emotion is
    the one that was acted, which listeners often do not recognise.

    Args:
        path: the folder with `labels.csv` (columns `file`, `actor`, `acted` and the numbers of
            votes `voice_A` to `voice_S`) and the recordings that it names.
        valid_actors: the actors of the validation part; the others train.

    Raises:
        SemiIINError: when the table is missing, malformed or empty.
    """
    table = path / LABELS
    try:
        with table.open(encoding="utf-8", newline="") as file:
            samples = [_sample(path, row, valid_actors) for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError) as error:
        raise SemiIINError(f"{table} cannot be read: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise SemiIINError(
            f"{table} is no table of CREMA-D's votes: a column or number is missing ({error})"
        ) from error
    rated = [sample for sample in samples if sample.votes]
    if not rated:
        raise SemiIINError(f"{table} has no recording with votes of CREMA-D's listeners")
    return rated


def _sample(path: Path, row: Mapping[str, str], valid_actors: Sequence[int]) -> Sample:
    """Return a row's recording; without votes where nobody listened."""
    counts = {emotion: int(row[f"voice_{letter}"]) for letter, emotion in VOTES.items()}
    total = sum(counts.values())
    votes = {emotion: count / total for emotion, count in counts.items()} if total else {}
    negative = sum(share for emotion, share in votes.items() if emotion in NEGATIVE_EMOTIONS)
    actor = int(row["actor"])
    return Sample(
        id=Path(row["file"]).stem,
        split="valid" if actor in valid_actors else "train",
        group=f"crema-d/{actor}",
        label=3 * (votes["happy"] - negative) if votes else None,
        emotion=emotion_name(row["acted"]),
        votes=votes,
        audio=Media(path / row["file"]),
    )
