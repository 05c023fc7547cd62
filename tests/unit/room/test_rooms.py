"""Several rooms on one server: addresses, tokens, people and ends of their own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
import pytest
from yarl import URL

from streamer.config import load
from streamer.dashboard.feed import Feed
from streamer.errors import ConfigError
from streamer.room.rooms import Rooms, paths_of
from streamer.room.server import Address, Server
from streamer.room.session import room_plans
from streamer.room.site import Links, Site
from tests.made_records import sentiment
from tests.unit.room.test_room_server import PATIENCE_S, TERMS, FakeRoom, sdp
from tests.unit.room.test_room_session import Room, until

NAMES = ("standup", "Plan B")


def test_one_room_has_no_path_and_each_of_several_one_from_its_name() -> None:
    assert paths_of(["Plan B"]) == [""]
    assert paths_of(NAMES) == ["/standup", "/plan-b"]
    assert paths_of(["A b", "a-b", "a/b", "…"]) == ["/a-b", "/a-b-2", "/a-b-3", "/room"]


def test_sessions_of_several_rooms_have_their_names_and_ids_of_their_own() -> None:
    assert [plan.name for plan in room_plans(NAMES, None)] == list(NAMES)
    assert [plan.name for plan in room_plans([], None)] == ["room"]
    assert [plan.session_id for plan in room_plans([], "mine")] == ["mine"]
    with pytest.raises(ConfigError, match="'standup' is named twice"):
        room_plans(["standup", "standup"], None)
    with pytest.raises(ConfigError, match="--session-id is the id of one session"):
        room_plans(NAMES, "mine")


class Visit:
    """A browser at a server of two rooms, in the order of NAMES."""

    def __init__(self, rooms: list[FakeRoom], links: list[Links], client: aiohttp.ClientSession):
        self.rooms = rooms
        self.links = links
        self.client = client

    async def status(self, method: str, address: str, secret: str) -> int:
        """The status of a request to an address that a secret stands behind, or of another."""
        headers = {"Authorization": f"Bearer {secret}"}
        async with self.client.request(method, address, headers=headers) as response:
            return response.status


@contextlib.asynccontextmanager
async def two_rooms() -> AsyncIterator[Visit]:
    feed, config = Feed("broker.example:9092"), load(None, ['room.watch="everyone"'])
    rooms = []
    for name in NAMES:
        feed.add(sentiment(0, session_id=name), 0)
        rooms.append(FakeRoom())
        rooms[-1].name = rooms[-1].session_id = name
    sites = [
        Site(room, config, path=path, feed=feed)
        for room, path in zip(rooms, paths_of(NAMES), strict=True)
    ]
    async with Server(sites, Address(port=0), config) as server, aiohttp.ClientSession() as client:
        async with asyncio.timeout(PATIENCE_S):
            yield Visit(rooms, server.links(), client)


async def test_each_room_has_pages_and_requests_at_its_own_address() -> None:
    async with two_rooms() as visit:
        assert [links.session for links in visit.links] == list(NAMES)
        base, _, token = visit.links[1].join.partition("#")
        assert base.endswith("/plan-b/")
        for page in ("", "host", "live", "static/join.js"):
            assert await visit.status("GET", f"{base}{page}", "") == 200
        secret = {"Authorization": f"Bearer {token}"}
        async with visit.client.get(f"{base}api/terms", headers=secret) as response:
            assert (await response.json())["session"] == "Plan B"
        wish = {"name": "Ana", "shares": ["text"], "version": TERMS.version}
        async with visit.client.post(f"{base}api/agree", json=wish, headers=secret) as response:
            ticket = (await response.json())["ticket"]
        async with visit.client.post(f"{base}whip", data="offer", headers=sdp(ticket)) as response:
            assert response.headers["Location"].startswith("/plan-b/whip/")
            place = response.url.join(URL(response.headers["Location"]))
        assert await visit.status("DELETE", str(place), ticket) == 200
    assert [room.media for room in visit.rooms] == [[], ["Ana"]]


async def test_no_secret_of_one_room_opens_the_other() -> None:
    async with two_rooms() as visit:
        own, other = visit.links
        base = other.join.partition("#")[0]
        guest = visit.rooms[0].people.agree("Ana", ("text",), TERMS.version)
        visit.rooms[0].people.join(guest.ticket)
        assert own.live is not None
        secrets = [link.partition("#")[2] for link in (own.join, own.host, own.live)]
        for secret in (*secrets, guest.ticket, guest.watch_token):
            assert await visit.status("GET", f"{base}api/terms", secret) == 401
            assert await visit.status("GET", f"{base}api/host", secret) == 401
            assert await visit.status("POST", f"{base}api/host/stop", secret) == 401
            assert await visit.status("GET", f"{base}api/stay", secret) == 404
            assert await visit.status("POST", f"{base}live/enter", secret) == 403
    assert visit.rooms[1].phase == "started"


async def test_the_cookie_of_one_rooms_live_page_does_not_open_the_others() -> None:
    async with two_rooms() as visit:
        pages = [links.join.partition("#")[0] + "live/" for links in visit.links]
        live = visit.links[0].live or ""
        assert await visit.status("POST", f"{pages[0]}enter", live.partition("#")[2]) == 204
        async with visit.client.get(f"{pages[0]}api/status") as response:
            sessions = (await response.json())["sessions"]
        assert await visit.status("GET", f"{pages[1]}api/status", "") == 403
    assert [session["session_id"] for session in sessions] == ["standup"]


@pytest.mark.slow
async def test_the_end_of_one_room_leaves_the_other_open() -> None:
    ours, theirs = Room(), Room()
    links: list[Links] = []
    captures = [ours.capture, theirs.capture]
    rooms = Rooms(captures, Address(port=0), load(), links.extend)
    running = asyncio.create_task(rooms.run())
    await until(lambda: links or running.done())
    assert len(links) == 2
    ours.capture.stop()
    await until(lambda: ours.sessions()[-1].state == "ended")
    async with aiohttp.ClientSession() as client:
        base, _, token = links[1].join.partition("#")
        headers = {"Authorization": f"Bearer {token}"}
        async with client.get(f"{base}api/terms", headers=headers) as response:
            assert response.status == 200
    assert (theirs.capture.phase, theirs.sessions()[-1].state) == ("started", "started")
    assert not running.done()
    rooms.stop()
    async with asyncio.timeout(PATIENCE_S):
        await running
    assert theirs.sessions()[-1].state == "ended"
