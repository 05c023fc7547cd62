"""ICE for a connection: addresses, STUN and TURN servers, and when a sender counts as gone.

What enters: settings, and aiortc's transceivers. What leaves: what aiortc has no setting for, set.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from aioice import stun
from aioice.ice import get_host_addresses
from aiortc import RTCIceServer

from streamer.config import RoomConfig
from streamer.errors import ConfigError

ASK_S = 5.0
"""How often a sender is asked whether it is there (RFC 7675), give or take a fifth."""
SILENT_S = 30.0
"""Without an answer, and without sound and images, for so long a sender is gone."""


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


def restrict(transceiver: Any, allowed: Collection[str]) -> None:
    """Let a transport gather candidates at the allowed addresses only; aiortc has no setting."""
    connection = _connection_of(transceiver)
    gather: Callable[..., Awaitable[Any]] = connection.get_component_candidates

    async def restricted(component: int, addresses: list[str], **more: Any) -> Any:
        return await gather(component, usable(addresses, allowed), **more)

    connection.get_component_candidates = restricted


def keep_while_heard(transceiver: Any, heard_s: Callable[[], float]) -> None:
    """Let a transport stay while sound or images come, though its questions have no answer.

    FFmpeg answers none once it sends. What comes is encrypted with the sender's own key.

    Args:
        transceiver: one of the transport.
        heard_s: when something came last, on the monotonic clock.
    """
    connection = _connection_of(transceiver)
    connection.query_consent = lambda: look_after(connection, heard_s)


async def look_after(
    connection: Any,
    heard_s: Callable[[], float],
    now_s: Callable[[], float] = time.monotonic,
    ask_s: float = ASK_S,
) -> None:
    """Ask a sender again and again whether it is there; close the connection once it is gone."""
    answered_s = now_s()
    while True:
        await asyncio.sleep(ask_s * (0.8 + 0.4 * random.random()))
        if await _answers(connection):
            answered_s = now_s()
        if now_s() - max(answered_s, heard_s()) > SILENT_S:
            connection._query_consent_task = None
            await connection.close()
            return


async def _answers(connection: Any) -> bool:
    key = connection.remote_password.encode()
    for pair in list(connection._nominated.values()):
        request = connection.build_request(pair, nominate=False)
        try:
            await pair.protocol.request(
                request, pair.remote_addr, integrity_key=key, retransmissions=0
            )
        except stun.TransactionError:
            return False
    return True


def _connection_of(transceiver: Any) -> Any:
    return transceiver.sender.transport.transport.iceGatherer._connection
