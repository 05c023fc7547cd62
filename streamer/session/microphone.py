"""A live session of one microphone for several people: a participant for each voice.

What enters: the plan of one live source. What leaves: windows of `speaker-1`, `speaker-2`, …, each
from the moment when the person is first noticed on, again where it was judged later who spoke, and
the session's record, again whenever people come, turn out to be one or two, or are recognised. One
thread reads the sound, tells the voices apart and cuts the windows; another recognises the words;
each participant has one that encodes windows.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Literal

import msgspec

from streamer import capture, metrics
from streamer.capture import Chunk
from streamer.config import Config
from streamer.errors import ConfigError
from streamer.notices import PROCESS, Notices
from streamer.plain_text import public_address
from streamer.policy import own_policy
from streamer.records import NS_PER_MS, AudioChunk, Modality, Notice, Participant, Window
from streamer.session.delivery import Capturing, Delivery, Facts
from streamer.session.level import LevelWatch
from streamer.session.participant import encoded, not_read, revises
from streamer.session.plan import Plan
from streamer.session.relabelled import REACH_WINDOWS, PeopleWindows
from streamer.session.threaded import ThreadedRecogniser
from streamer.session.word_delay import WordDelay
from streamer.speakers.listening import LiveListener
from streamer.speech.recognisers import choose
from streamer.speech.streaming import Transcriber, Transcript
from streamer.windows import MAX_UNSETTLED, Windower

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
    """Somebody who has been noticed, and the windows on their way to the sender.

    Whoever takes them never waits for the broker: a full send queue drops windows. So no more wait
    here than one pass over the last while gives.
    """

    name: str
    begin_ns: int
    codec: Literal["flac", "pcm16"]
    ready: queue.SimpleQueue[Window | None] = field(default_factory=queue.SimpleQueue)

    def windows(self, stop: threading.Event) -> Iterator[Window]:
        """Yield the windows up to the last, encoded."""
        encode = functools.lru_cache(MAX_UNSETTLED + 1)(encoded)
        while (window := self.ready.get()) is not None:
            if window.audio is not None and self.codec == "flac":
                audio = encode(window.audio)
                window = msgspec.structs.replace(window, audio=audio, audio_codec="flac")
            yield window


@dataclass(frozen=True)
class _Known:
    """What is known of people beyond their turns, by participant."""

    names: dict[str, str] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)
    parted: dict[str, str] = field(default_factory=dict)


@dataclass
class MicrophoneCapture(Capturing):
    """Captures until `stop`; `await run()` returns when the broker has every window.

    `plan` has one live source; `listener` tells the voices in it apart; `recogniser` has a name and
    gives the words, None: it is chosen.
    """

    listener: LiveListener
    read: ReadSound | None = None
    notices: Notices = PROCESS
    recogniser: tuple[str, Transcriber] | None = None
    _people: dict[str, _Person] = field(default_factory=dict)
    _known: _Known = _Known()

    def __post_init__(self) -> None:
        """Prepare the way to the broker; nobody is there."""
        self._spec = self.plan.participants[0]
        super().__post_init__()
        self._windows = PeopleWindows(
            self._windower, self.config.windows, revises=revises(self.plan, self.config)
        )
        self._own: Counter[str] = Counter()
        metrics.watch("capture", self._own)
        self._loop = asyncio.get_running_loop()

    def _way(self) -> Delivery:
        nobody = replace(self.plan, participants=(), begins_ns={})
        return Delivery(nobody, _for_passes(self.config), self.publisher, self.in_flight)

    async def run(self) -> None:
        """Capture until `stop`.

        Raises:
            SourceError: the microphone cannot be read.
            ModelError: the recogniser cannot be loaded.
            BrokerError: the broker refuses a window, or did not take the last after a `stop`.
        """
        most = self.config.speech.max_speakers
        pool = ThreadPoolExecutor(most + 1, thread_name_prefix="speakers")
        try:
            self._asr, words = await asyncio.to_thread(self._words)
            await self._announce("started")
            metrics.ready()
            async with asyncio.TaskGroup() as self._tasks:
                self._pool: Executor = pool
                await self._loop.run_in_executor(pool, self._listen, words)
        except* Exception as group:
            raise group.exceptions[0] from None
        finally:
            self.stop()
            self._end()
            pool.shutdown(wait=False)
        self.counters.update(self._windows.counters + self._own)
        await self._announce("ended")

    def _words(self) -> tuple[str, Transcriber]:
        """Load what gives the words; it has a thread of its own."""
        [source] = self.plan.sources.values()
        name, inner = self.recogniser or choose(self.config, source, self._notice)
        return name, ThreadedRecogniser(inner, self._own)

    # --- the microphone's thread

    def _listen(self, words: Transcriber) -> None:
        level, delay = LevelWatch(live=True), WordDelay()
        try:
            for chunk in (self.read or self._read)(self._delivery.stop):
                if isinstance(chunk, Notice):
                    self._notice(chunk.message)
                elif isinstance(chunk, AudioChunk):
                    self._notice(level.push(chunk))
                    heard = words.push(chunk)
                    late = delay.push([*heard.words, *heard.unread], chunk.end_ns)
                    self._notice(late, once=False)
                    self._take(chunk, heard)
            self._windows.decide(self.listener.finish(), self.listener.decided_ns)
            self._hear(words.finish())
            self._judge()
            self._notice(self._not_found())
            self._give(self._windows.windows(final=True))
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

    def _take(self, chunk: AudioChunk, heard: Transcript) -> None:
        """Take sound, and the words so far; give out the windows that they complete or change."""
        self._windows.push(chunk)
        self._hear(heard)
        before = self.listener.passes
        self._windows.decide(self.listener.push(chunk), self.listener.decided_ns)
        if self.listener.passes > before:
            self._judge()
        self._give(self._windows.windows())

    def _hear(self, transcript: Transcript) -> None:
        if transcript.unread:
            self._notice(not_read(self.config.asr.scored_languages))
        self._windows.hear(transcript.words, transcript.unread, transcript.watermark_ns)

    def _judge(self) -> None:
        """Label the last while again by what is known now, and note what that tells of people."""
        self._windows.judge(self.listener.again(self._windows.since_ns))
        names = self.listener.names if own_policy(self.config).persons else {}
        known = _Known(names, self.listener.merged, self.listener.parted)
        if known != self._known:
            self._known = known
            self._loop.call_soon_threadsafe(self._tell)

    def _not_found(self) -> str:
        """Whose voices are known and were not found; empty for nobody."""
        whose = ", ".join(sorted(self.listener.not_found))
        return f"no voice is near enough to that of: {whose}." if whose else ""

    def _give(self, windows: Iterator[Window]) -> None:
        for window in windows:
            name = window.participant_id
            if name not in self._people:
                begin_ns = self._windows.begins_ns[name]
                person = _Person(name, begin_ns, self.config.windows.audio_codec)
                self._people[name] = person
                self._loop.call_soon_threadsafe(self._welcome, person)
            self._people[name].ready.put(window)

    def _windower(self, name: str) -> Windower:
        allowed = set[Modality](self.config.session.modalities) & {"audio", "text"}
        return Windower(
            session_id=self.plan.session_id,
            participant_id=name,
            session_start_unix_ns=self.plan.start_unix_ns,
            modalities_expected=allowed,
            windows=self.config.windows,
            face_rate_hz=self.config.faces.rate_hz,
            identified_by="diarization",
        )

    def _notice(self, text: str, *, once: bool = True) -> None:
        if text and self.notices.give(f"{self._spec.participant_id}: {text}", once=once):
            self._own["notices"] += 1

    def _end(self) -> None:
        for person in list(self._people.values()):
            person.ready.put(None)

    # --- the participants

    def _welcome(self, person: _Person) -> None:
        self._tasks.create_task(self._send(person))

    def _tell(self) -> None:
        self._tasks.create_task(self._announce("started"))

    async def _send(self, person: _Person) -> None:
        await self._announce("started")
        log.info("%s speaks for the first time.", person.name)
        await self._delivery.participant(person, self._pool)

    def _facts(self, *, ended: bool) -> Facts:
        people = [self._participant(person, ended=ended) for person in list(self._people.values())]
        names = {who: name for who, name in self._known.names.items() if who in self._people}
        return Facts(people, {self._asr}, names)

    def _participant(self, person: _Person, *, ended: bool) -> Participant:
        name = person.name
        return Participant(
            name,
            tuple(map(public_address, self._spec.sources)),
            self.published[name] if ended else None,
            person.begin_ns // NS_PER_MS,
            "diarization",
            merged_into=self._known.merged.get(name),
            parted_from=self._known.parted.get(name),
        )


def _for_passes(config: Config) -> Config:
    """Return the settings with room in the send queues for what one pass changes."""
    waiting = config.capture.queue_windows + REACH_WINDOWS
    more = config.capture.model_copy(update={"queue_windows": waiting})
    return config.model_copy(update={"capture": more})
