"""Notices about stages without a worker, and about records that do not come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from streamer.cli.absence import (
    absence,
    absence_announced,
    announce_silence,
    announce_unknown_session,
    unknown_session,
    watched_for_silence,
)
from streamer.cli.doctor import examine_workers
from streamer.config import build
from streamer.kafka.admin import ensure_topics
from streamer.kafka.consumer import Consumer
from streamer.kafka.groups import consumer_group
from streamer.kafka.topics import WINDOWS
from streamer.testing import FakeBroker
from tests.made_records import session


def test_the_notice_names_stages_and_commands() -> None:
    assert absence("kafka:9092", ["inference"]) == (
        "No inference worker is running on kafka:9092; start one with "
        "`streamer infer --broker kafka:9092`."
    )
    assert absence("k:1", ["inference", "smoothing"]) == (
        "No inference worker and no smoothing worker is running on k:1; start one with "
        "`streamer infer --broker k:1` and `streamer process --broker k:1`."
    )


async def test_silence_is_noticed_once_until_the_next_record() -> None:
    silences = 0
    noticed = asyncio.Event()

    async def records() -> AsyncIterator[int]:
        yield 1
        await noticed.wait()
        yield 2
        yield 3

    async def on_silence() -> None:
        nonlocal silences
        silences += 1
        noticed.set()

    watched = watched_for_silence(records(), on_silence, silence_s=0.05)
    assert [record async for record in watched] == [1, 2, 3]
    assert silences == 1


async def test_an_error_ends_the_wait_though_the_notice_is_not_out_yet() -> None:
    noticing = asyncio.Event()

    async def records() -> AsyncIterator[int]:
        await noticing.wait()
        raise ConnectionError("gone")
        yield 1

    async def on_silence() -> None:
        noticing.set()
        await asyncio.Event().wait()

    with pytest.raises(ConnectionError, match="gone"):
        async for _ in watched_for_silence(records(), on_silence, silence_s=0.01):
            pass


@pytest.mark.kafka
async def test_a_missing_worker_is_named_where_people_look(
    kafka_broker: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = build(
        {
            "kafka": {"broker": kafka_broker, "topic_prefix": "absence"},
            "inference": {"consumer_group": "absence-inference"},
        }
    )
    await ensure_topics(config)
    assert [finding.state for finding in await examine_workers(config)] == ["missing", "missing"]
    group = consumer_group(config, "inference")
    async with Consumer(config, WINDOWS, group=group) as worker:
        await worker.batch(1, 3_000)
        inference, smoothing = await examine_workers(config)
        assert (inference.state, inference.found) == ("ok", f"1 on {kafka_broker}")
        assert smoothing.fix == f"run `streamer process --broker {kafka_broker}`"
        printed, notice = "", "No smoothing worker is running"
        async with absence_announced(config):
            async with asyncio.timeout(60):
                while notice not in " ".join(printed.split()):
                    printed += capsys.readouterr().err
                    await asyncio.sleep(0.02)
        await announce_silence(config)
        assert notice in " ".join(capsys.readouterr().err.split())


def test_an_unknown_session_is_named_with_those_there_are() -> None:
    sessions = ["standup-20261126T145400Z-3f9a", "retro"]
    assert unknown_session("standap", sessions, "k:1") == (
        "k:1 has no session 'standap' yet; streamer waits for it. It has retro, standup. "
        "Did you mean 'standup'?"
    )
    assert unknown_session("x", [], "k:1") == "k:1 has no session 'x' yet; streamer waits for it."
    many = unknown_session("x", [f"day{number}" for number in range(12)], "k:1")
    assert many.endswith("day6, day7 and 2 more.")


async def test_only_a_session_that_is_not_on_the_broker_is_announced(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with FakeBroker() as broker:
        broker.publish(session(session_id="standup-20261126T145400Z-3f9a", name="standup"))
        await announce_unknown_session(broker.config, "standup")
        assert capsys.readouterr().err == ""
        await announce_unknown_session(broker.config, "standap")
    assert "Did you mean 'standup'?" in capsys.readouterr().err
