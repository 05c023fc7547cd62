"""Text CSV files."""

import gzip
from pathlib import Path

import pytest

from semi_iin.data.formats import read
from semi_iin.errors import SemiIINError
from tests.unit.semi_iin.generated import write_text


def test_mosi_is_read_by_its_column_names(tmp_path: Path) -> None:
    path = write_text(
        tmp_path / "mosi.csv",
        "id,video_id,clip_id,start,end,text,label,split\n"
        "v_2,v,2,5.0,6.0,AND THEN IT ENDED,-1.2,train\n"
        "v_1,v,1,1.0,4.0,IT WAS REALLY GOOD,2.4,train\n"
        "w_1,w,1,0.0,2.0,I HATE IT,-3.0,valid\n",
    )
    last, first, other = read(path, "text-csv")
    assert (last.id, last.group, last.split, last.label) == ("v_2", "mosi/v", "train", -1.2)
    assert first.text == "it was really good"
    assert last.context == "it was really good"  # by time, not by row
    assert first.context is None and other.context is None
    assert [sample.id for sample in read(path, "text-csv", split="valid")] == ["w_1"]


def test_meld_has_word_labels_and_context_of_the_same_speaker(tmp_path: Path) -> None:
    path = write_text(
        tmp_path / "meld_dev.csv",
        "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,StartTime,EndTime\n"
        '1,Hello!,Ana,joy,positive,0,0,"00:00:01,500","00:00:02,000"\n'
        '2,Go away.,Bo,anger,negative,0,1,"00:00:03,000","00:00:04,000"\n'
        '3,Oh.,Ana,sadness,neutral,0,2,"00:01:00,000","00:01:01,000"\n'
        '4,Hello again.,Ana,neutral,neutral,1,0,"00:00:05,000","00:00:06,000"\n',
    )
    samples = read(path, "text-csv")
    assert [sample.split for sample in samples] == ["valid"] * 4  # the file's name contains dev
    assert [sample.label for sample in samples] == [1.0, -1.0, 0.0, 0.0]
    assert [sample.emotion for sample in samples] == ["happy", "angry", "sad", "neutral"]
    assert [sample.context for sample in samples] == [None, None, "Hello!", None]
    assert samples[2].id == "0_2"


def test_sst_labels_are_five_classes(tmp_path: Path) -> None:
    path = write_text(tmp_path / "sst5_train.csv", "label,text\n4,stirring\n0,dull\n2,a film\n")
    labels = [sample.label for sample in read(path, "text-csv", scale="sst5")]
    assert labels == [2.2, -2.2, 0.0]


def test_rows_without_a_label_are_unlabeled(tmp_path: Path) -> None:
    path = tmp_path / "ami.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write("meeting,speaker,start,end,text\nES1,A,1.0,2.0,Okay\nES1,A,3.0,4.0,Right\n")
    first, second = read(path, "text-csv")
    assert first.split == "unlabeled" and first.label is None and first.group == "ami/ES1"
    assert second.context == "Okay"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("label\n1\n", "no text column"),
        ("text,label\nfine,very\n", "line 2: the label 'very'"),
        ("text,label,split\nfine,1,holdout\n", "no split 'holdout'"),
        ("", "no text column"),
    ],
)
def test_an_error_names_a_malformed_csv(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(SemiIINError, match=words):
        read(write_text(tmp_path / "x.csv", content), "text-csv")
