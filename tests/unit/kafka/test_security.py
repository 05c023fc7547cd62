"""Address, SASL and TLS as each client library expects them."""

import ssl
from typing import Any

import faust
import pytest

from streamer.config import KafkaConfig, build
from streamer.errors import ConfigError
from streamer.kafka.security import aiokafka_settings, faust_settings


def kafka(**settings: Any) -> KafkaConfig:
    return build({"kafka": {"broker": "example.org:9092", **settings}}).kafka


SASL = {
    "sasl_mechanism": "SCRAM-SHA-256",
    "username": "ana",
    "password": "secret",
}


def test_plain_settings_contain_only_addresses() -> None:
    settings = kafka(broker="one:9092, two:9092")
    assert aiokafka_settings(settings)["bootstrap_servers"] == ["one:9092", "two:9092"]
    assert "ssl_context" not in aiokafka_settings(settings)
    assert faust_settings(settings)["broker"] == ["kafka://one:9092", "kafka://two:9092"]
    assert faust_settings(settings)["broker_credentials"] is None


@pytest.mark.parametrize("tls", [False, True])
def test_sasl_settings_are_the_same_for_every_client(tls: bool) -> None:
    settings = kafka(security={"protocol": "SASL_SSL" if tls else "SASL_PLAINTEXT", **SASL})
    by_aiokafka = aiokafka_settings(settings)
    assert by_aiokafka["sasl_mechanism"] == "SCRAM-SHA-256"
    assert by_aiokafka["sasl_plain_username"] == "ana"
    assert by_aiokafka["sasl_plain_password"] == "secret"
    assert isinstance(by_aiokafka.get("ssl_context"), ssl.SSLContext) is tls
    credentials = faust_settings(settings)["broker_credentials"]
    assert isinstance(credentials, faust.SASLCredentials)
    assert (credentials.username, credentials.password) == ("ana", "secret")
    assert isinstance(credentials.ssl_context, ssl.SSLContext) is tls


def test_tls_without_sasl_has_no_password() -> None:
    settings = kafka(security={"protocol": "SSL"})
    assert isinstance(aiokafka_settings(settings)["ssl_context"], ssl.SSLContext)
    assert isinstance(faust_settings(settings)["broker_credentials"], faust.SSLCredentials)


@pytest.mark.parametrize("render", [aiokafka_settings, faust_settings])
def test_an_embedded_broker_must_be_started_first(render: Any) -> None:
    with pytest.raises(ConfigError, match="streamer broker"):
        render(build({}).kafka)


@pytest.mark.parametrize("render", [aiokafka_settings, faust_settings])
def test_the_error_about_a_missing_certificate_names_its_file(render: Any) -> None:
    security = {"protocol": "SSL", "ca_file": "no-such-ca.pem"}
    with pytest.raises(ConfigError, match=r"no-such-ca\.pem"):
        render(kafka(security=security))
