"""One room at its place on the server: its pages, its requests, its links and their tokens.

What enters: a room. What leaves: routes of an aiohttp application. A page is public, with nothing
of the session; everything else needs a token, or the ticket that agreeing gives, as
`Authorization: Bearer`. The links carry their tokens behind `#`, which browsers do not send.
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from streamer.config import Config
from streamer.dashboard.feed import Feed
from streamer.dashboard.serving import static_file
from streamer.room.hosting import Hosted, Hosting
from streamer.room.joining import Door, Joining
from streamer.room.programs import Programs
from streamer.room.tokens import TOKEN_BYTES, JoinToken
from streamer.room.watching import Watched, Watching

PACKAGE = "streamer.room"
BODY_S = 10.0
"""A body that has not come whole after so long is refused."""
PAGES = {"/": "join.html", "/host": "host.html", "/live": "live.html"}
STATIC = (
    "join.css",
    "join.js",
    "asking.js",
    "connection.js",
    "devices.js",
    "stay.js",
    "host.js",
    "guests.js",
    "live.js",
)


class Room(Door, Hosted, Watched, Protocol):
    """A room for people and their host: `RoomCapture`, or a fake."""


@dataclass(frozen=True)
class Links:
    """The links of one room.

    Attributes:
        session: the session's name.
        join: for everybody who may join.
        host: for the host.
        live: the live page, for the host; None without one.
    """

    session: str
    join: str
    host: str
    live: str | None = None


class Site:
    """The pages and requests of one room.

    Attributes:
        path: in front of its addresses, without a slash at its end; empty for none.
    """

    def __init__(
        self,
        room: Room,
        config: Config,
        *,
        path: str = "",
        feed: Feed | None = None,
        token: JoinToken | None = None,
        host_token: str | None = None,
        body_s: float = BODY_S,
    ) -> None:
        """Make the tokens.

        Args:
            room: lets people in.
            config: who may watch, and how long the join link lets people in.
            path: in front of its addresses.
            feed: of the live page; None for no such page.
            token: what a person must have to agree; None: a new one for `room.link_hours`.
            host_token: what the host must have; None: a random one.
            body_s: how long the body of a request may take.
        """
        self.path = path
        self._room = room
        self._token = token or JoinToken(config.room.link_hours * 3600)
        self._host_token = host_token or secrets.token_urlsafe(TOKEN_BYTES)
        self._body_s = body_s
        everyone = config.room.watch == "everyone"
        self._watching = None if feed is None else Watching(room, feed, everyone=everyone)

    @property
    def pages(self) -> set[str]:
        """The addresses of its public pages."""
        return {f"{self.path}{page}" for page in PAGES}

    def links(self, origin: str) -> Links:
        """Return the links to this room on a server of that origin."""
        base = f"{origin}{self.path}/"
        return Links(
            self._room.name,
            f"{base}#{self._token.text}",
            f"{base}host#{self._host_token}",
            None if self._watching is None else f"{base}{self._watching.link}",
        )

    def add_to(self, app: web.Application, admit: Callable[[web.Request], None]) -> None:
        """Add everything to an application.

        Args:
            app: of this room alone where it has a path.
            admit: takes the request of a connection that has shown a token or a ticket.
        """
        watching = self._watching
        for page, name in PAGES.items():
            app.router.add_get(page, functools.partial(_page, name))
        app.router.add_get("/static/{name}", _static)
        Joining(self._room, self._token, admit, self._body_s, watching).add_routes(app.router)
        Hosting(self._room, self._host_token, admit, self._token, watching).add_routes(app.router)
        programs = Programs(self._room, self._token.check, admit)
        app.router.add_get("/ws", programs.serve)
        app.on_shutdown.append(programs.close)
        if watching is not None:
            watching.add_to(app, admit)


async def _page(name: str, request: web.Request) -> web.StreamResponse:
    return static_file(PACKAGE, name)


async def _static(request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    if name == "icon.svg":
        return static_file("streamer.dashboard", name)
    if name not in STATIC:
        raise web.HTTPNotFound
    return static_file(PACKAGE, name)
