"""RAVDESS."""

from pathlib import Path

import pytest

from semi_iin.data.formats import read
from semi_iin.errors import SemiIINError
from tests.unit.semi_iin.generated import tone_file


def test_ravdess_reads_emotion_and_actor_from_names(tmp_path: Path) -> None:
    for actor, name in ((1, "03-01-03-01-01-01-01"), (17, "03-01-06-02-02-01-17")):
        (tmp_path / f"Actor_{actor:02d}").mkdir()
        tone_file(tmp_path / f"Actor_{actor:02d}" / f"{name}.flac", 0.1)
    (tmp_path / "notes.wav").touch()
    happy, afraid = read(tmp_path, "ravdess")
    assert (happy.emotion, happy.split, happy.group) == ("happy", "train", "ravdess/1")
    assert (afraid.emotion, afraid.split, afraid.group) == ("fearful", "valid", "ravdess/17")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SemiIINError, match="no RAVDESS recordings"):
        read(empty, "ravdess")
