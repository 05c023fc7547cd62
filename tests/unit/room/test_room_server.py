"""The join page over HTTP: tokens, tickets, names, sizes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from streamer.config import load
from streamer.dashboard.connections import MAX_WAITING
from streamer.errors import ConfigError
from streamer.room.peer import MakePeer
from streamer.room.people import Guest, Guests, Phase, Recorded, Refused, Terms
from streamer.room.server import MAX_BODY_BYTES, Address, Server
from streamer.room.site import STATIC, Site
from streamer.room.tokens import JoinToken

TERMS = Terms("We listen.", ("audio", "text"), persons=True)
TOKEN = "a token of the test"
HOST_TOKEN = "a token of the host"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
HOST = {"Authorization": f"Bearer {HOST_TOKEN}"}
WISH = {"name": "Ana", "shares": ["text"], "version": TERMS.version}
PATIENCE_S = 30
HERE = Address(port=0)
NINE = datetime(2026, 5, 3, 9, tzinfo=UTC)


class FakeRoom:
    """A room in which nothing is captured; it notes whose media it took."""

    def __init__(self, *, held: bool = False, recorded: Recorded = "values") -> None:
        self.people = Guests(TERMS, 2, held=held)
        self.terms = TERMS
        self.name = self.session_id = "standup"
        self.phase: Phase = "started"
        self.recorded = recorded
        self.media: list[str] = []
        self.recording = False
        self.recorded_times: list[tuple[datetime, datetime | None]] = []
        self.problems: list[str] = []

    @property
    def guests(self) -> list[Guest]:
        return self.people.everybody

    def agree(self, name: str, modalities: tuple[str, ...], version: str) -> Guest:
        return self.people.agree(name, modalities, version)

    def look(self, ticket: str) -> Guest:
        return self.people.look(ticket)

    def may_watch(self, token: str) -> bool:
        return self.people.may_watch(token)

    async def join(
        self, ticket: str, offer: str, make_peer: MakePeer | None = None
    ) -> tuple[Guest, str]:
        guest = self.people.join(ticket)
        self.media.append(guest.name)
        return guest, f"answer to {offer}"

    def share(self, ticket: str, modalities: tuple[str, ...]) -> Guest:
        guest = self.people.look(ticket)
        self.people.share(guest, modalities)
        return guest

    def leave(self, ticket: str, key: str) -> None:
        self.people.leave(self.people.present(ticket, key))

    def forget(self, ticket: str) -> None:
        guest = self.people.look(ticket)
        self.people.leave(guest)
        guest.forget = True

    def is_connected(self, guest: Guest) -> bool:
        return guest.name in self.media

    def record(self) -> None:
        if self.recorded == "nothing":
            raise Refused(409, "This room cannot record.")
        self.recording = True
        self.recorded_times.append((NINE, None))

    def stop_recording(self) -> None:
        self.recording = False
        self.recorded_times[-1] = (NINE, NINE + timedelta(minutes=5))

    def begin(self) -> None:
        self.phase = "started"

    def stop(self) -> None:
        self.phase = "ended"

    def admit(self, key: str) -> None:
        self.people.admit(self.people.with_key(key))

    def remove(self, key: str) -> None:
        self.people.leave(self.people.with_key(key), removed=True)


def served(room: FakeRoom, *settings: str, address: Address = HERE, **more: Any) -> Server:
    """A server of one room; `more` are arguments of its site."""
    config = load(None, list(settings))
    return Server([Site(room, config, **more)], address, config)


def join_link(server: Server) -> str:
    return server.links()[0].join


@contextlib.asynccontextmanager
async def visiting(
    door: FakeRoom, *settings: str, **headers: str
) -> AsyncIterator[aiohttp.ClientSession]:
    token = JoinToken(3600, TOKEN)
    async with served(door, *settings, token=token, host_token=HOST_TOKEN) as server:
        base = join_link(server).partition("#")[0]
        async with aiohttp.ClientSession(base, headers=headers) as client:
            yield client


async def agreed(client: aiohttp.ClientSession) -> dict[str, Any]:
    async with client.post("/api/agree", json=WISH, headers=BEARER) as response:
        assert response.status == 201
        answer: dict[str, Any] = await response.json()
        return answer


def sdp(ticket: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {ticket}", "Content-Type": "application/sdp"}


async def test_a_person_reads_the_terms_agrees_joins_and_leaves() -> None:
    door = FakeRoom()
    async with visiting(door) as client:
        async with client.get("/api/terms", headers=BEARER) as response:
            terms = await response.json()
        assert terms == {
            "session": "standup",
            "statement": "We listen.",
            "version": TERMS.version,
            "shares": ["text", "audio"],
            "persons": True,
            "recorded": True,
            "recording": False,
        }
        ticket = (await agreed(client))["ticket"]
        async with client.post("/whip", data="offer", headers=sdp(ticket)) as response:
            assert (response.status, await response.text()) == (201, "answer to offer")
            place = response.headers["Location"]
        assert ticket not in place
        async with client.delete(place, headers=BEARER) as response:
            assert response.status == 404
        async with client.delete(place, headers=sdp(ticket)) as response:
            assert response.status == 200
        async with client.delete(place, headers=sdp(ticket)) as response:
            assert response.status == 404
    assert door.media == ["Ana"]


@pytest.mark.parametrize("secret", ["", "Bearer", "Bearer wrong", f"Bearer {TOKEN}x", "Bearer é"])
async def test_without_the_token_nobody_reads_the_terms_or_agrees(secret: str) -> None:
    headers = {"Authorization": secret}
    async with visiting(FakeRoom()) as client:
        async with client.get("/api/terms", headers=headers) as response:
            assert response.status == 401
        async with client.post("/api/agree", json=WISH, headers=headers) as response:
            assert response.status == 401
        async with client.get(f"/api/terms?token={TOKEN}") as response:
            assert response.status == 401


async def test_no_media_before_consent_not_even_with_the_token() -> None:
    door = FakeRoom()
    async with visiting(door) as client:
        for ticket in ("", TOKEN, "guess"):
            async with client.post("/whip", data="offer", headers=sdp(ticket)) as response:
                assert response.status == 401
                assert "Agree on the page first" in await response.text()
    assert door.media == []


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"name":1}', b'{"name":"a","shares":[],"version":"v","x":1}', b"\xff"],
)
async def test_a_body_that_is_no_agreement_is_refused(body: bytes) -> None:
    async with visiting(FakeRoom()) as client:
        async with client.post("/api/agree", data=body, headers=BEARER) as response:
            assert response.status == 400


async def test_a_request_that_is_too_large_is_refused() -> None:
    async with visiting(FakeRoom()) as client:
        ticket = (await agreed(client))["ticket"]
        large = b"v" * (MAX_BODY_BYTES + 1)
        async with client.post("/whip", data=large, headers=sdp(ticket)) as response:
            assert response.status == 413


async def test_other_sites_and_other_names_are_refused() -> None:
    async with visiting(FakeRoom(), **{"Sec-Fetch-Site": "cross-site"}) as client:
        async with client.get("/") as response:
            assert response.status == 200
        async with client.get("/api/terms", headers=BEARER) as response:
            assert response.status == 403
    async with visiting(FakeRoom(), Host="evil.example") as client:
        async with client.get("/") as response:
            assert response.status == 421
    async with visiting(FakeRoom(), 'room.hosts=["room.example"]', Host="room.example") as client:
        async with client.get("/") as response:
            assert response.status == 200
            assert response.headers["Permissions-Policy"].startswith("camera=(self)")


async def test_the_join_link_carries_the_token_where_no_server_logs_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with served(FakeRoom(), token=JoinToken(3600, TOKEN)) as server:
        address, _, token = join_link(server).partition("/#")
        assert address.startswith("http://localhost:")
        assert token == TOKEN
        async with aiohttp.ClientSession() as client:
            async with client.get(join_link(server)) as response:
                assert response.status == 200
            async with client.get(f"{address}/api/terms", headers=BEARER) as response:
                assert response.status == 200
    assert TOKEN not in caplog.text


async def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port} \\(is in use\\).*--port"):
            async with served(FakeRoom(), address=Address(port=port)):
                pass


async def test_the_page_is_served_over_tls(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost "
        f"-addext subjectAltName=DNS:localhost -keyout {key} -out {cert}"
    )
    await asyncio.to_thread(subprocess.run, make.split(), check=True, capture_output=True)
    async with served(FakeRoom(), address=Address(port=0, tls=(cert, key))) as server:
        assert join_link(server).startswith("https://localhost:")
        trusted = ssl.create_default_context(cafile=str(cert))
        connector = aiohttp.TCPConnector(ssl=trusted)
        async with aiohttp.ClientSession(connector=connector) as client:
            async with client.get(join_link(server)) as response:
                assert response.status == 200


def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    nothing = tmp_path / "none.pem"
    with pytest.raises(ConfigError, match=r"none\.pem.*--tls-cert"):
        Address(tls=(nothing, nothing)).context()


class Clock:
    """Seconds that the test sets."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


async def test_an_expired_link_lets_nobody_in_and_those_who_are_in_stay() -> None:
    door, clock = FakeRoom(), Clock()
    token = JoinToken(3600, TOKEN, clock)
    async with served(door, token=token) as server:
        async with aiohttp.ClientSession(join_link(server).partition("#")[0]) as client:
            ticket = (await agreed(client))["ticket"]
            clock.now_s = 3600
            for method, path in (("GET", "/api/terms"), ("POST", "/api/agree")):
                async with client.request(method, path, json=WISH, headers=BEARER) as response:
                    assert response.status == 401
                    assert "expired" in await response.text()
            async with client.ws_connect("/ws") as socket:
                hello = {"type": "agree", "token": TOKEN, "name": "Bo", "shares": ["text"]}
                await socket.send_json({**hello, "version": TERMS.version})
                message = await socket.receive()
                assert (message.data, "expired" in str(message.extra)) == (4401, True)
            async with client.post("/whip", data="offer", headers=sdp(ticket)) as response:
                assert response.status == 201


async def test_a_body_that_does_not_come_is_refused() -> None:
    async with served(FakeRoom(), body_s=0.01) as server:
        port = int(join_link(server).split(":")[2].partition("/")[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = "POST /whip HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/sdp\r\n"
        writer.write(f"{head}Content-Length: 1000\r\n\r\nv=0".encode())
        async with asyncio.timeout(PATIENCE_S):
            assert (await reader.readline()).startswith(b"HTTP/1.1 408")
        writer.close()


async def test_visitors_without_the_token_cannot_keep_others_out() -> None:
    async with served(FakeRoom(), token=JoinToken(60, TOKEN)) as server:
        base = join_link(server).partition("#")[0]
        port = int(base.split(":")[2].strip("/"))
        async with aiohttp.ClientSession(base) as client, asyncio.timeout(PATIENCE_S):
            ticket = (await agreed(client))["ticket"]
            idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MAX_WAITING)]
            for _, writer in idle:  # they read the public page, and stay
                writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            for reader, _ in idle:
                assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            more = await asyncio.open_connection("127.0.0.1", port)
            await idle[0][0].read()  # until it is closed
            async with client.post("/whip", data="offer", headers=sdp(ticket)) as response:
                assert response.status == 201
        for _, writer in (*idle, more):
            writer.close()


def ticket_of(agreement: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {agreement['ticket']}"}


async def test_a_person_reads_and_changes_what_they_share_with_their_ticket_only() -> None:
    async with visiting(FakeRoom()) as client:
        own = ticket_of(await agreed(client))
        async with client.get("/api/stay", headers=own) as response:
            stay = await response.json()
        assert stay == {
            "name": "Ana",
            "state": "agreed",
            "connected": False,
            "phase": "started",
            "recording": False,
            "ready": True,
            "agreed": ["text"],
            "shares": ["text"],
            "removed": False,
            "forget": False,
            "live": None,
        }
        async with client.put("/api/stay", json={"shares": []}, headers=own) as response:
            assert (response.status, (await response.json())["shares"]) == (200, [])
        async with client.put("/api/stay", json={"shares": ["vision"]}, headers=own) as response:
            assert response.status == 422
        for other in (BEARER, HOST, {}):
            for method in ("GET", "PUT", "DELETE"):
                body: dict[str, list[str]] | None = {"shares": []} if method == "PUT" else None
                async with client.request(
                    method, "/api/stay", json=body, headers=other
                ) as response:
                    assert response.status == 404


async def test_leaving_and_being_forgotten_need_the_ticket() -> None:
    room = FakeRoom()
    async with visiting(room) as client:
        own = ticket_of(await agreed(client))
        async with client.post("/api/forget", headers=BEARER) as response:
            assert response.status == 404
        async with client.delete("/api/stay", headers=own) as response:
            assert response.status == 200
        async with client.post("/api/forget", headers=own) as response:
            assert (await response.json())["forget"]
    (guest,) = room.guests
    assert (guest.state, guest.forget) == ("left", True)


async def test_the_host_sees_who_is_there_with_their_consent_and_no_ticket() -> None:
    room = FakeRoom(held=True)
    async with visiting(room) as client:
        ticket = (await agreed(client))["ticket"]
        async with client.get("/api/host", headers=HOST) as response:
            text = await response.text()
            state = await response.json()
        assert ticket not in text
        assert state["join"] == f"./#{TOKEN}"
        assert (state["session"], state["phase"], state["version"]) == (
            "standup",
            "started",
            TERMS.version,
        )
        (guest,) = state["guests"]
        assert (guest["name"], guest["state"], guest["agreed"]) == ("Ana", "waiting", ["text"])
        assert guest["given_at"]
        async with client.post("/whip", data="offer", headers=sdp(ticket)) as response:
            assert response.status == 403
        path = f"/api/host/guests/{guest['key']}"
        async with client.post(f"{path}/admit", headers=HOST) as response:
            assert (await response.json())["guests"][0]["state"] == "agreed"
        async with client.post("/whip", data="offer", headers=sdp(ticket)) as response:
            assert response.status == 201
        async with client.post(f"{path}/remove", headers=HOST) as response:
            removed = (await response.json())["guests"][0]
        assert (removed["state"], removed["removed"], bool(removed["left_at"])) == (
            "left",
            True,
            True,
        )
        async with client.post(f"{path}/remove", headers=HOST) as response:
            assert response.status == 404


async def test_the_host_starts_and_ends_the_session() -> None:
    room = FakeRoom()
    room.phase = "waiting"
    async with visiting(room) as client:
        async with client.post("/api/host/begin", headers=HOST) as response:
            assert (await response.json())["phase"] == "started"
        async with client.post("/api/host/stop", headers=HOST) as response:
            assert (await response.json())["phase"] == "ended"


async def test_the_host_starts_and_stops_the_recording_and_everybody_sees_it() -> None:
    room = FakeRoom()
    async with visiting(room) as client:
        own = ticket_of(await agreed(client))

        async def shown() -> list[bool]:
            """Whether it is being recorded: to who reads the terms, to who has agreed, the host."""
            states = []
            for path, secret in (("terms", BEARER), ("stay", own), ("host", HOST)):
                async with client.get(f"/api/{path}", headers=secret) as response:
                    states.append((await response.json())["recording"])
            return states

        assert await shown() == [False] * 3
        async with client.post("/api/host/record", headers=HOST) as response:
            assert (await response.json())["recorded_times"] == [["2026-05-03T09:00:00Z", None]]
        assert await shown() == [True] * 3
        async with client.post("/api/host/stop-recording", headers=HOST) as response:
            assert [each[1] for each in (await response.json())["recorded_times"]] == [
                "2026-05-03T09:05:00Z"
            ]
        assert await shown() == [False] * 3


async def test_a_room_that_cannot_record_says_so_to_its_host() -> None:
    async with visiting(FakeRoom(recorded="nothing")) as client:
        async with client.get("/api/host", headers=HOST) as response:
            assert (await response.json())["recorded"] == "nothing"
        async with client.post("/api/host/record", headers=HOST) as response:
            assert (response.status, await response.text()) == (409, "This room cannot record.\n")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/begin",
        "/stop",
        "/record",
        "/stop-recording",
        "/guests/{key}/admit",
        "/guests/{key}/remove",
    ],
)
async def test_nobody_but_the_host_hosts(path: str) -> None:
    room = FakeRoom(held=True)
    async with visiting(room) as client:
        own = ticket_of(await agreed(client))
        address = f"/api/host{path}".format(key=room.guests[0].key)
        for secret in (BEARER, own, {}, {"Authorization": "Bearer é"}):
            method = "POST" if path else "GET"
            async with client.request(method, address, headers=secret) as response:
                assert response.status == 401
                assert "host's link" in await response.text()
    assert (room.phase, room.guests[0].state) == ("started", "waiting")
    assert (room.recording, room.recorded_times) == (False, [])


async def test_the_hosts_link_has_a_token_of_its_own_and_its_page_is_public() -> None:
    async with served(FakeRoom()) as server:
        address, _, token = server.links()[0].host.partition("/host#")
        assert token
        assert token not in join_link(server)
        async with aiohttp.ClientSession() as client:
            for name in ("/host", "/live", "/", *(f"/static/{name}" for name in STATIC)):
                async with client.get(f"{address}{name}") as response:
                    assert response.status == 200
                    if not name.startswith("/static"):
                        text = await response.text()
                        assert text.count('name="viewport"') == 1
                        assert "head.html" not in text
