"""`room`: people join a live session from a browser."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from streamer.cli.app import app, screen
from streamer.cli.context import Recorder, choose, needs_stages
from streamer.cli.modes import Mode, settings_of
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
    SetOption,
)
from streamer.cli.play import run_pipeline
from streamer.cli.recordings import warn_of_damaged, what_is_deleted
from streamer.config import Config
from streamer.errors import ConfigError, StreamerError
from streamer.session_ids import EXACTLY

if TYPE_CHECKING:
    from streamer.room.people import Recorded
    from streamer.room.server import Address
    from streamer.room.site import Links

ONLY_HERE = (
    "Only browsers on this machine can open it. For others, pass --host 0.0.0.0 --tls self-signed: "
    "browsers give camera and microphone only on localhost or over HTTPS."
)
NO_TLS = (
    "Browsers give camera and microphone only on localhost or over HTTPS: pass --tls self-signed, "
    "give files with --tls-cert and --tls-key, or put a proxy with HTTPS in front (room.hosts)."
)
TRUST = "The certificate is this machine's own, so browsers warn once. Its SHA-256, to compare: {}"


class Tls(StrEnum):
    """Certificates that the room makes."""

    self_signed = "self-signed"


@app.command()
def room(
    consent: ConsentOption = None,
    session: Annotated[
        list[str] | None,
        typer.Option(help="The session's name; several, and each has a room of its own."),
    ] = None,
    session_id: SessionIdOption = None,
    host: Annotated[str, typer.Option(help="Address of the join page.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Its port; 0 for any free one.")
    ] = 8720,
    tls: Annotated[
        Tls | None,
        typer.Option(help="Make and keep a certificate for this machine.", show_default=False),
    ] = None,
    tls_cert: Annotated[
        Path | None,
        typer.Option(help="Certificate of the join page (PEM).", show_default=False),
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(help="The certificate's key (PEM).", show_default=False)
    ] = None,
    qr: Annotated[
        bool, typer.Option("--qr/--no-qr", help="Draw the join link as a QR code on a terminal.")
    ] = True,
    config: ConfigOption = None,
    set_: SetOption = None,
    broker: BrokerOption = None,
    no_stages: NoStagesOption = False,
    page: PageOption = True,
    record: RecordOption = None,
    record_windows: KeepWindowsOption = False,
    json_: JsonOption = False,
    mode: Annotated[
        Mode | None,
        typer.Option(
            help="What the session uses and publishes; see docs/room.md.", show_default=False
        ),
    ] = None,
) -> None:
    """Let people join a live session from a browser, after they agree; Ctrl-C ends it.

    --consent is the text that each of them is shown; without it a general one is. With several
    --session each one has links, people and a record of its own, at one address.
    """
    from streamer.room.ice import check_addresses
    from streamer.room.rooms import Rooms
    from streamer.room.session import RoomCapture, room_plans

    sets = [*(set_ or []), *settings_of(mode, config, set_)]
    chosen = choose(config, sets, broker, consent)
    needs_stages(chosen.config, no_stages)
    needs_page(chosen.config, page)
    address = address_of(host, port, tls, _files(tls_cert, tls_key), chosen.config)
    address.context()
    check_addresses(chosen.config.room)
    plans = room_plans(session or [], session_id)
    recorded: Recorded = "nothing" if record is None else "media" if record_windows else "values"
    forgotten: dict[str, list[str]] = {plan.session_id: [] for plan in plans}

    def source(config: Config) -> Any:
        def open_rooms(publisher: Any, in_flight: Any) -> Rooms:
            rooms = [
                RoomCapture(
                    plan,
                    config,
                    publisher,
                    in_flight,
                    recorded=recorded,
                    on_forget=forgotten[plan.session_id].append,
                )
                for plan in plans
            ]
            tell = functools.partial(print_links, address=address, qr=qr)
            return Rooms(rooms, address, config, tell, page)

        return open_rooms

    try:
        run_pipeline(
            chosen,
            tuple(forgotten),
            source,
            pace=None,
            as_json=json_,
            title="Room",
            start_stages=not no_stages,
            recorder=Recorder(record, record_windows),
        )
    finally:
        for id_of_session, names in forgotten.items():
            if record is not None:
                delete_recorded(record, id_of_session, names)


def needs_page(config: Config, page: bool) -> None:
    """Refuse to show everybody a page that there is not."""
    if config.room.watch == "everyone" and not page:
        raise ConfigError('room.watch = "everyone" needs the live page: leave --no-page out.')


def address_of(
    host: str, port: int, tls: Tls | None, files: tuple[Path, Path] | None, config: Config
) -> Address:
    """Return where the room is served; makes the certificate of --tls self-signed.

    Raises:
        ConfigError: there are two certificates, or the new one cannot be kept.
    """
    from streamer.dashboard.access import known_names
    from streamer.directories import data_dir
    from streamer.room import certificate
    from streamer.room.server import Address

    if tls is None:
        return Address(host, port, files)
    if files is not None:
        raise ConfigError(
            "--tls self-signed makes a certificate: leave --tls-cert and --tls-key out."
        )
    own = certificate.local_address() if host in ("0.0.0.0", "") else None
    names = {*known_names(host), *config.room.hosts, "127.0.0.1", own or "127.0.0.1"}
    files = certificate.self_signed(data_dir(), set(filter(str.isascii, names)))
    trust = TRUST.format(certificate.fingerprint(files[0]))
    screen.print(trust, style="dim", highlight=False, emoji=False)
    return Address(host, port, files, called=own)


def delete_recorded(
    folder: Path, session_id: str, names: Sequence[str], screen: Console = screen
) -> None:
    """Delete what the recording holds of people who asked for it; a failure is told, not raised."""
    from streamer.recording.forgetting import forget
    from streamer.recording.reader import Recordings

    for name in names:
        if not Recordings(folder).path(session_id).is_dir():
            screen.print(f"Nothing of {name} was recorded.", highlight=False, markup=False)
            continue
        try:
            erased = forget(folder, f"{EXACTLY}{session_id}", name)
        except StreamerError as error:
            screen.print(f"{error}", style="yellow", highlight=False)
            continue
        screen.print(what_is_deleted(erased, name), highlight=False)
        warn_of_damaged(erased, name)


def print_links(
    rooms: Sequence[Links], address: Address, *, qr: bool, screen: Console = screen
) -> None:
    """Print each room's links, the join link on a terminal as a QR code, and who can use it."""
    for links in rooms:
        if len(rooms) > 1:
            screen.print(f"Room {links.session}", highlight=False, markup=False)
        if links.live is not None:
            screen.print(f"Live page: {links.live}", highlight=False, soft_wrap=True)
        screen.print(f"Host's link: {links.host}", highlight=False, soft_wrap=True)
        if qr and screen.is_terminal and not screen.no_color and address.reaches_others:
            print_code(links.join, screen)
        screen.print(f"Join link: {links.join}", highlight=False, soft_wrap=True)
    if not address.reaches_others:
        screen.print(ONLY_HERE, style="dim", highlight=False)
    elif address.tls is None:
        screen.print(NO_TLS, style="yellow", highlight=False)


def print_code(url: str, screen: Console) -> None:
    """Draw a link as a QR code, black on white, if the terminal is wide enough."""
    from streamer.cli.qr import drawn

    code = drawn(url)
    if code.index("\n") <= screen.width:
        screen.print(code, style="#000000 on #ffffff", highlight=False, markup=False)


def _files(certificate: Path | None, key: Path | None) -> tuple[Path, Path] | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise ConfigError("--tls-cert and --tls-key go together: give both or neither.")
    return certificate, key
