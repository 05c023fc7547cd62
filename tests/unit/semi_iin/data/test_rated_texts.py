"""Rated texts of published data sets."""

from pathlib import Path

import pytest

from semi_iin.data.formats import read
from semi_iin.data.rated_texts import read_rated
from semi_iin.errors import SemiIINError
from tests.unit.semi_iin.generated import write_text


def test_emobank_has_degrees_on_its_own_scale_and_a_split_column(tmp_path: Path) -> None:
    path = write_text(
        tmp_path / "emobank.csv", "id,split,V,A,D,text\na,train,3.5,3,3,Good.\nb,dev,2,3,3,Bad.\n"
    )
    samples = read_rated(path, format="emobank")
    assert [(sample.split, sample.label) for sample in samples] == [
        ("train", 0.75),
        ("valid", -1.5),
    ]


def test_goemotions_without_a_sign_are_left_out(tmp_path: Path) -> None:
    path = write_text(
        tmp_path / "dev.csv",
        "id,text,emotions,group\n"
        "a,Great stuff,joy,positive\nb,Hm,curiosity,ambiguous\nc,I HATE THIS,anger,negative\n",
    )
    samples = read_rated(path, format="goemotions")
    assert [sample.label for sample in samples] == [1.0, -1.0]
    assert [sample.split for sample in samples] == ["valid", "valid"]
    assert samples[1].text == "i hate this"


def test_dailydialog_has_context_of_the_same_speaker_and_no_surprise(tmp_path: Path) -> None:
    path = write_text(
        tmp_path / "validation.csv",
        "dialogue,turn,text,emotion\n"
        "0,0,Good morning,0\n0,1,Oh !,6\n0,2,I am glad,4\n0,3,Go away,1\n1,0,Hello,0\n",
    )
    samples = read_rated(path, format="dailydialog")
    assert [(sample.label, sample.context) for sample in samples] == [
        (0.0, None),
        (1.0, "Good morning"),
        (-1.0, "Oh !"),
        (0.0, None),
    ]
    assert {sample.group for sample in samples} == {"dailydialog/0", "dailydialog/1"}


def test_emorynlp_groups_by_scene(tmp_path: Path) -> None:
    path = write_text(
        tmp_path / "train.csv",
        "Utterance,Speaker,Emotion,Scene_ID,Utterance_ID,Season,Episode,Start_Time,End_Time\n"
        "Yes.,['A'],Joyful,1,1,1,2,0,1\nNo.,['A'],Mad,1,2,1,2,1,2\nNo.,['A'],Scared,1,1,2,2,0,1\n",
    )
    samples = read_rated(path, format="emorynlp")
    assert [(sample.group, sample.label, sample.context) for sample in samples] == [
        ("emorynlp/1/2/1", 1.0, None),
        ("emorynlp/1/2/1", -1.0, "Yes."),
        ("emorynlp/2/2/1", -1.0, None),
    ]


def test_a_row_of_another_layout_is_named(tmp_path: Path) -> None:
    path = write_text(tmp_path / "emobank.csv", "id,split,V,text\na,train,much,Good.\n")
    with pytest.raises(SemiIINError, match="line 2"):
        read_rated(path, format="emobank")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SemiIINError, match="no file"):
        read_rated(tmp_path / "dev.csv", format="goemotions")


def test_the_sets_are_formats_of_the_reader(tmp_path: Path) -> None:
    path = write_text(tmp_path / "dev.csv", "id,text,group\na,Great,positive\nb,Bad,negative\n")
    assert [sample.label for sample in read(path, "goemotions", split="valid")] == [1.0, -1.0]
