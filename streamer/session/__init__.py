"""A session: every participant's path from chunks to windows on the topic, under back-pressure.

What enters: participants and settings. What leaves: `Window` records, and one `Session` record at
the start and one at the end, through a Publisher. One thread per participant reads, recognises,
finds faces and aligns; the event loop publishes. Knows neither the model nor the smoothing.

Full queues: a live participant's outbox drops its oldest window, adds it to the next one's
`skipped` and counts it, because a meeting cannot be paused; a replay's outbox makes its thread
wait. On the embedded broker `Ledger` also waits while too many bytes are sent and not yet scored.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import msgspec

from streamer import audio, capture, metrics
from streamer import speech as asr
from streamer.capture.pace import Pace
from streamer.capture.sources import ParticipantSpec
from streamer.config import Config, to_ns
from streamer.errors import ConfigError, SourceError
from streamer.faces import FaceTracker
from streamer.kafka.connection import wait_for_broker
from streamer.kafka.messages import Headers
from streamer.kafka.producer import Producer
from streamer.records import (
    NS_PER_MS,
    AudioChunk,
    Modality,
    Notice,
    Participant,
    Session,
    StreamEnd,
    VideoFrame,
    Window,
    wall_clock,
    window_id,
)
from streamer.windows import Windower

log = logging.getLogger("streamer.session")

ASR_QUEUE_CHUNKS = 512


@dataclass(frozen=True)
class Plan:
    """What is to be captured.

    Attributes:
        start_unix_ns: wall clock at session time 0.
        live: devices and streams that cannot wait; False for recordings.
        speed: of a replay: 1 as recorded, 4 four times as fast, 0 as fast as it goes.
    """

    session_id: str
    start_unix_ns: int
    live: bool
    speed: float
    participants: tuple[ParticipantSpec, ...]
    sources: dict[str, capture.SourceInfo]


def make_plan(
    participants: Sequence[ParticipantSpec],
    config: Config,
    *,
    session_id: str | None,
    speed: float,
) -> Plan:
    """Look at every source and decide the session's name and start.

    Raises:
        ConfigError: live without consent, no participant, a name used twice, no finite speed.
        SourceError: a source cannot be opened.
    """
    if not participants:
        raise ConfigError("Nobody to listen to: name at least one --participant or file.")
    names = [spec.participant_id for spec in participants]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ConfigError(f"The participant {twice[0]!r} is named twice; give each its own name.")
    if not 0 <= speed < 1000:
        raise ConfigError(f"The speed {speed:g} must lie between 0 (no waiting) and 1000.")
    sources = {spec.participant_id: capture.info(spec) for spec in participants}
    live = any(source.live for source in sources.values())
    if live and not config.session.consent.strip():
        raise ConfigError(
            "A live session needs the consent of those who are captured: state it with "
            '--consent "who agreed, and how" or session.consent in the configuration.'
        )
    starts = [info.start_unix_ns for info in sources.values() if info.start_unix_ns is not None]
    now_ns = time.time_ns()
    start = now_ns if live or not starts else min(starts)
    return Plan(
        session_id=session_id or f"live-{wall_clock(now_ns, 0):%Y%m%dT%H%M%SZ}",
        start_unix_ns=start,
        live=live,
        speed=1.0 if live else speed,
        participants=tuple(participants),
        sources=sources,
    )


class Pipeline:
    """One participant: chunks in, encoded windows out, all in the caller's thread.

    In a replay everything happens in the order of event time, so that the same recording gives
    the same windows whatever the speed. Live, recognition has a thread of its own.
    """

    def __init__(
        self, plan: Plan, spec: ParticipantSpec, config: Config, pace: Pace | None = None
    ) -> None:
        """Choose the recogniser and prepare the windower; opens no device yet."""
        self.spec = spec
        self._pace = pace or Pace(plan.speed)
        self.counters: Counter[str] = Counter()
        metrics.watch("capture", self.counters)
        self._plan = plan
        self._config = config
        source = plan.sources[spec.participant_id]
        wanted: set[Modality] = set(config.session.modalities)
        self._hears = source.has_audio and bool(wanted & {"audio", "text"})
        self._decode: set[Modality] = wanted & {"vision"}
        if self._hears:
            self._decode.add("audio")
        self.asr_name, transcriber = asr.choose(config, source)
        self._transcriber: asr.Transcriber = (
            _Threaded(transcriber, self.counters) if plan.live else transcriber
        )
        self._faces = FaceTracker(config.faces) if "vision" in wanted else None
        expected: set[Modality] = {"text"}
        if source.has_audio:
            expected.add("audio")
        if source.has_video:
            expected.add("vision")
        if not expected & wanted:
            raise SourceError(
                f"{spec.participant_id} has none of the modalities {', '.join(sorted(wanted))}; "
                "add a source that has one, or widen session.modalities."
            )
        self._windower = Windower(
            session_id=plan.session_id,
            participant_id=spec.participant_id,
            session_start_unix_ns=plan.start_unix_ns,
            modalities_expected=expected & wanted,
            windows=config.windows,
            face_rate_hz=config.faces.rate_hz,
            session_participants=len(plan.participants),
        )

    def windows(self, stop: threading.Event) -> Iterator[Window]:
        """Yield windows until the sources end or `stop` is set; then what is left, flushed."""
        chunks = capture.read(
            self.spec,
            self._config,
            stop,
            self._config.faces.rate_hz,
            modalities=self._decode,
            start_unix_ns=self._plan.start_unix_ns,
            counters=self.counters,
        )
        for chunk in chunks:
            if not isinstance(chunk, Notice):
                self._wait_until(chunk.event_time_ns, stop)
            for window in self._advance(chunk):
                yield self._encode(window)
        for window in self._only_words(stop):
            yield self._encode(window)
        transcript = self._transcriber.finish()
        tail = [*self._hear(transcript), *self._windower.finish()]
        self.counters.update(self._windower.counters)
        for window in tail:
            yield self._encode(window)

    def _wait_until(self, event_time_ns: int, stop: threading.Event) -> None:
        if not self._plan.live:
            self._pace.wait(event_time_ns, stop)

    def _only_words(self, stop: threading.Event) -> Iterator[Window]:
        """Subtitles of a recording of which nothing else is wanted: let its length pass."""
        source = self._plan.sources[self.spec.participant_id]
        if self._decode or source.live or source.duration_s is None:
            return
        end_ns, step_ns = to_ns(source.duration_s), self._config.windows.hop_ns
        for event_time_ns in [*range(step_ns, end_ns, step_ns), end_ns]:
            if stop.is_set():
                return
            self._wait_until(event_time_ns, stop)
            yield from self._hear(self._transcriber.advance(event_time_ns))
            yield from self._windower.advance(event_time_ns)

    def _advance(self, chunk: capture.Chunk) -> Iterator[Window]:
        match chunk:
            case AudioChunk():
                yield from self._hear(self._transcriber.push(chunk))
                if "audio" in self._config.session.modalities:
                    yield from self._windower.push_audio(chunk)
                else:
                    yield from self._windower.advance(chunk.end_ns)
            case VideoFrame():
                if not self._hears:
                    yield from self._hear(self._transcriber.advance(chunk.event_time_ns))
                if self._faces is not None:
                    crop = self._faces.push(chunk)
                    yield from self._windower.push_face(crop, chunk.event_time_ns)
            case StreamEnd():
                if chunk.modality == "audio":
                    self._hears = False
                yield from self._windower.end(chunk)
            case Notice():
                self.counters["notices"] += 1
                log.warning("%s: %s", self.spec.participant_id, chunk.message)

    def _hear(self, transcript: asr.Transcript) -> Iterator[Window]:
        yield from self._windower.push_speech(transcript.speech, transcript.speech_watermark_ns)
        yield from self._windower.push_words(transcript.words, transcript.watermark_ns)

    def _encode(self, window: Window) -> Window:
        if window.audio is None or self._config.windows.audio_codec == "pcm16":
            return window
        flac = audio.encode_flac(audio.decode(window.audio, "pcm16"))
        return msgspec.structs.replace(window, audio=flac, audio_codec="flac")


class _Threaded:
    """A recogniser in a thread of its own, so that live capture never waits for it.

    The queue holds ASR_QUEUE_CHUNKS chunks; when it is full the newest is not recognised and is
    counted as `asr_dropped_chunks` (its sound still goes into the windows).
    """

    def __init__(self, inner: asr.Transcriber, counters: Counter[str]) -> None:
        self._inner = inner
        self._counters = counters
        self.description = inner.description
        self._in: queue.Queue[AudioChunk | int | None] = queue.Queue(ASR_QUEUE_CHUNKS)
        self._out: queue.SimpleQueue[asr.Transcript] = queue.SimpleQueue()
        self._failure: BaseException | None = None
        self._newest = asr.Transcript(words=[], speech=[], watermark_ns=0)
        self._thread = threading.Thread(target=self._work, name="asr", daemon=True)
        self._thread.start()

    def push(self, chunk: AudioChunk) -> asr.Transcript:
        return self._offer(chunk)

    def advance(self, event_time_ns: int) -> asr.Transcript:
        return self._offer(event_time_ns)

    def _offer(self, item: AudioChunk | int) -> asr.Transcript:
        try:
            self._in.put_nowait(item)
        except queue.Full:
            self._counters["asr_dropped_chunks"] += 1
        return self._ready()

    def finish(self) -> asr.Transcript:
        self._in.put(None)
        self._thread.join()
        return self._ready()

    def _work(self) -> None:
        try:
            while (item := self._in.get()) is not None:
                inner = self._inner
                heard = inner.advance(item) if isinstance(item, int) else inner.push(item)
                self._out.put(heard)
            self._out.put(self._inner.finish())
        except BaseException as error:
            self._failure = error

    def _ready(self) -> asr.Transcript:
        if self._failure is not None:
            raise self._failure
        parts = []
        while not self._out.empty():
            parts.append(self._out.get())
        self._newest = parts[-1] if parts else self._newest
        return asr.Transcript(
            words=[word for part in parts for word in part.words],
            speech=[span for part in parts for span in part.speech],
            watermark_ns=self._newest.watermark_ns,
            speech_watermark_ns=self._newest.speech_watermark_ns,
        )


class Outbox:
    """One participant's finished windows on their way to the broker, bounded.

    Full: `drop_oldest` drops the oldest and adds it to the next one's `skipped`; else `put` waits.
    """

    def __init__(self, capacity: int, *, drop_oldest: bool) -> None:
        """Hold up to `capacity` windows; belongs to one event loop."""
        self.dropped = 0
        self._counters: Counter[str] = Counter()
        metrics.watch("capture", self._counters)
        self._capacity = capacity
        self._drop_oldest = drop_oldest
        self._windows: deque[Window] = deque()
        self._closed = False
        self._abandoned = False
        self._changed = asyncio.Condition()

    async def put(self, window: Window) -> None:
        """Add a window, dropping or waiting when full."""
        async with self._changed:
            if self._drop_oldest and len(self._windows) == self._capacity:
                window = self._make_room(window)
            await self._changed.wait_for(
                lambda: len(self._windows) < self._capacity or self._abandoned
            )
            if not self._abandoned:
                self._windows.append(window)
            self._changed.notify_all()

    async def close(self) -> None:
        """No more windows will come; iteration ends when the last has been taken."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()

    async def abandon(self) -> None:
        """Nobody will take windows any more: what is here is let go, and `put` never waits."""
        async with self._changed:
            self._abandoned = self._closed = True
            self._windows.clear()
            self._changed.notify_all()

    async def __aiter__(self) -> AsyncIterator[Window]:
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._windows or self._closed)
                if not self._windows:
                    return
                window = self._windows.popleft()
                self._changed.notify_all()
            yield window

    def _make_room(self, newest: Window) -> Window:
        oldest = self._windows.popleft()
        self.dropped += 1
        self._counters["dropped_windows"] += 1
        heir = self._windows[0] if self._windows else newest
        heir = msgspec.structs.replace(heir, skipped=heir.skipped + oldest.skipped + 1)
        if not self._windows:
            return heir
        self._windows[0] = heir
        return newest


class Ledger:
    """What became of each window sent: in flight, scored, published, or dead-lettered.

    Bounds what is sent and not yet scored to `limit_bytes` (None: the broker's disk is the
    bound); a lone larger window still passes. Belongs to one event loop.
    """

    def __init__(self, limit_bytes: int | None) -> None:
        """Start empty."""
        self.dead_letters = 0
        self._limit = limit_bytes
        self._sizes: dict[str, int] = {}
        self._total = 0
        self._open: set[str] = set()
        self._places: dict[tuple[int, int], str] = {}
        self._place_of: dict[str, tuple[int, int]] = {}
        self._dead_places: set[tuple[int, int]] = set()
        self._changed = asyncio.Condition()

    @property
    def open_windows(self) -> int:
        """How many windows were sent and neither published nor dead-lettered."""
        return len(self._open)

    async def room(self, window_id: str, size_bytes: int) -> None:
        """Wait until `size_bytes` fit, then account for the window."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: (
                    self._limit is None
                    or not self._sizes
                    or self._total + size_bytes <= self._limit
                )
            )
            self._open.add(window_id)
            self._sizes[window_id] = size_bytes
            self._total += size_bytes

    async def sent(self, window_id: str, partition: int, kafka_offset: int) -> None:
        """Remember the window's place on the topic: a dead letter names nothing else."""
        place = (partition, kafka_offset)
        if place in self._dead_places:
            self._dead_places.discard(place)
            await self._dead(window_id)
        elif window_id in self._open:
            self._places[place] = window_id
            self._place_of[window_id] = place

    async def scored(self, window_id: str) -> None:
        """Its bytes are free again. Unknown ids change nothing."""
        async with self._changed:
            self._total -= self._sizes.pop(window_id, 0)
            self._changed.notify_all()

    async def published(self, window_id: str) -> None:
        """The window's sentiment is out: nothing more is expected of it."""
        await self.scored(window_id)
        self._open.discard(window_id)
        place = self._place_of.pop(window_id, None)
        if place is not None:
            self._places.pop(place, None)

    async def dead(self, partition: int, kafka_offset: int) -> None:
        """The record at this place of the windows topic was dead-lettered."""
        window_id = self._places.get((partition, kafka_offset))
        if window_id is None:
            self._dead_places.add((partition, kafka_offset))
        else:
            await self._dead(window_id)

    async def _dead(self, window_id: str) -> None:
        self.dead_letters += 1
        await self.published(window_id)


async def deliver(
    window: Window,
    publisher: Producer,
    ledger: Ledger,
    headers: Callable[[], Headers] = tuple,
) -> None:
    """Send a window when the ledger has room, with `headers()` of that moment; wait for it."""
    size = len(window.audio or b"") + sum(len(face.jpeg) for face in window.faces)
    await ledger.room(window.window_id, size + 1024 + 64 * len(window.words))
    place = await publisher.publish(window, extra_headers=headers())
    await ledger.sent(window.window_id, place.partition, place.offset)


async def patiently(
    work: Coroutine[Any, Any, object], publisher: Producer, stop: threading.Event
) -> None:
    """Wait for what a source sends; as `connection.wait_for_broker`."""
    loss = "the end of the session is lost"
    await wait_for_broker(work, stop.is_set, publisher.kafka, loss)


@dataclass
class Capture:
    """Runs a plan: `await run()` returns when every window has been acknowledged by the broker.

    `published` holds, per participant, how many windows went out. A broker that is away is waited
    for, after `stop` no longer than `kafka.connect_timeout_s`.
    """

    plan: Plan
    config: Config
    publisher: Producer
    ledger: Ledger
    pace: Pace | None = None
    counters: Counter[str] = field(default_factory=Counter)
    published: Counter[str] = field(default_factory=Counter)
    _stop: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """Ask every source to end; what is captured is flushed. Callable from any thread."""
        self._stop.set()

    async def run(self) -> None:
        """Capture every participant to the end of its sources or until `stop`.

        Raises:
            SourceError: a source cannot be read.
            BrokerError: the broker refuses a window, or did not take the last after a `stop`.
        """
        pace = self.pace or Pace(self.plan.speed)
        pipelines = [
            await asyncio.to_thread(Pipeline, self.plan, spec, self.config, pace)
            for spec in self.plan.participants
        ]
        await self._patiently(self.publisher.publish(self._record("started", pipelines)))
        metrics.ready()
        pool = ThreadPoolExecutor(len(pipelines), thread_name_prefix="capture")
        try:
            async with asyncio.TaskGroup() as tasks:
                for pipeline in pipelines:
                    tasks.create_task(self._participant(pipeline, pool))
        except* Exception as group:
            raise group.exceptions[0] from None
        finally:
            self._stop.set()
            pool.shutdown(wait=False)
        for pipeline in pipelines:
            self.counters.update(pipeline.counters)
        await self._patiently(self.publisher.publish(self._record("ended", pipelines)))

    async def _participant(self, pipeline: Pipeline, pool: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        outbox = Outbox(self.config.capture.queue_windows, drop_oldest=self.plan.live)
        sender = asyncio.create_task(self._send(outbox))
        reader = loop.run_in_executor(pool, self._fill, pipeline, outbox, loop)
        try:
            done, _ = await asyncio.wait({sender, reader}, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            if not reader.done():
                self._stop.set()
            sender.cancel()
            await outbox.abandon()
            await asyncio.gather(sender, reader, return_exceptions=True)
        self.counters["dropped_windows"] += outbox.dropped

    def _fill(self, pipeline: Pipeline, outbox: Outbox, loop: asyncio.AbstractEventLoop) -> None:
        """In the participant's thread: windows into the outbox, waiting where it says so."""
        try:
            for window in pipeline.windows(self._stop):
                self._wait(asyncio.run_coroutine_threadsafe(outbox.put(window), loop))
        finally:
            asyncio.run_coroutine_threadsafe(outbox.close(), loop)

    def _wait(self, handed_over: Future[None]) -> None:
        try:
            handed_over.result()
        except CancelledError:
            self._stop.set()

    async def _send(self, outbox: Outbox) -> None:
        async for window in outbox:
            headers = functools.partial(self._headers, window)
            await self._patiently(deliver(window, self.publisher, self.ledger, headers))
            self.published[window.participant_id] += 1

    async def _patiently(self, work: Coroutine[Any, Any, object]) -> None:
        await patiently(work, self.publisher, self._stop)

    def _headers(self, window: Window) -> Sequence[tuple[str, bytes]]:
        """How late a live window is behind its own end; a replay has no such delay."""
        if not self.plan.live:
            return ()
        late_ms = (time.time_ns() - window.session_start_unix_ns - window.end_ns) / NS_PER_MS
        return (("capture_latency_ms", f"{late_ms:.1f}".encode()),)

    def _record(self, state: str, pipelines: Sequence[Pipeline]) -> Session:
        ended = state == "ended"
        return Session(
            session_id=self.plan.session_id,
            state="ended" if ended else "started",
            started_at=wall_clock(self.plan.start_unix_ns, 0),
            live=self.plan.live,
            consent=self.config.session.consent or None,
            modalities=self.config.session.modalities,
            participants=tuple(
                Participant(
                    spec.participant_id,
                    tuple(capture.public_name(source) for source in spec.sources),
                    self.published[spec.participant_id] if ended else None,
                )
                for spec in self.plan.participants
            ),
            asr=", ".join(sorted({pipeline.asr_name for pipeline in pipelines})),
            counters={k: v for k, v in sorted(self.counters.items()) if v >= 0} if ended else {},
        )


def session_window_id(session_id: str, window_index: int) -> str:
    """Identity of a session-level record: `session_id/*/window_index`."""
    return window_id(session_id, "*", window_index)
