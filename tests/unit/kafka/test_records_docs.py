"""docs/records.md is what the code says now, and explains every field."""

from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from streamer import cli
from streamer.kafka import documentation
from streamer.kafka.topics import topic_of
from streamer.records import Score, Sentiment, Window

ROOT = Path(__file__).resolve().parents[3]


def test_the_file_is_current():
    assert (ROOT / "docs/records.md").read_text("utf-8") == documentation.document(), (
        "run `streamer schema docs/schema --describe docs/records.md`"
    )


@pytest.mark.parametrize(
    "struct",
    [*(topic.struct for topic in documentation._KEYS), *documentation._PARTS],
    ids=lambda s: s.__name__,
)
def test_every_field_is_explained_and_nothing_else(struct):
    told = documentation.meanings(struct)
    assert list(told) == list(struct.__struct_fields__)
    assert all(len(meaning) > 5 for meaning in told.values())
    attributes = documentation._attributes(struct)
    assert set(attributes) <= set(struct.__struct_fields__)


def test_the_record_says_what_its_own_docstring_says():
    assert "with late words" in documentation.meanings(Window)["revision"]
    assert documentation.meanings(Score)["valence"].startswith("The model's value")
    assert documentation.meanings(Sentiment)["valence"].startswith("Smoothed")


@pytest.mark.parametrize("struct", documentation._EXAMPLES, ids=lambda s: s.__name__)
def test_the_examples_are_records_that_readers_accept(struct):
    example = documentation._EXAMPLES[struct]
    assert topic_of(struct).decode(msgspec.json.encode(example)) == example


def test_the_command_writes_it(tmp_path: Path):
    out = tmp_path / "records.md"
    result = CliRunner().invoke(cli.app, ["schema", str(tmp_path / "s"), "--describe", str(out)])
    assert result.exit_code == 0
    assert out.read_text("utf-8") == documentation.document()
    assert (tmp_path / "s" / "sentiment.v1.json").is_file()
