"""The broker's address, TLS and SASL, in the form that each Kafka client library expects.

This is the only module that interprets `kafka.security`. It opens no connection.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any

from streamer.config import KafkaConfig
from streamer.errors import ConfigError

RETRY_S = 0.5
"""Pause between two attempts of a client to reach the broker."""
CLIENT_ID = "streamer"


@dataclass(frozen=True)
class _Sasl:
    mechanism: str
    username: str
    password: str


@dataclass(frozen=True)
class _Access:
    """What a client needs to connect: addresses, and TLS and SASL if the protocol has them."""

    addresses: list[str]
    protocol: str
    tls: bool
    sasl: _Sasl | None


def aiokafka_settings(kafka: KafkaConfig) -> dict[str, Any]:
    """Return the connection settings of an aiokafka client.

    Raises:
        ConfigError: the broker has no address, or a certificate cannot be read.
    """
    access = _access(kafka)
    settings: dict[str, Any] = {
        "bootstrap_servers": access.addresses,
        "security_protocol": access.protocol,
        "client_id": CLIENT_ID,
        "retry_backoff_ms": int(RETRY_S * 1000),
    }
    if access.tls:
        settings["ssl_context"] = tls_context(kafka)
    if access.sasl:
        settings |= {
            "sasl_mechanism": access.sasl.mechanism,
            "sasl_plain_username": access.sasl.username,
            "sasl_plain_password": access.sasl.password,
        }
    return settings


def faust_settings(kafka: KafkaConfig) -> dict[str, Any]:
    """Return the connection settings of a Faust app.

    Raises:
        ConfigError: the broker has no address, or a certificate cannot be read.
    """
    import faust  # only the processor needs it, and it takes half a second to import

    access = _access(kafka)
    tls = tls_context(kafka) if access.tls else None
    credentials: Any = None if tls is None else faust.SSLCredentials(tls)
    if access.sasl:
        credentials = faust.SASLCredentials(
            username=access.sasl.username,
            password=access.sasl.password,
            mechanism=access.sasl.mechanism,
            ssl_context=tls,
        )
    return {
        "broker": [f"kafka://{address}" for address in access.addresses],
        "broker_client_id": CLIENT_ID,
        "broker_credentials": credentials,
    }


def tls_context(kafka: KafkaConfig) -> ssl.SSLContext:
    """Return the configured trust and client certificate; the system's trust if no CA is named.

    Raises:
        ConfigError: a file is missing, or is not a certificate or key.
    """
    security = kafka.security
    try:
        context = ssl.create_default_context(cafile=security.ca_file or None)
        if security.certificate_file:
            context.load_cert_chain(security.certificate_file, security.key_file)
    except (OSError, ssl.SSLError) as error:
        files = (security.ca_file, security.certificate_file, security.key_file)
        names = ", ".join(file for file in files if file)
        raise ConfigError(
            f"The TLS files of kafka.security ({names}) cannot be loaded: {error}."
        ) from error
    return context


def _access(kafka: KafkaConfig) -> _Access:
    if kafka.broker == "embedded":
        raise ConfigError(
            "kafka.broker is `embedded`, which has no address of its own; start one with "
            "`streamer broker` and set its host:port."
        )
    security = kafka.security
    mechanism, _, transport = security.protocol.rpartition("_")
    sasl = _Sasl(security.sasl_mechanism, security.username, security.password.get_secret_value())
    return _Access(
        addresses=[address.strip() for address in kafka.broker.split(",")],
        protocol=security.protocol,
        tls=transport == "SSL",
        sasl=sasl if mechanism == "SASL" else None,
    )
