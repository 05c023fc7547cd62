"""The plan of topics, and the rights that docs/operating.md lists."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from streamer.cli import topics
from streamer.cli.app import app
from streamer.cli.main import COMMANDS
from streamer.config import build
from streamer.kafka.embedded import EMBEDDED_PARTITIONS
from streamer.kafka.provision import GROUPS, READS, WRITES, planned_topics, rights_table
from streamer.kafka.topics import DEAD_LETTER, TOPICS

OPERATING = Path(__file__).resolve().parents[3] / "docs" / "operating.md"


def test_the_documentation_lists_the_rights() -> None:
    assert rights_table(build({})) in OPERATING.read_text("utf-8")


def test_every_command_has_a_row_and_every_topic_a_writer_and_a_reader() -> None:
    assert READS.keys() == WRITES.keys() == GROUPS.keys()
    plan = planned_topics(build({}))
    assert len(plan) == len(TOPICS) + 2
    assert all(planned.writers for planned in plan)
    letters = DEAD_LETTER.full_name("sentiment")
    assert [planned.name for planned in plan if not planned.readers] == [letters]


def test_a_changelog_is_compacted_and_follows_its_input() -> None:
    plan = planned_topics(build({"kafka": {"topic_prefix": "demo", "partitions": 7}}), "process")
    changelogs = {planned.input: planned for planned in plan if planned.input}
    assert changelogs.keys() == {"demo.scores.v1", "demo.session-input.v1"}
    for planned in changelogs.values():
        assert planned.name.startswith("demo-") and planned.name.endswith("-changelog")
        assert planned.settings["cleanup.policy"] == "compact" and planned.partitions == 7


@pytest.mark.slow
def test_the_commands_list_and_create_on_any_broker(embedded_broker: str) -> None:
    assert topics in COMMANDS  # importing it has registered them
    run = CliRunner().invoke
    missing = run(app, ["topics", "list", "--broker", embedded_broker, "--json"])
    assert missing.exit_code == 1 and '"partitions": null' in missing.stdout
    assert run(app, ["topics", "create", "--broker", embedded_broker]).exit_code == 0
    present = run(app, ["topics", "list", "--broker", embedded_broker])
    assert present.exit_code == 0 and "missing" not in present.stdout
    assert str(EMBEDDED_PARTITIONS) in present.stdout
