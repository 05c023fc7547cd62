"""Data sets of a run, split into parts."""

from pathlib import Path

from semi_iin.parts import read_parts
from semi_iin.settings import RunConfig
from tests.unit.semi_iin.generated import run_config, write_sets


def test_fusion_samples_train_no_encoder(tiny_bert: Path, tmp_path: Path) -> None:
    write_sets(tmp_path / "data")
    config = run_config(tiny_bert)
    talk, voices, faces = config.data
    other = talk.model_copy(update={"part": "other"})
    split = talk.model_copy(update={"fusion": 3})
    parts = read_parts(
        config.model_copy(update={"data": (split, other, voices, faces)}), tmp_path / "data"
    )
    groups = [
        {sample.group for sample in samples}
        for samples in (parts[0].train, parts[0].fusion, parts[0].selection)
    ]
    assert all(groups) and not groups[0] & groups[1] and not (groups[0] | groups[1]) & groups[2]
    assert parts[1].train and not parts[1].fusion  # fusion texts come from the first set
    assert parts[2].fusion == parts[2].train and parts[3].fusion == parts[3].train
    plain = read_parts(config, tmp_path / "data")[0]
    assert plain.fusion == plain.train


def texts_csv(path: Path, texts: list[str]) -> None:
    rows = [f'{index},v{index},"{text}",1.0' for index, text in enumerate(texts)]
    path.write_text("\n".join(["id,video_id,text,label", *rows]), encoding="utf-8")


def test_a_text_that_is_reported_anywhere_trains_nothing(tmp_path: Path) -> None:
    texts_csv(tmp_path / "talk.csv", ["well, this was a nice film", "thank you", "bad"])
    texts_csv(tmp_path / "other_test.csv", ["This was a bad film.", "Thank you!"])
    texts_csv(tmp_path / "more_test.csv", ["Well this was: a nice film"])
    config = RunConfig.model_validate(
        {
            "name": "made",
            "data": [{"path": name} for name in ("talk.csv", "other_test.csv", "more_test.csv")],
        }
    )
    talk, other, more = read_parts(config, tmp_path)
    assert [sample.text for sample in talk.train] == ["thank you", "bad"]  # short ones are common
    assert len(other.reported) == 2 and len(more.reported) == 1


def test_a_share_of_the_groups_trains(tmp_path: Path) -> None:
    texts_csv(tmp_path / "talk.csv", [f"text number {index}" for index in range(400)])
    sizes = []
    for share in (0.2, 0.5, 1.0):
        config = RunConfig.model_validate(
            {"name": "made", "data": [{"path": "talk.csv", "share": share, "selection": 10}]}
        )
        (part,) = read_parts(config, tmp_path)
        sizes.append({sample.id for sample in part.train})
        assert 20 < len(part.selection) < 60  # all of it, whatever the share
    assert sizes[0] < sizes[1] < sizes[2]
    assert 40 < len(sizes[0]) < 110 and 140 < len(sizes[1]) < 220


def test_skipped_groups_are_those_of_the_other_share(tmp_path: Path) -> None:
    texts_csv(tmp_path / "talk.csv", [f"text number {index}" for index in range(400)])

    def trained_by(**data: float) -> set[str]:
        config = RunConfig.model_validate({"name": "made", "data": [{"path": "talk.csv", **data}]})
        return {sample.id for sample in read_parts(config, tmp_path)[0].train}

    first, second, both = (
        trained_by(share=0.3), trained_by(skip=0.3, share=0.2), trained_by(share=0.5)
    )  # fmt: skip
    assert second and not first & second and first | second == both


def test_a_validation_part_alone_is_split_into_reported_and_training(tmp_path: Path) -> None:
    rows = [f"{index // 4},{index % 4},text {index},0" for index in range(200)]
    (tmp_path / "validation.csv").write_text("\n".join(["dialogue,turn,text,emotion", *rows]))
    config = RunConfig.model_validate(
        {
            "name": "made",
            "data": [{"path": "validation.csv", "format": "dailydialog", "reported": 2}],
        }
    )
    (part,) = read_parts(config, tmp_path)
    reported = {sample.group for sample in part.reported}
    training = {sample.group for sample in part.train}
    assert not reported & training and len(reported | training) == 50
    assert 10 < len(reported) < 40
