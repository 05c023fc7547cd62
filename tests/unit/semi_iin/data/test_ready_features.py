"""Ready features."""

from pathlib import Path

import numpy as np
import pytest
import torch

from semi_iin.data.features import load_array
from semi_iin.data.formats import read
from semi_iin.errors import SemiIINError
from tests.unit.semi_iin.generated import write_text


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
    labels = write_text(tmp_path / "labels.csv", "id,text,label,split\na,x,1,train\nb,y,-1,valid\n")
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
