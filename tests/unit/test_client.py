"""The Python client: each record once, only what was asked for, on an embedded broker."""

import asyncio
import contextlib
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

import streamer
from streamer.config import Config, build
from streamer.errors import BrokerError, ConfigError
from streamer.kafka.admin import ensure_topics
from streamer.kafka.producer import Producer
from streamer.records import Sentiment
from streamer.session_ids import make_id
from tests.made_records import (
    START,
    alert,
    score,
    sentiment,
    session,
    session_sentiment,
    with_sessions,
)


@pytest.fixture
def config(embedded_broker: str) -> Config:
    return build({"kafka": {"broker": embedded_broker}})


async def publish(config: Config, *records: Any) -> None:
    async with Producer(config) as publisher:
        for record in with_sessions(*records):
            await publisher.publish(record)


async def take(records: Any, count: int) -> list[Any]:
    async with asyncio.timeout(20), contextlib.aclosing(records):
        return [await anext(records) for _ in range(count)]


async def test_each_window_comes_once_and_with_revisions_each_of_them(config: Config) -> None:
    first = [sentiment(0), sentiment(0), sentiment(1), sentiment(0, revision=1), sentiment(1)]
    await publish(config, *first, sentiment(2))
    broker = config.kafka.broker
    once = await take(streamer.subscribe(broker, start="earliest"), 3)
    assert [(item.window_index, item.revision) for item in once] == [(0, 0), (1, 0), (2, 0)]
    everything = streamer.subscribe(broker, start="earliest", revisions=True)
    assert [(item.window_index, item.revision) for item in await take(everything, 4)] == [
        (0, 0),
        (1, 0),
        (0, 1),
        (2, 0),
    ]


async def test_only_the_asked_session_and_participant(config: Config) -> None:
    others = [sentiment(0, participant_id="bo"), sentiment(0, session_id="other"), sentiment(0)]
    await publish(config, *others, sentiment(1))
    records = streamer.subscribe(
        config.kafka.broker, session="standup", participant="ana", start="earliest"
    )
    assert [item.window_id for item in await take(records, 2)] == ["standup/ana/0", "standup/ana/1"]


async def test_a_name_means_the_newest_session_of_it(config: Config) -> None:
    ids = [make_id("standup", START + timedelta(days=day), 0) for day in range(3)]
    for session_id in ids[:2]:
        await publish(config, session(session_id=session_id), sentiment(0, session_id=session_id))
    records = streamer.subscribe(config.kafka.broker, session="standup", start="earliest")
    async with asyncio.timeout(20), contextlib.aclosing(records):
        assert (await anext(records)).session_id == ids[1]
        later = (ids[0], ids[2])
        await publish(config, *(sentiment(1, session_id=session_id) for session_id in later))
        assert (await anext(records)).session_id == ids[2]
    [record] = await take(
        streamer.subscribe(config.kafka.broker, session=ids[0], start="earliest"), 1
    )
    assert record.session_id == ids[0]


async def test_an_alert_is_told_when_it_is_raised_and_when_it_is_cleared(config: Config) -> None:
    await publish(config, alert(), alert(), alert(state="cleared"))
    records = streamer.subscribe(config.kafka.broker, kind="alerts", start="earliest")
    assert [item.state for item in await take(records, 2)] == ["raised", "cleared"]


async def test_a_session_that_publishes_no_person_gives_its_own_values_alone(
    config: Config,
) -> None:
    meeting_only = session(publish="session", min_participants=2)
    records = [sentiment(0), score(0), alert(), alert(participant_id=None, alert_id="standup/*/7")]
    async with Producer(config) as publisher:
        await publisher.publish(sentiment(0, session_id="no record"))
        for record in [meeting_only, *records, session_sentiment(0)]:
            await publisher.publish(record)
    await publish(config, sentiment(0, session_id="open"), score(0, session_id="open"))
    broker = config.kafka.broker
    for kind in ("smoothed", "scores"):
        [item] = await take(streamer.subscribe(broker, kind=kind, start="earliest"), 1)
        assert item.session_id == "open"
    [item] = await take(streamer.subscribe(broker, kind="alerts", start="earliest"), 1)
    assert item.participant_id is None
    [item] = await take(streamer.subscribe(broker, kind="session_smoothed", start="earliest"), 1)
    assert item == session_sentiment(0)


async def test_a_later_start_skips_what_was_published_before(config: Config) -> None:
    start_ms = round(START.timestamp() * 1000)
    async with Producer(config) as publisher:
        await publisher.publish(session())
        await publisher.publish(sentiment(0), timestamp_ms=start_ms - 1)
        await publisher.publish(sentiment(1), timestamp_ms=start_ms)
    records = streamer.subscribe(config.kafka.broker, start=START)
    assert [item.window_index for item in await take(records, 1)] == [1]


@pytest.mark.slow  # the embedded broker lets a group's second member wait for ten seconds
async def test_a_group_goes_on_behind_what_was_used(config: Config) -> None:
    await publish(config, *(sentiment(k) for k in range(5)))

    def again() -> AsyncIterator[Any]:
        return streamer.subscribe(config.kafka.broker, group="mine", start="earliest")

    # The third is in hand when the program ends: it comes again.
    assert [item.window_index for item in await take(again(), 3)] == [0, 1, 2]
    assert [item.window_index for item in await take(again(), 3)] == [2, 3, 4]


async def test_the_synchronous_twin_gives_the_same(config: Config) -> None:
    await ensure_topics(config)
    taken: list[Sentiment] = []

    def program() -> None:
        records = streamer.subscribe_sync(config.kafka.broker, start="earliest")
        with contextlib.closing(records):
            for record in records:
                taken.append(record)
                if len(taken) == 3:
                    break

    thread = threading.Thread(target=program)
    thread.start()
    await publish(config, sentiment(0), sentiment(0), sentiment(1), sentiment(2))
    await asyncio.to_thread(thread.join, 20)
    assert [item.window_index for item in taken] == [0, 1, 2]
    assert not any(thread.name == "subscribe" for thread in threading.enumerate())


def test_nobody_at_the_address_is_one_sentence() -> None:
    config = build({"kafka": {"connect_timeout_s": 0.5}})
    records = streamer.subscribe_sync("127.0.0.1:1", config=config)
    with pytest.raises(BrokerError, match=r"No Kafka broker answers at 127\.0\.0\.1:1"):
        next(records)


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="host:port"):
        next(streamer.subscribe_sync("nowhere:kafka", config=build({})))


@pytest.mark.slow
@pytest.mark.parametrize(
    "imports",
    ["import streamer", "import streamer.client", "from streamer.client import subscribe"],
)
def test_the_client_is_callable_however_it_was_imported(imports: str) -> None:
    code = (
        f"{imports}\nimport streamer, inspect\n"
        "assert inspect.isasyncgen(streamer.subscribe('localhost:9092'))\n"
        "assert inspect.isgenerator(streamer.subscribe_sync('localhost:9092'))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_the_package_alone_brings_no_client() -> None:
    code = "import streamer, sys; assert 'aiokafka' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
