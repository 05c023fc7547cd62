"""The room's HTTP server: its address, and who may ask it.

What enters: connections. What leaves: requests of people, of their programs and of hosts, to the
room that they are for.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

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
from streamer.dashboard.serving import Serving
from streamer.room import certificate
from streamer.room.people import Refused
from streamer.room.site import Links, Site

HOST = "127.0.0.1"
PORT = 8720
MAX_BODY_BYTES = 64 * 1024
"""Of a request: an SDP offer is the largest, of a few kilobytes."""
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


class Server:
    """The server as an async context manager; leaving it closes every connection."""

    def __init__(self, sites: Sequence[Site], address: Address, config: Config) -> None:
        """Keep the settings; entering the context binds.

        Args:
            sites: the rooms; each of several has a path of its own.
            address: where to serve.
            config: names of the page.
        """
        self._sites = sites
        self._address = address
        self._names = known_names(address.host) | {name.lower() for name in config.room.hosts}
        self._pages = {page for site in sites for page in site.pages}
        self._serving = Serving("room", address.host, address.port)

    async def __aenter__(self) -> Self:
        """Bind and serve.

        Raises:
            ConfigError: the address cannot be bound, or the certificate cannot be used.
        """
        context = self._address.context()
        app = web.Application(middlewares=[self._guard], client_max_size=MAX_BODY_BYTES)
        app.on_response_prepare.append(_add_headers)
        for site in self._sites:
            own = web.Application() if site.path else app
            site.add_to(own, self._serving.connections.note)
            if site.path:
                app.add_subapp(site.path, own)
        await self._serving.open(app, context)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._serving.close()

    def links(self) -> list[Links]:
        """The links of each room."""
        host = self._address.host
        local = "localhost" if is_loopback(host) and is_number(host) else None
        origin = self._serving.origin(self._address.called or local)
        return [site.links(origin) for site in self._sites]

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer for our own names and our own page only; a refusal is a sentence."""
        if not is_served(request.host, self._names):
            raise web.HTTPMisdirectedRequest(
                text="The room is not served under that name; room.hosts lists its names.\n"
            )
        site = request.headers.get("Sec-Fetch-Site", "none")
        if site not in ("none", "same-origin") and request.path not in self._pages:
            raise web.HTTPForbidden(text="Other sites may not use this room.\n")
        try:
            return await handler(request)
        except Refused as refused:
            return web.Response(status=refused.status, text=f"{refused}\n")


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
