"""The page's HTTP server: who may ask, and where.

What enters: a Feed. What leaves: HTTP. It only reads (GET and HEAD), for one origin only.

On a loopback address without a proxy everybody on this machine has access; in any other case,
whoever has the token. Other sites cannot read anything, not even through a name that resolves to
this address, unless `dashboard.origins` names them.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlencode

from aiohttp import web

from streamer.config import Config, DashboardConfig
from streamer.dashboard.access import Access
from streamer.dashboard.connections import REQUEST_S
from streamer.dashboard.feed import Feed, follow
from streamer.dashboard.history import History, Recorded
from streamer.dashboard.serving import Serving
from streamer.dashboard.views import PATHS, Views
from streamer.errors import StreamerError
from streamer.recording.reader import Recordings

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
PORT = 8710


class Page:
    """The server as an async context manager: `async with Page(feed) as page: print(page.url())`.

    Leaving it closes every open stream at once.
    """

    def __init__(
        self,
        feed: Feed,
        host: str = HOST,
        port: int = PORT,
        token: str | None = None,
        *,
        any_port: bool = False,
        history: History | None = None,
        media_dir: Path | None = None,
        settings: DashboardConfig | None = None,
        request_s: float = REQUEST_S,
    ) -> None:
        """Keep the settings; entering the context binds.

        Args:
            feed: what is shown.
            host: the address to bind; loopback unless others are to see the page.
            port: 0 for any free one.
            token: what a visitor must show; None: none on loopback without a proxy, a random
                one elsewhere.
            any_port: take any free port when `port` is taken.
            history: where sessions of the past are.
            media_dir: where their media files are; on loopback also where they were recorded.
            settings: names and proxies of the page; None for the defaults.
            request_s: how long a connection may go without a complete request.

        Raises:
            ConfigError: the token is too short to be one.
        """
        self._access = Access(host, token, settings or DashboardConfig())
        self._serving = Serving("page", host, port, any_port=any_port, request_s=request_s)
        self._views = Views(feed, history=history, media_dir=media_dir, anywhere=self._access.local)

    async def __aenter__(self) -> Self:
        """Bind and serve.

        Raises:
            ConfigError: the address cannot be bound.
        """
        app = web.Application(middlewares=[self._access.guard, self._serving.connections.admit])
        app.on_response_prepare.append(self._access.add_headers)
        for base in {"", self._access.base_path}:
            for path, answer in PATHS.items():
                handler = self._index if path == "/" else functools.partial(answer, self._views)
                app.router.add_get(f"{base}{path}", handler)
            if base:
                app.router.add_get(base, self._add_slash)
        await self._serving.open(app)
        self._access.port = self._serving.port
        self._views.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._views.end_streams()
        await self._serving.close()
        await self._views.close()

    @property
    def port(self) -> int:
        """The port that is bound, once the context is entered."""
        return self._serving.port

    @property
    def token(self) -> str | None:
        """What a visitor must show, or None."""
        return self._access.token

    def url(self, selector: str | None = None) -> str:
        """The address to open, with the token where one is needed."""
        query = {"session": selector, "token": self._access.token}
        parameters = urlencode(
            {name: value for name, value in query.items() if value}, quote_via=quote
        )
        return f"{self._serving.origin()}/" + (f"?{parameters}" if parameters else "")

    async def _index(self, request: web.Request) -> web.StreamResponse:
        self._access.keep_token(request)
        return await self._views.index(request)

    async def _add_slash(self, request: web.Request) -> web.StreamResponse:
        """Redirect to the base path with its slash, which relative addresses need."""
        query = request.rel_url.raw_query_string
        raise web.HTTPTemporaryRedirect(
            f"{request.path.rpartition('/')[2]}/" + (f"?{query}" if query else "")
        )


@contextlib.asynccontextmanager
async def following(config: Config) -> AsyncIterator[Feed]:
    """The feed of the broker of `config`, as long as the context lasts.

    Where the broker is `embedded`, which nobody else is on, nothing comes.
    """
    feed = Feed(config.kafka.broker)
    if config.kafka.broker == "embedded":
        feed.state = "none"
        yield feed
        return
    reading = asyncio.create_task(follow(config, feed))
    reading.add_done_callback(_log_failure)
    try:
        yield feed
    finally:
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError, StreamerError):
            await reading


@contextlib.asynccontextmanager
async def showing(
    config: Config,
    host: str = HOST,
    port: int = PORT,
    token: str | None = None,
    *,
    any_port: bool = False,
    recordings: Path | None = None,
    media_dir: Path | None = None,
) -> AsyncIterator[Page]:
    """The page over the broker of `config`, as long as the context lasts.

    The arguments are Page's; `recordings` is the folder of `streamer record`. Where the broker
    is `embedded`, which nobody else is on, there are only these.

    Raises:
        ConfigError: the address cannot be bound, or the token is too short.
    """
    async with (
        following(config) as feed,
        Page(
            feed,
            host,
            port,
            token,
            any_port=any_port,
            settings=config.dashboard,
            history=None if recordings is None else Recorded(Recordings(recordings)),
            media_dir=media_dir,
        ) as page,
    ):
        yield page


async def serve(
    config: Config,
    host: str = HOST,
    port: int = PORT,
    token: str | None = None,
    *,
    stop: asyncio.Event,
    on_url: Callable[[str], None],
    session_id: str | None = None,
    any_port: bool = False,
    recordings: Path | None = None,
    media_dir: Path | None = None,
) -> None:
    """Serve the page until `stop`; `on_url` receives its address once it can be opened.

    Raises:
        ConfigError: the address cannot be bound, or the token is too short.
    """
    async with showing(
        config,
        host,
        port,
        token,
        any_port=any_port,
        recordings=recordings,
        media_dir=media_dir,
    ) as page:
        on_url(page.url(session_id))
        await stop.wait()


def _log_failure(following: asyncio.Task[None]) -> None:
    if not following.cancelled() and following.exception() is not None:
        log.warning("The page shows nothing new any more: %s", following.exception())
