"""The room's HTTP server: its address, its pages, and who may ask it.

What enters: connections. What leaves: requests of people, of their programs and of the host. A page
is public, with nothing of the session; everything else needs a token, or the ticket that agreeing
gives, as `Authorization: Bearer`. The links carry their tokens behind `#`, which browsers do not
send.
"""

from __future__ import annotations

import logging
import secrets
import ssl
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

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
from streamer.room.hosting import Hosted, Hosting
from streamer.room.joining import Door, Joining
from streamer.room.people import Refused
from streamer.room.programs import Programs
from streamer.room.tokens import TOKEN_BYTES, JoinToken

log = logging.getLogger(__name__)

PACKAGE = "streamer.room"
HOST = "127.0.0.1"
PORT = 8720
MAX_BODY_BYTES = 64 * 1024
"""Of a request: an SDP offer is the largest, of a few kilobytes."""
BODY_S = 10.0
"""A body that has not come whole after so long is refused."""
PAGES = {"/": "join.html", "/host": "host.html"}
STATIC = (
    "join.css",
    "join.js",
    "asking.js",
    "connection.js",
    "devices.js",
    "stay.js",
    "host.js",
    "guests.js",
)
HEADERS = SECURITY | {"Permissions-Policy": "camera=(self), microphone=(self), geolocation=()"}


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


class Room(Door, Hosted, Protocol):
    """A room for people and their host: `RoomCapture`, or a fake."""


class Server:
    """The server as an async context manager; leaving it closes every connection."""

    def __init__(
        self,
        room: Room,
        address: Address,
        config: Config,
        token: JoinToken | None = None,
        host_token: str | None = None,
        body_s: float = BODY_S,
    ) -> None:
        """Keep the settings; entering the context binds.

        Args:
            room: lets people in.
            address: where to serve.
            config: names of the page.
            token: what a person must have to agree; None: a new one for `room.link_hours`.
            host_token: what the host must have; None: a random one.
            body_s: how long the body of a request may take.
        """
        self._token = token or JoinToken(config.room.link_hours * 3600)
        self._host_token = host_token or secrets.token_urlsafe(TOKEN_BYTES)
        self._address = address
        self._names = known_names(address.host) | {name.lower() for name in config.room.hosts}
        self._serving = Serving("room", address.host, address.port)
        connections = self._serving.connections
        self._joining = Joining(room, self._token, connections.note, body_s)
        self._hosting = Hosting(room, self._host_token, connections.note)
        self._programs = Programs(room, self._token.check, connections.note)

    async def __aenter__(self) -> Self:
        """Bind and serve.

        Raises:
            ConfigError: the address cannot be bound, or the certificate cannot be used.
        """
        context = self._address.context()
        app = web.Application(middlewares=[self._guard], client_max_size=MAX_BODY_BYTES)
        app.on_response_prepare.append(_add_headers)
        for path in PAGES:
            app.router.add_get(path, self._page)
        app.router.add_get("/static/{name}", self._static)
        self._joining.add_routes(app.router)
        self._hosting.add_routes(app.router)
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
        return f"{self._origin()}/#{self._token.text}"

    def host_url(self) -> str:
        """The host's link, with the host's token behind `#`."""
        return f"{self._origin()}/host#{self._host_token}"

    def _origin(self) -> str:
        host = self._address.host
        local = "localhost" if is_loopback(host) and is_number(host) else None
        return self._serving.origin(self._address.called or local)

    # --- requests

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer for our own names and our own page only; a refusal is a sentence."""
        if not is_served(request.host, self._names):
            raise web.HTTPMisdirectedRequest(
                text="The room is not served under that name; room.hosts lists its names.\n"
            )
        site = request.headers.get("Sec-Fetch-Site", "none")
        if site not in ("none", "same-origin") and request.path not in PAGES:
            raise web.HTTPForbidden(text="Other sites may not use this room.\n")
        try:
            return await handler(request)
        except Refused as refused:
            return web.Response(status=refused.status, text=f"{refused}\n")

    async def _page(self, request: web.Request) -> web.StreamResponse:
        return static_file(PACKAGE, PAGES[request.path])

    async def _static(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name == "icon.svg":
            return static_file("streamer.dashboard", name)
        if name not in STATIC:
            raise web.HTTPNotFound
        return static_file(PACKAGE, name)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
