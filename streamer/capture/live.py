"""Live sources → chunks in session time, as they arrive.

Input: feeds, one per device or network stream. Output: AudioChunks and VideoFrames from one
bounded queue that a thread per feed fills, and Notices when a feed disconnects and reconnects. A
full queue drops the oldest frame, else the oldest audio; a feed that disconnects is opened again
and again until it is back. `devices` opens the feeds.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from streamer.capture.devices import Clock, Stopped, open_camera, open_stream, read_microphone
from streamer.capture.files import ContainerReader, MediaChunk, SelectedStreams, reason
from streamer.capture.source_notices import SourceNotices
from streamer.capture.sources import Source
from streamer.capture.tracks import AudioTrack, VideoTrack
from streamer.config import CaptureConfig, to_ns
from streamer.errors import SourceError
from streamer.records import NS_PER_MS, NS_PER_S, AudioChunk, Notice, VideoFrame

LIVE_TOLERANCE_NS = 500 * NS_PER_MS
"""How far the audio's own clock may differ from its arrival before silence or a cut corrects it."""
MAX_FILL_NS = 3 * NS_PER_S
"""A longer gap in live audio is not filled; the windows have closed without it."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Feed:
    """A live source and the tracks to read from it."""

    source: Source
    audio: bool
    video: bool
    frame_rate_hz: float


class Tracks:
    """A feed's audio and video across all its reconnections."""

    def __init__(self, feed: Feed, counters: Counter[str]) -> None:
        """Start at session time 0."""
        self.counters = counters
        self.audio = AudioTrack(0, LIVE_TOLERANCE_NS, MAX_FILL_NS, feed.source.channel)
        self.video = VideoTrack(0, feed.frame_rate_hz)


ReadFeed = Callable[[Feed, Tracks, CaptureConfig, Stopped, Clock], Iterator[MediaChunk]]
"""Opens a feed and reads it until it disconnects (an error, or the end) or `stopped`."""


class LiveQueue:
    """A bounded queue that drops the oldest VideoFrame when full, else the oldest AudioChunk.

    Both are counted. Notices and failures are never dropped. One reader, any number of writers.
    """

    def __init__(self, capacity: int, counters: Counter[str]) -> None:
        """Hold up to `capacity` chunks."""
        self._capacity = capacity
        self._counters = counters
        self._items: deque[Any] = deque()
        self._changed = threading.Condition()

    def put(self, item: Any) -> None:
        """Add an item without waiting."""
        with self._changed:
            if len(self._items) >= self._capacity:
                self._make_room()
            self._items.append(item)
            self._changed.notify()

    def get(self, timeout_s: float) -> Any | None:
        """Remove and return the oldest item, or None when there is none within `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._items, timeout_s)
            return self._items.popleft() if self._items else None

    def _make_room(self) -> None:
        for kind, name in ((VideoFrame, "video_frames"), (AudioChunk, "audio_chunks")):
            oldest = next((i for i, item in enumerate(self._items) if isinstance(item, kind)), None)
            if oldest is not None:
                del self._items[oldest]
                self._counters[f"dropped_{name}"] += 1
                return


def read_feed(
    feed: Feed, tracks: Tracks, config: CaptureConfig, stopped: Stopped, clock: Clock
) -> Iterator[MediaChunk]:
    """Open a feed and read it until it disconnects (an error, or the end) or `stopped`."""
    if feed.source.kind == "mic":
        notices = SourceNotices(feed.source.name)
        for samples, rate_hz, begin_ns in read_microphone(feed.source, stopped, clock):
            yield from tracks.audio.push_channels(samples, rate_hz, begin_ns)
            notices.note_channels(tracks.audio.stereo)
            yield from notices.take()
        return
    with _open(feed.source, config) as container:
        reader = ContainerReader(
            container,
            SelectedStreams(
                container.streams.best("audio") if feed.audio else None,
                container.streams.best("video") if feed.video else None,
            ),
            feed.source.name,
            clock(),
            to_ns(config.max_gap_s),
            audio=tracks.audio,
            video=tracks.video,
            now=clock,
            counters=tracks.counters,
        )
        for chunk in reader.read_live(waiting=feed.source.kind == "url"):
            if feed.source.kind == "lavfi" and not isinstance(chunk, Notice):
                _wait((chunk.event_time_ns - clock()) / NS_PER_S, stopped)
            yield chunk
            if stopped():
                return


def _open(source: Source, config: CaptureConfig) -> Any:
    if source.kind == "webcam":
        return open_camera(source.address, config)
    return open_stream(source, config.open_timeout_s)


def run(
    feeds: Sequence[Feed],
    config: CaptureConfig,
    stop: threading.Event,
    clock: Clock,
    counters: Counter[str],
    read_feed: ReadFeed = read_feed,
) -> Iterator[MediaChunk]:
    """Read all feeds until `stop`, in one daemon thread each; closing the iterator ends them.

    Raises:
        SourceError: a feed cannot be opened the first time.
    """
    out = LiveQueue(config.queue_chunks, counters)
    closed = threading.Event()

    def stopped() -> bool:
        return closed.is_set() or stop.is_set()

    loops = [_FeedLoop(feed, config, out, stopped, clock, counters, read_feed) for feed in feeds]
    threads = [
        threading.Thread(target=loop.run, name=f"capture {loop.name[:20]}", daemon=True)
        for loop in loops
    ]
    for thread in threads:
        thread.start()
    try:
        while not stop.is_set():
            item = out.get(0.1)
            if isinstance(item, SourceError):
                raise item
            if item is not None:
                yield item
        while (item := out.get(0)) is not None:
            if not isinstance(item, SourceError):
                yield item
    finally:
        closed.set()
        for thread in threads:
            thread.join(2.0)


@dataclass
class _FeedLoop:
    """A feed's thread: reads the feed and, when it disconnects, opens it every `reconnect_s`."""

    feed: Feed
    config: CaptureConfig
    out: LiveQueue
    stopped: Stopped
    clock: Clock
    counters: Counter[str]
    read_feed: ReadFeed

    def __post_init__(self) -> None:
        """Start with new tracks and without a connection."""
        self.name = self.feed.source.name
        self._tracks = Tracks(self.feed, self.counters)
        self._was_open = self._disconnected = False

    def run(self) -> None:
        while not self.stopped():
            try:
                self._read()
                cause = "the stream ended"
            except Exception as error:
                log.debug("%s", self.name, exc_info=True)
                if not self._was_open:
                    self.out.put(self._failure(error))
                    return
                cause = reason(error)
            if self.stopped():
                return
            if not self._disconnected:
                self._notice(
                    f"{self.name} disconnected ({cause}); the other sources continue, and it is "
                    f"opened again every {self.config.reconnect_s:g} s."
                )
            self._was_open = self._disconnected = True
            _wait(self.config.reconnect_s, self.stopped)

    def _read(self) -> None:
        chunks = self.read_feed(self.feed, self._tracks, self.config, self.stopped, self.clock)
        for chunk in chunks:
            if self._disconnected:
                self._notice(f"{self.name} reconnected.")
                self.counters["reconnects"] += 1
            self._was_open, self._disconnected = True, False
            self.out.put(chunk)

    def _failure(self, error: Exception) -> SourceError:
        if isinstance(error, SourceError):
            return error
        return SourceError(f"{self.name} cannot be opened: {reason(error)}.")

    def _notice(self, message: str) -> None:
        self.out.put(Notice(message))


def _wait(seconds: float, stopped: Stopped) -> None:
    until = time.monotonic() + seconds
    while not stopped() and (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 0.1))
