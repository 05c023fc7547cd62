"""docs/records.md and docs/schema are current, and every field is explained."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from streamer.cli import app
from streamer.kafka import documentation
from streamer.kafka.asyncapi import asyncapi
from streamer.kafka.topics import TOPICS, topic_of
from streamer.records import Score, Sentiment, Window

ROOT = Path(__file__).resolve().parents[3]
SCHEMAS = ROOT / "docs" / "schema"


def test_records_md_is_current() -> None:
    assert (ROOT / "docs/records.md").read_text("utf-8") == documentation.document(), (
        "run `streamer schema docs/schema --describe docs/records.md`"
    )


@pytest.mark.parametrize(
    "struct",
    [*(topic.struct for topic in documentation._DESCRIBED), *documentation._PARTS],
    ids=lambda s: s.__name__,
)
def test_every_field_is_explained_and_no_other(struct: type[msgspec.Struct]) -> None:
    meanings = documentation.meanings(struct)
    assert list(meanings) == list(struct.__struct_fields__)
    assert all(len(meaning) > 5 for meaning in meanings.values())
    attributes = documentation._attributes(struct)
    assert set(attributes) <= set(struct.__struct_fields__)


def test_a_struct_with_its_own_explanation_uses_it() -> None:
    assert "with late words" in documentation.meanings(Window)["revision"]
    assert documentation.meanings(Score)["valence"].startswith("The model's value")
    assert documentation.meanings(Sentiment)["valence"].startswith("Smoothed")


@pytest.mark.parametrize("struct", documentation._EXAMPLES, ids=lambda s: s.__name__)
def test_the_examples_are_records_that_readers_accept(struct: type[msgspec.Struct]) -> None:
    example = documentation._EXAMPLES[struct]
    assert topic_of(struct).decode(msgspec.json.encode(example)) == example


def test_the_command_writes_records_and_schemas(tmp_path: Path) -> None:
    out = tmp_path / "records.md"
    result = CliRunner().invoke(app.app, ["schema", str(tmp_path / "s"), "--describe", str(out)])
    assert result.exit_code == 0
    assert out.read_text("utf-8") == documentation.document()
    assert (tmp_path / "s" / "sentiment.v1.json").is_file()


def test_the_published_schemas_are_current(tmp_path: Path) -> None:
    written = documentation.write_schemas(tmp_path)
    assert {path.name for path in written} == {path.name for path in SCHEMAS.iterdir()}
    for path in written:
        assert path.read_text("utf-8") == (SCHEMAS / path.name).read_text("utf-8"), (
            f"run `streamer schema {SCHEMAS.relative_to(ROOT)}`"
        )


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = json.loads((SCHEMAS / "asyncapi.json").read_text("utf-8"))
    assert {channel["address"] for channel in document["channels"].values()} == {
        topic.full_name("sentiment") for topic in TOPICS
    }
    references = list(_references(document))
    assert len(references) > len(document["channels"])
    for reference in references:
        if reference.startswith("./"):
            assert (SCHEMAS / reference).is_file()
            continue
        place = document
        for key in reference.removeprefix("#/").split("/"):
            place = place[key]


def test_the_asyncapi_document_names_the_headers_that_messages_have() -> None:
    example = documentation._EXAMPLES[Sentiment]
    assert isinstance(example, Sentiment)
    headers = {name for name, _ in topic_of(Sentiment).encode(example).headers}
    document = json.loads(asyncapi())
    named = document["components"]["messages"]["smoothed"]["headers"]["required"]
    assert set(named) <= headers
    assert set(named) == {name for name in headers if name.startswith("ce_")}


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)
