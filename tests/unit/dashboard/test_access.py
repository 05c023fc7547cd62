"""Who may look at the page, behind a proxy or not, and connections that send no request."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
import pytest
from pydantic import ValidationError

from streamer.config import DashboardConfig, build
from streamer.dashboard.connections import MAX_WAITING
from streamer.dashboard.feed import Feed
from streamer.dashboard.server import Page
from streamer.errors import ConfigError

TOKEN = "a-token-of-some-length"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
NAMED = DashboardConfig(hosts=("Mood.Example.com",))
PROXIED = DashboardConfig(hosts=("mood.example.com",), trusted_proxies=("127.0.0.0/8", "::1"))


@contextlib.asynccontextmanager
async def visiting(
    settings: DashboardConfig, token: str | None = TOKEN, host: str = "127.0.0.1"
) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a page with the settings."""
    async with Page(Feed("broker.example:9092"), host, 0, token, settings=settings) as page:
        base = f"http://127.0.0.1:{page.port}"
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(base, cookie_jar=jar) as client:
            yield client


async def status_of(client: aiohttp.ClientSession, path: str, **headers: str) -> int:
    """The status of the response to a request with the token."""
    async with client.get(path, headers=BEARER | headers, allow_redirects=False) as response:
        return response.status


@pytest.mark.parametrize("host", ["mood.example.com", "MOOD.example.com:8443", "mood.example.com."])
async def test_a_name_of_the_settings_is_answered(host: str) -> None:
    async with visiting(NAMED) as client:
        assert await status_of(client, "/", Host=host) == 200
        assert await status_of(client, "/", Host="mood.example.com.evil.example") == 421
    async with visiting(DashboardConfig()) as client:
        assert await status_of(client, "/", Host=host) == 421


async def test_the_host_that_a_proxy_received_counts_only_from_a_trusted_one() -> None:
    forwarded = {"Host": "upstream.example", "X-Forwarded-Host": "mood.example.com"}
    async with visiting(PROXIED) as client:
        assert await status_of(client, "/", **forwarded) == 200
        forwarded["X-Forwarded-Host"] = "mood.example.com, evil.example"
        assert await status_of(client, "/", **forwarded) == 421
        forwarded["X-Forwarded-Host"] = "evil.example, mood.example.com"
        assert await status_of(client, "/", **forwarded) == 200
        assert await status_of(client, "/", Host="upstream.example") == 421
    elsewhere = DashboardConfig(hosts=("mood.example.com",), trusted_proxies=("192.0.2.0/24",))
    async with visiting(elsewhere) as client:
        assert await status_of(client, "/", **forwarded) == 421


@pytest.mark.parametrize(
    ("settings", "scheme", "secure"),
    [(PROXIED, "https", True), (PROXIED, "http", False), (NAMED, "https", False)],
)
async def test_the_cookie_is_for_tls_alone_where_a_trusted_proxy_received_it(
    settings: DashboardConfig, scheme: str, secure: bool
) -> None:
    headers = {"Host": "mood.example.com", "X-Forwarded-Proto": scheme}
    async with visiting(settings) as client:
        async with client.get(
            f"/?token={TOKEN}", headers=headers, allow_redirects=False
        ) as response:
            assert response.status == 303
            cookie = response.headers["Set-Cookie"]
            assert ("Secure" in cookie) == secure
            assert "HttpOnly" in cookie
            assert "Path" not in cookie  # the folder of the address that the browser used


async def test_a_page_that_others_reach_through_a_proxy_requires_a_token() -> None:
    for settings in (NAMED, DashboardConfig(trusted_proxies=("10.0.0.1",))):
        async with visiting(settings, token=None) as client:
            async with client.get("/api/status") as response:
                assert response.status == 401
    async with visiting(DashboardConfig(base_path="/mood"), token=None) as client:
        async with client.get("/api/status") as response:
            assert response.status == 200


@pytest.mark.parametrize("base_path", ["/team/mood", "/team/mood/"])
async def test_everything_is_found_under_the_base_path_and_redirects_stay_in_it(
    base_path: str,
) -> None:
    async with visiting(DashboardConfig(base_path=base_path)) as client:
        for path in ("/static/page.js", "/api/status"):
            assert await status_of(client, path) == 200
            assert await status_of(client, f"/team/mood{path}") == 200
            assert await status_of(client, f"/other{path}") == 404
        async with client.get(f"/team/mood?session=a%20b&token={TOKEN}") as response:
            assert response.status == 200
            assert str(response.url).endswith("/team/mood/?session=a+b")
        async with client.get("/team/mood/api/status") as response:  # the cookie is enough
            assert response.status == 200
        async with client.get("/api/status") as response:  # and is sent nowhere else
            assert response.status == 401


async def test_other_sites_may_link_to_the_base_path_and_read_nothing() -> None:
    linked = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    async with visiting(DashboardConfig(base_path="/mood")) as client:
        assert await status_of(client, "/mood/", **linked) == 200
        assert await status_of(client, "/mood", **linked) == 307
        assert await status_of(client, "/mood/api/status", **linked) == 403


@pytest.mark.parametrize(
    "tree",
    [
        {"hosts": ["https://mood.example.com"]},
        {"hosts": ["mood.example.com:8443"]},
        {"trusted_proxies": ["proxy.example"]},
        {"trusted_proxies": ["10.0.0.1/8"]},
        {"origins": ["app.example.com"]},
        {"origins": ["https://app.example.com/"]},
        {"origins": ["https://*.example.com"]},
        {"origins": ["*"]},
        {"origins": ["null"]},
        {"base_path": "mood"},
        {"base_path": "//evil.example"},
    ],
)
def test_a_setting_that_names_no_host_proxy_or_path_is_refused(tree: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"dashboard|trusted_proxies"):
        build({"dashboard": tree})
    with pytest.raises(ValidationError):
        DashboardConfig.model_validate(tree)


# --- connections without a request

PARTIAL = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: "


async def half_open(
    port: int, count: int
) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connections that have each sent a part of a request."""
    opened = []
    for _ in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(PARTIAL)
        opened.append((reader, writer))
    return opened


async def test_half_open_requests_never_block_the_page_and_the_oldest_are_closed() -> None:
    async with Page(Feed("broker.example:9092"), port=0, token=TOKEN) as page:
        visitor = aiohttp.ClientSession(f"http://127.0.0.1:{page.port}", headers=BEARER)
        async with visitor, visitor.get("/api/events") as stream:
            opened = await half_open(page.port, 3 * MAX_WAITING)
            async with aiohttp.ClientSession(
                f"http://127.0.0.1:{page.port}", headers=BEARER
            ) as another:
                async with another.get("/") as response:
                    assert response.status == 200
            oldest = opened[: 2 * MAX_WAITING]
            ends = await asyncio.gather(*(reader.read() for reader, _ in oldest))
            assert ends == [b""] * len(oldest)
            assert not any(reader.at_eof() for reader, _ in opened[-MAX_WAITING + 1 :])
            assert (await stream.content.readline()).startswith(b"event: status")
        for _, writer in opened:
            writer.close()


async def test_a_half_open_request_is_closed_after_its_time() -> None:
    feed = Feed("broker.example:9092")
    async with Page(feed, port=0, token=TOKEN, request_s=0.2) as page:
        opened = await half_open(page.port, 3)
        assert await asyncio.gather(*(reader.read() for reader, _ in opened)) == [b""] * 3
        reader, writer = await asyncio.open_connection("127.0.0.1", page.port)
        writer.write(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n" + PARTIAL)
        answer = await reader.read()  # to its end: the second request never ends
        assert answer.startswith(b"HTTP/1.1 401 ")
        for _, each in [*opened, (reader, writer)]:
            each.close()
