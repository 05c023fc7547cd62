"""Ready features: one `.npy` array for each utterance and modality, in the paper's layout."""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from semi_iin.data.samples import Sample
from semi_iin.data.text_csv import read_text_csv
from semi_iin.errors import SemiIINError
from semi_iin.modalities import Modality

# The folder of each modality in the paper's layout, by data set.
FOLDERS: dict[str, dict[Modality, str]] = {
    "mosi": {"audio": "together/audio", "text": "together/text", "vision": "together/visual"},
    "mosei": {"audio": "audio/hubert-FRA", "text": "text/roberta-4-FRA", "vision": "visual"},
    "ami": {"audio": "audio", "text": "text", "vision": "visual"},
}


def read_features(path: Path, *, labels: str | Path | None = None) -> list[Sample]:
    """Read ready features in the paper's layout: one `.npy` array (L, D) for each utterance.

    Args:
        path: the data set's folder, with `together/{audio,text,visual}` (MOSI),
            `audio/hubert-FRA`, `text/roberta-4-FRA` and `visual` (MOSEI), or
            `{audio,text,visual}` (AMI, or the result of `semi-iin features`).
        labels: a CSV whose ids are the files' names, as for `read_text_csv`; its text is not
            used. None = the utterances are unlabeled.

    Raises:
        SemiIINError: for a folder of another layout, or labels of other ids.
    """
    folders = max(
        FOLDERS.values(),
        key=lambda known: sum((path / folder).is_dir() for folder in known.values()),
    )
    if not any((path / folder).is_dir() for folder in folders.values()):
        raise SemiIINError(f"{path} has no features in a known layout, such as together/text")
    files: dict[str, dict[Modality, Path]] = defaultdict(dict)
    for modality, folder in folders.items():
        for file in sorted((path / folder).glob("*.npy")):
            files[file.stem][modality] = file
    if not files:
        raise SemiIINError(f"{path} contains no .npy arrays")
    if labels is None:
        return [
            Sample(id=name, split="unlabeled", features=arrays) for name, arrays in files.items()
        ]
    samples = [
        replace(sample, text=None, context=None, features=files[sample.id])
        for sample in read_text_csv(Path(labels))
        if sample.id in files
    ]
    if not samples:
        raise SemiIINError(f"no id of {labels} is the name of an array in {path}")
    return samples


def write_features(
    path: Path, samples: Sequence[Sample], rows: Sequence[Mapping[Modality, Any]]
) -> None:
    """Write features in a layout that `read_features` reads, with `labels.csv` beside them.

    Args:
        path: the folder; `audio`, `text` and `visual` are made in it as needed.
        samples: their ids name the files.
        rows: for each sample its features (L, D) by modality.
    """
    folders = FOLDERS["ami"]
    path.mkdir(parents=True, exist_ok=True)
    with (path / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "video_id", "text", "label", "emotion", "split"])
        for sample, row in zip(samples, rows, strict=True):
            name = sample.id.replace("/", "_")
            label = "" if sample.label is None else sample.label
            emotion = sample.emotion or ""
            writer.writerow([name, sample.group, sample.text or "", label, emotion, sample.split])
            for modality, features in row.items():
                (path / folders[modality]).mkdir(exist_ok=True)
                np.save(path / folders[modality] / f"{name}.npy", np.asarray(features))


def load_array(path: Path) -> Tensor:
    """Load one array of ready features as a tensor (L, D) float32.

    Raises:
        SemiIINError: when the file is missing, damaged, or of another rank.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise SemiIINError(f"{path} cannot be read as an array: {error}") from error
    if array.ndim != 2 or not len(array):
        raise SemiIINError(f"{path} contains an array of shape {array.shape}, not (frames, width)")
    return torch.from_numpy(array).float()
