"""A sender behind a network that loses and reorders packets: a UDP relay stands between the two."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from aioice.ice import get_host_addresses
from aiortc import RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack
from numpy.typing import NDArray

from streamer.config import load
from streamer.records import NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ, AudioChunk
from streamer.room.inbox import Inbox
from streamer.room.peer import WebRtcPeer
from tests.unit.room.test_peer import offering

pytestmark = pytest.mark.slow

PATIENCE_S = 60
RATE_HZ, PACKET_SAMPLES, PACKET_MS = 48_000, 960, 20
FIRST, LAST = 25, 250
"""Of packets between these, the network loses one in twenty and holds one in nine back."""
LOST = range(FIRST, LAST, 20)
HELD = set(range(FIRST + 4, LAST, 9)) - set(LOST)
HELD_FOR = 2
"""A packet that is held back goes out behind so many later ones."""


class Beeps(AudioStreamTrack):  # type: ignore[misc]  # aiortc has no types
    """A microphone that plays 100 ms of a tone at each full second."""

    def __init__(self) -> None:
        super().__init__()
        self.began = asyncio.Event()
        self.begun_s = 0.0
        self._number = 0

    async def recv(self) -> av.AudioFrame:
        loop = asyncio.get_running_loop()
        if not self.began.is_set():
            self.begun_s = loop.time()
            self.began.set()
        await asyncio.sleep(self.begun_s + self._number * PACKET_MS / 1000 - loop.time())
        at = np.arange(PACKET_SAMPLES) + self._number * PACKET_SAMPLES
        loud = at % RATE_HZ < RATE_HZ // 10
        tone = np.where(loud, 16_000 * np.sin(2 * np.pi * 1_000 * at / RATE_HZ), 0)
        frame = av.AudioFrame.from_ndarray(tone.astype("<i2")[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE_HZ, int(at[0])
        frame.time_base = Fraction(1, RATE_HZ)
        self._number += 1
        return frame


class Receiver(asyncio.DatagramProtocol):
    """Gives each datagram on, with its sender."""

    def __init__(self, receive: Callable[[bytes, Any], None]) -> None:
        self._receive = receive

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._receive(data, addr)


class Relay:
    """Passes datagrams on between a sender and the room; the sender's sound has to suffer."""

    def __init__(self) -> None:
        self.lost = self.swapped = 0
        self._sender: Any = None
        self._first: int | None = None
        self._held: list[tuple[int, bytes]] = []

    async def open(self, address: str, room: tuple[str, int]) -> int:
        """Bind; return the port for the sender."""
        loop, self._room = asyncio.get_running_loop(), room
        self._in, _ = await loop.create_datagram_endpoint(
            lambda: Receiver(self._from_sender), local_addr=(address, 0)
        )
        self._out, _ = await loop.create_datagram_endpoint(
            lambda: Receiver(self._from_room), local_addr=(address, 0)
        )
        return int(self._in.get_extra_info("sockname")[1])

    def close(self) -> None:
        self._in.close()
        self._out.close()

    def _from_room(self, data: bytes, _: Any) -> None:
        if self._sender is not None:
            self._in.sendto(data, self._sender)

    def _from_sender(self, data: bytes, sender: Any) -> None:
        self._sender = sender
        is_rtp = 128 <= data[0] < 192 and not 192 <= data[1] < 224  # RFC 5761
        if not is_rtp:
            self._out.sendto(data, self._room)
            return
        sequence = int.from_bytes(data[2:4], "big")
        self._first = sequence if self._first is None else self._first
        number = (sequence - self._first) % 2**16
        if number in LOST:
            self.lost += 1
        elif number in HELD:
            self._held.append((number + HELD_FOR, data))
        else:
            self._out.sendto(data, self._room)
        for due, late in [each for each in self._held if each[0] <= number]:
            self._held.remove((due, late))
            self._out.sendto(late, self._room)
            self.swapped += 1


def through(answer: str, address: str, port: int) -> str:
    """The room's answer with the relay as its only candidate."""
    lines, done = [], False
    for line in answer.splitlines():
        if line.startswith("a=candidate:"):
            if done:
                continue
            done = True
            fields = line.split()
            fields[4:6] = [address, str(port)]
            line = " ".join(fields)
        lines.append(line)
    return "\r\n".join(lines) + "\r\n"


def without_candidates(offer: str) -> str:
    """The sender's offer without its addresses, so that the room knows no way around the relay."""
    lines = [line for line in offer.splitlines() if not line.startswith("a=candidate:")]
    return "\r\n".join(lines) + "\r\n"


def place_of(answer: str, address: str) -> tuple[str, int]:
    """Where the room receives at an address of this machine."""
    candidates = [line.split() for line in answer.splitlines() if line.startswith("a=candidate:")]
    return next((each[4], int(each[5])) for each in candidates if each[4] == address)


def heard(box: Inbox, until_ns: int) -> list[AudioChunk]:
    """The sound up to a time, then the rest of what has come."""
    taken: list[AudioChunk] = []
    for chunk in box.chunks(threading.Event()):
        if isinstance(chunk, AudioChunk):
            taken.append(chunk)
            if chunk.end_ns >= until_ns:
                box.end()
    return taken


def onsets_ms(samples: NDArray[np.float32]) -> list[float]:
    """When each tone begins, milliseconds; steps of 5 ms."""
    step = SAMPLE_RATE_HZ // 200
    loud = np.abs(samples[: len(samples) // step * step]).reshape(-1, step).max(axis=1) > 0.1
    begins = [n for n in np.flatnonzero(loud) if not loud[max(0, n - 40) : n].any()]
    return [5.0 * int(n) for n in begins]


async def test_lost_packets_are_silence_and_counted_and_times_stay_right() -> None:
    own = get_host_addresses(use_ipv4=True, use_ipv6=False)
    if not own:
        pytest.skip("hardware: this machine has no network but the loopback interface")
    loop = asyncio.get_running_loop()
    begun_s = loop.time()
    box = Inbox(("audio",), load(), lambda: int((loop.time() - begun_s) * NS_PER_S))
    peer, beeps, relay = WebRtcPeer(box), Beeps(), Relay()
    sender = await offering(beeps)
    answer = await peer.answer(without_candidates(sender.localDescription.sdp))
    port = await relay.open(own[0], place_of(answer, own[0]))
    receiving = asyncio.create_task(peer.run())
    async with asyncio.timeout(PATIENCE_S):
        relayed = through(answer, own[0], port)
        await sender.setRemoteDescription(RTCSessionDescription(relayed, "answer"))
        await beeps.began.wait()
        sent_ns = int((beeps.begun_s - begun_s) * NS_PER_S)
        chunks = await asyncio.to_thread(heard, box, sent_ns + (LAST + 20) * PACKET_MS * NS_PER_MS)
        await sender.close()
        await peer.close()
        await receiving
    relay.close()

    assert (relay.lost, relay.swapped) == (len(LOST), len(HELD))
    assert box.counters["lost_audio_ms"] == PACKET_MS * len(LOST)
    assert all(a.end_ns == b.event_time_ns for a, b in itertools.pairwise(chunks))
    samples = np.concatenate([chunk.samples for chunk in chunks])
    begins = onsets_ms(samples)
    assert len(begins) == 1 + LAST * PACKET_MS // 1000
    apart = [late - early for early, late in itertools.pairwise(begins)]
    assert all(abs(ms - 1000) <= 2 * PACKET_MS for ms in apart), apart
    first_ms = begins[0] + chunks[0].event_time_ns / NS_PER_MS
    assert 0 <= first_ms - sent_ns / NS_PER_MS < 1000  # within one step of windows
