"""Access to the page: security headers, allowed host names, static files.

What enters: a request or a host. What leaves: a response, or whether it is allowed.
"""

from __future__ import annotations

import importlib.resources
import ipaddress
import socket

from aiohttp import web

CONTENT_TYPES = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}
STATIC = (
    "page.css",
    "page.js",
    "card.js",
    "chart.js",
    "describe.js",
    "dom.js",
    "format.js",
    "player.js",
    "status.js",
    "store.js",
    "stream.js",
    "timeline.js",
    "icon.svg",
    "uplot/uPlot.iife.min.js",
    "uplot/uPlot.min.css",
)
SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; media-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def known_names(host: str) -> frozenset[str]:
    """The names under which a server bound to `host` is called; numbers are not names."""
    if is_loopback(host):
        return frozenset({"localhost"})
    own = socket.gethostname().lower()
    return frozenset({"localhost", host.lower(), own, f"{own}.local", socket.getfqdn().lower()})


def is_number(name: str) -> bool:
    """Return whether a host name is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def static_file(name: str) -> web.Response:
    """Return a static file of the page."""
    folder = importlib.resources.files("streamer.dashboard") / "static"
    return web.Response(
        body=(folder / name).read_bytes(),
        content_type=CONTENT_TYPES[name.rpartition(".")[2]],
        charset="utf-8",
        headers={"Cache-Control": "no-cache"},
    )


async def add_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the security headers to a response."""
    response.headers.update(SECURITY)
