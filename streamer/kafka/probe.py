"""Whether a broker accepts connections, for health checks and status displays."""

from __future__ import annotations

import socket

PROBE_S = 2.0
"""Longest time to wait for one address."""


def answers(broker: str) -> bool:
    """Return whether any address of `host:port[,host:port…]` accepts a connection; blocks."""
    return any(_accepts(address.strip()) for address in broker.split(","))


def _accepts(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), PROBE_S).close()
    except (OSError, ValueError):
        return False
    return True
