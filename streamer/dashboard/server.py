"""The page's HTTP server: static files of this package and one stream of events per open page.

What enters: a Feed. What leaves: HTTP. It only reads (GET and HEAD), for one origin only, and has
no state of its own: a client that reconnects names its position (`Last-Event-ID`, or `after` in the
address) and receives the records after it, or `reset` and everything if the position is unknown.

On a loopback address without a proxy everybody on this machine has access; in any other case,
whoever has the token. Other sites cannot read anything, not even through a name that resolves to
this address, unless `dashboard.origins` names them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlencode

import msgspec
from aiohttp import web

from streamer.config import Config, DashboardConfig
from streamer.dashboard.access import STATIC, Access
from streamer.dashboard.connections import REQUEST_S
from streamer.dashboard.events import Cursor, is_complete, message
from streamer.dashboard.feed import Feed, SessionLog, follow
from streamer.dashboard.history import History, Recorded, media
from streamer.dashboard.serving import Serving, static_file
from streamer.errors import StreamerError
from streamer.media_types import PLAYABLE_TYPES
from streamer.recording.reader import Recordings

log = logging.getLogger(__name__)

PACKAGE = "streamer.dashboard"
HOST = "127.0.0.1"
PORT = 8710
MAX_STREAMS = 64
"""Open pages at a time; one more is refused with a time to retry."""
STATUS_S = 1.0
HEARTBEAT_S = 5.0
"""A page that receives nothing for longer than this may treat the connection as dead."""
LOOK_BACK_S = 10.0
"""How often the recorded sessions are listed anew."""
PAST_KEPT = 4
"""So many past sessions are kept in memory once they have been opened."""
WRITE_TIMEOUT_S = 30.0
"""A page that takes nothing for so long is let go; it asks again from the place it had."""


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
        self._feed = feed
        self._closing = asyncio.Event()
        self._streams = 0
        self._history = history
        self._media_dir = media_dir
        self._read: OrderedDict[tuple[str, int], asyncio.Task[SessionLog]] = OrderedDict()
        self._looking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Bind and serve.

        Raises:
            ConfigError: the address cannot be bound.
        """
        app = web.Application(middlewares=[self._access.guard, self._serving.connections.admit])
        app.on_response_prepare.append(self._access.add_headers)
        for base in {"", self._access.base_path}:
            app.router.add_get(f"{base}/", self._index)
            app.router.add_get(f"{base}/static/{{name:.+}}", self._static)
            app.router.add_get(f"{base}/api/status", self._status)
            app.router.add_get(f"{base}/api/events", self._events)
            app.router.add_get(f"{base}/api/media", self._media)
            if base:
                app.router.add_get(base, self._add_slash)
        await self._serving.open(app)
        self._access.port = self._serving.port
        if self._history is not None:
            self._looking = asyncio.create_task(self._look_back(self._history))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        await self._serving.close()
        tasks = [task for task in (self._looking, *self._read.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

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

    # --- what there is

    async def _index(self, request: web.Request) -> web.StreamResponse:
        self._access.keep_token(request)
        return static_file(PACKAGE, "index.html")

    async def _add_slash(self, request: web.Request) -> web.StreamResponse:
        """Redirect to the base path with its slash, which relative addresses need."""
        query = request.rel_url.raw_query_string
        raise web.HTTPTemporaryRedirect(
            f"{request.path.rpartition('/')[2]}/" + (f"?{query}" if query else "")
        )

    async def _static(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name not in STATIC:
            raise web.HTTPNotFound
        return static_file(PACKAGE, name)

    async def _status(self, request: web.Request) -> web.StreamResponse:
        status = self._feed.status(request.query.get("session"))
        return web.Response(
            body=msgspec.json.encode(status),
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if self._streams >= MAX_STREAMS:
            raise web.HTTPServiceUnavailable(text="Too many pages are open.\n")
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-store, no-transform",
                "X-Accel-Buffering": "no",
            }
        )
        place = request.headers.get("Last-Event-ID") or request.query.get("after")
        self._streams += 1
        try:
            await response.prepare(request)
            messages = self._messages(request.query.get("session"), place)
            async with contextlib.aclosing(messages):
                async for event in messages:
                    async with asyncio.timeout(WRITE_TIMEOUT_S):
                        await response.write(event)
        except (ConnectionError, TimeoutError):
            log.debug("A page has gone.")
        finally:
            self._streams -= 1
        return response

    async def _messages(
        self, selector: str | None, place: str | None
    ) -> AsyncGenerator[bytes, None]:
        """What one page is sent, until the server closes: status, and the session's records.

        A name means the newest session of that name: when a newer one begins, the page is reset.
        """
        cursor = Cursor(place)
        told_version, told_s = -1, -HEARTBEAT_S
        session: SessionLog | None = None
        while not self._closing.is_set():
            news = self._feed.news
            since_s = time.monotonic() - told_s
            if since_s >= (STATUS_S if told_version != self._feed.version else HEARTBEAT_S):
                told_version, told_s = self._feed.version, time.monotonic()
                status = self._feed.status(selector)
                if session is not None:
                    status["latency_ms"] = session.latencies()
                    status["conversation"] = session.conversation()
                    status["recorded"] = session.recorded
                    status["media"] = sorted(self._media_of(session))
                    status["media_begin_ms"] = session.begins_ms()
                yield message("status", msgspec.json.encode(status))
            session_id = None if selector is None else self._feed.find(selector)
            if session is not None and session.session_id != session_id:
                session = None
            if session_id is not None and not (session is not None and session.recorded):
                running = self._feed.sessions.get(session_id)
                if session is None or running is not session:
                    session = await self._find(session_id)
                    if session is not None:
                        told_s = -HEARTBEAT_S  # the page hears what it is before its records
                        continue
            if session is not None:
                for event in cursor.take(session):
                    yield event
                if cursor.behind(session):
                    continue
            await self._wait(news, STATUS_S)

    async def _find(self, session_id: str) -> SessionLog | None:
        """The session's log: of the topics, or of the past where that alone has the whole."""
        running, past = self._feed.sessions.get(session_id), self._feed.past.get(session_id)
        if past is None or (running is not None and not is_complete(past, running)):
            return running
        try:
            return await self._read_back(session_id, past["end_ms"])
        except StreamerError as error:
            log.warning("%s", error)
            return running

    async def _read_back(self, session_id: str, end_ms: int) -> SessionLog:
        """A past session's log; those of the last few that were asked for are kept."""
        assert self._history is not None
        key = (session_id, end_ms)
        task = self._read.pop(key, None)
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            task = asyncio.create_task(asyncio.to_thread(self._history.read, session_id))
        self._read[key] = task
        while len(self._read) > PAST_KEPT:
            self._read.popitem(last=False)
        return await asyncio.shield(task)

    async def _look_back(self, history: History) -> None:
        while True:
            try:
                self._feed.past = await asyncio.to_thread(history.index)
            except (OSError, StreamerError) as error:
                log.warning("The recorded sessions cannot be listed: %s", error)
            await asyncio.sleep(LOOK_BACK_S)

    async def _media(self, request: web.Request) -> web.StreamResponse:
        session_id = self._feed.find(request.query.get("session", ""))
        session = None if session_id is None else await self._find(session_id)
        files = {} if session is None else self._media_of(session)
        path = files.get(request.query.get("participant", ""))
        if path is None:
            raise web.HTTPNotFound
        headers = {"Content-Type": PLAYABLE_TYPES[path.suffix.lower()], "Cache-Control": "no-cache"}
        return web.FileResponse(path, headers=headers)

    def _media_of(self, session: SessionLog) -> dict[str, Path]:
        meeting_only = session.started is not None and session.started.publish == "session"
        if not session.ended or meeting_only:
            return {}
        paths = media(session.started, self._media_dir, anywhere=self._access.local)
        if session.recorded and self._history is not None:
            paths |= self._history.media(session.session_id)
        return paths

    async def _wait(self, news: asyncio.Event, timeout_s: float) -> None:
        waits = [asyncio.create_task(event.wait()) for event in (news, self._closing)]
        try:
            await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


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
    feed = Feed(config.kafka.broker)
    async with Page(
        feed,
        host,
        port,
        token,
        any_port=any_port,
        settings=config.dashboard,
        history=None if recordings is None else Recorded(Recordings(recordings)),
        media_dir=media_dir,
    ) as page:
        if config.kafka.broker == "embedded":
            feed.state = "none"
            yield page
            return
        following = asyncio.create_task(follow(config, feed))
        following.add_done_callback(_log_failure)
        try:
            yield page
        finally:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError, StreamerError):
                await following


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
