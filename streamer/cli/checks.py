"""`devices`, `doctor`, `schema` and `config show`: what there is, and what is set."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from streamer import config as settings
from streamer.cli.app import app, config_app
from streamer.cli.context import choose
from streamer.cli.options import BrokerOption, ConfigOption, JsonOption, SetOption
from streamer.cli.output import print_line
from streamer.cli.tables import text_table
from streamer.errors import ExitCode


@app.command()
def devices(json_: JsonOption = False) -> None:
    """List cameras and microphones by the names that --participant takes."""
    from streamer.capture.devices import list_devices

    listed = list_devices()
    if json_:
        for device in listed:
            print_line(msgspec.json.encode(device).decode())
        return
    table = text_table("type this", "kind", "device")
    for device in listed:
        table.add_row(device.name_to_type, device.kind, device.description)
    Console().print(table if listed else "No camera and no microphone was found.")


@app.command()
def doctor(
    config: ConfigOption = None,
    set_: SetOption = None,
    broker: BrokerOption = None,
    json_: JsonOption = False,
) -> None:
    """Check devices, broker, model, libraries and GPU; print a fix for each problem."""
    from streamer.cli.doctor import examine

    chosen = choose(config, set_, broker)
    findings = asyncio.run(examine(chosen.config))
    if json_:
        for finding in findings:
            print_line(msgspec.json.encode(finding).decode())
    else:
        table = text_table("", "what", "found", "fix")
        marks = {"ok": "[green]✓", "missing": "[yellow]–", "broken": "[red]✗"}
        for finding in findings:
            table.add_row(marks[finding.state], finding.what, finding.found, finding.fix)
        Console().print(table)
    if any(finding.state == "broken" for finding in findings):
        raise typer.Exit(ExitCode.FAILURE)


@app.command()
def schema(
    folder: Annotated[Path, typer.Argument(help="Folder of the schemas.")],
    describe: Annotated[
        Path | None,
        typer.Option(help="Also describe every field in this Markdown file."),
    ] = None,
) -> None:
    """Write the JSON Schemas of the published records."""
    from streamer.kafka.documentation import document, write_schemas

    written = write_schemas(folder)
    if describe is not None:
        describe.write_text(document(), "utf-8")
        written.append(describe)
    for path in written:
        print_line(str(path))


@config_app.command("show")
def config_show(
    config: ConfigOption = None,
    set_: SetOption = None,
    broker: BrokerOption = None,
    json_: JsonOption = False,
) -> None:
    """Print the effective settings as TOML, with secrets masked."""
    chosen = choose(config, set_, broker)
    shown_config = settings.dump(chosen.config)
    print_line(json.dumps(shown_config) if json_ else settings.as_toml(chosen.config).rstrip())
