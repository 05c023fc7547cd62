"""Data sets of a run, split into parts."""

from pathlib import Path

from semi_iin.parts import read_parts
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
