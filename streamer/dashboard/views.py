"""What the page asks for: its files, a status, one stream of events per open page, media.

What enters: requests that were allowed, and a Feed. What leaves: answers about every session, or
about one alone. A client that reconnects names its position (`Last-Event-ID`, or `after` in the
address) and receives the records after it, or `reset` and everything if the position is unknown.
This module does not know who may ask.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from streamer.dashboard.access import STATIC
from streamer.dashboard.events import Cursor, is_complete, message
from streamer.dashboard.feed import Feed, SessionLog
from streamer.dashboard.history import History, media
from streamer.dashboard.serving import static_file
from streamer.errors import StreamerError
from streamer.media_types import PLAYABLE_TYPES
from streamer.session_ids import EXACTLY, name_of

log = logging.getLogger(__name__)

PACKAGE = "streamer.dashboard"
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
NO_ADDRESS = "the room"
"""Stands for the broker's address where visitors do not get it."""


class Views:
    """Answers the requests of one page; belongs to one event loop."""

    def __init__(
        self,
        feed: Feed,
        *,
        history: History | None = None,
        media_dir: Path | None = None,
        anywhere: bool = False,
        only: str | None = None,
        public: bool = False,
    ) -> None:
        """Keep what is shown; `look_back` follows the recorded sessions.

        Args:
            feed: what is shown.
            history: where sessions of the past are.
            media_dir: where their media files are.
            anywhere: whether media files may also be where they were recorded.
            only: the id of the one session that is shown, whatever a request names.
            public: leave out what the processes and the broker report of themselves.
        """
        self._feed = feed
        self._history = history
        self._media_dir = media_dir
        self._anywhere = anywhere
        self._only = only
        self._public = public
        self._closing = asyncio.Event()
        self._streams = 0
        self._read: OrderedDict[tuple[str, int], asyncio.Task[SessionLog]] = OrderedDict()
        self._looking: asyncio.Task[None] | None = None

    def open(self) -> None:
        """List the recorded sessions from now on."""
        if self._history is not None:
            self._looking = asyncio.create_task(self._look_back(self._history))

    def end_streams(self) -> None:
        """End every open stream."""
        self._closing.set()

    async def close(self) -> None:
        """End what is going on."""
        self._closing.set()
        tasks = [task for task in (self._looking, *self._read.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- requests

    async def index(self, request: web.Request) -> web.StreamResponse:
        """Return the page; its address names the session where there is only one."""
        if self._only is not None and request.query.get("session") != name_of(self._only):
            raise web.HTTPSeeOther("./?" + urlencode({"session": name_of(self._only)}))
        return static_file(PACKAGE, "index.html")

    async def static(self, request: web.Request) -> web.StreamResponse:
        """Return a file of the page."""
        name = request.match_info["name"]
        if name not in STATIC:
            raise web.HTTPNotFound
        return static_file(PACKAGE, name)

    async def status(self, request: web.Request) -> web.StreamResponse:
        """Return the state of the broker, the stages and the sessions."""
        return web.Response(
            body=msgspec.json.encode(self._status(self._selector(request))),
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Send status and records until the page has gone, or `close`."""
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
            messages = self._messages(self._selector(request), place)
            async with contextlib.aclosing(messages):
                async for event in messages:
                    async with asyncio.timeout(WRITE_TIMEOUT_S):
                        await response.write(event)
        except (ConnectionError, TimeoutError):
            log.debug("A page has gone.")
        finally:
            self._streams -= 1
        return response

    async def media(self, request: web.Request) -> web.StreamResponse:
        """Return a participant's media file."""
        session_id = self._feed.find(self._selector(request) or "")
        session = None if session_id is None else await self._find(session_id)
        files = {} if session is None else self.media_of(session)
        path = files.get(request.query.get("participant", ""))
        if path is None:
            raise web.HTTPNotFound
        headers = {"Content-Type": PLAYABLE_TYPES[path.suffix.lower()], "Cache-Control": "no-cache"}
        return web.FileResponse(path, headers=headers)

    # --- what there is

    def media_of(self, session: SessionLog) -> dict[str, Path]:
        """Return the media files of a session that is over, by participant."""
        meeting_only = session.started is not None and session.started.publish == "session"
        if not session.ended or meeting_only:
            return {}
        paths = media(session.started, self._media_dir, anywhere=self._anywhere)
        if session.recorded and self._history is not None:
            paths |= self._history.media(session.session_id)
        return paths

    def _selector(self, request: web.Request) -> str | None:
        return request.query.get("session") if self._only is None else f"{EXACTLY}{self._only}"

    def _status(self, selector: str | None) -> dict[str, Any]:
        status = self._feed.status(selector)
        if self._only is not None:
            status["only"] = True
        if self._public:
            broker = {**status["broker"], "address": NO_ADDRESS}
            status.update(public=True, broker=broker, stages={}, problems=[], notices=[])
        return status

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
                status = self._status(selector)
                if session is not None:
                    status["latency_ms"] = session.latencies()
                    status["conversation"] = session.conversation()
                    status["recorded"] = session.recorded
                    status["media"] = sorted(self.media_of(session))
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
                        told_s = -HEARTBEAT_S  # the page has its state before its records
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

    async def _wait(self, news: asyncio.Event, timeout_s: float) -> None:
        waits = [asyncio.create_task(event.wait()) for event in (news, self._closing)]
        try:
            await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


PATHS: Mapping[str, Callable[[Views, web.Request], Awaitable[web.StreamResponse]]] = {
    "/": Views.index,
    "/static/{name:.+}": Views.static,
    "/api/status": Views.status,
    "/api/events": Views.events,
    "/api/media": Views.media,
}
"""The page's requests, all of them GET."""
