"""Facial expressions."""

from pathlib import Path

import numpy as np
import pytest

from semi_iin.data.formats import read
from semi_iin.errors import SemiIINError


def test_expressions_read_class_names_in_any_spelling(tmp_path: Path) -> None:
    path = tmp_path / "train.npz"
    images = np.arange(2 * 48 * 48, dtype=np.uint32).astype(np.uint8).reshape(2, 48, 48)
    np.savez(path, images=images, labels=np.array([1, 0]), classes=np.array(["Anger", "happiness"]))
    first, second = read(path, "expression-npz")
    assert (first.emotion, second.emotion, first.split) == ("happy", "angry", "train")
    (face,) = first.clip().faces or ()
    assert face.shape == (48, 48, 3)
    np.savez(path, images=images)
    with pytest.raises(SemiIINError, match="no NPZ with plain arrays"):
        read(path, "expression-npz")
