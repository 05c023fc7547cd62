"""An HTTP application at one address: binding it, its origin, closing it, files of a package.

What enters: an aiohttp application. What leaves: served requests. This module knows no page and no
access rules.
"""

from __future__ import annotations

import asyncio
import errno
import importlib.resources
import ssl

from aiohttp import web

from streamer.dashboard.access import link_host
from streamer.dashboard.connections import REQUEST_S, Connections
from streamer.errors import ConfigError

CONTENT_TYPES = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}
HEAD = b"<!-- head.html -->"
"""Stands in each page for what the heads of all pages have in common."""


class Serving:
    """Serves an application from `open` to `close`.

    Attributes:
        port: where it is served, once it is open.
        connections: its connections; their `admit` belongs behind the application's guard.
    """

    def __init__(
        self,
        what: str,
        host: str,
        port: int,
        *,
        any_port: bool = False,
        request_s: float = REQUEST_S,
    ) -> None:
        """Keep the address; `open` binds it.

        Args:
            what: the name of what is served, for messages.
            host: the address to bind.
            port: 0 for any free one.
            any_port: take any free port when `port` is taken.
            request_s: how long a connection may go without a complete request.
        """
        self.port = port
        self.connections = Connections()
        self._what = what
        self._host = host
        self._tls: ssl.SSLContext | None = None
        self._any_port = any_port
        self._request_s = request_s
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None

    async def open(self, app: web.Application, tls: ssl.SSLContext | None = None) -> None:
        """Bind and serve, over HTTPS where there is a TLS context.

        Raises:
            ConfigError: the address cannot be bound.
        """
        self._tls = tls
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=1.0, keepalive_timeout=self._request_s
        )
        await self._runner.setup()
        try:
            self._server = await self._bind(self._runner)
        except BaseException:
            await self._runner.cleanup()
            raise
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Take no more connections and end those that are open."""
        if self._server is not None:
            self._server.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def origin(self, host: str | None = None) -> str:
        """Return scheme, host and port of its links; `host` replaces the address that is bound."""
        name = link_host(self._host) if host is None else host
        name = f"[{name}]" if ":" in name else name
        return f"http{'' if self._tls is None else 's'}://{name}:{self.port}"

    async def _bind(self, runner: web.AppRunner) -> asyncio.Server:
        assert runner.server is not None
        try:
            return await self.connections.serve(runner.server, self._host, self.port, self._tls)
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            if taken and self._any_port and self.port:
                self.port = 0
                return await self._bind(runner)
            why = "is in use" if taken else error.strerror or str(error)
            raise ConfigError(
                f"The {self._what} cannot be served at {self._host}:{self.port} ({why}); choose "
                "another address with --host and --port."
            ) from None


def static_file(package: str, name: str) -> web.Response:
    """Return a file of a package's folder `static`; a page with the head that all pages have."""
    folder = importlib.resources.files(package) / "static"
    body = (folder / name).read_bytes()
    if name.endswith(".html"):
        shared = importlib.resources.files("streamer.dashboard") / "static" / "head.html"
        body = body.replace(HEAD, shared.read_bytes().strip())
    return web.Response(
        body=body,
        content_type=CONTENT_TYPES[name.rpartition(".")[2]],
        charset="utf-8",
        headers={"Cache-Control": "no-cache"},
    )
