"""WebRTC: an offer → an answer, and the frames of its tracks into an inbox.

What enters: an SDP offer. What leaves: the SDP answer, and decoded frames with their RTP times. No
server of others is asked for addresses: sender and room reach each other directly.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from streamer.records import NS_PER_S
from streamer.room.inbox import Inbox
from streamer.room.people import Refused

log = logging.getLogger(__name__)

CONNECT_S = 20.0
"""A sender that is not connected after so long has failed."""
TICK_S = 0.5
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

    def __init__(self, inbox: Inbox) -> None:
        """Prepare; nothing is received before `answer`."""
        self._inbox = inbox
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
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
        kinds = [line[2:7].lower() for line in offer.splitlines() if line.startswith("m=")]
        if not kinds or sorted(kinds) not in (["audio"], ["video"], ["audio", "video"]):
            raise Refused(400, "Offer one audio track, one video track, or one of each.")
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            for transceiver in self._connection.getTransceivers():
                if not self._allowed(transceiver.kind):
                    transceiver.direction = "inactive"
            await self._connection.setLocalDescription(await self._connection.createAnswer())
        except Exception as error:
            await self.close()
            raise Refused(400, "The SDP offer cannot be answered.") from error
        return str(self._connection.localDescription.sdp)

    async def run(self) -> None:
        """Receive until the sender is gone, or has not connected within CONNECT_S."""
        ticking = asyncio.create_task(self._tick())
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._connected.wait()
            await self._gone.wait()
        except TimeoutError:
            return
        finally:
            ticking.cancel()

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
                push(frame, int(frame.pts * frame.time_base * NS_PER_S))
        except MediaStreamError:
            return
        except Exception:
            log.warning("The media of a sender cannot be read; the sender has to leave.")
            log.debug("", exc_info=True)
            self._connected.set()
            self._gone.set()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._inbox.tick()
