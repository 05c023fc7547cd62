"""Rated texts of published data sets: EmoBank, GoEmotions, DailyDialog, EmoryNLP.

EmoBank's labels are degrees on a scale of its own. Those of the others are signs, read as -1, 0
and 1: "positive" is not a valence of 1, so compare signs and ranks on them, not errors.
"""

import csv
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from semi_iin.data.samples import SPLIT_NAMES, LabelScale, Sample, Split, split_of_name
from semi_iin.errors import SemiIINError

TextFormat = Literal["emobank", "goemotions", "dailydialog", "emorynlp"]
TEXT_FORMATS: tuple[TextFormat, ...] = get_args(TextFormat)

CONTEXT_WORDS = 60  # the latest words before a text that a sample carries
_GO_EMOTIONS = {"positive": 1.0, "neutral": 0.0, "negative": -1.0}
_DAILY_DIALOG = {"0": 0.0, "1": -1.0, "2": -1.0, "3": -1.0, "4": 1.0, "5": -1.0}
_EMORY_NLP = {
    "joyful": 1.0, "peaceful": 1.0, "powerful": 1.0, "neutral": 0.0,
    "mad": -1.0, "sad": -1.0, "scared": -1.0,
}  # fmt: skip


def read_rated(path: str | Path, *, format: TextFormat) -> list[Sample]:
    """Read one data set of rated texts.

    Args:
        path: its CSV; the file's name gives the split where no column does.
        format: "emobank", "goemotions", "dailydialog" or "emorynlp".

    Returns:
        Samples with text, group and split. Texts whose label has no sign (surprise, mixed or
        ambiguous emotions) are left out.

    Raises:
        SemiIINError: naming what is missing or malformed.
    """
    file = Path(path)
    if not file.is_file():
        raise SemiIINError(f"there is no file {file}")
    return [sample for sample in _LAYOUTS[format].read(file) if sample.text]


@dataclass(frozen=True)
class _Layout:
    """The columns of one data set.

    Attributes:
        name: of the set, for ids and groups.
        text: the column of the words.
        label: a row's valence; None = the row has no sign.
        dialogue: the columns that identify a dialogue; none where texts stand alone.
        speaker: a row's speaker in its dialogue.
        split: a row's split, given its file's.
        scale: of the labels.
    """

    name: str
    text: str
    label: Callable[[Mapping[str, str]], float | None]
    dialogue: tuple[str, ...] = ()
    speaker: Callable[[Mapping[str, str]], str] = lambda row: ""
    split: Callable[[Mapping[str, str], Split], Split] = lambda row, split: split
    scale: LabelScale = "sign"

    def read(self, path: Path) -> list[Sample]:
        """Read the rows, each with the earlier words of its speaker in its dialogue."""
        split = split_of_name(path.name)
        before: dict[tuple[str, str], list[str]] = defaultdict(list)
        samples = []
        for number, row in enumerate(_rows(path), start=2):
            try:
                sample = self._sample(row, split, f"{self.name}-{path.stem}-{number}")
                key = sample.group, self.speaker(row)
            except (KeyError, ValueError) as error:
                raise SemiIINError(
                    f"{path}, line {number}: not as {self.name} is published: {error}"
                ) from error
            if sample.group:
                sample = replace(sample, context=" ".join(before[key]) or None)
                before[key] = [*before[key], *(sample.text or "").split()][-CONTEXT_WORDS:]
            if sample.label is not None:
                samples.append(sample)
        return samples

    def _sample(self, row: Mapping[str, str], split: Split, name: str) -> Sample:
        group = "/".join([self.name, *(row[column] for column in self.dialogue)])
        text = " ".join(row[self.text].split())
        return Sample(
            id=name,
            split=self.split(row, split),
            group=group if self.dialogue else "",
            label=self.label(row),
            scale=self.scale,
            text=text.lower() if text.isupper() and len(text) > 3 else text,
        )


_LAYOUTS: dict[str, _Layout] = {
    "emobank": _Layout(
        "emobank",
        "text",
        lambda row: 1.5 * (float(row["V"]) - 3),
        split=lambda row, _: SPLIT_NAMES[row["split"]],
        scale="emobank",
    ),
    "goemotions": _Layout("goemotions", "text", lambda row: _GO_EMOTIONS.get(row["group"])),
    "dailydialog": _Layout(
        "dailydialog",
        "text",
        lambda row: _DAILY_DIALOG.get(row["emotion"]),
        ("dialogue",),
        lambda row: str(int(row["turn"]) % 2),
    ),
    "emorynlp": _Layout(
        "emorynlp",
        "Utterance",
        lambda row: _EMORY_NLP[row["Emotion"].lower()],
        ("Season", "Episode", "Scene_ID"),
        lambda row: row["Speaker"],
    ),
}


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SemiIINError(f"{path} cannot be read as CSV: {error}") from error
