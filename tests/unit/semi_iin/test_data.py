"""Data sets as published, to samples; every file here is made by the test."""

import gzip
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from semi_iin.data.features import load_array
from semi_iin.data.formats import read
from semi_iin.data.media import Media, largest_face, read_audio, read_faces
from semi_iin.data.samples import Sample, check_no_leaks, split_off
from semi_iin.errors import SemiIINError


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def tone(path: Path, seconds: float, rate: int = 16_000, hz: float = 440.0) -> Path:
    """A mono file whose amplitude rises from 0 to 0.5."""
    time = np.arange(round(seconds * rate)) / rate
    samples = np.sin(2 * np.pi * hz * time) * 0.5 * time / seconds
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac" if path.suffix == ".flac" else "pcm_s16le", rate=rate)
        frame = av.AudioFrame.from_ndarray(
            (samples * 32767).astype(np.int16)[None], format="s16", layout="mono"
        )
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path


def test_mosi_reads_by_its_column_names(tmp_path: Path) -> None:
    path = write(
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


def test_meld_gives_a_speaker_their_own_context_and_words_for_labels(tmp_path: Path) -> None:
    path = write(
        tmp_path / "meld_dev.csv",
        "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,StartTime,EndTime\n"
        '1,Hello!,Ana,joy,positive,0,0,"00:00:01,500","00:00:02,000"\n'
        '2,Go away.,Bo,anger,negative,0,1,"00:00:03,000","00:00:04,000"\n'
        '3,Oh.,Ana,sadness,neutral,0,2,"00:01:00,000","00:01:01,000"\n'
        '4,Hello again.,Ana,neutral,neutral,1,0,"00:00:05,000","00:00:06,000"\n',
    )
    samples = read(path, "text-csv")
    assert [sample.split for sample in samples] == ["valid"] * 4  # the file's name says dev
    assert [sample.label for sample in samples] == [1.0, -1.0, 0.0, 0.0]
    assert [sample.emotion for sample in samples] == ["happy", "angry", "sad", "neutral"]
    assert [sample.context for sample in samples] == [None, None, "Hello!", None]
    assert samples[2].id == "0_2"


def test_sst_reads_its_five_classes(tmp_path: Path) -> None:
    path = write(tmp_path / "sst5_train.csv", "label,text\n4,stirring\n0,dull\n2,a film\n")
    labels = [sample.label for sample in read(path, "text-csv", scale="sst5")]
    assert labels == [2.2, -2.2, 0.0]


def test_what_has_no_label_is_unlabeled(tmp_path: Path) -> None:
    path = tmp_path / "ami.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write("meeting,speaker,start,end,text\nES1,A,1.0,2.0,Okay\nES1,A,3.0,4.0,Right\n")
    one, two = read(path, "text-csv")
    assert one.split == "unlabeled" and one.label is None and one.group == "ami/ES1"
    assert two.context == "Okay"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("label\n1\n", "no text column"),
        ("text,label\nfine,very\n", "line 2: the label 'very'"),
        ("text,label,split\nfine,1,holdout\n", "no split 'holdout'"),
        ("", "no text column"),
    ],
)
def test_a_malformed_csv_is_named(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(SemiIINError, match=words):
        read(write(tmp_path / "x.csv", content), "text-csv")


def test_data_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(SemiIINError, match="no data at"):
        read(tmp_path / "none.csv", "text-csv")
    with pytest.raises(SemiIINError, match="no data format 'pickle'"):
        read(tmp_path, "pickle")  # type: ignore[arg-type]


def test_the_same_video_in_two_splits_is_refused() -> None:
    samples = [Sample("a", "train", "v1"), Sample("b", "valid", "v2"), Sample("c", "valid", "v1")]
    with pytest.raises(SemiIINError, match="v1 is in both train and valid"):
        check_no_leaks(samples)
    check_no_leaks(samples[:2])
    check_no_leaks([Sample("a", "train"), Sample("b", "valid")])  # no group is known


def test_carving_moves_whole_groups_and_always_the_same() -> None:
    samples = [Sample(f"{g}-{i}", "train", f"video{g}") for g in range(200) for i in range(3)]
    samples.append(Sample("held", "valid", "other"))
    moved = split_off(samples, 10)
    check_no_leaks(moved)
    share = sum(sample.split == "valid" for sample in moved[:-1]) / 600
    assert 0.04 < share < 0.2
    assert split_off(samples, 10) == moved


def test_clips_find_their_media_by_id_or_by_video_and_time(tmp_path: Path) -> None:
    path = write(
        tmp_path / "labels.csv",
        "id,video_id,start,end,text,label,split\n"
        "a,talk,0.5,1.0,one,1,train\n"
        "b,talk,1.0,1.5,two,-1,train\n"
        "c,lost,0,1,three,0,train\n",
    )
    media = tmp_path / "media"
    media.mkdir()
    tone(media / "talk.wav", 2.0)
    tone(media / "b.flac", 0.25)
    cut, whole, missing = read(path, "clips", media=media)
    assert cut.audio == Media(media / "talk.wav", 0.5, 1.0)
    assert whole.audio == Media(media / "b.flac")
    assert missing.audio is None and missing.text == "three"
    heard = cut.clip().audio
    assert heard is not None and len(heard) == 8000
    assert 0.2 < np.abs(heard).max() < 0.26  # the second quarter of the rising tone
    short = whole.clip().audio
    assert short is not None and len(short) == 4000


def test_clips_without_any_media_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "labels.csv", "id,text,label\na,one,1\n")
    with pytest.raises(SemiIINError, match="no media in"):
        read(path, "clips")


def test_sound_is_brought_to_16_khz_mono(tmp_path: Path) -> None:
    heard = read_audio(Media(tone(tmp_path / "a.wav", 1.0, rate=44_100)))
    assert heard is not None and heard.dtype == np.float32
    assert len(heard) == pytest.approx(16_000, abs=200)
    spectrum = np.abs(np.fft.rfft(heard))
    assert spectrum.argmax() / len(heard) * 16_000 == pytest.approx(440, abs=3)


def test_a_file_that_is_no_media_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", "no sound here")
    with pytest.raises(SemiIINError, match=r"x\.wav cannot be opened"):
        read_audio(Media(path))


def test_a_picture_without_a_face_gives_none() -> None:
    assert largest_face(np.zeros((120, 160, 3), dtype=np.uint8)) is None


def test_faces_of_a_real_clip_are_found_at_the_rate_asked_for(shared_data: Path) -> None:
    media = Media(shared_data / "clips" / "15.mp4", 0.0, 2.0)
    crops = read_faces(media, rate_hz=5)
    assert 6 <= len(crops) <= 10
    assert all(crop.shape[2] == 3 and crop.shape[0] > 80 for crop in crops)


def test_ravdess_reads_emotion_and_actor_from_names(tmp_path: Path) -> None:
    for actor, name in ((1, "03-01-03-01-01-01-01"), (17, "03-01-06-02-02-01-17")):
        (tmp_path / f"Actor_{actor:02d}").mkdir()
        tone(tmp_path / f"Actor_{actor:02d}" / f"{name}.flac", 0.1)
    (tmp_path / "notes.wav").touch()
    happy, afraid = read(tmp_path, "ravdess")
    assert (happy.emotion, happy.split, happy.group) == ("happy", "train", "ravdess/1")
    assert (afraid.emotion, afraid.split, afraid.group) == ("fearful", "valid", "ravdess/17")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SemiIINError, match="no RAVDESS recordings"):
        read(empty, "ravdess")


def test_expressions_read_class_names_in_any_spelling(tmp_path: Path) -> None:
    path = tmp_path / "train.npz"
    images = np.arange(2 * 48 * 48, dtype=np.uint32).astype(np.uint8).reshape(2, 48, 48)
    np.savez(path, images=images, labels=np.array([1, 0]), classes=np.array(["Anger", "happiness"]))
    one, two = read(path, "expression-npz")
    assert (one.emotion, two.emotion, one.split) == ("happy", "angry", "train")
    (face,) = one.clip().faces or ()
    assert face.shape == (48, 48, 3)
    np.savez(path, images=images)
    with pytest.raises(SemiIINError, match="no NPZ with plain arrays"):
        read(path, "expression-npz")


@pytest.mark.parametrize(
    "folders",
    [
        ("together/audio", "together/text", "together/visual"),
        ("audio/hubert-FRA", "text/roberta-4-FRA", "visual"),
        ("audio", "text", "visual"),
    ],
    ids=["mosi", "mosei", "ami"],
)
def test_the_papers_layouts_are_known(tmp_path: Path, folders: tuple[str, str, str]) -> None:
    for folder, width in zip(folders, (4, 5, 6), strict=True):
        (tmp_path / folder).mkdir(parents=True)
        np.save(tmp_path / folder / "a.npy", np.ones((3, width)))
    (tmp_path / folders[2] / "a.npy").unlink()
    np.save(tmp_path / folders[1] / "b.npy", np.ones((2, 5), dtype=np.float16))
    labels = write(tmp_path / "labels.csv", "id,text,label,split\na,x,1,train\nb,y,-1,valid\n")
    whole, text_only = read(tmp_path, "features", labels=labels)
    assert set(whole.features) == {"audio", "text"}  # the missing one is missing
    arrays = {name: load_array(path) for name, path in whole.features.items()}
    assert arrays["audio"].shape == (3, 4) and arrays["text"].dtype == torch.float32
    assert set(text_only.features) == {"text"} and text_only.split == "valid"
    assert [sample.split for sample in read(tmp_path, "features")] == ["unlabeled"] * 2


def test_features_of_another_layout_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SemiIINError, match="no features in a known layout"):
        read(tmp_path, "features")
    (tmp_path / "text").mkdir()
    with pytest.raises(SemiIINError, match=r"contains no \.npy arrays"):
        read(tmp_path, "features")
    np.save(tmp_path / "text" / "a.npy", np.ones(3))
    (sample,) = read(tmp_path, "features")
    with pytest.raises(SemiIINError, match="shape"):
        load_array(sample.features["text"])


def test_the_real_sets_are_read_whole_and_do_not_leak(shared_data: Path) -> None:
    mosi = read(shared_data / "mosi" / "mosi_text.csv", "text-csv")
    mosei = read(shared_data / "mosei" / "mosei_text.csv", "text-csv")
    counts = [
        sum(sample.split == split for sample in samples)
        for samples in (mosi, mosei)
        for split in ("train", "valid")
    ]
    assert counts == [1284, 229, 16274, 1861]
    check_no_leaks([*mosi, *mosei])
    voices = read(shared_data / "ravdess", "ravdess")
    check_no_leaks(voices)
    assert sum(sample.split == "valid" for sample in voices) == 240
