"""The checkpoints in this package: loadable, small, and with a card that names every licence."""

from pathlib import Path

import pytest

from semi_iin import checkpoint, weights
from semi_iin.errors import SemiIINError
from semi_iin.model_config import SemiIINConfig
from semi_iin.predict import Predictor
from semi_iin.provenance import training_folders
from semi_iin.release import DATA

NAMES = sorted(path.name for path in checkpoint.PACKAGED.iterdir() if path.is_dir())
LARGEST_MB = 45


@pytest.mark.parametrize("name", NAMES)
def test_a_packaged_checkpoint_is_whole_and_small(name: str) -> None:
    loaded = checkpoint.load(name)
    assert loaded.path == checkpoint.PACKAGED / name
    assert loaded.build_model().config == SemiIINConfig.from_dict(loaded.config["model"])
    assert (loaded.path / checkpoint.WEIGHTS).stat().st_size < LARGEST_MB * 1e6
    assert loaded.config["provenance"]["configuration"]["data"]
    assert loaded.config["metrics"]["mosi"]["n"] == 229


@pytest.mark.parametrize("name", NAMES)
def test_the_card_names_a_licence_for_every_source_of_data(name: str) -> None:
    card = (checkpoint.PACKAGED / name / checkpoint.CARD).read_text(encoding="utf-8")
    assert "licence" in card and "unknown" not in card
    folders = training_folders(checkpoint.load(name).config["provenance"])
    assert {"mosi", "sst", "goemotions"} <= set(folders)  # the text encoder's, of an earlier run
    for folder in folders:
        assert f"| {DATA[folder][0]} | {DATA[folder][1]} |" in card, folder


@pytest.mark.parametrize("name", NAMES)
def test_without_its_source_a_checkpoint_says_how_to_get_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    specs = checkpoint.load(name).config["encoders"].values()
    fetched = [  # other encoders store all of their weights
        spec
        for spec in specs
        if str(spec["kind"]).startswith("transformer") and spec["source"].startswith("weights:")
    ]
    if not fetched:
        assert Predictor.from_checkpoint(name, device="cpu").modalities
        return
    with pytest.raises(SemiIINError, match="streamer models get"):
        Predictor.from_checkpoint(name, device="cpu")
