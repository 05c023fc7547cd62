"""The commented configuration: every setting is in it, it is valid, and training starts from it."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from semi_iin.data.formats import FORMATS, Format
from semi_iin.model_config import SemiIINConfig
from semi_iin.run import prepare, train
from semi_iin.settings import (
    Data,
    EncoderSettings,
    Objective,
    RunConfig,
    SelfTraining,
    Settings,
    Training,
    read_config,
)
from semi_iin.template import ABSENT, attributes, template
from tests.unit.semi_iin.generated import write_sets, write_text

TABLES = ("data", "encoders", "model", "training", "objective", "self_training", "spec")
KEYS: list[tuple[str, type[Settings]]] = [
    ("", RunConfig),
    ("[[data]]", Data),
    ("[encoders.text]", EncoderSettings),
    ("[training]", Training),
    ("[objective]", Objective),
    ("[self_training]", SelfTraining),
]


def tables(text: str) -> dict[str, str]:
    """The text of each table by its head, whether a comment or not."""
    parts = re.split(r"^#?(\[.*\])$", text, flags=re.M)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


@pytest.mark.parametrize(("head", "kind"), KEYS, ids=lambda value: str(value))
def test_every_setting_is_there_and_explained(head: str, kind: type[Settings]) -> None:
    part = tables(template("made", "talk.csv"))[head]

    for name, meaning in attributes(kind).items():
        if name not in TABLES:
            assert re.search(rf"^#?{name} = ", part, re.M), name
        if name not in TABLES:
            first = meaning.split()[1]
            assert first in part.partition(f"{name} = ")[0], f"{name} has no comment"


def test_every_setting_of_the_model_is_there() -> None:
    part = tables(template("made", "talk.csv"))["[model]"]

    assert set(re.findall(r"^#(\w+) = ", part, re.M)) == {f.name for f in fields(SemiIINConfig)}


def test_keys_that_are_absent_by_default_have_an_example_that_is_accepted() -> None:
    assert {f.name for f in fields(SemiIINConfig) if f.default is None} == set(ABSENT)
    for key, value in ABSENT.items():
        assert f"#{key} = {value}" in template("made", "talk.csv")
        SemiIINConfig.from_dict({key: value})


def test_the_comments_are_the_defaults() -> None:
    """With every commented key in force the run is the same as without."""
    text = template("made", "talk.csv")
    model, everything = tables(text)["[model]"], text
    for key in ABSENT:
        everything = everything.replace(f"#{key} = ", f"# {key} = ")
    for head in ("audio", "vision", "text"):  # tables that are absent by default
        everything = re.sub(
            rf"^#\[encoders\.{head}.*\n(?:#.*\n|\w.*\n)*", "", everything, flags=re.M
        )
    in_force = re.sub(r"^#(\w+ = )", r"\1", everything, flags=re.M)
    written = RunConfig.model_validate(tomllib.loads(in_force))
    plain = RunConfig.model_validate(tomllib.loads(text))

    assert written.model_copy(update={"model": {}}) == plain
    defaults = SemiIINConfig.from_dict({})
    assert SemiIINConfig.from_dict(written.model) == defaults, model


@pytest.mark.parametrize("format", FORMATS)
def test_the_file_is_valid_for_every_format(format: Format, tmp_path: Path) -> None:
    config = read_config(write_text(tmp_path / "run.toml", template("made", "set", format)))

    assert config.data[0].format == format
    assert (config.encoders == {}) == (format == "features")


@pytest.mark.slow
def test_training_with_the_file_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_sets(tmp_path / "data")
    path = write_text(tmp_path / "run.toml", template("made", "data/talk.csv"))
    prepared = prepare(read_config(path), tmp_path / "run")

    assert len(prepared.examples) > len(prepared.selection) > 0
    voices = template("made", "data/voices", "ravdess").replace("#epochs = 30", "epochs = 1")
    quick = voices.replace("#learning_rate = 0.001  #", "epochs = 1\nbatch_size = 4  #", 1)
    checkpoint = train(read_config(write_text(path, quick)), tmp_path / "voices")
    assert (checkpoint / "model.safetensors").is_file()
