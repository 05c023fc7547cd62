"""Certificates: a self-signed one is made, kept and renewed; a wrong file is one sentence."""

from __future__ import annotations

import hashlib
import socket
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from streamer.errors import ConfigError
from streamer.room.certificate import VALID, context, fingerprint, local_address, self_signed

NOW = datetime(2026, 5, 3, 9, tzinfo=UTC)
NAMES = ["localhost", "room.example", "192.0.2.7", "fe80::1"]


def made(folder: Path, moment: datetime = NOW) -> Path:
    certificate, key = self_signed(folder, NAMES, lambda: moment)
    assert certificate == key
    return certificate


def test_it_names_every_host_and_address_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = made(tmp_path / "new" / "folder")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == {"localhost", "room.example"}
    assert set(map(str, names.get_values_for_type(x509.IPAddress))) == {"192.0.2.7", "fe80::1"}
    assert certificate.not_valid_after_utc == NOW + VALID


def test_it_is_used_again_while_it_is_valid_and_has_the_names(tmp_path: Path) -> None:
    path = made(tmp_path)
    first = fingerprint(path)
    assert fingerprint(made(tmp_path, NOW + timedelta(days=300))) == first
    assert fingerprint(self_signed(tmp_path, ["localhost"], lambda: NOW)[0]) == first
    assert fingerprint(self_signed(tmp_path, ["other.example"], lambda: NOW)[0]) != first


def test_it_is_renewed_before_it_expires_and_where_the_file_is_damaged(tmp_path: Path) -> None:
    first = fingerprint(made(tmp_path))
    second = fingerprint(made(tmp_path, NOW + timedelta(days=340)))
    assert second != first
    (tmp_path / "room.pem").write_text("nothing")
    assert fingerprint(made(tmp_path)) not in (first, second)


def test_the_fingerprint_is_that_of_the_connection(tmp_path: Path) -> None:
    path = made(tmp_path, datetime.now(UTC))
    server, client = context((path, path)), ssl.create_default_context(cafile=str(path))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname="room.example")
    far = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (near, far, near, far):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            pass
    shown = near.getpeercert(binary_form=True)
    assert shown is not None
    assert fingerprint(path).count(":") == 31
    assert fingerprint(path).replace(":", "").lower() == hashlib.sha256(shown).hexdigest()


def test_a_certificate_out_of_its_time_is_named_with_the_day(tmp_path: Path) -> None:
    path = made(tmp_path)
    with pytest.raises(ConfigError, match=r"room\.pem expired on 2027-05-03; .*--tls-cert"):
        context((path, path), lambda: NOW + VALID + timedelta(days=1))
    with pytest.raises(ConfigError, match=r"room\.pem is valid from 2026-05-03 on"):
        context((path, path), lambda: NOW - timedelta(days=1))


def test_files_that_do_not_belong_together_are_named(tmp_path: Path) -> None:
    one, other = made(tmp_path / "one"), made(tmp_path / "other")
    with pytest.raises(ConfigError, match=r"one/room\.pem and .*other/room\.pem do not belong"):
        context((one, other), lambda: NOW)


def test_files_that_are_missing_or_something_else_are_named(tmp_path: Path) -> None:
    path = made(tmp_path)
    with pytest.raises(ConfigError, match=r"none\.pem cannot be read; .*--tls-cert"):
        context((tmp_path / "none.pem", path), lambda: NOW)
    text = tmp_path / "text.pem"
    text.write_text("hello")
    with pytest.raises(ConfigError, match=r"text\.pem .* are not a certificate and its key"):
        context((text, path), lambda: NOW)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    with pytest.raises(ConfigError, match=r"cannot be kept in .*taken"):
        made(taken)


def test_the_address_of_this_machine_is_one() -> None:
    address = local_address()
    assert address is None or socket.inet_aton(address)
