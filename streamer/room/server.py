"""The room's HTTP server: the join page, agreeing to the terms, WHIP, and the WebSocket.

What enters: requests. What leaves: calls of a Door. The page itself is public and contains nothing
of the session; everything else needs the join token or the ticket that agreeing gives, as
`Authorization: Bearer`. The join link carries the token behind `#`, which browsers do not send.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Protocol, Self

import msgspec
from aiohttp import web

from streamer.config import Config
from streamer.dashboard.access import (
    SECURITY,
    Handler,
    is_loopback,
    is_number,
    is_served,
    known_names,
)
from streamer.dashboard.serving import Serving, static_file
from streamer.room import certificate
from streamer.room.peer import MakePeer
from streamer.room.people import SHARED, Guest, Refused, Terms
from streamer.room.programs import Programs
from streamer.room.tokens import JoinToken

log = logging.getLogger(__name__)

PACKAGE = "streamer.room"
HOST = "127.0.0.1"
PORT = 8720
MAX_BODY_BYTES = 64 * 1024
"""Of a request: an SDP offer is the largest, of a few kilobytes."""
BODY_S = 10.0
"""A body that has not come whole after so long is refused."""
STATIC = ("join.css", "join.js")
HEADERS = SECURITY | {"Permissions-Policy": "camera=(self), microphone=(self), geolocation=()"}


class Door(Protocol):
    """Lets people in and out: `RoomCapture`, or a fake."""

    @property
    def terms(self) -> Terms:
        """What people agree to."""
        ...

    @property
    def name(self) -> str:
        """The session's name."""
        ...

    def agree(self, name: str, modalities: tuple[str, ...], version: str) -> Guest:
        """Take a person's agreement; raises Refused."""
        ...

    async def join(
        self, ticket: str, offer: str, make_peer: MakePeer | None = None
    ) -> tuple[Guest, str]:
        """Let a guest in; return the answer to the offer. Raises Refused."""
        ...

    def leave(self, ticket: str, key: str) -> None:
        """End a guest's presence; raises Refused."""
        ...


@dataclass(frozen=True)
class Address:
    """Where the room is served.

    Attributes:
        host: the address to bind.
        port: 0 for any free one.
        tls: the certificate and its key; None for plain HTTP.
        called: the host in links; None for the one that is bound.
    """

    host: str = HOST
    port: int = PORT
    tls: tuple[Path, Path] | None = None
    called: str | None = None

    @property
    def reaches_others(self) -> bool:
        """Whether other machines can open the page."""
        return not is_loopback(self.host)

    def context(self) -> ssl.SSLContext | None:
        """Return the TLS context, if there is a certificate.

        Raises:
            ConfigError: the files cannot be read, do not belong together, or are not valid now.
        """
        return None if self.tls is None else certificate.context(self.tls)


class Agreement(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request to agree."""

    name: Annotated[str, msgspec.Meta(max_length=1000)]
    shares: Annotated[tuple[str, ...], msgspec.Meta(max_length=3)]
    version: Annotated[str, msgspec.Meta(max_length=100)]


class Server:
    """The server as an async context manager; leaving it closes every connection."""

    def __init__(
        self,
        door: Door,
        address: Address,
        config: Config,
        token: JoinToken | None = None,
        body_s: float = BODY_S,
    ) -> None:
        """Keep the settings; entering the context binds.

        Args:
            door: lets people in.
            address: where to serve.
            config: names of the page.
            token: what a person must have to agree; None: a new one for `room.link_hours`.
            body_s: how long the body of a request may take.
        """
        self._token = token or JoinToken(config.room.link_hours * 3600)
        self._body_s = body_s
        self._door = door
        self._address = address
        self._names = known_names(address.host) | {name.lower() for name in config.room.hosts}
        self._serving = Serving("room", address.host, address.port)
        self._programs = Programs(door, self._token.check, self._serving.connections.note)

    async def __aenter__(self) -> Self:
        """Bind and serve.

        Raises:
            ConfigError: the address cannot be bound, or the certificate cannot be used.
        """
        context = self._address.context()
        app = web.Application(middlewares=[self._guard], client_max_size=MAX_BODY_BYTES)
        app.on_response_prepare.append(_add_headers)
        app.router.add_get("/", self._index)
        app.router.add_get("/static/{name}", self._static)
        app.router.add_get("/api/terms", self._terms)
        app.router.add_post("/api/agree", self._agree)
        app.router.add_post("/whip", self._join)
        app.router.add_delete("/whip/{key}", self._leave)
        app.router.add_get("/ws", self._programs.serve)
        app.on_shutdown.append(self._programs.close)
        await self._serving.open(app, context)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._serving.close()

    def url(self) -> str:
        """The join link, with the token behind `#`."""
        host = self._address.host
        local = "localhost" if is_loopback(host) and is_number(host) else None
        return f"{self._serving.origin(self._address.called or local)}/#{self._token.text}"

    # --- requests

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer for our own names and our own page only; a refusal is a sentence."""
        if not is_served(request.host, self._names):
            raise web.HTTPMisdirectedRequest(
                text="The room is not served under that name; room.hosts lists its names.\n"
            )
        site = request.headers.get("Sec-Fetch-Site", "none")
        if site not in ("none", "same-origin") and request.path != "/":
            raise web.HTTPForbidden(text="Other sites may not use this room.\n")
        try:
            return await handler(request)
        except Refused as refused:
            return web.Response(status=refused.status, text=f"{refused}\n")

    async def _index(self, request: web.Request) -> web.StreamResponse:
        return static_file(PACKAGE, "join.html")

    async def _static(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name == "icon.svg":
            return static_file("streamer.dashboard", name)
        if name not in STATIC:
            raise web.HTTPNotFound
        return static_file(PACKAGE, name)

    async def _terms(self, request: web.Request) -> web.StreamResponse:
        self._check_token(request)
        terms = self._door.terms
        return _json(
            {
                "session": self._door.name,
                "statement": terms.statement,
                "version": terms.version,
                "shares": [each for each in SHARED if each in terms.modalities],
                "persons": terms.persons,
            }
        )

    async def _agree(self, request: web.Request) -> web.StreamResponse:
        self._check_token(request)
        try:
            wish = msgspec.json.decode(await self._body(request), type=Agreement)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Refused(400, "The request is not what the page sends.") from None
        guest = self._door.agree(wish.name, wish.shares, wish.version)
        return _json({"name": guest.name, "ticket": guest.ticket}, 201)

    async def _join(self, request: web.Request) -> web.StreamResponse:
        ticket = _bearer(request)
        if request.content_type != "application/sdp":
            raise Refused(415, "Send the offer as application/sdp.")
        try:
            offer = (await self._body(request)).decode()
        except UnicodeDecodeError:
            raise Refused(400, "The SDP offer is not UTF-8 text.") from None
        guest, answer = await self._door.join(ticket, offer)
        self._serving.connections.note(request)
        return web.Response(
            status=201,
            text=answer,
            content_type="application/sdp",
            headers={"Location": f"/whip/{guest.key}", "Cache-Control": "no-store"},
        )

    def _check_token(self, request: web.Request) -> None:
        """Pass whoever has the token; until then a connection may give way to others."""
        self._token.check(_bearer(request))
        self._serving.connections.note(request)

    async def _body(self, request: web.Request) -> bytes:
        """Return the body of a request; raises Refused for one that is slow."""
        try:
            async with asyncio.timeout(self._body_s):
                return await request.read()
        except TimeoutError:
            raise Refused(408, "The request did not come in time.") from None

    async def _leave(self, request: web.Request) -> web.StreamResponse:
        self._door.leave(_bearer(request), request.match_info["key"])
        return web.Response(text="You have left.\n")


def _bearer(request: web.Request) -> str:
    return request.headers.get("Authorization", "").removeprefix("Bearer ")


def _json(value: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(value),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
