"""Text CSV files: rows with words, labels and times, by the column names of any known data set."""

import csv
import gzip
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from semi_iin.data.samples import SPLIT_NAMES, Sample, Split, split_of_name
from semi_iin.errors import SemiIINError
from semi_iin.labels import emotion_name

Scale = Literal["valence", "sst5"]

POLARITY_VALENCE = {"negative": -1.0, "neutral": 0.0, "positive": 1.0}
SST_VALENCE = (-2.2, -1.1, 0.0, 1.1, 2.2)  # of its five classes

_COLUMNS = {
    "id": ("id", "segment_id", "wav_file"),
    "group": ("video_id", "dialogue_id", "meeting", "meeting_id", "session", "video"),
    "part": ("clip_id", "utterance_id", "clip"),
    "speaker": ("speaker", "participant"),
    "start": ("start", "start_s", "starttime", "start_time", "begin"),
    "end": ("end", "end_s", "endtime", "end_time"),
    "text": ("text", "utterance", "sentence", "transcript", "transcription"),
    "label": ("label", "valence", "sentiment", "regression_labels"),
    "emotion": ("emotion",),
    "split": ("split", "mode", "partition"),
}
_CONTEXT_WORDS = 60  # the latest that a sample carries; encoders read fewer


@dataclass(frozen=True)
class Row:
    """One CSV row.

    Attributes:
        number: its line in the file, from 1.
        cells: our column name to its text; "" where a cell is empty.
    """

    number: int
    cells: Mapping[str, str]

    def seconds(self, name: str) -> float | None:
        """Return a time cell, in seconds or `HH:MM:SS,mmm`; None where it is no time."""
        try:
            parts = [float(part) for part in self.cells[name].replace(",", ".").split(":")]
        except (KeyError, ValueError):
            return None
        return sum(part * 60.0**power for power, part in enumerate(reversed(parts)))


def read_text_csv(
    path: Path, *, scale: Scale = "valence", fallback_split: Split | None = None
) -> list[Sample]:
    """Read a CSV (also `.csv.gz`) with a text column.

    Columns are recognised by their usual names, in any case: id, or video and clip; text or
    utterance; speaker; start and end; label or sentiment (a number, or negative, neutral,
    positive); emotion; split. The earlier words of a speaker in one video, dialogue or meeting are
    the context of the same speaker's later rows. Text all in upper case is lowered.

    Args:
        path: the file.
        scale: "sst5" reads labels 0 to 4 as strongly negative to strongly positive.
        fallback_split: of rows without a split; None: the split in the file's name, else "train".

    Raises:
        SemiIINError: for a file without a text column, or a cell that cannot be read.
    """
    return samples_of_rows(path, read_rows(path), scale, fallback_split)


def samples_of_rows(
    path: Path, rows: Sequence[Row], scale: Scale, fallback_split: Split | None = None
) -> list[Sample]:
    """Make one sample of each row; arguments and errors as for `read_text_csv`."""
    fallback = fallback_split or split_of_name(path.name)
    return _with_context(rows, [_sample(path, row, scale, fallback) for row in rows])


def read_rows(path: Path) -> list[Row]:
    """Read the rows of a CSV, with our names for its columns; errors as for `read_text_csv`."""
    open_file = gzip.open if path.suffix == ".gz" else open
    try:
        with open_file(path, "rt", encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            known = {(name or "").strip().lower(): name for name in reader.fieldnames or []}
            columns = {
                ours: known[theirs]
                for ours, names in _COLUMNS.items()
                for theirs in reversed(names)
                if theirs in known
            }
            if "text" not in columns:
                raise SemiIINError(f"{path} has no text column: name one 'text'")
            return [
                Row(number, {ours: (row[name] or "").strip() for ours, name in columns.items()})
                for number, row in enumerate(reader, start=2)
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SemiIINError(f"{path} cannot be read as CSV: {error}") from error


def _sample(path: Path, row: Row, scale: Scale, fallback: Split) -> Sample:
    cells = row.cells
    name = path.name.partition(".")[0]
    group, part = cells.get("group", ""), cells.get("part", "")
    split = cells.get("split", "").lower()
    if split and split not in SPLIT_NAMES:
        raise SemiIINError(f"{path}, line {row.number}: there is no split {split!r}")
    label = _label(path, row, scale)
    emotion = emotion_name(cells["emotion"]) if cells.get("emotion") else None
    return Sample(
        id=cells.get("id") or (f"{group}_{part}" if group and part else f"{name}-{row.number}"),
        split=SPLIT_NAMES.get(split, fallback if label is not None or emotion else "unlabeled"),
        group=f"{name}/{group}" if group else "",
        label=label,
        scale="sign" if cells.get("label", "").lower() in POLARITY_VALENCE else "valence",
        emotion=emotion,
        text=_readable(cells["text"]) or None,
    )


def _label(path: Path, row: Row, scale: Scale) -> float | None:
    """Return the valence of a row's label."""
    cell = row.cells.get("label", "").lower()
    if not cell:
        return None
    if cell in POLARITY_VALENCE:
        return POLARITY_VALENCE[cell]
    try:
        value = float(cell)
        return SST_VALENCE[int(value)] if scale == "sst5" else min(max(value, -3.0), 3.0)
    except (ValueError, IndexError):
        raise SemiIINError(
            f"{path}, line {row.number}: the label {cell!r} is neither a number of its scale nor "
            f"{', '.join(POLARITY_VALENCE)}"
        ) from None


def _with_context(rows: Sequence[Row], samples: Sequence[Sample]) -> list[Sample]:
    """Give each sample the earlier words of its speaker, in order of time."""
    order = sorted(range(len(rows)), key=lambda index: (rows[index].seconds("start") or 0.0, index))
    words: dict[tuple[str, str], list[str]] = defaultdict(list)
    result = list(samples)
    for index in order:
        sample = samples[index]
        if not sample.group:
            continue
        earlier = words[sample.group, rows[index].cells.get("speaker", "")]
        if earlier:
            result[index] = replace(sample, context=" ".join(earlier))
        earlier += (sample.text or "").split()
        del earlier[:-_CONTEXT_WORDS]
    return result


def _readable(text: str) -> str:
    """Lower a text that is all in upper case, and make white space single."""
    text = " ".join(text.split())
    return text.lower() if text.isupper() and len(text) > 3 else text
