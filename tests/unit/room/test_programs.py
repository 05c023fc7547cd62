"""Programs on the WebSocket: consent first, one reason for closing, nobody else is hurt."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import threading
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import WSMsgType, web

from streamer.capture import Chunk
from streamer.config import load
from streamer.dashboard.serving import Serving
from streamer.records import NS_PER_MS, NS_PER_S, AudioChunk, Modality, VideoFrame
from streamer.room.inbox import Inbox
from streamer.room.peer import MakePeer
from streamer.room.people import Guest, Guests, Phase, Refused, State, Terms
from streamer.room.programs import (
    MAX_MESSAGE_BYTES,
    MAX_WAITING,
    MESSAGES_RESERVE,
    ProgramPeer,
    Programs,
)
from streamer.session.sharing import Shared
from tests.unit.room.test_messages import binary, jpeg, said, word

TERMS = Terms("We listen.", ("text", "audio", "vision"), persons=True)
TOKEN = "a token of the test"
PATIENCE_S = 30
LEAVE = json.dumps({"type": "leave"})
TENTH = np.full(1_600, 8_000, "<i2").tobytes()


class FakeDoor:
    """A door behind which inboxes fill; `now_ns` is the room's clock, and the programs'."""

    def __init__(self, *, held: bool = False) -> None:
        self.now_ns = 0
        self.phase: Phase = "started"
        self.recording = False
        self.left = asyncio.Event()
        self.guests = Guests(TERMS, 4, held=held)
        self.inboxes: dict[str, Inbox] = {}
        self.peers: dict[str, ProgramPeer] = {}

    def agree(self, name: str, modalities: tuple[str, ...], version: str) -> Guest:
        return self.guests.agree(name, modalities, version)

    def look(self, ticket: str) -> Guest:
        return self.guests.look(ticket)

    def leave(self, ticket: str, key: str) -> None:
        self.guests.leave(self.guests.present(ticket, key))
        self.left.set()

    async def join(
        self, ticket: str, offer: str, make_peer: MakePeer | None = None
    ) -> tuple[Guest, str]:
        guest = self.guests.join(ticket)
        inbox = Inbox(guest.modalities, load(), lambda: self.now_ns)
        assert make_peer is not None
        peer = make_peer(inbox)
        assert isinstance(peer, ProgramPeer)
        self.inboxes[guest.name], self.peers[guest.name] = inbox, peer
        return guest, await peer.answer(offer)

    def chunks(self, name: str) -> list[Chunk | Shared]:
        self.inboxes[name].end()
        return list(self.inboxes[name].chunks(threading.Event()))


class Room:
    """Programs at an address, with a client."""

    def __init__(self, door: FakeDoor, client: aiohttp.ClientSession) -> None:
        self.door = door
        self._client = client

    def connect(self) -> Any:
        return self._client.ws_connect("/ws", max_msg_size=0)

    async def join(self, socket: Any, **changed: Any) -> str:
        await socket.send_json(agree(**changed))
        answer = await socket.receive_json()
        assert answer["type"] == "joined"
        return str(answer["name"])


def agree(**changed: Any) -> dict[str, Any]:
    hello = {"type": "agree", "token": TOKEN, "name": "Ana", "version": TERMS.version}
    return {**hello, "shares": ["text", "audio", "vision"], **changed}


def check(shown: str) -> None:
    if shown != TOKEN:
        raise Refused(401, "wrong token")


@contextlib.asynccontextmanager
async def room(first_message_s: float = PATIENCE_S, *, held: bool = False) -> AsyncIterator[Room]:
    door = FakeDoor(held=held)
    programs = Programs(
        door,
        check,
        lambda request: None,
        first_message_s,
        lambda: door.now_ns / NS_PER_S,
        look_s=0.01,
    )
    app, serving = web.Application(), Serving("room", "127.0.0.1", 0)
    app.router.add_get("/ws", programs.serve)
    app.on_shutdown.append(programs.close)
    await serving.open(app)
    try:
        async with aiohttp.ClientSession(serving.origin()) as client:
            async with asyncio.timeout(PATIENCE_S):
                yield Room(door, client)
    finally:
        await serving.close()


async def closed(socket: Any) -> tuple[int, str]:
    """Wait for the end of a connection; return its code and its reason."""
    message = await socket.receive()
    while message.type not in (WSMsgType.CLOSE, WSMsgType.CLOSED):
        message = await socket.receive()
    return int(message.data or socket.close_code), str(message.extra or "")


def sound(number: int) -> bytes:
    """A tenth of a second of sound, on a clock of the sender that began long ago."""
    return binary(1, 7_000_000_000 + number * 100_000, TENTH)


async def speak(here: Room, socket: Any, first: int, last: int) -> None:
    for number in range(first, last):
        here.door.now_ns = (number + 1) * 100 * NS_PER_MS
        await socket.send_bytes(sound(number))


async def test_sound_images_and_words_arrive_on_one_clock() -> None:
    async with room() as here, here.connect() as socket:
        assert await here.join(socket, words=True) == "Ana"
        await speak(here, socket, 0, 1)
        await socket.send_bytes(binary(2, 7_000_040_000, jpeg(64, 48)))
        spoken = word("hello", 7_000_020_000, 7_000_090_000)
        message = {"type": "words", "sent_us": 7_000_100_000, "words": [spoken]}
        await socket.send_json(message)
        await socket.send_json({"type": "leave"})
        assert await closed(socket) == (1000, "You have left.")
        box = here.door.inboxes["Ana"]
        assert box.words is not None
        [(given, _)], until_ns = box.words.take()
        chunks = here.door.chunks("Ana")
    assert (given.text, given.start_ns, given.end_ns) == ("hello", 20 * NS_PER_MS, 90 * NS_PER_MS)
    assert until_ns == 90 * NS_PER_MS
    [heard] = [chunk for chunk in chunks if isinstance(chunk, AudioChunk)]
    [seen] = [chunk for chunk in chunks if isinstance(chunk, VideoFrame)]
    assert (heard.event_time_ns, len(heard.samples)) == (0, 1_600)
    assert (seen.event_time_ns, seen.image.shape) == (40 * NS_PER_MS, (48, 64, 3))


async def test_a_program_is_told_when_recording_starts_and_stops() -> None:
    async with room() as here, here.connect() as socket:
        here.door.recording = True
        await here.join(socket)
        assert await socket.receive_json() == {"type": "recording", "on": True}
        here.door.recording = False
        assert await socket.receive_json() == {"type": "recording", "on": False}


async def test_nothing_is_taken_of_what_the_person_does_not_share() -> None:
    shares: list[Modality] = ["text"]
    async with room() as here, here.connect() as socket:
        await here.join(socket, shares=shares)
        await socket.send_bytes(binary(2, 0, b"not even decoded"))
        await socket.send_json({"type": "leave"})
        assert await closed(socket) == (1000, "You have left.")
        assert not any(isinstance(chunk, VideoFrame) for chunk in here.door.chunks("Ana"))


@pytest.mark.parametrize(
    ("first", "code"),
    [
        (sound(0), 4400),
        (b"", 4400),
        ("", 4400),
        ("hello", 4400),
        (LEAVE, 4400),
        (json.dumps(agree(token="guess")), 4401),
        (json.dumps(agree(token=TOKEN + "x")), 4401),
        (json.dumps(agree(version="other terms")), 4409),
        (json.dumps(agree(shares=[])), 4422),
        (json.dumps(agree(shares=["text", "thoughts"])), 4422),
        (json.dumps(agree(name="a/b")), 4422),
    ],
)
async def test_nobody_joins_without_token_and_agreement(first: str | bytes, code: int) -> None:
    async with room() as here, here.connect() as socket:
        await (socket.send_str(first) if isinstance(first, str) else socket.send_bytes(first))
        ended, reason = await closed(socket)
        assert ended == code
        assert reason
    assert not here.door.inboxes


@pytest.mark.parametrize(
    ("poison", "code"),
    [
        (b"", 4400),
        (b"\xff" * 9, 4400),
        (binary(1, 7_000_100_000, b"odd"), 4400),
        (binary(1, 2**53 - 1, TENTH), 4400),
        (binary(1, 0, TENTH), 4400),
        (binary(2, 7_000_100_000, b"\xff\xd8 no picture"), 4400),
        ("{", 4400),
        (said(word("far", 0, 90_000_000)), 4400),
        (json.dumps(agree()), 4400),
        ("x" * (MAX_MESSAGE_BYTES + 1), 4413),
    ],
)
async def test_a_poisoned_message_ends_its_own_connection_only(
    poison: str | bytes, code: int
) -> None:
    async with room() as here, here.connect() as good, here.connect() as bad:
        await here.join(good, name="Good")
        await here.join(bad, name="Bad")
        await speak(here, good, 0, 1)
        await bad.send_bytes(sound(0))
        await (bad.send_str(poison) if isinstance(poison, str) else bad.send_bytes(poison))
        ended, reason = await closed(bad)
        assert ended == code
        assert reason
        await here.door.peers["Bad"].gone.wait()
        await speak(here, good, 1, 2)
        await good.send_json({"type": "leave"})
        assert await closed(good) == (1000, "You have left.")
        assert len([c for c in here.door.chunks("Good") if isinstance(c, AudioChunk)]) == 2


async def test_messages_that_come_too_fast_are_refused() -> None:
    async with room() as here, here.connect() as socket:
        await here.join(socket, shares=["text"])
        with contextlib.suppress(ConnectionError):
            for _ in range(MESSAGES_RESERVE + 1):
                await socket.send_bytes(binary(2, 0, b"not shared"))
        code, reason = await closed(socket)
    assert (code, reason) == (4429, "Messages come faster than sound and images need.")


async def test_connections_that_do_not_agree_give_way_to_those_that_come_later() -> None:
    async with room() as here, contextlib.AsyncExitStack() as stack:
        waiting = [await stack.enter_async_context(here.connect()) for _ in range(MAX_WAITING)]
        late = await stack.enter_async_context(here.connect())
        code, _ = await closed(waiting[0])
        assert code == 4503
        assert await here.join(late) == "Ana"
        assert await here.join(waiting[1]) == "Ana 2"


async def test_a_connection_that_never_agrees_is_closed() -> None:
    async with room(first_message_s=0.01) as here, here.connect() as socket:
        assert await closed(socket) == (4408, "The first message did not come in time.")


async def waiting_program(here: Room, socket: Any) -> Guest:
    """A program that has agreed and waits for the host."""
    await socket.send_json(agree())
    assert await socket.receive_json() == {"type": "waiting", "name": "Ana"}
    return here.door.guests.everybody[-1]


async def test_a_program_waits_for_the_host_to_admit_the_person() -> None:
    async with room(held=True) as here, here.connect() as socket:
        guest = await waiting_program(here, socket)
        assert (guest.state, here.door.inboxes) == (State.waiting, {})
        here.door.guests.admit(guest)
        assert await socket.receive_json() == {"type": "joined", "name": "Ana"}
        await speak(here, socket, 0, 1)
        await socket.send_json({"type": "leave"})
        assert await closed(socket) == (1000, "You have left.")
    assert any(isinstance(chunk, AudioChunk) for chunk in here.door.chunks("Ana"))


async def test_a_program_waits_for_the_host_to_start_the_session() -> None:
    async with room() as here, here.connect() as socket:
        here.door.phase = "waiting"
        await waiting_program(here, socket)
        here.door.phase = "started"
        assert await socket.receive_json() == {"type": "joined", "name": "Ana"}


async def test_a_program_that_the_host_refuses_is_closed() -> None:
    async with room(held=True) as here, here.connect() as socket:
        here.door.guests.leave(await waiting_program(here, socket), removed=True)
        assert await closed(socket) == (4410, "The host has not let you in.")


async def test_a_program_waits_no_longer_than_the_session() -> None:
    async with room(held=True) as here, here.connect() as socket:
        guest = await waiting_program(here, socket)
        here.door.phase = "ended"
        assert await closed(socket) == (4503, "The session has ended.")
        assert guest.state is State.left


@pytest.mark.parametrize(
    ("message", "code"), [(sound(0), 4400), (json.dumps(agree()), 4400), (LEAVE, 1000)]
)
async def test_a_program_that_does_not_wait_frees_its_place(
    message: str | bytes, code: int
) -> None:
    async with room(held=True) as here, here.connect() as socket:
        guest = await waiting_program(here, socket)
        await (socket.send_str(message) if isinstance(message, str) else socket.send_bytes(message))
        assert (await closed(socket))[0] == code
        assert (guest.state, here.door.inboxes) == (State.left, {})


async def test_a_program_that_is_gone_while_it_waits_frees_its_place() -> None:
    async with room(held=True) as here:
        async with here.connect() as socket:
            guest = await waiting_program(here, socket)
        async with asyncio.timeout(PATIENCE_S):
            await here.door.left.wait()
        assert (guest.state, here.door.inboxes) == (State.left, {})


async def test_a_program_that_is_gone_has_left() -> None:
    async with room() as here:
        async with here.connect() as socket:
            await here.join(socket)
        await here.door.peers["Ana"].gone.wait()
        await here.door.peers["Ana"].run()


async def test_the_room_ends_a_stay_with_a_reason_and_takes_nothing_after_it() -> None:
    async with room() as here, here.connect() as socket:
        await here.join(socket)
        ending = asyncio.create_task(here.door.peers["Ana"].close())
        assert await closed(socket) == (4410, "The stay in the room has ended.")
        await ending
        await here.door.peers["Ana"].close()


async def test_a_header_is_nine_bytes_with_the_lowest_byte_first() -> None:
    assert binary(1, 258, b"") == b"\x01\x02\x01\0\0\0\0\0\0" == struct.pack("<BQ", 1, 258)
