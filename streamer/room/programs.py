"""Programs without WebRTC: a WebSocket → an inbox.

What enters: connections, and their messages (docs/room-websocket.md). What leaves: calls of a Door,
and sound, images and words in inboxes. A message that breaks the protocol ends its own connection,
with one reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import Callable
from typing import Protocol

from aiohttp import WSMsgType, web

from streamer.records import NS_PER_S
from streamer.room.allowance import Allowance
from streamer.room.inbox import Inbox
from streamer.room.messages import (
    Agree,
    Image,
    Images,
    Leave,
    Sound,
    Words,
    agreement,
    read_binary,
    read_text,
)
from streamer.room.peer import TICK_S, MakePeer
from streamer.room.people import Guest, Phase, Refused, State

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 512 * 1024
"""A JPEG is the largest; twice as much is not even received."""
MAX_WAITING = 32
"""Connections that have not agreed yet; the one that has waited longest gives way."""
FIRST_MESSAGE_S = 10.0
"""A connection that has not agreed after so long is closed."""
PING_S = 20.0
"""How often a program is asked for a sign of life; it has half of that to answer."""
MESSAGES_PER_S, MESSAGES_RESERVE = 250, 2_500
BYTES_PER_S, BYTES_RESERVE = 2_000_000, 10_000_000
LOOK_S = 0.5
"""How often it is looked whether the host has let a waiting program in."""
STRAY_NS = 60 * NS_PER_S
"""How far the sender's clock and ours may part from the first message on."""
CLOSE = 4000
"""Added to a Refused's HTTP status, it is the code of closing."""


class Door(Protocol):
    """What of the room's door programs need."""

    @property
    def phase(self) -> Phase:
        """How far the session is."""
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

    async def join(
        self, ticket: str, offer: str, make_peer: MakePeer | None = None
    ) -> tuple[Guest, str]:
        """Let a guest in; raises Refused."""
        ...

    def leave(self, ticket: str, key: str) -> None:
        """End a guest's presence; raises Refused."""
        ...


class Programs:
    """Serves the WebSockets of one room; belongs to one event loop."""

    def __init__(
        self,
        door: Door,
        check_token: Callable[[str], None],
        admit: Callable[[web.Request], None],
        first_message_s: float = FIRST_MESSAGE_S,
        now_s: Callable[[], float] = time.monotonic,
        look_s: float = LOOK_S,
    ) -> None:
        """Start without connections.

        Args:
            door: lets people in.
            check_token: raises Refused for a token that is not the join link's.
            admit: takes the request of a connection that has shown the token.
            first_message_s: how long a connection may wait before it agrees.
            now_s: a clock.
            look_s: how often it is looked whether the host has let a waiting program in, or has
                started or stopped recording.
        """
        self._door = door
        self._check_token = check_token
        self._admit = admit
        self._first_message_s = first_message_s
        self._now_s = now_s
        self._look_s = look_s
        self._waiting: dict[web.WebSocketResponse, None] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def close(self, app: web.Application) -> None:
        """End the connections that have not agreed yet."""
        for socket in list(self._waiting):
            await end(socket, CLOSE + 503, "The session has ended.")

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one connection until it ends."""
        socket = web.WebSocketResponse(
            max_msg_size=2 * MAX_MESSAGE_BYTES, compress=False, heartbeat=PING_S, timeout=2.0
        )
        await socket.prepare(request)
        try:
            await self._attend(request, socket)
        except Refused as refused:
            await end(socket, CLOSE + refused.status, str(refused))
        return socket

    async def _attend(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        hello = await self._agreed(socket)
        self._check_token(hello.token)
        self._admit(request)
        agreed = self._door.agree(hello.name, hello.shares, hello.version)
        if not await self._let_in(socket, agreed):
            await end(socket, 1000, "You have left.")
            return
        peers: list[ProgramPeer] = []

        def make_peer(inbox: Inbox) -> ProgramPeer:
            peers.append(ProgramPeer(inbox, socket, hello, self._now_s))
            return peers[-1]

        guest, _ = await self._door.join(agreed.ticket, "", make_peer)
        telling: asyncio.Task[None] | None = None
        try:
            with contextlib.suppress(ConnectionError):
                await socket.send_json({"type": "joined", "name": guest.name})
                telling = asyncio.create_task(self._tell(socket))
                await peers[-1].receive()
        finally:
            peers[-1].gone.set()
            if telling is not None:
                telling.cancel()

    async def _tell(self, socket: web.WebSocketResponse) -> None:
        """Tell a program whether the session is being recorded, whenever that changes."""
        told = False
        with contextlib.suppress(ConnectionError):
            while True:
                if self._door.recording != told:
                    told = not told
                    await socket.send_json({"type": "recording", "on": told})
                await asyncio.sleep(self._look_s)

    async def _agreed(self, socket: web.WebSocketResponse) -> Agree:
        """Return the first message; others that have not sent one give way."""
        while len(self._waiting) >= MAX_WAITING:
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            self._end_soon(oldest)
        self._waiting[socket] = None
        try:
            async with asyncio.timeout(self._first_message_s):
                message = await socket.receive()
        except TimeoutError:
            raise Refused(408, "The first message did not come in time.") from None
        finally:
            self._waiting.pop(socket, None)
        if message.type is not WSMsgType.TEXT:
            raise Refused(400, "The first message is JSON text of the type agree.")
        return agreement(str(message.data))

    async def _let_in(self, socket: web.WebSocketResponse, agreed: Guest) -> bool:
        """Wait for the host, as pages do; return False for a program that is gone before.

        Raises:
            Refused: the host did not let the person in, or the program did not wait.
        """
        may = False
        try:
            may = self._may_join(agreed)
            if not may:
                await socket.send_json({"type": "waiting", "name": agreed.name})
            while not may and not await _leaves(socket, self._look_s):
                may = self._may_join(agreed)
        except ConnectionError:
            log.debug("A program has gone while it waited.")
        finally:
            if not may:
                with contextlib.suppress(Refused):
                    self._door.leave(agreed.ticket, agreed.key)  # its place is free again
        return may

    def _may_join(self, agreed: Guest) -> bool:
        guest = self._door.look(agreed.ticket)
        if self._door.phase == "ended":
            raise Refused(503, "The session has ended.")
        if guest.state is State.left:
            raise Refused(410, "The host has not let you in.")
        return self._door.phase == "started" and guest.state is not State.waiting

    def _end_soon(self, socket: web.WebSocketResponse) -> None:
        """End a connection without waiting for its answer."""
        ending = end(socket, CLOSE + 503, "Too many connections wait; agree at once.")
        task = asyncio.create_task(ending)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


class ProgramPeer:
    """A program as a sender; belongs to one event loop."""

    def __init__(
        self,
        inbox: Inbox,
        socket: web.WebSocketResponse,
        hello: Agree,
        now_s: Callable[[], float],
    ) -> None:
        """Prepare; `receive` takes the messages."""
        inbox.use_one_clock()
        if hello.words:
            inbox.take_words()
        self.gone = asyncio.Event()
        self._inbox = inbox
        self._socket = socket
        self._rate_hz = hello.rate_hz
        self._now_s = now_s
        self._images = Images()
        self._messages = Allowance(MESSAGES_PER_S, MESSAGES_RESERVE, now_s())
        self._bytes = Allowance(BYTES_PER_S, BYTES_RESERVE, now_s())
        self._apart_ns: int | None = None

    async def answer(self, offer: str) -> str:
        """Return nothing: a WebSocket needs no answer to an offer."""
        return ""

    async def run(self) -> None:
        """Let time pass until the program is gone."""
        while not self.gone.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.gone.wait(), TICK_S)
            self._inbox.tick()

    async def close(self) -> None:
        """End the connection; a second time changes nothing."""
        if not self.gone.is_set():
            self.gone.set()
            await end(self._socket, CLOSE + 410, "The stay in the room has ended.")

    async def receive(self) -> None:
        """Take messages until the program leaves, or is gone; raises Refused."""
        async for message in self._socket:
            if message.type is WSMsgType.ERROR or self.gone.is_set():
                return
            self._allow(len(message.data))
            if message.type is WSMsgType.BINARY:
                await self._take(read_binary(message.data, self._rate_hz))
                continue
            said = read_text(str(message.data))
            if isinstance(said, Leave):
                await end(self._socket, 1000, "You have left.")
                return
            await self._take(said)

    def _allow(self, size: int) -> None:
        if size > MAX_MESSAGE_BYTES:
            raise Refused(413, f"A message is larger than {MAX_MESSAGE_BYTES} bytes.")
        now_s = self._now_s()
        if not (self._messages.take(1, now_s) and self._bytes.take(size, now_s)):
            raise Refused(429, "Messages come faster than sound and images need.")

    async def _take(self, message: Sound | Image | Words) -> None:
        self._check_time(message.sent_ns)
        self._inbox.note(message.sent_ns)
        match message:
            case Sound():
                self._inbox.push_audio(message.frame, message.begin_ns)
            case Words():
                self._inbox.push_words(message.words, message.until_ns)
            case Image() if self._inbox.has_video:
                decode = functools.partial(self._images.decode, message.jpeg)
                self._inbox.push_video(await asyncio.to_thread(decode), message.sent_ns)

    def _check_time(self, sent_ns: int) -> None:
        """Refuse a sender whose clock jumps: its counters would be meaningless."""
        apart_ns = sent_ns - int(self._now_s() * NS_PER_S)
        if self._apart_ns is None:
            self._apart_ns = apart_ns
        if abs(apart_ns - self._apart_ns) > STRAY_NS:
            raise Refused(400, "The time of a message is more than a minute from its place.")


async def _leaves(socket: web.WebSocketResponse, within_s: float) -> bool:
    """Whether a waiting program leaves, or is gone, within so long; raises Refused otherwise."""
    try:
        message = await socket.receive(timeout=within_s)
    except TimeoutError:
        return False
    if message.type is WSMsgType.TEXT and isinstance(read_text(str(message.data)), Leave):
        return True
    if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
        raise Refused(400, "Send nothing before the room has answered `joined`.")
    return True


async def end(socket: web.WebSocketResponse, code: int, reason: str) -> None:
    """Close a connection with a reason, which a WebSocket limits to 123 bytes."""
    short = reason.encode()[:123].decode(errors="ignore")
    await socket.close(code=code, message=short.encode())
