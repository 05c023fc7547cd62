"""`room`: people join a live session from a browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamer.cli.app import app, screen
from streamer.cli.context import Recorder, choose, needs_stages
from streamer.cli.options import (
    BrokerOption,
    ConfigOption,
    ConsentOption,
    JsonOption,
    KeepWindowsOption,
    NoStagesOption,
    PageOption,
    RecordOption,
    SessionIdOption,
    SessionOption,
    SetOption,
)
from streamer.cli.play import run_pipeline
from streamer.config import Config
from streamer.errors import ConfigError

if TYPE_CHECKING:
    from streamer.room.server import Address

ONLY_HERE = (
    "Only browsers on this machine can open it. For others, pass --host 0.0.0.0 with --tls-cert "
    "and --tls-key: browsers give camera and microphone only on localhost or over HTTPS."
)
NO_TLS = (
    "Browsers give camera and microphone only on localhost or over HTTPS: pass --tls-cert and "
    "--tls-key, or put a proxy with HTTPS in front (room.hosts names it)."
)


@app.command()
def room(
    consent: ConsentOption = None,
    session: SessionOption = None,
    session_id: SessionIdOption = None,
    host: Annotated[str, typer.Option(help="Address of the join page.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Its port; 0 for any free one.")
    ] = 8720,
    tls_cert: Annotated[
        Path | None,
        typer.Option(help="Certificate of the join page (PEM).", show_default=False),
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(help="The certificate's key (PEM).", show_default=False)
    ] = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    broker: BrokerOption = None,
    no_stages: NoStagesOption = False,
    page: PageOption = True,
    record: RecordOption = None,
    record_windows: KeepWindowsOption = False,
    json_: JsonOption = False,
) -> None:
    """Let people join a live session from a browser, after they agree; Ctrl-C ends it.

    --consent is the text that each of them is shown; without it a general one is.
    """
    from streamer.room.server import Address
    from streamer.room.session import RoomCapture, room_plan

    chosen = choose(config, set_, broker, consent)
    needs_stages(chosen.config, no_stages)
    address = Address(host, port, _tls(tls_cert, tls_key))
    address.context()
    plan = room_plan(session, session_id)

    def source(config: Config) -> Any:
        return lambda publisher, in_flight: RoomCapture(
            plan, config, publisher, in_flight, address, lambda url: print_link(url, address)
        )

    run_pipeline(
        chosen,
        plan.session_id,
        source,
        pace=None,
        as_json=json_,
        title="Room",
        start_stages=not no_stages,
        page=page,
        recorder=Recorder(record, record_windows),
    )


def print_link(url: str, address: Address) -> None:
    """Print the join link, and who can use it."""
    screen.print(f"Join link: {url}", highlight=False, soft_wrap=True)
    if not address.reaches_others:
        screen.print(ONLY_HERE, style="dim", highlight=False)
    elif address.tls is None:
        screen.print(NO_TLS, style="yellow", highlight=False)


def _tls(certificate: Path | None, key: Path | None) -> tuple[Path, Path] | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise ConfigError("--tls-cert and --tls-key go together: give both or neither.")
    return certificate, key
