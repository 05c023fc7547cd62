"""The dead-letter commands list, show and retry, on both brokers."""

import asyncio
import json
import uuid
from dataclasses import replace

import msgspec
import pytest
from typer.testing import CliRunner

from streamer.cli import app
from streamer.config import Config, build
from streamer.errors import ConfigError
from streamer.kafka import dead_letters
from streamer.kafka.admin import ensure_topics
from streamer.kafka.consumer import Consumer
from streamer.kafka.messages import RawMessage, Received
from streamer.kafka.producer import Producer
from streamer.kafka.topics import WINDOWS
from streamer.records import Window
from tests.made_records import window

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def config(request: pytest.FixtureRequest) -> Config:
    """Return settings with a new topic prefix on each of the two brokers."""
    address = request.getfixturevalue(f"{request.param}_broker")
    settings = build({"kafka": {"broker": address, "topic_prefix": f"t{uuid.uuid4().hex[:12]}"}})
    asyncio.run(ensure_topics(settings))
    return settings


WINDOW = msgspec.msgpack.encode(window(session_id="s"))


def raw(config: Config, offset: int, value: bytes) -> RawMessage:
    windows = WINDOWS.full_name(config.kafka.topic_prefix)
    headers = {"ce_id": b"s/ana/0/0", "odd": b"\xff\x00"}
    return RawMessage(windows, 2, offset, 1_700_000_000_000, b"s/ana", value, headers)


async def dead_letter(config: Config, *letters: tuple[RawMessage, str]) -> None:
    async with Producer(config) as producer:
        for message, reason in letters:
            await producer.dead_letter(message, reason)


def streamer(config: Config, *arguments: str) -> str:
    prefix = ("--set", f"kafka.topic_prefix={config.kafka.topic_prefix}")
    result = CliRunner().invoke(
        app.app, ["dead-letter", *arguments, "--broker", config.kafka.broker, *prefix]
    )
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


async def read_windows(config: Config) -> list[Received[Window]]:
    async with Consumer(config, WINDOWS) as consumer:
        return [received async for received in consumer.snapshot()]


def test_letters_are_listed_once_shown_and_retried(config: Config) -> None:
    good, bad = raw(config, 7, WINDOW), raw(config, 8, b"\x00\x01 no window")
    asyncio.run(
        dead_letter(config, (good, "the model stumbled"), (bad, "[red]not msgpack"), (good, "x"))
    )

    first, second = sorted(streamer(config, "list", "--json").splitlines())
    assert json.loads(first) == {
        "id": f"{good.topic}/2/7",
        "written": "2023-11-14T22:13:20Z",
        "bytes": len(WINDOW),
        "reason": "the model stumbled",
    }
    assert json.loads(second)["reason"] == "[red]not msgpack"
    assert len(streamer(config, "list", "--json", "--reason", "stumbled").splitlines()) == 1
    assert "[red]not" in streamer(config, "list")

    live_table = streamer(config, "show", f"{bad.topic}/2/8")
    assert r"b'\xff\x00'" in live_table
    assert "0000  00 01 20 6e 6f 20 77 69 6e 64 6f 77" in live_table
    assert ".. no window" in live_table

    assert streamer(config, "retry", f"{good.topic}/2/7") == f"{good.topic}/2/7\n"
    (again,) = asyncio.run(read_windows(config))
    assert (again.value, again.key, again.headers) == (WINDOW, b"s/ana", dict(good.headers))
    assert sorted(streamer(config, "retry", "--all").split()) == [
        f"{good.topic}/2/7",
        f"{bad.topic}/2/8",
    ]


def test_an_unknown_letter_and_a_cut_one_are_refused(embedded_broker: str) -> None:
    config = build({"kafka": {"broker": embedded_broker, "max_message_bytes": 500_000}})
    large = raw(config, 3, b"x" * 600_000)
    asyncio.run(dead_letter(config, (large, "too large")))
    with pytest.raises(ConfigError, match="There is no dead letter 'elsewhere/0/1'"):
        asyncio.run(dead_letters.find(config, "elsewhere/0/1"))
    with pytest.raises(ConfigError, match=r"only .* of 600000 bytes"):
        asyncio.run(dead_letters.retry(config, [f"{large.topic}/2/3"]))
    assert asyncio.run(dead_letters.retry(config, None)) == []


def test_a_letter_that_names_another_topic_is_not_published(embedded_broker: str) -> None:
    config = build({"kafka": {"broker": embedded_broker, "topic_prefix": "other"}})
    asyncio.run(ensure_topics(config))
    elsewhere = replace(raw(config, 4, WINDOW), topic="payments")
    asyncio.run(dead_letter(config, (elsewhere, "not ours")))
    with pytest.raises(ConfigError, match="names the topic payments, which is not one of"):
        asyncio.run(dead_letters.retry(config, ["payments/2/4"]))


def test_an_empty_topic_has_no_letters(embedded_broker: str) -> None:
    config = build({"kafka": {"broker": embedded_broker}})
    assert streamer(config, "list") == "There are no dead letters.\n"
    assert streamer(config, "list", "--json") == ""
