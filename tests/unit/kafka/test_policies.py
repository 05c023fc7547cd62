"""Sessions' policies from an embedded broker: a record that is there is found, at once."""

from __future__ import annotations

import asyncio
import logging
import uuid

import pytest

from streamer.config import Config, build
from streamer.kafka.policies import SessionPolicies
from streamer.kafka.producer import Producer
from streamer.policy import Policy
from streamer.records import MODALITIES, RecordedTime, Session
from streamer.testing import ALL_ALLOWED, FakeBroker
from tests.made_records import session


@pytest.fixture
def config(embedded_broker: str) -> Config:
    prefix = f"t{uuid.uuid4().hex[:12]}"
    return build({"kafka": {"broker": embedded_broker, "topic_prefix": prefix}})


async def publish(config: Config, *records: Session) -> None:
    async with Producer(config) as producer:
        for record in records:
            await producer.publish(record)


async def test_a_record_is_unknown_until_it_is_stored_and_known_from_then_on(
    config: Config,
) -> None:
    async with SessionPolicies(config) as policies:
        assert await policies.policy("standup") is None, "not even the topic is there"
        for number in range(5):
            name = f"standup-{number}"
            assert await policies.policy(name) is None
            await publish(config, session(session_id=name))
            assert await policies.policy(name) == ALL_ALLOWED


async def test_a_reader_that_comes_later_has_them_all(config: Config) -> None:
    meeting = session(session_id="retro", publish="session", min_participants=3)
    await publish(config, meeting, *(session(session_id=f"s{k}") for k in range(20)))
    async with SessionPolicies(config) as policies:
        assert await policies.policy("retro") == Policy("session", 3, MODALITIES)
        assert await policies.policy("s19") == ALL_ALLOWED
        assert await policies.policy("nobody") is None


async def test_a_stop_of_the_recording_is_known_to_who_asks_anew(config: Config) -> None:
    going_on, stopped = (RecordedTime(0),), (RecordedTime(0, 5_000),)
    async with SessionPolicies(config) as policies:
        await publish(config, session(recorded_times=going_on))
        known = await policies.policy("standup")
        assert known is not None
        assert known.recorded_times == going_on
        for record in (session(recorded_times=stopped), session(recorded_times=going_on)):
            await publish(config, record)
            renewed = await policies.renewed("standup")
            assert renewed is not None
            assert renewed.recorded_times == stopped  # a copy of the older one opens nothing


async def test_a_record_that_is_published_again_can_only_forbid(config: Config) -> None:
    meeting = session(publish="session", min_participants=2)
    async with SessionPolicies(config) as policies:
        await publish(config, session())
        assert await policies.policy("standup") == ALL_ALLOWED
        await publish(config, meeting, session("ended"))
        assert await policies.policy("nobody") is None  # so it has read to the end
        assert await policies.policy("standup") == Policy("session", 2, MODALITIES)


async def test_a_broker_that_is_away_makes_no_session_unknown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    away = build({"kafka": {"broker": "127.0.0.1:1", "connect_timeout_s": 0.1}})
    async with SessionPolicies(away) as policies:
        with caplog.at_level(logging.WARNING, "streamer.kafka.policies"):
            asking = asyncio.create_task(policies.policy("standup"))
            while not caplog.records:  # noqa: ASYNC110 - a log line has no event to wait for
                await asyncio.sleep(0.01)
        assert not asking.done()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def test_a_known_session_does_not_wait_while_another_is_looked_for() -> None:
    with FakeBroker() as broker:
        broker.publish(session())
        async with SessionPolicies(broker.config) as policies:
            assert await policies.policy("standup") == ALL_ALLOWED
            broker.close()
            asking = asyncio.create_task(policies.policy("retro"))
            await asyncio.sleep(0)
            assert await asyncio.wait_for(policies.policy("standup"), 30) == ALL_ALLOWED
            assert not asking.done()
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
