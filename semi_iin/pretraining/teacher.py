"""A teacher for the text encoder and for Semi-IIN: the valences of a larger checkpoint.

What enters: a checkpoint that reads words, and texts with or without labels. What leaves: a valence
for each. This is the paper's self-training taken further: a pseudo-label is a degree, and nothing
is left out for being unsure.
"""

import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from semi_iin import checkpoint as checkpoints
from semi_iin.clips import Clip
from semi_iin.data.samples import Sample
from semi_iin.errors import SemiIINError
from semi_iin.loop import Progress, Report
from semi_iin.predict import Predictor

BATCH = 64
SHARD = 4096  # texts that a stopped run loses at most
TEACHER_SHARE = 2 / 3  # of what a text that has both a label and a teacher's valence is to teach


def soft_labels(
    teacher: str,
    samples: Sequence[Sample],
    directory: Path,
    device: torch.device,
    precision: str = "float32",
    report: Report = lambda progress: None,
) -> NDArray[np.float32]:
    """Return the teacher's valence (n,) of each text, read with its context.

    Args:
        teacher: the checkpoint's directory, or its name.
        samples: with text; those of equal text and context are scored once.
        directory: where valences are kept, so that a stopped run goes on; another teacher under
            the same name has others.
        device: of the teacher.
        precision: "float32", or "bfloat16" where the processor has it.
        report: called after every batch.

    Raises:
        SemiIINError: when the checkpoint cannot be loaded or does not read words.
    """
    predictor = Predictor.from_checkpoint(teacher, str(device), precision, ["text"])
    digest = checkpoints.digest(teacher)
    clips = {
        (sample.text or "", sample.context or ""): Clip(text=sample.text, context=sample.context)
        for sample in samples
    }
    ordered = sorted(clips, key=lambda key: len(key[0]) + len(key[1]) // 2)
    valences: dict[tuple[str, str], float] = {}
    for first in range(0, len(ordered), SHARD):
        keys = ordered[first : first + SHARD]
        name = hashlib.sha256(f"{digest} {keys}".encode()).hexdigest()[:16]
        path = directory / f"{name}.npy"
        if not path.exists():
            scored: list[float] = []
            for at in range(0, len(keys), BATCH):
                scored += _valences(predictor, [clips[key] for key in keys[at : at + BATCH]])
                report(Progress("teacher", first + len(scored), len(ordered), math.nan))
            _write(path, np.array(scored, dtype=np.float32))
        valences.update(zip(keys, np.load(path, allow_pickle=False).tolist(), strict=True))
    return np.array(
        [valences[sample.text or "", sample.context or ""] for sample in samples], dtype=np.float32
    )


def taught(samples: Sequence[Sample], valences: NDArray[np.float32]) -> list[Sample]:
    """Return texts labelled with a teacher's valences, mixed with their own where they have one.

    Args:
        samples: with text; labels of other scales than valence are dropped.
        valences: the teacher's (n,).
    """
    return [
        replace(
            sample,
            label=float(valence)
            if sample.valence is None
            else TEACHER_SHARE * float(valence) + (1 - TEACHER_SHARE) * sample.valence,
            scale="valence",
        )
        for sample, valence in zip(samples, valences, strict=True)
    ]


def _valences(predictor: Predictor, clips: Sequence[Clip]) -> list[float]:
    valences = [prediction.valence for prediction in predictor.predict(clips)]
    if any(valence is None for valence in valences):
        raise SemiIINError(f"the teacher {predictor.name} gives no valence for some texts")
    return [valence or 0.0 for valence in valences]


def _write(path: Path, values: NDArray[np.float32]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npy")
    np.save(partial, values)
    os.replace(partial, path)
