"""`dead-letter`: list, show and retry unreadable messages."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.status import Status

from streamer.cli.app import dead_letter_app, screen
from streamer.cli.context import choose, needs_running_broker
from streamer.cli.options import BrokerOption, ConfigOption, JsonOption, ReasonOption, SetOption
from streamer.cli.output import print_line
from streamer.cli.tables import text_table
from streamer.clock import date_and_time
from streamer.counted import counted
from streamer.errors import ConfigError
from streamer.plain_text import printable


@dead_letter_app.command("list")
def dead_letter_list(
    reason: ReasonOption = "",
    config: ConfigOption = None,
    set_: SetOption = None,
    broker: BrokerOption = None,
    json_: JsonOption = False,
) -> None:
    """List dead letters: id, time, size and reason."""
    from streamer.kafka import dead_letters

    chosen = choose(config, set_, broker)
    needs_running_broker(chosen.config, "dead-letter")
    table = text_table("id", "written", "bytes", "reason")

    async def everything(status: Status) -> None:
        async for letter in dead_letters.letters(chosen.config, reason):
            if json_:
                fields = {
                    "id": letter.letter_id,
                    "written": letter.written_at.isoformat().replace("+00:00", "Z"),
                    "bytes": letter.full_bytes,
                    "reason": letter.reason,
                }
                print_line(json.dumps(fields))
            else:
                written = date_and_time(letter.written_at, seconds=True)
                row = (letter.letter_id, written, str(letter.full_bytes), letter.reason)
                table.add_row(*map(escape, map(printable, row)))
                status.update(
                    f"Reading the dead-letter topic: {counted(table.row_count, 'letter')} …"
                )

    with screen.status("Reading the dead-letter topic …") as status:
        asyncio.run(everything(status))
    if not json_:
        Console().print(table if table.rows else "There are no dead letters.")


@dead_letter_app.command("show")
def dead_letter_show(
    letter_id: Annotated[str, typer.Argument(help="topic/partition/offset, as `list` prints it.")],
    out: Annotated[Path | None, typer.Option(help="Write the original bytes here.")] = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    broker: BrokerOption = None,
) -> None:
    """Show a dead letter: reason, key, headers and its first bytes."""
    from streamer.kafka import dead_letters

    chosen = choose(config, set_, broker)
    needs_running_broker(chosen.config, "dead-letter")
    letter = asyncio.run(dead_letters.find(chosen.config, letter_id))
    written = date_and_time(letter.written_at, seconds=True)
    lines = {"reason": printable(letter.reason), "written": written}
    lines["key"] = repr(letter.original.key)
    lines |= {name: repr(value) for name, value in letter.original.headers.items()}
    lines["bytes"] = f"{letter.full_bytes}" + ("" if letter.complete else ", cut: not all kept")
    for name, text in lines.items():
        print_line(f"{name + ':':<18} {text}")
    print_line(letter.preview())
    if out is not None:
        out.write_bytes(letter.original.value or b"")


@dead_letter_app.command("retry")
def dead_letter_retry(
    letter_ids: Annotated[
        list[str] | None, typer.Argument(help="Ids as `list` prints them.", show_default=False)
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Retry every dead letter that `list` shows.")
    ] = False,
    reason: ReasonOption = "",
    config: ConfigOption = None,
    set_: SetOption = None,
    broker: BrokerOption = None,
) -> None:
    """Publish messages to their original topics again."""
    from streamer.kafka import dead_letters

    if bool(letter_ids) == all_:
        raise ConfigError("Give the ids of dead letters, or --all.")
    chosen = choose(config, set_, broker)
    needs_running_broker(chosen.config, "dead-letter")
    for sent in asyncio.run(dead_letters.retry(chosen.config, letter_ids or None, reason)):
        print_line(sent)
