"""`streamer room`: the certificate, the links, and the QR code."""

from __future__ import annotations

import io
import stat
from pathlib import Path

import pytest
from rich.console import Console

from streamer.cli.play import room_command
from streamer.cli.qr import drawn
from streamer.cli.room import Tls, address_of, delete_recorded, needs_page, print_links
from streamer.config import load
from streamer.errors import ConfigError
from streamer.recording.reader import Recordings
from streamer.room.certificate import fingerprint, local_address
from streamer.room.server import Address
from streamer.room.site import Links
from tests.made_records import sentiment, session, write

LINK = "https://192.0.2.7:8720/#a-token"
HOST_LINK = "https://192.0.2.7:8720/host#another-token"
LIVE_LINK = "https://192.0.2.7:8720/live#a-third-token"
ELSEWHERE = Address("0.0.0.0", tls=(Path("cert"), Path("key")))


@pytest.fixture
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the application's data, empty."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path / "streamer"


def test_a_self_signed_certificate_is_kept_and_its_fingerprint_printed(
    data_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address = address_of("0.0.0.0", 0, Tls.self_signed, None, load())
    kept = data_home / "room.pem"
    assert address.tls == (kept, kept)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert address.called == local_address()
    assert address.context() is not None
    printed = capsys.readouterr().err.replace("\n", "")
    assert fingerprint(kept) in printed
    assert "PRIVATE" not in printed


def test_two_certificates_are_one_too_many(data_home: Path) -> None:
    with pytest.raises(ConfigError, match="--tls self-signed makes a certificate"):
        address_of("0.0.0.0", 0, Tls.self_signed, (Path("a"), Path("b")), load())
    assert not data_home.exists()


def printed(address: Address, *, terminal: bool = True, width: int = 100, qr: bool = True) -> str:
    out = io.StringIO()
    screen = Console(file=out, force_terminal=terminal, width=width, color_system="truecolor")
    print_links([Links("standup", LINK, HOST_LINK, LIVE_LINK)], address, qr=qr, screen=screen)
    return out.getvalue()


def test_the_code_is_drawn_on_a_terminal_where_others_can_open_the_link() -> None:
    line = drawn(LINK).split("\n")[6]
    assert line in printed(ELSEWHERE)
    assert line not in printed(ELSEWHERE, qr=False)
    assert line not in printed(ELSEWHERE, terminal=False)
    assert line not in printed(ELSEWHERE, width=30)
    assert line not in printed(Address())
    assert LINK in printed(ELSEWHERE, terminal=False).replace("\n", "")


def test_each_link_is_printed_under_its_name() -> None:
    lines = printed(Address(), terminal=False).replace(" \n", " ").splitlines()
    assert f"Live page: {LIVE_LINK}" in lines
    assert f"Host's link: {HOST_LINK}" in lines
    assert f"Join link: {LINK}" in lines


def test_who_wants_to_be_forgotten_was_perhaps_never_recorded(tmp_path: Path) -> None:
    screen = Console(file=io.StringIO())
    delete_recorded(tmp_path, "standup", ["Ana"], screen)
    write(tmp_path, session("ended"), sentiment(0))
    delete_recorded(tmp_path, "standup", ["ana"], screen)
    assert isinstance(screen.file, io.StringIO)
    nothing, deleted = screen.file.getvalue().splitlines()
    assert nothing == "Nothing of Ana was recorded."
    assert "ana" in deleted
    assert Recordings(tmp_path).read("standup").participants == ()


def test_people_cannot_be_shown_a_page_that_there_is_not() -> None:
    needs_page(load(None, ["room.watch='everyone'"]), page=True)
    needs_page(load(), page=False)
    with pytest.raises(ConfigError, match=r"room\.watch.*--no-page"):
        needs_page(load(None, ["room.watch='everyone'"]), page=False)


def test_the_host_reads_who_can_open_the_link() -> None:
    assert "--tls self-signed" in printed(Address()).replace("\n", " ")
    assert "--tls self-signed" in printed(Address("0.0.0.0")).replace("\n", " ")
    assert "--tls self-signed" not in printed(ELSEWHERE).replace("\n", " ")


def test_the_demo_names_the_command_that_opens_a_room_as_it_was_called_itself() -> None:
    assert room_command(".venv/bin/streamer") == ".venv/bin/streamer room --session standup"
    assert room_command("/x/streamer/__main__.py") == "streamer room --session standup"
