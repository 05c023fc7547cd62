"""Certificates of the join page: a self-signed one is made and kept, one that is given is checked.

What enters: names and addresses, or PEM files. What leaves: files for TLS, a fingerprint, or one
sentence about what is wrong with them.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from streamer.errors import ConfigError

VALID = timedelta(days=365)
RENEWED = timedelta(days=30)
"""A self-signed certificate is made anew when it has less time left."""
Files = tuple[Path, Path]
"""A certificate and its key."""


def now() -> datetime:
    """Return the present time."""
    return datetime.now(UTC)


def local_address() -> str | None:
    """Return the address at which other machines of the network reach this one, if there is one.

    Nothing is sent: the operating system only chooses the address from which it would send.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return None


def self_signed(folder: Path, names: Collection[str], now: Callable[[], datetime] = now) -> Files:
    """Return a certificate for `names`, hosts and addresses, with its key in one file in `folder`.

    One that is there is used again as long as it is valid and has all the names, so that browsers
    ask about it once.

    Raises:
        ConfigError: the folder cannot be written.
    """
    path = folder / "room.pem"
    if _is_usable(path, names, now()):
        return path, path
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _signed(key, sorted(names), now())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(path, _pem(key) + certificate.public_bytes(serialization.Encoding.PEM))
    except OSError as error:
        raise ConfigError(
            f"The certificate cannot be kept in {folder} ({error.strerror or error}); make the "
            "folder writable, or give files with --tls-cert and --tls-key."
        ) from None
    return path, path


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of a certificate as browsers show it."""
    digest = _load(path).fingerprint(hashes.SHA256())
    return digest.hex(":").upper()


def context(files: Files, now: Callable[[], datetime] = now) -> ssl.SSLContext:
    """Return the TLS context of a certificate and its key.

    Raises:
        ConfigError: a file cannot be read, they do not belong together, or it is not valid now.
    """
    certificate, key = files
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    for file in files:
        if not os.access(file, os.R_OK):
            raise ConfigError(
                f"{file} cannot be read; give PEM files that exist with --tls-cert and --tls-key."
            )
    try:
        made.load_cert_chain(certificate, key, password=_no_password)
        loaded = _load(certificate)
    except _Encrypted:
        raise ConfigError(
            f"The key {key} has a password. Name a key without a password with --tls-key."
        ) from None
    except (OSError, ValueError) as error:
        mismatch = "KEY_VALUES_MISMATCH" in str(error)
        why = "do not belong together" if mismatch else "are not a certificate and its key in PEM"
        raise ConfigError(
            f"{certificate} and {key} {why}; give files that do with --tls-cert and --tls-key."
        ) from None
    _check_time(certificate, loaded, now())
    return made


class _Encrypted(Exception):
    """A key needs a password."""


def _no_password() -> str:
    raise _Encrypted


def _check_time(path: Path, certificate: x509.Certificate, moment: datetime) -> None:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if moment > end:
        raise ConfigError(
            f"The certificate {path} expired on {end:%Y-%m-%d}; give a renewed one with --tls-cert."
        )
    if moment < begin:
        raise ConfigError(
            f"The certificate {path} is valid from {begin:%Y-%m-%d} on; set this machine's clock, "
            "or give another with --tls-cert."
        )


def _is_usable(path: Path, names: Collection[str], moment: datetime) -> bool:
    try:
        context((path, path), lambda: moment)
        certificate = _load(path)
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (ConfigError, OSError, ValueError, x509.ExtensionNotFound):
        return False
    own = extension.value
    known = {*own.get_values_for_type(x509.DNSName)}
    known |= {str(address) for address in own.get_values_for_type(x509.IPAddress)}
    return set(names) <= known and certificate.not_valid_after_utc - moment > RENEWED


def _signed(
    key: ec.EllipticCurvePrivateKey, names: Collection[str], moment: datetime
) -> x509.Certificate:
    called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "streamer room")])
    return (
        x509.CertificateBuilder()
        .subject_name(called)
        .issuer_name(called)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - timedelta(hours=1))
        .not_valid_after(moment + VALID)
        .add_extension(x509.SubjectAlternativeName([_name(each) for each in names]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .sign(key, hashes.SHA256())
    )


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, from its first byte on, whole or not at all."""
    made = path.with_suffix(".new")
    made.unlink(missing_ok=True)
    with open(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(content)
    made.replace(path)
