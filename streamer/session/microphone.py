"""A live session of one microphone for several people: a participant for each voice.

What enters: the plan of one live source. What leaves: windows of `speaker-1`, `speaker-2`, …, each
from the moment when the person is first noticed on, and the session's record, again whenever that
happens. One thread reads the sound and tells the voices apart; each participant has another.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Literal

from streamer import capture, metrics
from streamer.capture import Chunk, ParticipantSpec, SourceInfo
from streamer.capture.live import LiveQueue
from streamer.config import Config
from streamer.errors import ConfigError
from streamer.kafka.producer import Producer
from streamer.notices import PROCESS, Notices
from streamer.plain_text import public_address
from streamer.records import NS_PER_MS, AudioChunk, Notice, Participant, StreamEnd
from streamer.session.delivery import Delivery
from streamer.session.divided import DividedSound
from streamer.session.level import LevelWatch
from streamer.session.participant import Pipeline
from streamer.session.plan import Plan
from streamer.session.sending import InFlight
from streamer.spans import SpeakerTurn
from streamer.speakers.listening import LiveListener

log = logging.getLogger(__name__)

ReadSound = Callable[[threading.Event], Iterator[Chunk]]
"""Reads the microphone until an event is set."""


def check(plan: Plan, config: Config) -> None:
    """Refuse a plan that is not of one live source with sound.

    Raises:
        ConfigError: it is another, or the session uses neither sound nor words.
    """
    if len(plan.participants) != 1 or not plan.live:
        raise ConfigError(
            "--split speakers of a live session is of one microphone: name one live --participant, "
            "as in room=mic:default; recordings are split by `streamer replay`."
        )
    [source] = plan.sources.values()
    if not source.has_audio or not {"audio", "text"} & set(config.session.modalities):
        raise ConfigError(
            "--split speakers needs sound: name a microphone, and have audio or text in "
            "session.modalities."
        )


@dataclass(eq=False)
class _Person:
    """Somebody who has been noticed, with the sound that the pipeline has not taken yet.

    A full queue drops the oldest chunk and counts it.
    """

    name: str
    begin_ns: int
    queue: LiveQueue
    end_ns: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def push(self, chunk: AudioChunk) -> None:
        self.end_ns = chunk.end_ns
        self.queue.put(chunk)

    def chunks(self, stop: threading.Event) -> Iterator[Chunk]:
        """Yield the sound up to its end, which the reader of the microphone tells."""
        while not self.ended.is_set():
            item = self.queue.get(0.1)
            if item is not None:
                yield item
        while (item := self.queue.get(0)) is not None:
            yield item
        yield StreamEnd("audio", self.end_ns)


@dataclass
class MicrophoneCapture:
    """Captures until `stop`; `await run()` returns when the broker has every window.

    `plan` has one live source; `listener` tells the voices in it apart.
    """

    plan: Plan
    config: Config
    publisher: Producer
    in_flight: InFlight
    listener: LiveListener
    read: ReadSound | None = None
    notices: Notices = PROCESS
    _people: dict[str, _Person] = field(default_factory=dict)
    _asr: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Prepare the way to the broker; nobody is there."""
        self._spec = self.plan.participants[0]
        self._nobody = replace(self.plan, participants=(), begins_ns={})
        self._delivery = Delivery(self._nobody, self.config, self.publisher, self.in_flight)
        self._sound = DividedSound()
        self._announcing = asyncio.Lock()
        self._loop = asyncio.get_running_loop()

    @property
    def counters(self) -> Counter[str]:
        """What was dropped, late or damaged."""
        return self._delivery.counters

    @property
    def published(self) -> Counter[str]:
        """How many windows of each participant went out."""
        return self._delivery.published

    def stop(self) -> None:
        """Ask the microphone to end; what is captured is flushed. Callable from any thread."""
        self._delivery.stop.set()

    async def run(self) -> None:
        """Capture until `stop`.

        Raises:
            SourceError: the microphone cannot be read.
            BrokerError: the broker refuses a window, or did not take the last after a `stop`.
        """
        most = self.config.speech.max_speakers
        pool = ThreadPoolExecutor(most + 1, thread_name_prefix="speakers")
        try:
            await self._announce("started")
            metrics.ready()
            async with asyncio.TaskGroup() as self._tasks:
                self._pool: Executor = pool
                await self._loop.run_in_executor(pool, self._listen)
        except* Exception as group:
            raise group.exceptions[0] from None
        finally:
            self.stop()
            self._end()
            pool.shutdown(wait=False)
        await self._announce("ended")

    # --- the microphone's thread

    def _listen(self) -> None:
        level = LevelWatch(live=True)
        try:
            for chunk in (self.read or self._read)(self._delivery.stop):
                if isinstance(chunk, Notice):
                    self._notice(chunk.message)
                elif isinstance(chunk, AudioChunk):
                    self._notice(level.push(chunk))
                    self._sound.push(chunk)
                    self._decide(self.listener.push(chunk), self.listener.decided_ns)
            self._decide(self.listener.finish(), self.listener.decided_ns)
        finally:
            self._end()

    def _read(self, stop: threading.Event) -> Iterator[Chunk]:
        return capture.read(
            self._spec,
            self.config,
            stop,
            self.config.faces.rate_hz,
            modalities={"audio"},
            start_unix_ns=self.plan.start_unix_ns,
            counters=self.counters,
        )

    def _decide(self, turns: list[SpeakerTurn], until_ns: int) -> None:
        for name, chunk in self._sound.decide(turns, until_ns):
            if name not in self._people:
                self._people[name] = self._newcomer(name)
            self._people[name].push(chunk)

    def _newcomer(self, name: str) -> _Person:
        queue = LiveQueue(self.config.capture.queue_chunks, self.counters)
        person = _Person(name, self._sound.begins_ns[name], queue)
        self._loop.call_soon_threadsafe(self._welcome, person)
        return person

    def _notice(self, text: str) -> None:
        if text and self.notices.give(f"{self._spec.participant_id}: {text}", once=True):
            self.counters["notices"] += 1

    def _end(self) -> None:
        for person in list(self._people.values()):
            person.ended.set()

    # --- the participants

    def _welcome(self, person: _Person) -> None:
        self._tasks.create_task(self._send(person))

    async def _send(self, person: _Person) -> None:
        await self._announce("started")
        pipeline = await asyncio.to_thread(self._pipeline, person)
        self._asr.add(pipeline.asr_name)
        log.info("%s speaks for the first time.", person.name)
        await self._delivery.participant(pipeline, self._pool)
        self.counters.update(pipeline.counters)

    def _pipeline(self, person: _Person) -> Pipeline:
        info = SourceInfo(live=True, duration_s=None, has_audio=True, has_video=False)
        plan = replace(
            self._nobody, sources={person.name: info}, begins_ns={person.name: person.begin_ns}
        )
        allowed = tuple(each for each in self.config.session.modalities if each != "vision")
        session = self.config.session.model_copy(update={"modalities": allowed})
        return Pipeline(
            plan,
            ParticipantSpec(person.name, self._spec.sources, identified_by="diarization"),
            self.config.model_copy(update={"session": session}),
            notices=self.notices,
            chunks=person.chunks,
        )

    async def _announce(self, state: Literal["started", "ended"]) -> None:
        """Publish the session's record, one at a time: a later record never holds less."""
        async with self._announcing:
            people = [
                self._participant(person, ended=state == "ended")
                for person in list(self._people.values())
            ]
            await self._delivery.announce(state, people, self._asr or {"none"})

    def _participant(self, person: _Person, *, ended: bool) -> Participant:
        return Participant(
            person.name,
            tuple(map(public_address, self._spec.sources)),
            self.published[person.name] if ended else None,
            person.begin_ns // NS_PER_MS,
            "diarization",
        )
