"""Settings: order of precedence, one sentence per mistake, the arithmetic of window size."""

from pathlib import Path

import pytest

from streamer import config as settings
from streamer.errors import ConfigError


def test_defaults_need_no_file() -> None:
    config = settings.load(environment={})
    assert config.kafka.broker == "embedded"
    assert config.windows.length_ns == 5_000_000_000
    assert config.windows.hop_ns == 1_000_000_000


def test_later_wins_file_environment_command_line(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text("[windows]\nhop_s = 2\nlength_s = 8\nallowed_lateness_s = 1\n")
    config = settings.load(
        file,
        ["windows.hop_s=4"],
        {"STREAMER__WINDOWS__HOP_S": "3", "STREAMER__WINDOWS__LENGTH_S": "9", "OTHER": "x"},
    )
    assert (config.windows.hop_s, config.windows.length_s) == (4, 9)
    assert config.windows.allowed_lateness_s == 1


def test_set_takes_toml_values_and_plain_text() -> None:
    config = settings.load(
        None,
        [
            'session.modalities=["text"]',
            "alerts.enabled=false",
            "inference.device=cpu",
            "kafka.broker=localhost:9092",
        ],
        {},
    )
    assert config.session.modalities == ("text",)
    assert config.alerts.enabled is False
    assert config.inference.device == "cpu"
    assert config.kafka.broker == "localhost:9092"


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("windows.lenght_s=3", "did you mean 'windows.length_s'"),
        ("wndows.hop_s=3", "did you mean 'windows"),
        ("xyz=3", "'xyz' is unknown; `streamer config show` lists them all."),
        ("windows.hop_s=9", "must not exceed length_s"),
        ("windows.hop_s=0.0005", "whole number of milliseconds"),
        ("windows.hop_s=-1", "windows.hop_s"),
        ("windows.hop_s=nan", "windows.hop_s"),
        ("kafka.broker=embeded", "did you mean 'embedded'?"),
        ("kafka.broker=http://foo", "host:port"),
        ("kafka.broker=foo,", "host:port"),
        ("kafka.broker=foo:port", "host:port"),
        ("kafka.broker=foo:70000", "not from 1 to 65535"),
        ("kafka.broker=foo:0", "not from 1 to 65535"),
        ("metrics.port=65534", "65533"),
        ("kafka.topic_prefix=a b", "kafka.topic_prefix"),
        ("smoothing.publish=session", "session_min_participants"),
        ("smoothing.publish=nobody", "smoothing.publish"),
        ("session.modalities=[]", "modalities"),
        ('session.modalities=["text", "text"]', "modalities"),
        ('session.modalities=["smell"]', "session.modalities"),
        ("kafka.security.protocol=SASL_SSL", "username and password"),
        ("kafka.security.key_file=k", "go together"),
        ("alerts.negative_clear_above=-2", "negative_clear_above"),
        ('alerts.rules=[{name="a", number="valance", below=0}]', "did you mean 'valence'?"),
        ('alerts.rules=[{name="a", number="xyz", below=0}]', "choose from valence, valence_raw"),
        ('alerts.rules=[{name="a", number="spread", above=1}]', "'spread'"),
        ('alerts.rules=[{name="a", number="valence"}]', "either `above` or `below`"),
        ('alerts.rules=[{name="a", number="valence", below=0, above=1}]', "either `above`"),
        ('alerts.rules=[{name="a", number="valence", below=0, clear_at=-1}]', "clear_at"),
        ('alerts.rules=[{name="a", number="valence", belw=0}]', "mean 'alerts.rules.below'?"),
        ('alerts.rules=[{name="a", number="valence", below=0, who="ana"}]', "list of names"),
        ('alerts.rules=[{name="a", number="valence", below=0, who=[]}]', "names nobody"),
        ('alerts.rules=[{name="a/b", number="valence", below=0}]', "alerts.rules.0.name"),
        (
            'alerts.rules=[{name="a", number="valence", below=0}, '
            '{name="a", number="valence", above=0}]',
            "two of the rules have the name 'a'",
        ),
        ("alerts.webhook.url=ftp://host/hook", "https://host/path"),
        ("alerts.webhook.url=https://host:port/", "https://host/path"),
        ("alerts.webhook.url=https://host/hook", "either `secret` or `secret_file`"),
        ("alerts.webhook.secret=short", "at least 16 characters"),
        ("session=3", "session"),
        ("windows.hop_s.deep=3", "windows.hop_s"),
        ("nothing", "section.key=value"),
    ],
)
def test_a_wrong_setting_is_one_sentence_that_names_it(override: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings.load(None, [override], {})
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_going_below_a_value_is_refused() -> None:
    with pytest.raises(ConfigError, match="not a section"):
        settings.load(None, ["windows.hop_s=1", "windows.hop_s.deep=3"], {})


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no configuration file"):
        settings.load(tmp_path / "absent.toml", (), {})
    (tmp_path / "broken.toml").write_text("= 3")
    with pytest.raises(ConfigError, match="cannot be read"):
        settings.load(tmp_path / "broken.toml", (), {})


def test_a_window_too_large_for_a_message_is_refused_with_the_arithmetic() -> None:
    with pytest.raises(ConfigError) as caught:
        settings.load(None, ["windows.length_s=30"], {})
    message = str(caught.value)
    assert "30 s x 16000 Hz x 2 bytes x 0.75 = 720,000" in message
    assert "1,048,576" in message


def test_modalities_that_are_not_there_cost_nothing() -> None:
    full = settings.load(None, (), {})
    text = settings.load(None, ['session.modalities=["text"]', "windows.length_s=50"], {})
    assert settings.planned_window_bytes(text)[0] < settings.planned_window_bytes(full)[0]


def test_dump_masks_secrets_and_reads_back_as_toml(tmp_path: Path) -> None:
    config = settings.load(
        None,
        [
            "kafka.security.protocol=SASL_PLAINTEXT",
            "kafka.security.username=me",
            "kafka.security.password=hunter2",
        ],
        {},
    )
    text = settings.as_toml(config)
    assert "hunter2" not in text
    file = tmp_path / "again.toml"
    file.write_text(text)
    assert settings.load(file, (), {}).windows == config.windows


def test_neither_the_address_nor_the_secret_of_a_webhook_is_shown() -> None:
    webhook = {"url": "https://hooks.example.com/hunter2", "secret": "hunter2-hunter2-hunter2"}
    config = settings.build({"alerts": {"webhook": webhook}})
    assert "hunter2" not in settings.as_toml(config) + repr(config)


CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("name", ["text-only", "meeting-only", "gpu", "kafka-secure"])
def test_the_configurations_we_ship_are_valid_and_change_something(name: str) -> None:
    config = settings.load(CONFIGS / f"{name}.toml", (), {})
    assert config != settings.load(None, (), {})


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("localhost", "localhost:9092"),
        ("kafka-1, kafka-2:9093", "kafka-1:9092,kafka-2:9093"),
        ("[::1]", "[::1]:9092"),
        ("embedded-kafka", "embedded-kafka:9092"),
        ("embedded", "embedded"),
    ],
)
def test_a_broker_without_a_port_is_at_kafkas_own(given: str, used: str) -> None:
    assert settings.build({"kafka": {"broker": given}}).kafka.broker == used


@pytest.mark.parametrize("text", ["123456", "1e5", "true", "2026-05-03", "007", "[1]", "-0.5"])
def test_a_text_that_looks_like_another_value_is_a_text_where_one_is_expected(text: str) -> None:
    environment = {
        "STREAMER__KAFKA__SECURITY__PROTOCOL": "SASL_SSL",
        "STREAMER__KAFKA__SECURITY__USERNAME": text,
        "STREAMER__KAFKA__SECURITY__PASSWORD": text,
        "STREAMER__WINDOWS__LENGTH_S": "4",
    }
    config = settings.load(None, [f"session.consent={text}"], environment)
    security = config.kafka.security
    assert (security.username, security.password.get_secret_value()) == (text, text)
    assert (config.session.consent, config.windows.length_s) == (text, 4.0)
