"""CREMA-D."""

from pathlib import Path

import pytest

from semi_iin.data.formats import guess_format, read
from semi_iin.errors import SemiIINError
from tests.unit.semi_iin.generated import write_text

HEADER = "file,actor,acted,voice_A,voice_D,voice_F,voice_H,voice_N,voice_S\n"


def test_votes_are_shares_and_valence_follows_from_them(tmp_path: Path) -> None:
    write_text(
        tmp_path / "labels.csv",
        HEADER
        + "1001/1001_DFA_ANG_XX.opus,1001,ANG,6,1,0,0,1,0\n"
        + "1075/1075_DFA_HAP_XX.opus,1075,HAP,0,0,0,3,1,0\n"
        + "1001/1001_TAI_SAD_XX.opus,1001,SAD,0,0,0,0,0,0\n",
    )
    angry, happy = read(tmp_path, "crema-d")
    assert guess_format(tmp_path) == "crema-d"
    assert (angry.id, angry.group, angry.split) == ("1001_DFA_ANG_XX", "crema-d/1001", "train")
    assert angry.emotion == "angry" and angry.label == pytest.approx(-2.625)
    assert angry.votes["angry"] == 0.75 and sum(angry.votes.values()) == pytest.approx(1)
    assert happy.label == pytest.approx(2.25) and happy.split == "valid"
    assert happy.audio is not None and happy.audio.path == tmp_path / "1075/1075_DFA_HAP_XX.opus"


@pytest.mark.parametrize(
    "content", ["", HEADER + "1001/a.opus,1001,ANG,six,1,0,0,1,0\n", "file,actor\na,1\n"]
)
def test_malformed_tables_are_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(SemiIINError, match=r"labels\.csv|data at"):
        write_text(tmp_path / "labels.csv", content)
        read(tmp_path, "crema-d")
