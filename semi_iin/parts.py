"""The data sets of a run, each split into the parts that train, select and are reported."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from semi_iin.data.formats import read
from semi_iin.data.samples import Sample, Split, check_no_leaks, share_of, split_off
from semi_iin.settings import Data, RunConfig

SHORT_WORDS = 4  # shorter texts, such as "thank you", occur everywhere


@dataclass(frozen=True)
class Part:
    """One data set of a run, split.

    Attributes:
        name: for metrics.
        train: trains the encoders, before repetition.
        fusion: trains Semi-IIN, before repetition.
        selection: selects weights and calibrates.
        repeat: how often an epoch contains each training sample.
        reported: neither trains nor selects: the validation part where the selection is split off
            from the training part, else the test part.
        unlabeled: for self-training.
    """

    name: str
    train: list[Sample]
    fusion: list[Sample]
    selection: list[Sample]
    repeat: int
    reported: list[Sample] = field(default_factory=list)
    unlabeled: list[Sample] = field(default_factory=list)

    def repeated(self) -> list[Sample]:
        """Return the training samples as often as an epoch contains them."""
        return self.train * self.repeat


def read_parts(config: RunConfig, root: Path) -> list[Part]:
    """Read and split a run's data sets; the validation part trains nothing.

    Args:
        config: the run.
        root: the folder that the data's paths are relative to.

    Raises:
        SemiIINError: for data that are missing or malformed, or a group in two splits.
    """
    has_fusion_texts = any(data.fusion for data in config.data if data.format == "text-csv")
    parts = [_part(data, _read(data, root), has_fusion_texts) for data in config.data]
    return _without_reported_texts(parts)


def lacking(parts: Sequence[Part], purpose: str, *, selection: bool) -> str:
    """Return the sentence about data sets that have too little for a purpose.

    Args:
        parts: the data sets.
        purpose: what they were to do.
        selection: whether samples to select by are missing, or else samples to train on.
    """
    counts = "; ".join(
        f"{part.name} has {_labelled(part.train)} to train on and {_labelled(part.selection)} to "
        "select by"
        for part in parts
    )
    if selection:
        return (
            f"no data set has labelled samples to select by, {purpose} ({counts}): write "
            "`selection = 10` into a [[data]] table, which splits off one training group in ten, "
            "or mark rows of the data as `valid` in a column `split`"
        )
    return (
        f"no data set has labelled samples to train on, {purpose} ({counts}): look at the labels "
        "and splits of the data, and at `share`, `reported` and `fusion` in their [[data]] table"
    )


def _labelled(samples: Sequence[Sample]) -> str:
    """Return how many samples there are, and how many of them are labelled where not all are."""
    labelled = sum(sample.label is not None for sample in samples)
    return f"{len(samples)}" + ("" if labelled == len(samples) else f" ({labelled} labelled)")


def _read(data: Data, root: Path) -> list[Sample]:
    options: dict[str, Any] = {}
    if data.format in ("text-csv", "clips"):
        options["scale"] = data.scale
    if data.labels and data.format == "features":
        options["labels"] = root / data.labels
    if data.media:
        options["media"] = root / data.media
    path = root / (data.labels if data.format == "clips" else data.path)
    samples = read(path, data.format, **options)
    check_no_leaks(samples)
    return samples


def _part(data: Data, samples: Sequence[Sample], has_fusion_texts: bool) -> Part:
    """Split one data set; `has_fusion_texts`: some data set splits off texts for Semi-IIN."""
    reported = _of(samples, "valid" if data.selection else "test")
    unlabeled = share_of(_of(samples, "unlabeled"), data.share, data.skip)
    if data.reported:
        reported = [
            sample
            for sample in split_off(_as_train(samples), data.reported, salt="reported")
            if sample.split == "valid"
        ]
        names = {sample.id for sample in reported}
        samples = [sample for sample in _as_train(samples) if sample.id not in names]
    if data.selection:
        samples = split_off(_of(samples, "train"), data.selection)
    train = share_of(_of(samples, "train"), data.share, data.skip)
    if data.fusion:
        parted = split_off(train, data.fusion, salt="fusion")
        train, fusion = _of(parted, "train"), _of(parted, "valid")
    else:
        fusion = [sample for sample in train if sample.label is None or not has_fusion_texts]
    return Part(
        name=data.part or Path(data.path).stem,
        train=train,
        fusion=fusion,
        selection=_of(samples, "valid"),
        repeat=data.repeat,
        reported=reported,
        unlabeled=unlabeled,
    )


def _as_train(samples: Sequence[Sample]) -> list[Sample]:
    return [replace(sample, split="train") for sample in samples]


def _without_reported_texts(parts: Sequence[Part]) -> list[Part]:
    """Leave out texts of four words or more that any part reports: some sets share texts."""
    reported = {_plain(sample) for part in parts for sample in part.reported if sample.text}

    def unreported(samples: Sequence[Sample]) -> list[Sample]:
        return [
            sample
            for sample in samples
            if len(_plain(sample).split()) < SHORT_WORDS or _plain(sample) not in reported
        ]

    return [
        replace(
            part,
            train=unreported(part.train),
            fusion=unreported(part.fusion),
            selection=unreported(part.selection),
            unlabeled=unreported(part.unlabeled),
        )
        for part in parts
    ]


def _plain(sample: Sample) -> str:
    return " ".join(re.findall(r"\w+", (sample.text or "").lower()))


def _of(samples: Sequence[Sample], split: Split) -> list[Sample]:
    return [sample for sample in samples if sample.split == split]
