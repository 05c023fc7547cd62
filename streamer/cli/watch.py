"""`subscribe` and `dashboard`: published records in the terminal and on the page."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Annotated, Any

import typer

from streamer.cli.absence import (
    announce_silence,
    announce_unknown_session,
    watched_for_silence,
)
from streamer.cli.app import app
from streamer.cli.context import beginning, choose, needs_running_broker
from streamer.cli.options import (
    RECORDINGS,
    BrokerOption,
    ConfigOption,
    DirOption,
    HostOption,
    JsonOption,
    MediaFolderOption,
    OpenOption,
    OutputFormat,
    PagePortOption,
    SelectorOption,
    SetOption,
    TokenOption,
)
from streamer.cli.output import CSV_COLUMNS, csv_line, print_json, print_line
from streamer.cli.play import live_table, print_url
from streamer.cli.terminal import until_signal
from streamer.config import Config
from streamer.errors import StreamerError


@app.command()
def subscribe(
    session: SelectorOption = None,
    participant: Annotated[str | None, typer.Option(help="Only this participant.")] = None,
    from_: Annotated[
        str, typer.Option("--from", help="beginning, latest, or a time such as 2026-01-31T09:00Z.")
    ] = "latest",
    format_: Annotated[
        OutputFormat, typer.Option("--format", help="A live table, or one record per line.")
    ] = OutputFormat.table,
    config: ConfigOption = None,
    set_: SetOption = None,
    broker: BrokerOption = None,
    json_: JsonOption = False,
) -> None:
    """Print the published sentiment until Ctrl-C."""
    from streamer.cli import display
    from streamer.client import subscribe as follow

    chosen = choose(config, set_, broker)
    needs_running_broker(chosen.config, "subscribe")
    output = OutputFormat.json if json_ else format_
    start = beginning(from_)
    board = display.Board(f"{chosen.config.kafka.broker} {session or 'all sessions'}")

    async def everything(stop: asyncio.Event) -> None:
        stopping = asyncio.create_task(stop.wait())
        records = follow(
            chosen.config.kafka.broker,
            session=session,
            participant=participant,
            start=start,
            revisions=output is not OutputFormat.csv,
            config=chosen.config,
        )
        names = follow(
            chosen.config.kafka.broker,
            session=session,
            kind="sessions",
            start="earliest",
            config=chosen.config,
        )
        with live_table(board, output is not OutputFormat.table) as refresh:
            naming = asyncio.create_task(show_names(names, board, output, refresh))
            noticed = watched_for_silence(records, lambda: announce_silence(chosen.config))
            reading = asyncio.create_task(show_each(noticed, board, output, refresh))
            looking = asyncio.create_task(_look_for(chosen.config, session))
            done, _ = await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            others = {reading, looking, naming, stopping} - done
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            if reading in done:
                reading.result()

    until_signal(everything)


@app.command()
def dashboard(
    session: Annotated[
        str | None, typer.Option(help="Open this session first: id or name.")
    ] = None,
    host: HostOption = "127.0.0.1",
    port: PagePortOption = None,
    token: TokenOption = None,
    open_: OpenOption = False,
    folder: DirOption = RECORDINGS,
    media: MediaFolderOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    broker: BrokerOption = None,
) -> None:
    """Serve the live page of a broker's topics and the recordings until Ctrl-C.

    Without --broker, the recorded sessions alone.
    """
    from streamer import dashboard as pages

    chosen = choose(config, set_, broker)
    until_signal(
        lambda stop: pages.serve(
            chosen.config,
            host,
            pages.PORT if port is None else port,
            token,
            stop=stop,
            on_url=lambda url: print_url(url, open_),
            session_id=session,
            any_port=port is None,
            recordings=folder,
            media_dir=media,
        )
    )


async def _look_for(config: Config, session: str | None) -> None:
    if session is not None:
        await announce_unknown_session(config, session)


async def show_names(
    sessions: Any, board: Any, output: OutputFormat, refresh: Callable[[], None]
) -> None:
    """Show participants by the names that their sessions' records give them, in the table."""
    if output is not OutputFormat.table:
        return
    with contextlib.suppress(StreamerError):  # the subscription reports a broker that is away
        async for record in sessions:
            board.add(record)
            refresh()


async def show_each(
    records: Any, board: Any, output: OutputFormat, refresh: Callable[[], None]
) -> None:
    """Print every record of a subscription."""
    if output is OutputFormat.csv:
        print_line(",".join(CSV_COLUMNS))
    async for record in records:
        if output is OutputFormat.json:
            print_json(record)
        elif output is OutputFormat.csv:
            print_line(csv_line(record))
        else:
            board.add(record)
            refresh()
