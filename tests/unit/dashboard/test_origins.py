"""The page's data for pages of other origins: who may read what, and attacks on it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import aiohttp
import pytest

from streamer.config import DashboardConfig
from streamer.dashboard.access import OPEN_TO_ORIGINS
from streamer.dashboard.feed import Feed
from streamer.dashboard.server import Page

TOKEN = "a-token-of-some-length"
ORIGIN = "https://app.example.com"
SETTINGS = DashboardConfig(origins=("HTTPS://App.example.com:443", "http://localhost:3000"))
CROSS = {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
BEARER = {"Authorization": f"Bearer {TOKEN}"}
ALLOW = "Access-Control-Allow-Origin"


@contextlib.asynccontextmanager
async def visiting(settings: DashboardConfig = SETTINGS) -> AsyncIterator[aiohttp.ClientSession]:
    async with Page(Feed("broker.example:9092"), port=0, token=TOKEN, settings=settings) as page:
        base = f"http://127.0.0.1:{page.port}"
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(base, cookie_jar=jar) as client:
            yield client


async def answer(
    client: aiohttp.ClientSession, path: str, method: str = "GET", **headers: str
) -> tuple[int, str | None]:
    """The status, and the origin that may read the response."""
    async with client.request(method, path, headers=headers, allow_redirects=False) as response:
        assert "Access-Control-Allow-Credentials" not in response.headers
        assert response.headers["Vary"] == "Origin"
        return response.status, response.headers.get(ALLOW)


@pytest.mark.parametrize("origin", [ORIGIN, "http://localhost:3000"])
async def test_a_listed_origin_reads_stream_and_status_with_the_token(origin: str) -> None:
    shown = CROSS | {"Origin": origin}
    async with visiting() as client:
        for path in OPEN_TO_ORIGINS:
            assert await answer(client, path, **shown, **BEARER) == (200, origin)
            assert await answer(client, f"{path}?token={TOKEN}", **shown) == (200, origin)
        async with client.get(f"/api/events?token={TOKEN}", headers=shown) as stream:
            assert (await stream.content.readline()).startswith(b"event: status")


async def test_a_listed_origin_without_the_token_reads_nothing_even_with_the_cookie() -> None:
    async with visiting() as client:
        async with client.get(f"/?token={TOKEN}") as response:  # leaves the cookie
            assert response.status == 200
        assert (await answer(client, "/api/status"))[0] == 200, "the page's own origin"
        for headers in (CROSS, {"Origin": ORIGIN}, CROSS | {"Sec-Fetch-Site": "same-site"}):
            assert (await answer(client, "/api/status", **headers))[0] == 401
        wrong = CROSS | {"Authorization": f"Bearer {TOKEN}x"}
        assert (await answer(client, "/api/status", **wrong))[0] == 401


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://app.example.com.evil.example",
        "https://evilapp.example.com",
        "https://sub.app.example.com",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com/",
        "https://app.example.com, https://evil.example",
        "http://localhost:3001",
        "null",
        "*",
        "",
    ],
)
async def test_any_other_origin_is_refused_whatever_it_sends(origin: str) -> None:
    headers = CROSS | BEARER | {"Origin": origin}
    asks = {"Access-Control-Request-Method": "GET"}
    async with visiting() as client:
        assert await answer(client, "/api/status", **headers) == (403, None)
        status, allowed = await answer(client, "/api/status", "OPTIONS", **headers, **asks)
        assert status >= 400 and allowed is None
        without = {name: value for name, value in headers.items() if name != "Sec-Fetch-Site"}
        assert (await answer(client, "/api/status", **without))[1] is None, "it may not read it"


@pytest.mark.parametrize(
    "path", ["/", "/static/page.js", "/api/media?session=a", "/api/", "/api/status/"]
)
async def test_a_listed_origin_reads_nothing_else(path: str) -> None:
    async with visiting() as client:
        status, allowed = await answer(client, path, **CROSS, **BEARER)
        assert status in (403, 404) and allowed is None
        status, allowed = await answer(client, path, "OPTIONS", **CROSS)
        assert status >= 400 and allowed is None


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_a_listed_origin_changes_nothing(method: str) -> None:
    async with visiting() as client:
        status, allowed = await answer(client, "/api/status", method, **CROSS, **BEARER)
        assert status in (403, 405) and allowed is None


async def test_a_preflight_request_tells_what_is_allowed_and_needs_no_token() -> None:
    asks = {
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization,last-event-id",
    }
    async with visiting() as client:
        async with client.options("/api/events", headers=CROSS | asks) as response:
            assert response.status == 204
            assert response.headers[ALLOW] == ORIGIN
            assert response.headers["Access-Control-Allow-Methods"] == "GET"
            allowed = response.headers["Access-Control-Allow-Headers"].lower()
            assert allowed == "authorization, last-event-id"
            assert await response.read() == b""


async def test_under_a_base_path_it_is_the_same() -> None:
    async with visiting(SETTINGS.model_copy(update={"base_path": "/mood"})) as client:
        assert await answer(client, "/mood/api/status", **CROSS, **BEARER) == (200, ORIGIN)
        assert await answer(client, "/mood/", **CROSS, **BEARER) == (403, None)


async def test_a_page_with_origins_requires_a_token_on_this_machine_too() -> None:
    async with Page(Feed("broker.example:9092"), port=0, settings=SETTINGS) as page:
        assert page.token is not None
        async with aiohttp.ClientSession(f"http://127.0.0.1:{page.port}") as client:
            async with client.get("/api/status") as response:
                assert response.status == 401
