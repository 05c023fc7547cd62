"""The join page over HTTP: tokens, tickets, names, sizes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from streamer.config import load
from streamer.dashboard.connections import MAX_WAITING
from streamer.errors import ConfigError
from streamer.room.peer import MakePeer
from streamer.room.people import Guest, Guests, Terms
from streamer.room.server import MAX_BODY_BYTES, Address, Server
from streamer.room.tokens import JoinToken

TERMS = Terms("We listen.", ("audio", "text"), persons=True)
TOKEN = "a token of the test"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
WISH = {"name": "Ana", "shares": ["text"], "version": TERMS.version}
PATIENCE_S = 30


class FakeDoor:
    """A door behind which nothing is captured; it notes whose media it took."""

    def __init__(self) -> None:
        self.guests = Guests(TERMS, 2)
        self.terms = TERMS
        self.name = "standup"
        self.media: list[str] = []

    def agree(self, name: str, modalities: tuple[str, ...], version: str) -> Guest:
        return self.guests.agree(name, modalities, version)

    async def join(
        self, ticket: str, offer: str, make_peer: MakePeer | None = None
    ) -> tuple[Guest, str]:
        guest = self.guests.join(ticket)
        self.media.append(guest.name)
        return guest, f"answer to {offer}"

    def leave(self, ticket: str, key: str) -> None:
        self.guests.leave(self.guests.present(ticket, key))


@contextlib.asynccontextmanager
async def visiting(
    door: FakeDoor, *settings: str, **headers: str
) -> AsyncIterator[aiohttp.ClientSession]:
    async with Server(
        door, Address(port=0), load(None, list(settings)), JoinToken(3600, TOKEN)
    ) as server:
        base = server.url().partition("#")[0]
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
    door = FakeDoor()
    async with visiting(door) as client:
        async with client.get("/api/terms", headers=BEARER) as response:
            terms = await response.json()
        assert terms == {
            "session": "standup",
            "statement": "We listen.",
            "version": TERMS.version,
            "shares": ["text", "audio"],
            "persons": True,
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
    async with visiting(FakeDoor()) as client:
        async with client.get("/api/terms", headers=headers) as response:
            assert response.status == 401
        async with client.post("/api/agree", json=WISH, headers=headers) as response:
            assert response.status == 401
        async with client.get(f"/api/terms?token={TOKEN}") as response:
            assert response.status == 401


async def test_no_media_before_consent_not_even_with_the_token() -> None:
    door = FakeDoor()
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
    async with visiting(FakeDoor()) as client:
        async with client.post("/api/agree", data=body, headers=BEARER) as response:
            assert response.status == 400


async def test_a_request_that_is_too_large_is_refused() -> None:
    async with visiting(FakeDoor()) as client:
        ticket = (await agreed(client))["ticket"]
        large = b"v" * (MAX_BODY_BYTES + 1)
        async with client.post("/whip", data=large, headers=sdp(ticket)) as response:
            assert response.status == 413


async def test_other_sites_and_other_names_are_refused() -> None:
    async with visiting(FakeDoor(), **{"Sec-Fetch-Site": "cross-site"}) as client:
        async with client.get("/") as response:
            assert response.status == 200
        async with client.get("/api/terms", headers=BEARER) as response:
            assert response.status == 403
    async with visiting(FakeDoor(), Host="evil.example") as client:
        async with client.get("/") as response:
            assert response.status == 421
    async with visiting(FakeDoor(), 'room.hosts=["room.example"]', Host="room.example") as client:
        async with client.get("/") as response:
            assert response.status == 200
            assert response.headers["Permissions-Policy"].startswith("camera=(self)")


async def test_the_join_link_carries_the_token_where_no_server_logs_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with Server(FakeDoor(), Address(port=0), load(), JoinToken(3600, TOKEN)) as server:
        address, _, token = server.url().partition("/#")
        assert address.startswith("http://localhost:")
        assert token == TOKEN
        async with aiohttp.ClientSession() as client:
            async with client.get(server.url()) as response:
                assert response.status == 200
            async with client.get(f"{address}/api/terms", headers=BEARER) as response:
                assert response.status == 200
    assert TOKEN not in caplog.text


async def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port} \\(is in use\\).*--port"):
            async with Server(FakeDoor(), Address(port=port), load()):
                pass


async def test_the_page_is_served_over_tls(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost "
        f"-addext subjectAltName=DNS:localhost -keyout {key} -out {cert}"
    )
    await asyncio.to_thread(subprocess.run, make.split(), check=True, capture_output=True)
    async with Server(FakeDoor(), Address(port=0, tls=(cert, key)), load()) as server:
        assert server.url().startswith("https://localhost:")
        trusted = ssl.create_default_context(cafile=str(cert))
        connector = aiohttp.TCPConnector(ssl=trusted)
        async with aiohttp.ClientSession(connector=connector) as client:
            async with client.get(server.url()) as response:
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
    door, clock = FakeDoor(), Clock()
    token = JoinToken(3600, TOKEN, clock)
    async with Server(door, Address(port=0), load(), token) as server:
        async with aiohttp.ClientSession(server.url().partition("#")[0]) as client:
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
    async with Server(FakeDoor(), Address(port=0), load(), body_s=0.01) as server:
        port = int(server.url().split(":")[2].partition("/")[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = "POST /whip HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/sdp\r\n"
        writer.write(f"{head}Content-Length: 1000\r\n\r\nv=0".encode())
        async with asyncio.timeout(PATIENCE_S):
            assert (await reader.readline()).startswith(b"HTTP/1.1 408")
        writer.close()


async def test_visitors_without_the_token_cannot_keep_others_out() -> None:
    async with Server(FakeDoor(), Address(port=0), load(), JoinToken(60, TOKEN)) as server:
        base = server.url().partition("#")[0]
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
