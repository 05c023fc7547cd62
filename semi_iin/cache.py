"""The feature cache: features of a data set are computed once and kept on disk.

Features are stored in shards of safetensors, in a folder whose name depends on the encoders' specs
and weights, the face cutter and the samples. It depends on no labels and no training.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from safetensors.torch import load_file, save_file
from torch import Tensor

from semi_iin.blazeface import default_name
from semi_iin.clips import Clip
from semi_iin.faces import FaceCutter
from semi_iin.features import Encoders
from semi_iin.modalities import MODALITIES, Modality


class Recorded(Protocol):
    """Something with a name and a clip, such as a sample of a data set.

    Its `repr` is part of the cache's key.
    """

    @property
    def id(self) -> str:
        """A name, unique among the samples that are encoded together."""

    def clip(self) -> Clip:
        """Read the clip."""


def extract(
    samples: Sequence[Recorded],
    encoders: Encoders,
    directory: Path,
    *,
    shard_size: int = 512,
    batch_size: int = 32,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> list[dict[Modality, Tensor]]:
    """Return features of samples, from the cache where they are in it.

    A run that is stopped loses at most one shard.

    Args:
        samples: in any order; a batch is made of neighbours.
        encoders: on any device, in any precision; features are stored as float16.
        directory: of the cache.
        shard_size: samples in a file.
        batch_size: samples encoded together.
        report: called with the number of samples done, and of all samples.

    Returns:
        For each sample its features (L, D) float16 by modality, on the CPU.
    """
    digest = hashlib.sha256(f"{encoders.fingerprint()} {FaceCutter()}".encode())
    for sample in samples:
        digest.update(repr(sample).encode())
    if any(getattr(sample, "video", None) is not None for sample in samples):
        digest.update(default_name().encode())
    folder = directory / digest.hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[Modality, Tensor]] = []
    for first in range(0, len(samples), shard_size):
        path = folder / f"{first // shard_size:05d}.safetensors"
        shard = samples[first : first + shard_size]
        if not path.exists():
            _encode_shard(shard, encoders, path, batch_size)
        stored = load_file(path)
        for index in range(len(shard)):
            names = [name for name in MODALITIES if f"{index}.{name}" in stored]
            rows.append({name: stored[f"{index}.{name}"] for name in names})
        report(len(rows), len(samples))
    return rows


def _encode_shard(
    samples: Sequence[Recorded], encoders: Encoders, path: Path, batch_size: int
) -> None:
    """Encode samples of similar length together, and write the shard whole or not at all."""
    clips = [sample.clip() for sample in samples]
    order = sorted(range(len(clips)), key=lambda index: clips[index].lengths())
    tensors = {}
    for first in range(0, len(order), batch_size):
        indices = order[first : first + batch_size]
        for index, row in zip(indices, encoders.rows([clips[i] for i in indices]), strict=True):
            for name, features in row.items():
                tensors[f"{index}.{name}"] = features.half().cpu().contiguous()
    partial = path.with_suffix(".partial")
    save_file(tensors, partial)
    os.replace(partial, path)
