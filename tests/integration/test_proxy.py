"""The page behind a real nginx: under a path, under a company's name, with a token."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from streamer.config import DashboardConfig
from streamer.dashboard.feed import Feed
from streamer.dashboard.server import Page
from tests.made_records import session

pytestmark = pytest.mark.timeout(60)

ROOT = Path(__file__).resolve().parent.parent.parent
TOKEN = "a-token-of-some-length"
COMPANY = "mood.example.com"
PUBLIC = DashboardConfig(hosts=(COMPANY,), trusted_proxies=("127.0.0.1",), base_path="/kept/mood")
CONFIGURATION = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr;
events {{ worker_connections 64; }}
http {{
  access_log off; gzip on; gzip_types *;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen unix:{folder}/front;
    location /mood/ {{ proxy_pass http://127.0.0.1:{local}/; }}
    location /token/ {{ proxy_pass http://127.0.0.1:{public}/; }}
    location /named/ {{ proxy_pass http://127.0.0.1:{public}/; {headers} }}
    location /kept/ {{ proxy_pass http://127.0.0.1:{public}; {headers} }}
  }}
}}
"""


def documented_headers() -> str:
    """The `proxy_set_header` lines of the nginx example in the documentation."""
    text = (ROOT / "docs" / "dashboard.md").read_text("utf-8")
    lines = re.findall(r"^ *(proxy_set_header X-Forwarded-\w+ .*;)", text, re.MULTILINE)
    assert len(lines) == 2
    return " ".join(lines)


@contextlib.asynccontextmanager
async def nginx(folder: Path, local: int, public: int) -> AsyncIterator[str]:
    """A running nginx in front of both pages; gives the path of its socket."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed; `scripts/setup test` installs it")
    written = folder / "nginx.conf"
    written.write_text(
        CONFIGURATION.format(
            folder=folder, local=local, public=public, headers=documented_headers()
        )
    )
    process = await asyncio.create_subprocess_exec(program, "-p", folder, "-c", written)
    try:
        while True:
            assert process.returncode is None, "nginx has ended"
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_unix_connection(folder / "front")
                writer.close()
                break
            await asyncio.sleep(0.02)
        yield str(folder / "front")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


@pytest.fixture
async def proxied(tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of nginx, in front of a page without a token and of one with a token."""
    feed = Feed("broker.example:9092")
    feed.add(session(), 0)
    async with (
        Page(feed, port=0) as local,
        Page(feed, port=0, token=TOKEN, settings=PUBLIC) as public,
        nginx(tmp_path, local.port, public.port) as path,
        aiohttp.ClientSession(f"http://{COMPANY}", connector=aiohttp.UnixConnector(path)) as client,
    ):
        yield client


async def test_page_events_and_redirects_work_behind_nginx(proxied: aiohttp.ClientSession) -> None:
    for prefix in ("/mood/", "/token/", "/named/", "/kept/mood/"):
        needs_token = prefix != "/mood/"
        if needs_token:
            async with proxied.get(f"{prefix}api/status") as response:
                assert response.status == 401
        async with proxied.get(f"{prefix}?session=standup&token={TOKEN}") as response:
            assert response.status == 200
            if needs_token:
                assert str(response.url) == f"http://{COMPANY}{prefix}?session=standup"
            index = await response.text()
        for address in re.findall(r'(?:src|href)="([^"?]+)', index):
            if not address.startswith(("#", ".")):
                async with proxied.get(f"{prefix}{address}") as response:
                    assert response.status == 200
        async with proxied.get(f"{prefix}api/events?session=standup") as response:
            assert response.content_type == "text/event-stream"
            lines = b""
            while b"event: live\n" not in lines:  # though the stream does not end
                lines += await response.content.readline()
            assert b"event: records\n" in lines


async def test_the_name_that_nginx_received_is_checked(proxied: aiohttp.ClientSession) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    for name, status in ((COMPANY, 200), ("evil.example", 421)):
        async with proxied.get("/named/", headers=bearer | {"Host": name}) as response:
            assert response.status == status
