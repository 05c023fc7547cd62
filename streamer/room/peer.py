"""WebRTC: an offer → an answer, and the frames of its tracks into an inbox.

What enters: an SDP offer. What leaves: the SDP answer, and decoded frames with their RTP times.
STUN and TURN servers are asked for addresses only where the settings name them.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Protocol

from aioice.ice import get_host_addresses
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from streamer.config import RoomConfig
from streamer.errors import ConfigError
from streamer.records import NS_PER_S
from streamer.room.inbox import Inbox
from streamer.room.people import Refused

log = logging.getLogger(__name__)

CONNECT_S = 20.0
"""A sender that is not connected after so long has failed."""
TICK_S = 0.5
"""How often an inbox lets time pass."""
ENDED = ("failed", "closed")
MOST_CANDIDATES = 40
"""Addresses in an offer; each one is tried."""


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
        if offer.count("\na=candidate:") > MOST_CANDIDATES:
            raise Refused(400, f"Offer at most {MOST_CANDIDATES} candidates.")
        kinds = [line[2:7].lower() for line in offer.splitlines() if line.startswith("m=")]
        if not kinds or sorted(kinds) not in (["audio"], ["video"], ["audio", "video"]):
            raise Refused(400, "Offer one audio track, one video track, or one of each.")
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            for transceiver in self._connection.getTransceivers():
                if not self._allowed(transceiver.kind):
                    transceiver.direction = "inactive"
                if self._addresses:
                    _restrict(transceiver, self._addresses)
            await self._connection.setLocalDescription(await self._connection.createAnswer())
        except Exception as error:
            await self.close()
            raise Refused(400, "The SDP offer cannot be answered.") from error
        return str(self._connection.localDescription.sdp)

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
                push(frame, int(frame.pts * frame.time_base * NS_PER_S))
        except MediaStreamError:
            return
        except Exception:
            log.warning("The media of a sender cannot be read; its connection is closed.")
            log.debug("", exc_info=True)
            self._connected.set()
            self._gone.set()


def ice_servers(settings: RoomConfig) -> list[RTCIceServer]:
    """Return the servers of the settings as aiortc takes them."""
    return [
        RTCIceServer(server.url)
        if server.kind == "stun"
        else RTCIceServer(server.url, server.username, server.credential.get_secret_value())
        for server in settings.ice_servers
    ]


def usable(addresses: Collection[str], allowed: Collection[str]) -> list[str]:
    """Return which of a machine's addresses media may use; an empty `allowed` allows all."""
    networks = [ipaddress.ip_network(each) for each in allowed]
    return [
        address
        for address in addresses
        if not networks or any(ipaddress.ip_address(address) in network for network in networks)
    ]


def check_addresses(settings: RoomConfig) -> None:
    """Refuse `room.ice_addresses` without any address of this machine.

    Raises:
        ConfigError: there is none.
    """
    own = get_host_addresses(use_ipv4=True, use_ipv6=True)
    if settings.ice_addresses and not usable(own, settings.ice_addresses):
        raise ConfigError(
            "No address of this machine is in room.ice_addresses; it has "
            f"{', '.join(own) or 'none but the loopback address'}."
        )


def _restrict(transceiver: Any, allowed: Collection[str]) -> None:
    """Let a transport gather candidates at the allowed addresses only; aiortc has no setting."""
    connection = transceiver.sender.transport.transport.iceGatherer._connection
    gather: Callable[..., Awaitable[Any]] = connection.get_component_candidates

    async def restricted(component: int, addresses: list[str], **more: Any) -> Any:
        return await gather(component, usable(addresses, allowed), **more)

    connection.get_component_candidates = restricted
