"""Whether a broker's addresses accept connections: for health checks, and to name what is wrong."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable

PROBE_S = 2.0
"""Longest time to wait for one address."""


def answers(broker: str) -> bool:
    """Return whether any address of `host:port[,host:port…]` accepts a connection; blocks."""
    return any(not failure(address.strip()) for address in broker.split(","))


def failure(address: str) -> str:
    """Return why `host:port` accepts no connection, after "which"; empty if it does; blocks."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), PROBE_S).close()
    except socket.gaierror:
        return "this machine cannot resolve"
    except (OSError, ValueError) as error:
        return f"does not accept a connection ({error})"
    return ""


async def failures(addresses: Iterable[str]) -> dict[str, str]:
    """Return the failure of each address that has one, within about 2 PROBE_S."""
    tried = list(addresses)
    reasons = await asyncio.gather(*map(_failure, tried))
    return {address: reason for address, reason in zip(tried, reasons, strict=True) if reason}


async def _failure(address: str) -> str:
    try:
        async with asyncio.timeout(2 * PROBE_S):
            return await asyncio.to_thread(failure, address)
    except TimeoutError:  # a name server that does not answer
        return "this machine cannot resolve in time"
