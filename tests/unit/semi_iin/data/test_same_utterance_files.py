"""Reading the sets with several modalities of one recording."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semi_iin.data.same_utterance import (
    acted_clips,
    read_action_units,
    read_mmmo,
    read_mosi_rows,
)
from semi_iin.errors import SemiIINError


def write_mmmo(path: Path) -> None:
    arrays: dict[str, Any] = {}
    for part, count in (("train", 3), ("valid", 2), ("test", 2)):
        arrays[f"y_{part}"] = np.linspace(1, 5, count, dtype=np.float32)
        for kind, width in (("audio", 3), ("video", 2), ("text", 4)):
            arrays[f"{kind}_{part}"] = np.ones((count, 5, width), np.float32)
    arrays["audio_valid"][0, :2] = 0
    arrays["text_test"][1] = 0
    np.savez(path, **arrays)


def test_mmmo_is_its_reviews_with_words_without_padding(tmp_path: Path) -> None:
    write_mmmo(tmp_path / "mmmo.npz")
    clips = read_mmmo(tmp_path / "mmmo.npz")
    assert clips.valence.tolist() == [-3, 3, -3, 3]
    assert [len(row) for row in clips.features["audio"]] == [3, 5, 5, 5]
    assert [len(row) for row in clips.features["text"]] == [5, 5, 5, 1]
    assert len(set(clips.groups)) == 4


def test_only_the_clean_rows_of_mosi_are_read_and_videos_stay_together(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "mosi.npz",
        id=np.array(["a_b_1", "a_b_2", "c_1"]),
        poria_split=np.array(["test", "test", "train"]),
        label=np.array([1.2, -0.4, 3.0], np.float32),
        audio=np.ones((3, 4), np.float32),
        video=np.ones((3, 2), np.float32),
        text100=np.ones((3, 3), np.float32),
    )
    clips = read_mosi_rows(tmp_path / "mosi.npz")
    assert clips.valence.tolist() == pytest.approx([1.2, -0.4])
    assert clips.groups == ("a_b", "a_b")
    assert [row.shape for row in clips.features["text"]] == [(1, 3), (1, 3)]


def test_acted_faces_have_the_sign_of_their_emotion_and_surprise_is_left_out(
    tmp_path: Path,
) -> None:
    path = tmp_path / "units.csv"
    path.write_text(
        "AU01_r,AU02_c,speech,name,actor,emotion,audio\n"
        "0.1,1,0.5,x,8,03,03-01-03-01-01-01-08\n"
        "0.2,0,0.5,x,8,08,03-01-08-01-01-01-08\n"
        "0.3,0,0.5,x,9,05,03-01-05-01-01-01-09\n"
    )
    faces = read_action_units(path)
    clips = acted_clips(faces, np.ones((2, 6), np.float32))
    assert [face.recording for face in faces] == ["03-01-03-01-01-01-08", "03-01-05-01-01-01-09"]
    assert clips.valence.tolist() == [2.0, -2.0]
    assert clips.groups == ("8", "9")
    assert clips.features["vision"][1].tolist() == [[pytest.approx(0.3), 0.0]]
    assert clips.features["audio"][0].shape == (1, 6)


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    write_mmmo(tmp_path / "mmmo.npz")
    with pytest.raises(SemiIINError, match="cannot be read as same-utterance"):
        read_mosi_rows(tmp_path / "mmmo.npz")
    (tmp_path / "units.csv").write_text("AU01_r\n1\n")
    with pytest.raises(SemiIINError, match="action units"):
        read_action_units(tmp_path / "units.csv")
