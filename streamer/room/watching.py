"""The session's live page in the room: for the host, and for its people where the settings say so.

What enters: a token of the live page, once; then the page's own requests, which show it in a
cookie. What leaves: the page of this one session, for as long as the token counts: that of a person
while they are in. It gives nothing but the page.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from aiohttp import web

from streamer.dashboard.feed import Feed
from streamer.dashboard.views import PATHS, Views
from streamer.room.people import Guest, Refused, State
from streamer.room.requests import bearer
from streamer.room.tokens import TOKEN_BYTES

COOKIE = "streamer-live-"
"""One for each token, so that two people of one browser have one each."""
NOT_YOURS = (
    "The live page is for the host, and for people who are in the room where the host allows it."
)
LOOK_S = 0.5
"""How long somebody who has left may still be sent records."""


class Watched(Protocol):
    """A room with a live page: `RoomCapture`, or a fake."""

    @property
    def session_id(self) -> str:
        """The session's id."""
        ...

    def may_watch(self, token: str) -> bool:
        """Whether this is the token of the live page of somebody who is in."""
        ...


class Watching:
    """Serves the live page of one session to those who may see it."""

    def __init__(self, room: Watched, feed: Feed, *, everyone: bool) -> None:
        """Make the host's token.

        Args:
            room: whose people may watch.
            feed: contains the session's records, and maybe others.
            everyone: whether people in the room may see the page, or only the host.
        """
        self._room = room
        self._everyone = everyone
        self._token = secrets.token_urlsafe(TOKEN_BYTES)
        self._whole = Views(feed, only=room.session_id)
        self._public = Views(feed, only=room.session_id, public=True)

    @property
    def link(self) -> str:
        """The host's link of the page, from the room's address on."""
        return f"live#{self._token}"

    def link_of(self, guest: Guest) -> str | None:
        """The same of a person; None for those who may not see the page."""
        may = self._everyone and guest.state is State.joined
        return f"live#{guest.watch_token}" if may else None

    def add_to(self, app: web.Application, admit: Callable[[web.Request], None]) -> None:
        """Add the page to a server, at /live/.

        Args:
            app: the server.
            admit: takes the request of a connection that has shown a token.
        """

        async def handle(
            answer: Callable[[Views, web.Request], Awaitable[web.StreamResponse]],
            request: web.Request,
        ) -> web.StreamResponse:
            tokens = _shown(request)
            views = self._allowed(tokens)
            admit(request)
            cutting = asyncio.create_task(self._cut(request, tokens))
            try:
                return await answer(views, request)
            finally:
                cutting.cancel()

        app.router.add_post("/live/enter", self._enter)
        for path, answer in PATHS.items():
            app.router.add_get(f"/live{path}", functools.partial(handle, answer))
        app.on_shutdown.append(self._close)

    async def _enter(self, request: web.Request) -> web.StreamResponse:
        """Keep the token in a cookie of the page's folder, which no other address gets."""
        token = bearer(request)
        self._allowed([token])
        name = COOKIE + hashlib.sha256(token.encode()).hexdigest()[:12]
        response = web.Response(status=204, headers={"Cache-Control": "no-store"})
        response.set_cookie(name, token, httponly=True, samesite="Strict", secure=request.secure)
        response.cookies[name]["path"] = ""  # none: the folder of the address
        return response

    def _allowed(self, tokens: Iterable[str]) -> Views:
        """Return what those with one of the tokens see; raises Refused."""
        host = self._token.encode()
        shown = list(tokens)
        if any(hmac.compare_digest(each.encode("utf-8", "replace"), host) for each in shown):
            return self._whole
        if self._everyone and any(self._room.may_watch(each) for each in shown):
            return self._public
        raise Refused(403, NOT_YOURS)

    async def _cut(self, request: web.Request, tokens: list[str]) -> None:
        """Close the connection of somebody who may not watch any more."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                self._allowed(tokens)
            except Refused:
                break
        if request.transport is not None:
            request.transport.close()

    async def _close(self, app: web.Application) -> None:
        await self._whole.close()
        await self._public.close()


def _shown(request: web.Request) -> list[str]:
    return [token for name, token in request.cookies.items() if name.startswith(COOKIE)]
