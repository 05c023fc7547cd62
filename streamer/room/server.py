"""The room's HTTP server: the join page, agreeing to the terms, and WHIP.

What enters: requests. What leaves: calls of a Door. The page itself is public and contains nothing
of the session; everything else needs the join token or the ticket that agreeing gives, as
`Authorization: Bearer`. The join link carries the token behind `#`, which browsers do not send.
"""

from __future__ import annotations

import asyncio
import errno
import hmac
import importlib.resources
import logging
import re
import secrets
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Protocol, Self

import msgspec
from aiohttp import web

from streamer.config import Config
from streamer.dashboard.access import (
    CONTENT_TYPES,
    SECURITY,
    TOKEN_BYTES,
    Handler,
    is_loopback,
    is_number,
    known_names,
    static_file,
)
from streamer.dashboard.connections import REQUEST_S, Connections
from streamer.errors import ConfigError
from streamer.room.people import SHARED, Guest, Refused, Terms

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
PORT = 8720
MAX_BODY_BYTES = 64 * 1024
"""Of a request: an SDP offer is the largest, of a few kilobytes."""
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

    async def join(self, ticket: str, offer: str) -> tuple[Guest, str]:
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
    """

    host: str = HOST
    port: int = PORT
    tls: tuple[Path, Path] | None = None

    @property
    def reaches_others(self) -> bool:
        """Whether other machines can open the page."""
        return not is_loopback(self.host)

    def context(self) -> ssl.SSLContext | None:
        """Return the TLS context, if there is a certificate.

        Raises:
            ConfigError: the files cannot be read or do not belong together.
        """
        if self.tls is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate, key = self.tls
        try:
            context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"The certificate {certificate} and the key {key} cannot be used "
                f"({error.strerror or error}); give PEM files that belong together with "
                "--tls-cert and --tls-key."
            ) from None
        return context


class Agreement(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request to agree."""

    name: Annotated[str, msgspec.Meta(max_length=1000)]
    shares: Annotated[tuple[str, ...], msgspec.Meta(max_length=3)]
    version: Annotated[str, msgspec.Meta(max_length=100)]


class Server:
    """The server as an async context manager; leaving it closes every connection."""

    def __init__(
        self, door: Door, address: Address, config: Config, token: str | None = None
    ) -> None:
        """Keep the settings; entering the context binds.

        Args:
            door: lets people in.
            address: where to serve.
            config: names of the page.
            token: what a person must have to agree; None: a random one.
        """
        self.token = token or secrets.token_urlsafe(TOKEN_BYTES)
        self._door = door
        self._address = address
        self._port = address.port
        self._names = known_names(address.host) | {name.lower() for name in config.room.hosts}
        self._connections = Connections()
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        """Bind and serve.

        Raises:
            ConfigError: the address cannot be bound, or the certificate cannot be used.
        """
        context = self._address.context()
        app = web.Application(
            middlewares=[self._guard, self._connections.admit], client_max_size=MAX_BODY_BYTES
        )
        app.on_response_prepare.append(_add_headers)
        app.router.add_get("/", self._index)
        app.router.add_get("/static/{name}", self._static)
        app.router.add_get("/api/terms", self._terms)
        app.router.add_post("/api/agree", self._agree)
        app.router.add_post("/whip", self._join)
        app.router.add_delete("/whip/{key}", self._leave)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=1.0, keepalive_timeout=REQUEST_S
        )
        await self._runner.setup()
        try:
            await self._bind(self._runner, context)
        except BaseException:
            await self._runner.cleanup()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def url(self) -> str:
        """The join link, with the token behind `#`."""
        host = self._address.host
        if host in ("0.0.0.0", "::", ""):
            host = socket.gethostname()
        elif is_loopback(host) and is_number(host):
            host = "localhost"
        scheme = "http" if self._address.tls is None else "https"
        host = f"[{host}]" if ":" in host else host
        return f"{scheme}://{host}:{self._port}/#{self.token}"

    async def _bind(self, runner: web.AppRunner, context: ssl.SSLContext | None) -> None:
        assert runner.server is not None
        host = self._address.host
        try:
            self._server = await self._connections.serve(runner.server, host, self._port, context)
        except OSError as error:
            why = "is in use" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
            raise ConfigError(
                f"The room cannot be served at {host}:{self._port} ({why}); choose another "
                "address with --host and --port."
            ) from None
        self._port = self._server.sockets[0].getsockname()[1]

    # --- requests

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer for our own names and our own page only; a refusal is a sentence."""
        name = re.sub(r":\d+$", "", request.host).strip("[]").rstrip(".").lower()
        if name not in self._names and not is_number(name):
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
        return _static_file("join.html")

    async def _static(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name == "icon.svg":
            return static_file(name)
        if name not in STATIC:
            raise web.HTTPNotFound
        return _static_file(name)

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
            wish = msgspec.json.decode(await request.read(), type=Agreement)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Refused(400, "The request is not what the page sends.") from None
        guest = self._door.agree(wish.name, wish.shares, wish.version)
        return _json({"name": guest.name, "ticket": guest.ticket}, 201)

    async def _join(self, request: web.Request) -> web.StreamResponse:
        ticket = _bearer(request)
        if request.content_type != "application/sdp":
            raise Refused(415, "Send the offer as application/sdp.")
        try:
            offer = await request.text()
        except (UnicodeDecodeError, LookupError):
            raise Refused(400, "The SDP offer is not UTF-8 text.") from None
        guest, answer = await self._door.join(ticket, offer)
        return web.Response(
            status=201,
            text=answer,
            content_type="application/sdp",
            headers={"Location": f"/whip/{guest.key}", "Cache-Control": "no-store"},
        )

    async def _leave(self, request: web.Request) -> web.StreamResponse:
        self._door.leave(_bearer(request), request.match_info["key"])
        return web.Response(text="You have left.\n")

    def _check_token(self, request: web.Request) -> None:
        shown = _bearer(request).encode("utf-8", "replace")
        if not hmac.compare_digest(shown, self.token.encode()):
            raise Refused(401, "This link is not complete; open the join link that you were sent.")


def _bearer(request: web.Request) -> str:
    return request.headers.get("Authorization", "").removeprefix("Bearer ")


def _json(value: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(value),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def _static_file(name: str) -> web.Response:
    folder = importlib.resources.files("streamer.room") / "static"
    return web.Response(
        body=(folder / name).read_bytes(),
        content_type=CONTENT_TYPES[name.rpartition(".")[2]],
        charset="utf-8",
        headers={"Cache-Control": "no-cache"},
    )


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
