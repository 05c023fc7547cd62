"""The live page of a room: who may open it, which session it shows, and until when."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from streamer.config import load
from streamer.dashboard.feed import Feed
from streamer.room.people import Guest, terms_of
from streamer.room.site import Links
from streamer.room.tokens import JoinToken
from tests.made_records import sentiment
from tests.unit.room.test_room_server import (
    BEARER,
    HOST,
    HOST_TOKEN,
    PATIENCE_S,
    TERMS,
    TOKEN,
    FakeRoom,
    served,
)

EVERYONE = 'room.watch="everyone"'
MEETING_ONLY = ['smoothing.publish="session"', "smoothing.session_min_participants=2"]
PATHS = ("/live/", "/live/static/page.js", "/live/api/status", "/live/api/events")


class Visit:
    """A browser at a room whose feed has two sessions; `links` are the room's."""

    def __init__(self, room: FakeRoom, client: aiohttp.ClientSession, links: Links) -> None:
        self.room = room
        self.client = client
        assert links.live is not None
        self.host_token = links.live.partition("#")[2]

    def join(self, name: str = "Ana") -> Guest:
        guest = self.room.people.agree(name, ("text",), TERMS.version)
        return self.room.people.join(guest.ticket)

    async def stay(self, guest: Guest) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {guest.ticket}"}
        async with self.client.get("/api/stay", headers=headers) as response:
            stay: dict[str, Any] = await response.json()
            return stay

    async def enter(self, token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        async with self.client.post("/live/enter", headers=headers) as response:
            return response.status

    async def gets(self, path: str) -> int:
        async with self.client.get(path) as response:
            return response.status

    async def status(self) -> dict[str, Any]:
        async with self.client.get("/live/api/status?session=other") as response:
            assert response.status == 200
            status: dict[str, Any] = await response.json()
            return status


@contextlib.asynccontextmanager
async def visiting(*settings: str) -> AsyncIterator[Visit]:
    feed = Feed("broker.example:9092")
    for session_id in ("standup", "other"):
        feed.add(sentiment(0, session_id=session_id), 0)
    room, token = FakeRoom(), JoinToken(3600, TOKEN)
    async with served(room, *settings, token=token, host_token=HOST_TOKEN, feed=feed) as server:
        [links] = server.links()
        async with aiohttp.ClientSession(links.join.partition("#")[0]) as client:
            async with asyncio.timeout(PATIENCE_S):
                yield Visit(room, client, links)


async def test_the_host_opens_the_page_of_this_session_alone() -> None:
    async with visiting() as visit:
        async with visit.client.get("/api/host", headers=HOST) as response:
            assert (await response.json())["live"] == f"live#{visit.host_token}"
        assert await visit.enter(visit.host_token) == 204
        status = await visit.status()
        async with visit.client.get("/live/?session=other") as response:
            assert response.url.query["session"] == "standup"
            text = await response.text()
        assert "<title>Sentiment</title>" in text
        assert text.count('name="viewport"') == 1
    assert [session["session_id"] for session in status["sessions"]] == ["standup"]
    assert status["broker"]["address"] == "broker.example:9092"


async def test_a_person_in_the_room_opens_it_where_everyone_may() -> None:
    async with visiting(EVERYONE) as visit:
        ana = visit.join()
        link = (await visit.stay(ana))["live"]
        assert link == f"live#{ana.watch_token}"
        assert await visit.enter(ana.watch_token) == 204
        status = await visit.status()
        async with visit.client.get("/live/api/events?session=other") as response:
            async for line in response.content:
                if line == b"event: records\n":
                    break
            await response.content.readline()  # the place
            assert b'"participant_id":"ana"' in await response.content.readline()
    assert [session["session_id"] for session in status["sessions"]] == ["standup"]
    assert "broker.example" not in str(status)
    assert (status["stages"], status["problems"], status["notices"]) == ({}, [], [])


@pytest.mark.parametrize("settings", [(), (EVERYONE,)])
async def test_no_other_secret_opens_the_page(settings: tuple[str, ...]) -> None:
    async with visiting(*settings) as visit:
        ana, waiting = visit.join(), visit.room.people.agree("Bo", ("text",), TERMS.version)
        others = ["", "guess", "é", TOKEN, HOST_TOKEN, ana.ticket, ana.key, waiting.watch_token]
        others += [f"{visit.host_token}x", visit.host_token[:-1]]
        others += [] if settings else [ana.watch_token]
        for secret in others:
            assert await visit.enter(secret) == 403, secret
        assert (await visit.stay(waiting))["live"] is None
        for path in PATHS:
            assert await visit.gets(path) == 403
            assert await visit.gets(f"{path}?token={visit.host_token}") == 403
        forged = {"Cookie": f"streamer-live-x={HOST_TOKEN}; streamer-live-y={ana.ticket}"}
        async with visit.client.get("/live/api/status", headers=forged) as response:
            assert response.status == 403


async def test_only_the_host_may_open_it_by_default() -> None:
    async with visiting() as visit:
        ana = visit.join()
        assert (await visit.stay(ana))["live"] is None
        assert await visit.enter(ana.watch_token) == 403


async def test_the_token_of_the_page_opens_nothing_else() -> None:
    async with visiting(EVERYONE) as visit:
        ana = visit.join()
        wish = {"name": "Bo", "shares": ["text"], "version": TERMS.version}
        for token in (visit.host_token, ana.watch_token):
            secret = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
            asked = [
                ("GET", "/api/terms", 401),
                ("GET", "/api/host", 401),
                ("POST", "/api/host/stop", 401),
                ("GET", "/api/stay", 404),
                ("DELETE", f"/whip/{ana.key}", 404),
                ("POST", "/whip", 401),
            ]
            for method, path, expected in asked:
                async with visit.client.request(method, path, headers=secret) as response:
                    assert response.status == expected, path
            secret = {"Authorization": f"Bearer {token}"}
            async with visit.client.post("/api/agree", json=wish, headers=secret) as response:
                assert response.status == 401
    assert visit.room.phase == "started"
    assert visit.room.media == []


async def test_who_leaves_sees_nothing_any_more() -> None:
    async with visiting(EVERYONE) as visit:
        ana, bo = visit.join(), visit.join("Bo")
        for guest in (ana, bo):  # two people at one browser have a cookie each
            assert await visit.enter(guest.watch_token) == 204
        visit.room.people.leave(bo)
        assert (await visit.stay(bo))["live"] is None
        assert await visit.gets("/live/api/status") == 200
        async with visit.client.get("/live/api/events") as response:
            await response.content.readline()
            visit.room.people.leave(ana)
            with contextlib.suppress(aiohttp.ClientError):
                await response.content.read()  # until the room closes it
            assert response.content.at_eof() or response.content.exception() is not None
        assert await visit.gets("/live/api/status") == 403
        assert await visit.enter(ana.watch_token) == 403


async def test_the_cookie_is_for_the_page_alone_and_no_script_reads_it() -> None:
    async with visiting() as visit:
        headers = {"Authorization": f"Bearer {visit.host_token}"}
        async with visit.client.post("/live/enter", headers=headers) as response:
            cookie = response.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert "Path" not in cookie
        cross = {"Sec-Fetch-Site": "cross-site", **headers}
        async with visit.client.post("/live/enter", headers=cross) as response:
            assert response.status == 403
        for path in PATHS:
            async with visit.client.get(path, headers=cross) as response:
                assert response.status == 403


async def test_the_page_only_reads() -> None:
    async with visiting() as visit:
        await visit.enter(visit.host_token)
        for method in ("POST", "PUT", "DELETE"):
            async with visit.client.request(method, "/live/api/status") as response:
                assert response.status == 405


async def test_without_a_live_page_there_is_no_link_and_no_page() -> None:
    room, token = FakeRoom(), JoinToken(3600, TOKEN)
    async with served(room, EVERYONE, token=token, host_token=HOST_TOKEN) as server:
        [links] = server.links()
        assert links.live is None
        async with aiohttp.ClientSession(links.join.partition("#")[0]) as client:
            async with client.get("/api/host", headers=HOST) as response:
                assert (await response.json())["live"] is None
            async with client.post("/live/enter", headers=BEARER) as response:
                assert response.status == 404


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ([], "the estimates and the words of each person."),
        (['session.modalities=["audio"]'], "the estimates of each person."),
        (MEETING_ONLY, "the estimates of the meeting."),
        (['session.consent="Our own text."'], "the estimates and the words of each person."),
    ],
)
def test_the_terms_state_that_everybody_sees_the_page(settings: list[str], shown: str) -> None:
    sentence = "Everybody in the room can open the live page"
    assert sentence not in terms_of(load(None, settings)).statement
    assert terms_of(load(None, [EVERYONE, *settings])).statement.endswith(
        f"\n{sentence}, which shows {shown}"
    )
