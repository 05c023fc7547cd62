"""`speakers`: names for the people of a session."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from streamer.cli.app import screen, speakers_app
from streamer.cli.context import choose
from streamer.cli.options import (
    RECORDINGS,
    BrokerOption,
    ConfigOption,
    DirOption,
    SetOption,
)
from streamer.plain_text import printable


@speakers_app.command("name")
def speakers_name(
    session: Annotated[str, typer.Argument(help="Id or name of a session.")],
    names: Annotated[
        list[str], typer.Argument(help="speaker-1=Ana; `speaker-1=` takes the name away.")
    ],
    folder: DirOption = RECORDINGS,
    config: ConfigOption = None,
    set_: SetOption = None,
    broker: BrokerOption = None,
) -> None:
    """Name people of a recorded session, with --broker of a running one; ids stay as they are."""
    from streamer.session.naming import name_people
    from streamer.shown_names import shown, stated

    chosen = choose(config, set_, broker)
    wanted = stated(names)
    on_broker = None if chosen.config.kafka.broker == "embedded" else chosen.config
    done = asyncio.run(name_people(session, wanted, folder, on_broker))
    places = [f"in {folder}"] if done.recording else []
    if done.broker:
        places.append(f"on {chosen.config.kafka.broker}")
    for participant_id in wanted:
        name = printable(shown(done.session.names, participant_id))
        screen.print(
            f"{participant_id} of {done.session.session_id} is shown as {name} "
            f"({' and '.join(places)}).",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
