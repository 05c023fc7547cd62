"""The page's connections: how many may wait for a complete request, and for how long.

What enters: accepted connections. What leaves: aiohttp's handlers of them. A connection that has
sent no allowed request yet costs its sender nothing, so their number is bounded: the one that has
waited longest is closed for a new one.
"""

from __future__ import annotations

import asyncio
import ssl

from aiohttp import web

from streamer.dashboard.access import Handler

REQUEST_S = 30.0
"""A connection without a complete request is closed after so long, also between two requests."""
MAX_WAITING = 128
"""Connections that have sent no allowed request yet."""


class Connections:
    """Makes aiohttp's handler for each accepted connection: a protocol factory of asyncio."""

    def __init__(self) -> None:
        """Without a server; `serve` names it."""
        self._server: web.Server | None = None
        self._admitted: set[asyncio.Protocol] = set()

    @web.middleware
    async def admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Note that the connection has sent an allowed request; stands behind the guard."""
        self.note(request)
        return await handler(request)

    def note(self, request: web.Request) -> None:
        """Note that a request is allowed; its connection waits no longer."""
        self._admitted.add(request.protocol)

    async def serve(
        self, server: web.Server, host: str, port: int, tls: ssl.SSLContext | None = None
    ) -> asyncio.Server:
        """Listen at the address; raises OSError if it cannot be bound."""
        self._server = server
        loop = asyncio.get_running_loop()
        return await loop.create_server(self._accept, host, port, ssl=tls)

    def _accept(self) -> asyncio.Protocol:
        assert self._server is not None
        connections = [known for known in self._server.connections if known.transport is not None]
        self._admitted.intersection_update(connections)
        waiting = [known for known in connections if known not in self._admitted]
        for oldest in waiting[: max(len(waiting) - MAX_WAITING + 1, 0)]:
            oldest.force_close()
        return self._server()
