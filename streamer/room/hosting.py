"""What the host's page asks for: who is in the room, admitting and removing them, the session.

What enters: requests with the host's token. What leaves: calls of a Hosted room, and its state. The
state contains names and consent of people, and no ticket.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

from aiohttp import web

from streamer.records import wall_clock
from streamer.room.people import Guest, Phase, Recorded, Terms
from streamer.room.requests import as_json, check_token
from streamer.room.tokens import JoinToken
from streamer.room.watching import Watching

NOT_THE_HOST = "This link is not complete; open the host's link that `streamer room` printed."


class Hosted(Protocol):
    """A room as its host uses it: `RoomCapture`, or a fake."""

    @property
    def name(self) -> str:
        """The session's name."""
        ...

    @property
    def phase(self) -> Phase:
        """How far the session is."""
        ...

    @property
    def terms(self) -> Terms:
        """What people agree to."""
        ...

    @property
    def guests(self) -> Sequence[Guest]:
        """Everybody who is in, is about to join, or was in."""
        ...

    def is_connected(self, guest: Guest) -> bool:
        """Whether a guest's media come, or are about to."""
        ...

    @property
    def recorded(self) -> Recorded:
        """What this room can record."""
        ...

    @property
    def recording(self) -> bool:
        """Whether the session is being recorded now."""
        ...

    @property
    def recorded_times(self) -> Sequence[tuple[datetime, datetime | None]]:
        """When recording began and stopped."""
        ...

    @property
    def problems(self) -> Sequence[str]:
        """What does not work in the room's process, such as its recorder; a sentence each."""
        ...

    def record(self) -> None:
        """Start recording; raises Refused."""
        ...

    def stop_recording(self) -> None:
        """Stop recording; raises Refused."""
        ...

    def begin(self) -> None:
        """Start the session."""
        ...

    def stop(self) -> None:
        """End the session for everybody."""
        ...

    def admit(self, key: str) -> None:
        """Let a waiting guest join; raises Refused."""
        ...

    def remove(self, key: str) -> None:
        """End a guest's presence, or refuse one who waits; raises Refused."""
        ...


class Hosting:
    """The host's requests of one room."""

    def __init__(
        self,
        room: Hosted,
        token: str,
        admit: Callable[[web.Request], None],
        join_token: JoinToken,
        watching: Watching | None = None,
    ) -> None:
        """Take the room.

        Args:
            room: what is hosted.
            token: what the host must show.
            admit: takes the request of a connection that has shown it.
            join_token: what people must show, for the host to pass on.
            watching: the live page; None where there is none.
        """
        self._room = room
        self._token = token
        self._admit = admit
        self._join_token = join_token
        self._watching = watching

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Add the requests to a server."""
        room = self._room
        router.add_get("/api/host", self._state)
        router.add_post("/api/host/begin", self._calls(lambda _: room.begin()))
        router.add_post("/api/host/stop", self._calls(lambda _: room.stop()))
        router.add_post("/api/host/record", self._calls(lambda _: room.record()))
        router.add_post("/api/host/stop-recording", self._calls(lambda _: room.stop_recording()))
        router.add_post("/api/host/guests/{key}/admit", self._calls(room.admit))
        router.add_post("/api/host/guests/{key}/remove", self._calls(room.remove))

    async def _state(self, request: web.Request) -> web.StreamResponse:
        check_token(request, self._token, NOT_THE_HOST)
        self._admit(request)
        terms = self._room.terms
        return as_json(
            {
                "session": self._room.name,
                "phase": self._room.phase,
                "statement": terms.statement,
                "version": terms.version,
                "persons": terms.persons,
                "modalities": terms.modalities,
                "join": f"./#{self._join_token.text}" if self._join_token.valid else None,
                "live": None if self._watching is None else self._watching.link,
                "recorded": self._room.recorded,
                "recording": self._room.recording,
                "recorded_times": self._room.recorded_times,
                "problems": self._room.problems,
                "guests": [self._guest(guest) for guest in self._room.guests],
            }
        )

    def _guest(self, guest: Guest) -> dict[str, Any]:
        left_ns = guest.withdrawn_at_ns
        return {
            "key": guest.key,
            "name": guest.name,
            "state": guest.state,
            "connected": self._room.is_connected(guest),
            "agreed": guest.modalities,
            "shares": guest.shares,
            "given_at": wall_clock(guest.given_at_ns, 0),
            "left_at": None if left_ns is None else wall_clock(left_ns, 0),
            "removed": guest.removed,
            "forget": guest.forget,
        }

    def _calls(self, act: Callable[[str], None]) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.StreamResponse:
            check_token(request, self._token, NOT_THE_HOST)
            act(request.match_info.get("key", ""))
            return await self._state(request)

        return handle
