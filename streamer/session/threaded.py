"""A live recogniser in a thread of its own; those of a process share the processor.

What enters: chunks, as they come. What leaves: transcripts, when they are ready. It knows no
windows.
"""

from __future__ import annotations

import queue
import threading
import weakref
from collections import Counter

from streamer.records import NS_PER_MS, AudioChunk
from streamer.speech.streaming import StreamingRecogniser, Transcriber, Transcript

QUEUE_CHUNKS = 512
CAUGHT_UP_NS = 250 * NS_PER_MS
"""Audio that may wait while a running utterance is decoded: else it would be decoded without it."""


class Speakers:
    """The recognisers of one process, and how many of their people speak at the moment."""

    def __init__(self) -> None:
        """Nobody."""
        self._recognisers: tuple[weakref.ref[StreamingRecogniser], ...] = ()
        self._adding = threading.Lock()

    def add(self, recogniser: StreamingRecogniser) -> None:
        """Count a recogniser as long as it lives."""
        with self._adding:
            alive = (each for each in self._recognisers if each() is not None)
            self._recognisers = (*alive, weakref.ref(recogniser))

    def count(self) -> int:
        """Return how many speak."""
        recognisers = (each() for each in self._recognisers)
        return sum(each is not None and each.speaks for each in recognisers)


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

    A running utterance is decoded once all audio that has come is in it. Where more than two people
    speak at once, each is decoded less often, so that all together take no more time than two.
    """

    def __init__(
        self, inner: Transcriber, counters: Counter[str], speakers: Speakers = PROCESS
    ) -> None:
        """Start the thread; `speakers` are those with whom `inner` shares the processor."""
        self._inner = inner
        self._speakers = speakers
        self._offered_ns = self._processed_ns = 0
        self._interval_ns = 0
        if isinstance(inner, StreamingRecogniser):
            speakers.add(inner)
            self._interval_ns = inner.interval_ns
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
        if self._offered_ns - self._processed_ns > CAUGHT_UP_NS:
            return False
        return waited_ns >= (self._speakers.count() - 1) * self._interval_ns

    def _work(self) -> None:
        try:
            while (item := self._in.get()) is not None:
                self._processed_ns = item if isinstance(item, int) else item.end_ns
                inner = self._inner
                transcript = inner.advance(item) if isinstance(item, int) else inner.push(item)
                self._out.put(transcript)
            self._out.put(self._inner.finish())
        except BaseException as error:
            self._failure = error

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
