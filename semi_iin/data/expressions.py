"""Facial expressions: an NPZ file of face crops with emotion classes, such as FER2013."""

from pathlib import Path

import numpy as np

from semi_iin.data.samples import Sample, Split, split_of_name
from semi_iin.errors import SemiIINError
from semi_iin.labels import emotion_name


def read_expressions(path: Path, *, fallback_split: Split | None = None) -> list[Sample]:
    """Read faces from an NPZ of `images` (N, H, W) or (N, H, W, 3) uint8, `labels` and `classes`.

    `labels` are indices into `classes`, whose names may be in any common spelling.

    Args:
        path: the file.
        fallback_split: of its samples; None: the split in the file's name (`train.npz`,
            `public_test.npz`), else "train".

    Raises:
        SemiIINError: for missing arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            images, labels = arrays["images"], arrays["labels"]
            names = [emotion_name(str(name)) for name in arrays["classes"]]
    except (OSError, ValueError, KeyError) as error:
        raise SemiIINError(
            f"{path} is no NPZ with plain arrays images, labels and classes: {error}"
        ) from error
    split = fallback_split or split_of_name(path.name)
    return [
        Sample(
            id=f"{path.stem}-{index}",
            split=split,
            emotion=names[int(label)],
            face=np.ascontiguousarray(image, dtype=np.uint8),
        )
        for index, (image, label) in enumerate(zip(images, labels, strict=True))
    ]
