"""A lost connection does not end a stay at once; another one takes its place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from streamer.config import load
from streamer.room.inbox import Inbox
from streamer.room.people import Guest, Refused
from streamer.room.stay import Stay
from tests.unit.room.test_room_session import FakePeer, until

LONG_S = 600.0


def stay_of(peers: list[FakePeer], rejoin_s: float = LONG_S) -> Stay:
    def make(inbox: Inbox) -> FakePeer:
        peers.append(FakePeer(inbox))
        return peers[-1]

    guest = Guest("Ana", ("audio",), 0, "ticket", "key")
    return Stay(guest, Inbox(("audio",), load(), lambda: 0), 0, "browser", make, rejoin_s)


@asynccontextmanager
async def attended(stay: Stay) -> AsyncIterator[asyncio.Task[None]]:
    """The stay, connected once; at the end it is ended."""
    assert await stay.connect("offer") == "answer"
    attending = asyncio.create_task(stay.attend())
    await asyncio.sleep(0)
    yield attending
    stay.end()
    async with asyncio.timeout(30):
        await attending


async def test_a_lost_connection_may_come_back() -> None:
    peers: list[FakePeer] = []
    stay = stay_of(peers)
    async with attended(stay):
        await peers[0].close()
        await until(lambda: not stay.connected)
        assert not stay.ended.is_set()
        assert await stay.connect("offer") == "answer"
        assert stay.connected
        await asyncio.sleep(0)
        assert not stay.ended.is_set()
    assert [peer.gone.is_set() for peer in peers] == [True, True]
    assert not stay.connected


async def test_a_second_connection_takes_the_place_of_one_that_is_still_there() -> None:
    peers: list[FakePeer] = []
    stay = stay_of(peers)
    async with attended(stay):
        await stay.connect("offer")
        assert [peer.gone.is_set() for peer in peers] == [True, False]
        await until(lambda: stay.connected)
        assert not stay.ended.is_set()


async def test_without_time_to_come_back_a_lost_connection_ends_the_stay() -> None:
    peers: list[FakePeer] = []
    stay = stay_of(peers, rejoin_s=0.0)
    async with attended(stay) as attending:
        await peers[0].close()
        await until(attending.done)
        assert stay.ended.is_set()
        with pytest.raises(Refused, match="Nobody is in the room"):
            await stay.connect("offer")
    assert peers[1].gone.is_set()


async def test_leaving_ends_a_stay_at_once_with_and_without_a_connection() -> None:
    for lost in (False, True):
        peers: list[FakePeer] = []
        stay = stay_of(peers)
        async with attended(stay) as attending:
            if lost:
                await peers[0].close()
                await until(lambda stay=stay: not stay.connected)  # type: ignore[misc]
            stay.end()
            await until(attending.done)
            assert peers[0].gone.is_set()


async def test_an_offer_that_cannot_be_answered_leaves_the_connection_as_it_is() -> None:
    peers: list[FakePeer] = []
    stay = stay_of(peers)
    async with attended(stay):
        with pytest.raises(Refused, match="no offer"):
            await stay.connect("nonsense")
        assert stay.connected
        assert not peers[0].gone.is_set()
