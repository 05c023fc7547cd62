"""The formats of data sets by name, and reading a data set of any format."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from semi_iin.data.clips import read_clips
from semi_iin.data.crema_d import LABELS, read_crema_d
from semi_iin.data.expressions import read_expressions
from semi_iin.data.features import FOLDERS, read_features
from semi_iin.data.rated_texts import read_rated
from semi_iin.data.ravdess import read_ravdess
from semi_iin.data.samples import Sample, Split
from semi_iin.data.text_csv import read_text_csv
from semi_iin.errors import SemiIINError

Format = Literal[
    "text-csv",
    "clips",
    "features",
    "ravdess",
    "crema-d",
    "expression-npz",
    "emobank",
    "goemotions",
    "dailydialog",
    "emorynlp",
]
FORMATS: tuple[Format, ...] = get_args(Format)
_READERS: dict[str, Callable[..., list[Sample]]] = {
    "text-csv": read_text_csv,
    "clips": read_clips,
    "features": read_features,
    "ravdess": read_ravdess,
    "crema-d": read_crema_d,
    "expression-npz": read_expressions,
    "emobank": partial(read_rated, format="emobank"),
    "goemotions": partial(read_rated, format="goemotions"),
    "dailydialog": partial(read_rated, format="dailydialog"),
    "emorynlp": partial(read_rated, format="emorynlp"),
}


def read(
    path: str | Path, format: Format, *, split: Split | None = None, **options: Any
) -> list[Sample]:
    """Read a data set.

    Args:
        path: a file, or a folder where the format is one of folders.
        format: "text-csv", "clips" (media beside a label CSV), "features" (the paper's layout),
            "ravdess", "crema-d", "expression-npz", or the name of a set of rated texts: "emobank",
            "goemotions", "dailydialog", "emorynlp".
        split: keep only this one; None keeps all.
        options: passed to the format's reader.

    Raises:
        SemiIINError: naming what is missing or malformed.
    """
    if format not in _READERS:
        raise SemiIINError(f"there is no data format {format!r}: use one of {', '.join(FORMATS)}")
    location = Path(path)
    if not location.exists():
        raise SemiIINError(f"there are no data at {location}")
    samples = _READERS[format](location, **options)
    return [sample for sample in samples if split is None or sample.split == split]


def guess_format(path: Path) -> Format:
    """Return the format that a file or folder looks like."""
    if not path.is_dir():
        return "expression-npz" if path.suffix == ".npz" else "text-csv"
    folders = {folder.split("/")[0] for known in FOLDERS.values() for folder in known.values()}
    if any((path / name).is_dir() for name in folders):
        return "features"
    return "crema-d" if (path / LABELS).is_file() else "ravdess"
