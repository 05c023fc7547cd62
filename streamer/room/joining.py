"""What the join page asks for: the terms, agreeing, joining by WHIP, sharing less, leaving.

What enters: requests with the join link's token, or with the ticket that agreeing gives. What
leaves: calls of a Door. No media are taken without a ticket.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Protocol

import msgspec
from aiohttp import web

from streamer.room.peer import MakePeer
from streamer.room.people import SHARED, Guest, Phase, Recorded, Refused, State, Terms
from streamer.room.requests import as_json, bearer, body, decoded
from streamer.room.tokens import JoinToken
from streamer.room.watching import Watching

Shares = Annotated[tuple[str, ...], msgspec.Meta(max_length=3)]


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

    @property
    def phase(self) -> Phase:
        """How far the session is."""
        ...

    @property
    def recorded(self) -> Recorded:
        """What this room can record."""
        ...

    @property
    def recording(self) -> bool:
        """Whether the session is being recorded now."""
        ...

    def agree(self, name: str, modalities: tuple[str, ...], version: str) -> Guest:
        """Take a person's agreement; raises Refused."""
        ...

    def look(self, ticket: str) -> Guest:
        """Return the guest of a ticket, also one who has left; raises Refused."""
        ...

    def is_connected(self, guest: Guest) -> bool:
        """Whether a guest's media come, or are about to."""
        ...

    async def join(
        self, ticket: str, offer: str, make_peer: MakePeer | None = None
    ) -> tuple[Guest, str]:
        """Let a guest in, or in again; return the answer to the offer. Raises Refused."""
        ...

    def share(self, ticket: str, modalities: tuple[str, ...]) -> Guest:
        """Set what a guest shares from now on; raises Refused."""
        ...

    def leave(self, ticket: str, key: str) -> None:
        """End a guest's presence; raises Refused."""
        ...

    def forget(self, ticket: str) -> None:
        """End a guest's presence, and have deleted what is recorded of them; raises Refused."""
        ...


class Agreement(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request to agree."""

    name: Annotated[str, msgspec.Meta(max_length=1000)]
    shares: Shares
    version: Annotated[str, msgspec.Meta(max_length=100)]


class Choice(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request to share something else from now on."""

    shares: Shares


class Joining:
    """The requests of people who join one room."""

    def __init__(
        self,
        door: Door,
        token: JoinToken,
        admit: Callable[[web.Request], None],
        body_s: float,
        watching: Watching | None = None,
    ) -> None:
        """Take the door.

        Args:
            door: lets people in.
            token: what a person must show to agree.
            admit: takes the request of a connection that has shown a token or a ticket.
            body_s: how long the body of a request may take.
            watching: the live page; None where there is none.
        """
        self._door = door
        self._token = token
        self._admit = admit
        self._body_s = body_s
        self._watching = watching

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Add the requests to a server."""
        router.add_get("/api/terms", self._terms)
        router.add_post("/api/agree", self._agree)
        router.add_get("/api/stay", self._stay)
        router.add_put("/api/stay", self._share)
        router.add_delete("/api/stay", self._leave)
        router.add_post("/api/forget", self._forget)
        router.add_post("/whip", self._join)
        router.add_options("/whip", _whip)
        router.add_delete("/whip/{key}", self._leave)

    async def _terms(self, request: web.Request) -> web.StreamResponse:
        self._check_token(request)
        terms = self._door.terms
        return as_json(
            {
                "session": self._door.name,
                "statement": terms.statement,
                "version": terms.version,
                "shares": [each for each in SHARED if each in terms.modalities],
                "persons": terms.persons,
                "recorded": self._door.recorded != "nothing",
                "recording": self._door.recording,
            }
        )

    async def _agree(self, request: web.Request) -> web.StreamResponse:
        self._check_token(request)
        wish = decoded(await body(request, self._body_s), Agreement)
        guest = self._door.agree(wish.name, wish.shares, wish.version)
        return as_json({"name": guest.name, "ticket": guest.ticket}, 201)

    async def _stay(self, request: web.Request) -> web.StreamResponse:
        guest = self._door.look(bearer(request))
        self._admit(request)
        return self._of(guest)

    async def _share(self, request: web.Request) -> web.StreamResponse:
        choice = decoded(await body(request, self._body_s), Choice)
        return self._of(self._door.share(bearer(request), choice.shares))

    def _of(self, guest: Guest) -> web.Response:
        """What a person may ask of their own stay."""
        phase = self._door.phase
        return as_json(
            {
                "name": guest.name,
                "state": guest.state,
                "connected": self._door.is_connected(guest),
                "phase": phase,
                "recording": self._door.recording,
                "ready": phase == "started" and guest.state in (State.agreed, State.joined),
                "agreed": guest.modalities,
                "shares": guest.shares,
                "removed": guest.removed,
                "forget": guest.forget,
                "live": None if self._watching is None else self._watching.link_of(guest),
            }
        )

    async def _join(self, request: web.Request) -> web.StreamResponse:
        ticket = bearer(request)
        if request.content_type != "application/sdp":
            raise Refused(415, "Send the offer as application/sdp.")
        try:
            offer = (await body(request, self._body_s)).decode()
        except UnicodeDecodeError:
            raise Refused(400, "The SDP offer is not UTF-8 text.") from None
        guest, answer = await self._door.join(ticket, offer)
        self._admit(request)
        return web.Response(
            status=201,
            text=answer,
            content_type="application/sdp",
            headers={"Location": f"{request.path}/{guest.key}", "Cache-Control": "no-store"},
        )

    async def _leave(self, request: web.Request) -> web.StreamResponse:
        ticket = bearer(request)
        key = request.match_info.get("key") or self._door.look(ticket).key
        self._door.leave(ticket, key)
        return web.Response(text="You have left.\n")

    async def _forget(self, request: web.Request) -> web.StreamResponse:
        self._door.forget(bearer(request))
        return self._of(self._door.look(bearer(request)))

    def _check_token(self, request: web.Request) -> None:
        """Pass whoever has the token; until then a connection may give way to others."""
        self._token.check(bearer(request))
        self._admit(request)


async def _whip(request: web.Request) -> web.StreamResponse:
    """Say what is posted there (RFC 9725); some senders ask before they offer."""
    return web.Response(
        status=204, headers={"Accept-Post": "application/sdp", "Allow": "OPTIONS, POST"}
    )
