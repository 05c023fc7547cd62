"""WebRTC: an offer → an answer, and the frames of its tracks into an inbox.

What enters: an SDP offer. What leaves: the SDP answer, and decoded frames with their RTP times.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Protocol

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from streamer.config import RoomConfig
from streamer.records import NS_PER_S
from streamer.room import encryption
from streamer.room.ice import ice_servers, keep_while_heard, restrict
from streamer.room.inbox import Inbox
from streamer.room.jitter import use_for_sound
from streamer.room.offers import CANNOT_BE_ANSWERED, Offer
from streamer.room.people import Refused

log = logging.getLogger(__name__)

CONNECT_S = 20.0
"""A sender that is not connected after so long has failed."""
TICK_S = 0.5
"""How often an inbox lets time pass."""
ENDED = ("failed", "closed")


class Peer(Protocol):
    """A sender's connection: `WebRtcPeer`, or a fake."""

    async def answer(self, offer: str) -> str:
        """Return the answer to an SDP offer."""
        ...

    async def run(self) -> None:
        """Receive until the sender is gone."""
        ...

    async def close(self) -> None:
        """End the connection."""
        ...


MakePeer = Callable[[Inbox], Peer]


class WebRtcPeer:
    """One sender; belongs to one event loop."""

    def __init__(self, inbox: Inbox, settings: RoomConfig | None = None) -> None:
        """Prepare; nothing is received before `answer`.

        Args:
            inbox: takes the frames.
            settings: STUN and TURN servers, and addresses for media; None: the defaults.
        """
        settings = settings or RoomConfig()
        self._inbox = inbox
        self._addresses = settings.ice_addresses
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=ice_servers(settings)))
        encryption.use_for(self._connection)
        self._heard_s = time.monotonic()
        self._gone = asyncio.Event()
        self._connected = asyncio.Event()
        self._tracks: set[asyncio.Task[None]] = set()
        self._connection.on("track", self._receive)
        self._connection.on("connectionstatechange", self._changed)

    async def answer(self, offer: str) -> str:
        """Return the answer to an SDP offer; tracks without consent are refused in it.

        Raises:
            Refused: it is no offer of at most one sound and one image.
        """
        taken = Offer(offer)
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(taken.sdp, "offer"))
            for transceiver in self._connection.getTransceivers():
                if not self._allowed(transceiver.kind):
                    transceiver.direction = "inactive"
                if transceiver.kind == "audio":
                    use_for_sound(transceiver.receiver)
                if self._addresses:
                    restrict(transceiver, self._addresses)
                keep_while_heard(transceiver, lambda: self._heard_s)
            await self._connection.setLocalDescription(await self._connection.createAnswer())
        except Exception as error:
            await self.close()
            raise Refused(400, CANNOT_BE_ANSWERED) from error
        return taken.answered(str(self._connection.localDescription.sdp))

    async def run(self) -> None:
        """Receive until the sender is gone, or has not connected within CONNECT_S."""
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._connected.wait()
            await self._gone.wait()
        except TimeoutError:
            return

    async def close(self) -> None:
        """End the connection; a second time changes nothing."""
        self._connected.set()
        self._gone.set()
        for task in self._tracks:
            task.cancel()
        await self._connection.close()

    def _allowed(self, kind: str) -> bool:
        return self._inbox.has_audio if kind == "audio" else self._inbox.has_video

    def _changed(self) -> None:
        if self._connection.connectionState == "connected":
            self._connected.set()
        if self._connection.connectionState in ENDED:
            self._connected.set()
            self._gone.set()

    def _receive(self, track: Any) -> None:
        if self._allowed(track.kind):
            task = asyncio.create_task(self._pull(track))
            self._tracks.add(task)
            task.add_done_callback(self._tracks.discard)

    async def _pull(self, track: Any) -> None:
        push: Any = self._inbox.push_audio if track.kind == "audio" else self._inbox.push_video
        try:
            while True:
                frame = await track.recv()
                self._heard_s = time.monotonic()
                push(frame, int(frame.pts * frame.time_base * NS_PER_S))
        except MediaStreamError:
            return
        except Exception:
            log.warning("The media of a sender cannot be read; its connection is closed.")
            log.debug("", exc_info=True)
            self._connected.set()
            self._gone.set()
