"""Configurations of training runs."""

from pathlib import Path

import pytest

from semi_iin.errors import SemiIINError
from semi_iin.features import Encoders
from semi_iin.model import SemiIIN
from semi_iin.model_config import SemiIINConfig
from semi_iin.settings import Objective, Training, read_config

CONFIGS = sorted((Path(__file__).parents[3] / "configs").glob("*.toml"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("name = 1", "name"),
        ('name = "x"\ndata = []\ntrainin = 3', "unknown setting trainin; did you mean training"),
        ('name = "x"\n[[data]]\npath = "a"\nrepat = 2', "did you mean repeat"),
        ('name = "x"\ndata = []\n[training]\nepochs = 0', "training.epochs"),
        ("name =", "cannot be read as TOML"),
    ],
)
def test_an_error_names_the_wrong_setting(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "x.toml").write_text(content, encoding="utf-8")
    with pytest.raises(SemiIINError, match=words):
        read_config(tmp_path / "x.toml")


def test_an_error_names_a_missing_configuration(tmp_path: Path) -> None:
    with pytest.raises(SemiIINError, match="no configuration at"):
        read_config(tmp_path / "none.toml")


@pytest.mark.parametrize(
    "path",
    [path for path in CONFIGS if "[[data]]" in path.read_text(encoding="utf-8")],
    ids=[path.stem for path in CONFIGS if "[[data]]" in path.read_text(encoding="utf-8")],
)
def test_every_training_configuration_is_valid(path: Path) -> None:
    config = read_config(path)
    assert config.data
    assert SemiIINConfig.from_dict(config.model).classes == 7


def test_the_defaults_are_the_papers_recipe() -> None:
    config = read_config(Path(__file__).parents[3] / "configs" / "mosei.toml")
    assert config.training == Training()
    assert config.objective == Objective()
    assert SemiIIN(SemiIINConfig.from_dict(config.model)).config == SemiIINConfig()
    assert Encoders.build({}).modalities == ()
