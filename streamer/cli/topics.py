"""`topics`: list what a broker must have, and create it beforehand, as an administrator."""

from __future__ import annotations

import asyncio
import json

import typer
from rich.console import Console

from streamer.cli.app import topics_app
from streamer.cli.context import choose, needs_running_broker
from streamer.cli.options import BrokerOption, ConfigOption, JsonOption, SetOption
from streamer.cli.output import print_line
from streamer.cli.tables import text_table
from streamer.errors import ExitCode


@topics_app.command("list")
def topics_list(
    config: ConfigOption = None,
    set_: SetOption = None,
    broker: BrokerOption = None,
    json_: JsonOption = False,
) -> None:
    """List every topic, the changelogs too: whether it is there, and who uses it."""
    from streamer.kafka.admin import topics_on_broker
    from streamer.kafka.provision import planned_topics

    chosen = choose(config, set_, broker)
    needs_running_broker(chosen.config, "topics")
    present = asyncio.run(topics_on_broker(chosen.config))
    table = text_table("topic", "partitions", "settings", "read by", "written by")
    missing = 0
    for planned in planned_topics(chosen.config):
        partitions = present.get(planned.name)
        expected = present.get(planned.input, planned.partitions)
        missing += partitions is None
        if json_:
            line = {
                "topic": planned.name,
                "partitions": partitions,
                "planned_partitions": expected,
                "settings": planned.settings,
                "read_by": planned.readers,
                "written_by": planned.writers,
            }
            print_line(json.dumps(line))
            continue
        state = str(partitions) if partitions is not None else f"missing ({expected} planned)"
        if planned.input and partitions not in (None, expected):
            state = f"{partitions}; must be {expected}"
        settings = "\n".join(f"{name}={value}" for name, value in planned.settings.items())
        users = (", ".join(planned.readers), ", ".join(planned.writers))
        table.add_row(planned.name, state, settings, *users)
    if not json_:
        Console().print(table)
    if missing:
        raise typer.Exit(ExitCode.FAILURE)


@topics_app.command("create")
def topics_create(
    config: ConfigOption = None, set_: SetOption = None, broker: BrokerOption = None
) -> None:
    """Create the topics that are missing; the stages then need no right to create any."""
    from streamer.kafka.admin import ensure_topics

    chosen = choose(config, set_, broker)
    needs_running_broker(chosen.config, "topics")
    for name in asyncio.run(ensure_topics(chosen.config)):
        print_line(name)
