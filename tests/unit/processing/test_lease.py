"""A worker that stood still may not write."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.produce import ProduceRequest

from streamer.config import build
from streamer.processing import app
from streamer.processing.faust_app import Evicted, fence
from streamer.processing.lease import Lease, elapsed_s
from streamer.testing import FakePolicies, FakeProducer


class Time:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_lease_is_held_while_it_is_renewed() -> None:
    time = Time()
    lease = Lease(8.0, time)
    time.now_s += 35.0  # at the start, before there is anything to write
    lease.begin()
    for _ in range(5):
        time.now_s += 7.9
        assert lease.is_held()
        assert lease.renew()


def test_a_lease_that_was_lost_is_lost_for_good() -> None:
    time = Time()
    lease = Lease(8.0, time)
    lease.begin()
    time.now_s += 35.0
    assert not lease.renew(), "renewing it late does not bring it back"
    time.now_s += 0.1
    assert not lease.is_held()
    assert lease.gap_s == 35.0


def test_the_lease_s_clock_grows() -> None:
    assert elapsed_s() <= elapsed_s()


class Client:
    """A producer's client that counts what it sends."""

    def __init__(self) -> None:
        self.sent: list[type] = []

    async def send(self, node_id: int, request: Any, **_: Any) -> str:
        self.sent.append(type(request))
        return "response"


def produce() -> ProduceRequest:
    return ProduceRequest(transactional_id=None, required_acks=-1, timeout=1000, topics=[])


async def test_what_a_paused_worker_had_queued_is_not_sent() -> None:
    config = build({"kafka": {"broker": "a:1"}})
    counts = {"sentiment.scores.v1": 1, "sentiment.session-input.v1": 1}
    built = app.build_app(config, FakeProducer(), FakePolicies(), counts, embedded=False)  # type: ignore[arg-type]
    time, client = Time(), Client()
    built.app.lease = Lease(8.0, time)
    built.app.lease.begin()
    fence(client, built.app)
    assert await client.send(0, produce()) == "response"

    time.now_s += 35.0
    with pytest.raises(Evicted):
        await client.send(0, produce())
    await client.send(0, MetadataRequest([]))
    assert client.sent == [ProduceRequest, MetadataRequest]
    assert "stood still for 35 s" in await asyncio.wait_for(built.app.ended, 1)
