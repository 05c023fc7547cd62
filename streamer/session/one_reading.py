"""One reading of a recording for all participants that are in it.

What enters: pipelines. What leaves: nothing; those that read the same recording share one pass
over it. Knows no sources and no windows.
"""

from __future__ import annotations

import functools
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Protocol

from streamer.capture import Chunk
from streamer.records import AudioChunk

Chunks = Callable[[threading.Event], Iterator[Chunk]]
"""Reads chunks until they end or an event is set."""

QUEUED_CHUNKS = 64
"""Chunks that wait for the slowest of those who share a reading, 4 to 6 s of it; the others then
wait for it."""
POLL_S = 0.2
"""How often a wait checks for a stop."""


class Reader(Protocol):
    """What shares a reading: a pipeline."""

    @property
    def reads(self) -> Hashable | None:
        """What it reads, equal for those who may share it; None if it shares nothing."""

    @property
    def channel(self) -> int | None:
        """Which channel of the sound is its own; None if all are, as of all who share it."""

    def read(self, stop: threading.Event, channels: Sequence[int] = ()) -> Iterator[Chunk]:
        """Read it; if there are `channels`, with samples of the shape (channels, n)."""

    def take(self, chunks: Chunks) -> None:
        """From now on read these chunks instead."""


def share(readers: Sequence[Reader]) -> None:
    """Let those who read the same read it once; each of them runs in a thread of its own."""
    together: dict[Hashable, list[Reader]] = defaultdict(list)
    for reader in readers:
        if reader.reads is not None:
            together[reader.reads].append(reader)
    for group in together.values():
        if len(group) > 1:
            channels = [reader.channel for reader in group if reader.channel is not None]
            one = OneReading(functools.partial(group[0].read, channels=channels), len(group))
            for number, reader in enumerate(group):
                part = one.part(number)
                reader.take(functools.partial(_of_channel, part, number) if channels else part)


def _of_channel(part: Chunks, number: int, stop: threading.Event) -> Iterator[Chunk]:
    """Read chunks with the sound of one of their channels."""
    for chunk in part(stop):
        if isinstance(chunk, AudioChunk):
            yield AudioChunk(chunk.event_time_ns, chunk.samples[number])
        else:
            yield chunk


class OneReading:
    """Hands each chunk of one reading to several readers, each in a thread of its own.

    Whoever needs a chunk that nobody has read yet reads it for all. Each has a queue of
    QUEUED_CHUNKS; while one is full, nothing is read, so the others wait for the slowest. One that
    has ended is not waited for; after a stop, nobody is.
    """

    def __init__(self, read: Chunks, readers: int) -> None:
        """Read nothing yet; `read` is called once."""
        self._read = read
        self._chunks: Iterator[Chunk] | None = None
        self._queues: dict[int, deque[Chunk]] = {number: deque() for number in range(readers)}
        self._changed = threading.Condition()
        self._reading = self._over = False
        self._failure: BaseException | None = None

    def part(self, number: int) -> Chunks:
        """Return how reader `number`, from 0, gets all chunks; to be called once."""
        return functools.partial(self._part, number)

    def _part(self, number: int, stop: threading.Event) -> Iterator[Chunk]:
        try:
            while (chunk := self._next(number, stop)) is not None:
                yield chunk
        finally:
            with self._changed:
                del self._queues[number]
                self._changed.notify_all()

    def _next(self, number: int, stop: threading.Event) -> Chunk | None:
        """Return the next chunk of a reader; None at the end.

        Raises:
            BaseException: what the reading has failed with, behind its last chunk.
        """
        own = self._queues[number]
        while True:
            with self._changed:
                self._changed.wait_for(lambda: own or self._over or self._free(stop), POLL_S)
                if own:
                    self._changed.notify_all()
                    return own.popleft()
                if self._failure is not None:
                    raise self._failure
                if self._over:
                    return None
                if not self._free(stop):
                    continue
                self._reading = True
            self._read_for_all(stop)

    def _free(self, stop: threading.Event) -> bool:
        """Whether the next chunk may be read now."""
        if self._reading:
            return False
        full = any(len(queue) >= QUEUED_CHUNKS for queue in self._queues.values())
        return not full or stop.is_set()

    def _read_for_all(self, stop: threading.Event) -> None:
        chunk = None
        try:
            if self._chunks is None:
                self._chunks = self._read(stop)
            chunk = next(self._chunks, None)
        except BaseException as error:
            self._failure = error
        with self._changed:
            self._reading, self._over = False, chunk is None
            if chunk is not None:
                for queue in self._queues.values():
                    queue.append(chunk)
            self._changed.notify_all()
