"""A live recogniser in a thread of its own; those of a process share the processor.

What enters: chunks, as they come. What leaves: transcripts, when they are ready. It knows no
windows.
"""

from __future__ import annotations

import queue
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable

from streamer.records import NS_PER_MS, NS_PER_S, AudioChunk
from streamer.speech.streaming import StreamingRecogniser, Transcriber, Transcript

QUEUE_CHUNKS = 512
CAUGHT_UP_NS = 250 * NS_PER_MS
"""Audio that may wait while a running utterance is decoded: else it would be decoded without it."""


SHARE = 0.5
"""Share of one core that running utterances may take, all of a process together."""
FIRST_S = 0.1
"""Duration of a decoding before the first one is measured."""


class Speakers:
    """The recognisers of one process: how many of their people speak, and whose turn it is.

    One running utterance is decoded at a time, and so often that all together take SHARE of a core,
    by what decoding takes on this machine at the moment. Utterances that have ended do not wait.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Nobody; `clock` counts seconds."""
        self._recognisers: tuple[weakref.ref[StreamingRecogniser], ...] = ()
        self._adding = threading.Lock()
        self._turn = threading.Lock()
        self._clock = clock
        self._decoding_s = FIRST_S
        self._begun_s = 0.0

    def add(self, recogniser: StreamingRecogniser) -> None:
        """Count a recogniser as long as it lives."""
        with self._adding:
            alive = (each for each in self._recognisers if each() is not None)
            self._recognisers = (*alive, weakref.ref(recogniser))

    def count(self) -> int:
        """Return how many speak."""
        recognisers = (each() for each in self._recognisers)
        return sum(each is not None and each.speaks for each in recognisers)

    def begin(self, waited_ns: int) -> bool:
        """Return whether one who was decoded so long ago may be decoded now; then `end` follows."""
        if waited_ns < self.count() * self._decoding_s / SHARE * NS_PER_S:
            return False
        if not self._turn.acquire(blocking=False):
            return False
        self._begun_s = self._clock()
        return True

    def end(self) -> None:
        """The decoding that began last is over."""
        took_s = self._clock() - self._begun_s
        self._decoding_s += (took_s - self._decoding_s) / 4
        self._turn.release()


PROCESS = Speakers()


def at_leisure(recogniser: Transcriber) -> Transcriber:
    """Let a recogniser read each utterance once, when it is over: for what needs no word sooner."""
    if isinstance(recogniser, StreamingRecogniser):
        recogniser.may_ask = lambda _: False
    return recogniser


class ThreadedRecogniser:
    """A recogniser in a thread of its own, so that live capture never waits for it.

    The queue holds QUEUE_CHUNKS chunks; when it is full the newest is not recognised and is
    counted as `asr_dropped_chunks` (its sound still goes into the windows).

    A running utterance is decoded once all audio that has come is in it, when it is its turn
    among those who speak (`Speakers`).
    """

    def __init__(
        self, inner: Transcriber, counters: Counter[str], speakers: Speakers = PROCESS
    ) -> None:
        """Start the thread; `speakers` are those with whom `inner` shares the processor."""
        self._inner = inner
        self._speakers = speakers
        self._offered_ns = self._processed_ns = 0
        self._has_turn = False
        if isinstance(inner, StreamingRecogniser):
            speakers.add(inner)
            inner.may_ask = self._may_ask
        self._counters = counters
        self.description = inner.description
        self._in: queue.Queue[AudioChunk | int | None] = queue.Queue(QUEUE_CHUNKS)
        self._out: queue.SimpleQueue[Transcript] = queue.SimpleQueue()
        self._failure: BaseException | None = None
        self._newest = Transcript(words=[], speech=[], watermark_ns=0)
        self._thread = threading.Thread(target=self._work, name="asr", daemon=True)
        self._thread.start()

    def push(self, chunk: AudioChunk) -> Transcript:
        """Queue a chunk; return what the recogniser has given since the last call."""
        return self._offer(chunk)

    def advance(self, event_time_ns: int) -> Transcript:
        """Queue the passing of event time; return as `push`."""
        return self._offer(event_time_ns)

    def _offer(self, item: AudioChunk | int) -> Transcript:
        self._offered_ns = item if isinstance(item, int) else item.end_ns
        try:
            self._in.put_nowait(item)
        except queue.Full:
            self._counters["asr_dropped_chunks"] += 1
        return self._ready()

    def finish(self) -> Transcript:
        """Wait until the queue is recognised; return what is left."""
        self._in.put(None)
        self._thread.join()
        return self._ready()

    def _may_ask(self, waited_ns: int) -> bool:
        if self._has_turn or self._offered_ns - self._processed_ns > CAUGHT_UP_NS:
            return False
        self._has_turn = self._speakers.begin(waited_ns)
        return self._has_turn

    def _work(self) -> None:
        try:
            while (item := self._in.get()) is not None:
                self._processed_ns = item if isinstance(item, int) else item.end_ns
                self._out.put(self._recognise(item))
            self._out.put(self._inner.finish())
        except BaseException as error:
            self._failure = error

    def _recognise(self, item: AudioChunk | int) -> Transcript:
        inner = self._inner
        try:
            return inner.advance(item) if isinstance(item, int) else inner.push(item)
        finally:
            if self._has_turn:
                self._has_turn = False
                self._speakers.end()

    def _ready(self) -> Transcript:
        if self._failure is not None:
            raise self._failure
        parts = []
        while not self._out.empty():
            parts.append(self._out.get())
        self._newest = parts[-1] if parts else self._newest
        return Transcript(
            words=[word for part in parts for word in part.words],
            speech=[span for part in parts for span in part.speech],
            watermark_ns=self._newest.watermark_ns,
            speech_watermark_ns=self._newest.speech_watermark_ns,
            unread=[word for part in parts for word in part.unread],
        )
