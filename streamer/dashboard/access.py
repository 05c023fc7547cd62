"""Access to the page: host names, the token, proxies, security headers.

What enters: requests. What leaves: the requests that are allowed, with the host and the scheme
that a trusted proxy received; a response that says why for the others.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import Awaitable, Callable, Collection
from urllib.parse import urlencode

from aiohttp import web

from streamer.config import DashboardConfig
from streamer.errors import ConfigError

TOKEN_BYTES = 16
SHORTEST_TOKEN = 16
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

STATIC = (
    "page.css",
    "page.js",
    "alarms.js",
    "alertlist.js",
    "alerts.js",
    "captions.js",
    "card.js",
    "chart.js",
    "checklist.js",
    "choices.js",
    "describe.js",
    "dom.js",
    "format.js",
    "notifier.js",
    "people.js",
    "player.js",
    "sessionlist.js",
    "sessions.js",
    "status.js",
    "store.js",
    "stream.js",
    "timeline.js",
    "transcript.js",
    "unsure.js",
    "words.js",
    "icon.svg",
    "uplot/uPlot.iife.min.js",
    "uplot/uPlot.min.css",
)
OPEN_TO_ORIGINS = ("/api/events", "/api/status")
"""What pages of the settings' origins may read."""
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET",
    "Access-Control-Allow-Headers": "Authorization, Last-Event-ID",
    "Access-Control-Max-Age": "600",
}
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


class Access:
    """Decides which requests are answered.

    Attributes:
        local: whether only this machine reaches the page, so that it needs no token.
        token: what a visitor must show, or None.
        base_path: the path in front of the page's addresses, without a slash at its end.
        port: where the page is served, once that is known.
    """

    def __init__(self, host: str, token: str | None, settings: DashboardConfig) -> None:
        """Take the address to bind, the chosen token, and the settings for proxies.

        Raises:
            ConfigError: the token is too short.
        """
        if token is not None and len(token) < SHORTEST_TOKEN:
            raise ConfigError(
                f"The page's token has {len(token)} characters; give at least {SHORTEST_TOKEN}, "
                "or none at all to have one made."
            )
        others = settings.hosts or settings.trusted_proxies or settings.origins
        self.local = is_loopback(host) and not others
        if token is None and not self.local:
            token = secrets.token_urlsafe(TOKEN_BYTES)
        self.token = token
        self.base_path = settings.base_path.rstrip("/")
        self.port = 0
        self._names = known_names(host) | {name.lower() for name in settings.hosts}
        self._origins = frozenset(settings.origins)
        self._proxies = [ipaddress.ip_network(proxy) for proxy in settings.trusted_proxies]

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Pass on a request that is allowed; raise an HTTP error for any other."""
        request = self._as_received(request)
        if not is_served(request.host, self._names):
            raise web.HTTPMisdirectedRequest(
                text="This page is not served under that name; dashboard.hosts lists its names.\n"
            )
        of_others = self._is_open_to(request)
        if of_others and request.method == "OPTIONS":
            return web.Response(status=204, headers=PREFLIGHT)
        same = request.headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin")
        if not same and not of_others:
            navigation = request.headers.get("Sec-Fetch-Mode") == "navigate"
            page = ("/", self.base_path, f"{self.base_path}/")
            if request.path not in page or not navigation:
                raise web.HTTPForbidden(text="Other sites may not read this page.\n")
        own = request.headers.get("Sec-Fetch-Site") == "same-origin"
        cookies = own or not of_others
        if self.token is not None and not self._shows_token(request, self.token, cookies=cookies):
            raise web.HTTPUnauthorized(
                text="This page needs its token: open the address that `streamer` printed.\n"
            )
        return await handler(request)

    async def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add the security headers, and for a page of the settings' origins, that it may read."""
        response.headers.update(SECURITY)
        if self._origins:
            response.headers.add("Vary", "Origin")
        if self._is_open_to(request):
            response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]

    def _is_open_to(self, request: web.Request) -> bool:
        """Whether a page of one of the settings' origins asks for what it may read.

        Cookies never count for it: another site must know the token.
        """
        path = request.path.removeprefix(self.base_path)
        return (
            request.headers.get("Origin") in self._origins
            and path in OPEN_TO_ORIGINS
            and request.method in ("GET", "HEAD", "OPTIONS")
        )

    def keep_token(self, request: web.Request) -> None:
        """Redirect a request with the token in its address to the address without it.

        The location and the cookie's path are relative to the address that the browser used, so
        that both are right behind a proxy, whatever path it puts in front.

        Raises:
            HTTPSeeOther: the redirect, which sets the cookie.
        """
        if self.token is None or "token" not in request.query:
            return
        rest = urlencode([(n, v) for n, v in request.query.items() if n != "token"])
        response = web.HTTPSeeOther("./" + (f"?{rest}" if rest else ""))
        response.set_cookie(
            self._cookie(),
            self.token,
            httponly=True,
            samesite="Strict",
            secure=request.secure,
        )
        response.cookies[self._cookie()]["path"] = ""  # none: the folder of the address
        raise response

    def _as_received(self, request: web.Request) -> web.Request:
        """Return the request with the host and scheme that a trusted proxy received.

        Of several values the last counts, the one that this proxy wrote.
        """
        if not self._is_proxy(request.remote):
            return request
        host = request.headers.get("X-Forwarded-Host", "").rpartition(",")[2].strip()
        scheme = request.headers.get("X-Forwarded-Proto", "").rpartition(",")[2].strip().lower()
        return request.clone(
            host=host or request.host,
            scheme=scheme if scheme in ("http", "https") else request.scheme,
        )

    def _is_proxy(self, remote: str | None) -> bool:
        if remote is None or not self._proxies:
            return False
        address = ipaddress.ip_address(remote)
        if isinstance(address, ipaddress.IPv6Address):
            address = address.ipv4_mapped or address
        return any(address in network for network in self._proxies)

    def _shows_token(self, request: web.Request, token: str, *, cookies: bool) -> bool:
        shown = (
            request.query.get("token", ""),
            request.cookies.get(self._cookie(), "") if cookies else "",
            request.headers.get("Authorization", "").removeprefix("Bearer "),
        )
        expected = token.encode()
        return any(
            hmac.compare_digest(given.encode("utf-8", "replace"), expected) for given in shown
        )

    def _cookie(self) -> str:
        """Cookies are shared between the ports of a host, so that each server names its own."""
        return f"streamer-{self.port}"


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


def is_served(host: str, names: Collection[str]) -> bool:
    """Return whether a request's host is a number or one of our names.

    Other names are refused: DNS rebinding needs one.
    """
    name = re.sub(r":\d+$", "", host).strip("[]").rstrip(".").lower()
    return name in names or is_number(name)


def link_host(host: str) -> str:
    """Return the host that a link names for an address that is bound."""
    return socket.gethostname() if host in ("0.0.0.0", "::", "") else host
