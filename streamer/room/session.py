"""A live session whose participants come and go: a pipeline for each person who joins.

What enters: people through the server's door. What leaves: their windows, and the session's record,
again whenever somebody comes or goes, with what each one has agreed to.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime

from streamer import metrics
from streamer.capture import ParticipantSpec, SourceInfo
from streamer.errors import ConfigError
from streamer.recorded_times import is_recording, started, stopped
from streamer.records import NS_PER_MS, Participant, RecordedTime, wall_clock
from streamer.room.inbox import Inbox
from streamer.room.peer import MakePeer, Peer, WebRtcPeer
from streamer.room.people import (
    Guest,
    Guests,
    Phase,
    Recorded,
    Refused,
    Terms,
    consent_of,
    terms_of,
)
from streamer.room.stay import Stay
from streamer.session.delivery import Capturing, Facts
from streamer.session.participant import Pipeline
from streamer.session.plan import Plan, session_id_of
from streamer.speech.recognisers import given

log = logging.getLogger(__name__)

MOST_RECORDED = 500
"""How often recording may start in a session, which its record lists."""
NO_RECORDING = "This room cannot record: its host begins it with --record DIR for that."
SOURCE, PROGRAM = "browser", "program"
"""What the session's record names as the source of a person who joined; never an address."""


def room_plan(
    name: str | None, session_id: str | None, now_ns: Callable[[], int] = time.time_ns
) -> Plan:
    """Return the plan of a session that begins now, without anybody.

    Raises:
        ConfigError: the name or the id cannot be one.
    """
    begun_ns = now_ns()
    new_id = session_id_of(name, session_id, otherwise="room", now_ns=lambda: begun_ns)
    return Plan(new_id, begun_ns, live=True, speed=1.0, participants=(), sources={})


def room_plans(names: Sequence[str], session_id: str | None) -> list[Plan]:
    """Return the plan of each of several sessions that begin now; of one without a name.

    Raises:
        ConfigError: a name or the id cannot be one, a name is given twice, or an id for several.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ConfigError(f"The session {twice[0]!r} is named twice; give each its own name.")
    if session_id is not None and len(names) > 1:
        raise ConfigError("--session-id is the id of one session: leave it out, or name one.")
    if not names:
        return [room_plan(None, session_id)]
    return [room_plan(name, session_id) for name in names]


@dataclass
class RoomCapture(Capturing):
    """A room that is open until `stop`; `await run()` returns when the broker has every window.

    `opened` is set once people can join; `recorded` is what is recorded while the host records;
    `on_forget` gets the name of a person who wants what is recorded of them deleted.
    """

    make_peer: MakePeer | None = None
    clock_ns: Callable[[], int] = time.monotonic_ns
    recorded: Recorded = "nothing"
    on_forget: Callable[[str], None] = lambda name: None
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    _stays: list[Stay] = field(default_factory=list)
    _asr: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """State the terms; nobody is in."""
        room = self.config.room
        self._guests = Guests(
            terms_of(self.config, self.recorded),
            room.max_participants,
            held=room.admit == "host",
        )
        session = self.config.session.model_copy(update={"consent": self.terms.statement})
        self.config = self.config.model_copy(update={"session": session})
        super().__post_init__()
        self._begun_ns = self.clock_ns() - max(0, time.time_ns() - self.plan.start_unix_ns)
        self._stopping = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._started = room.start == "at_once"
        self._times: tuple[RecordedTime, ...] | None = None
        if self.recorded != "nothing":
            self._times = (RecordedTime(0),) if room.record == "at_once" else ()

    @property
    def terms(self) -> Terms:
        """What people agree to."""
        return self._guests.terms

    @property
    def name(self) -> str:
        """The session's name."""
        return self.plan.name

    @property
    def session_id(self) -> str:
        """The session's id."""
        return self.plan.session_id

    @property
    def phase(self) -> Phase:
        """How far the session is."""
        if self._delivery.stop.is_set():
            return "ended"
        return "started" if self._started else "waiting"

    def stop(self) -> None:
        """Ask everybody to end; what is captured is flushed. Callable from any thread."""
        super().stop()
        self._loop.call_soon_threadsafe(self._stopping.set)

    async def run(self) -> None:
        """Let people in until `stop`.

        Raises:
            BrokerError: the broker refuses a window, or did not take the last after a `stop`.
        """
        places = 2 * self.config.room.max_participants  # who has left may still be recognised
        pool = ThreadPoolExecutor(places, thread_name_prefix="room")
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._pool: Executor = pool
                await self._announce("started")
                self.opened.set()
                await self._stopping.wait()
                for stay in self._stays:
                    stay.end()
        except* Exception as group:
            raise group.exceptions[0] from None
        finally:
            self._delivery.stop.set()
            pool.shutdown(wait=False)
        await self._announce("ended")

    # --- the door, for people

    def agree(self, name: str, modalities: tuple[str, ...], version: str) -> Guest:
        """Take a person's agreement; raises Refused."""
        return self._guests.agree(name, modalities, version)

    def look(self, ticket: str) -> Guest:
        """Return the guest of a ticket, also one who has left; raises Refused."""
        return self._guests.look(ticket)

    async def join(
        self, ticket: str, offer: str, make_peer: MakePeer | None = None
    ) -> tuple[Guest, str]:
        """Let a guest in, or in again, by WebRTC or another way; return the answer.

        Raises:
            Refused: the person may not join, or the offer cannot be answered.
        """
        if self.phase != "started":
            over = "has ended" if self.phase == "ended" else "has not started yet"
            raise Refused(503, f"The session {over}.")
        guest = self._guests.join(ticket)
        known = self._stay_of(guest)
        if known is not None:
            return guest, await known.connect(offer)
        return guest, await self._enter(guest, offer, make_peer)

    def share(self, ticket: str, modalities: tuple[str, ...]) -> Guest:
        """Set what a guest shares from now on; raises Refused."""
        guest = self._guests.look(ticket)
        stay = self._stay_of(guest)
        if stay is None or stay.ended.is_set():
            raise Refused(404, "Nobody is in the room with this ticket.")
        self._guests.share(guest, modalities)
        stay.inbox.share(guest.shares)
        self._announce_soon()
        return guest

    def _web_rtc(self, inbox: Inbox) -> Peer:
        return WebRtcPeer(inbox, self.config.room)

    def may_watch(self, token: str) -> bool:
        """Whether this is the token of the live page of somebody who is in."""
        return self._guests.may_watch(token)

    def leave(self, ticket: str, key: str) -> None:
        """End a guest's presence; raises Refused."""
        self._end(self._guests.present(ticket, key))

    def forget(self, ticket: str) -> None:
        """End a guest's presence, and pass on that they want their recording deleted.

        Raises:
            Refused: nobody has agreed with this ticket, or this room has no recording.
        """
        guest = self._guests.look(ticket)
        if self.recorded == "nothing":
            raise Refused(409, "This room makes no recording.")
        self._end(guest)
        if not guest.forget and self._stay_of(guest) is not None:
            guest.forget = True
            self.on_forget(guest.name)

    # --- the door, for the host

    @property
    def guests(self) -> Sequence[Guest]:
        """Everybody who is in, is about to join, or was in."""
        return self._guests.everybody

    def is_connected(self, guest: Guest) -> bool:
        """Whether a guest's media come, or are about to."""
        stay = self._stay_of(guest)
        return stay is not None and stay.connected

    def begin(self) -> None:
        """Start the session, where the host does; a second time changes nothing."""
        self._started = True

    def admit(self, key: str) -> None:
        """Let a waiting guest join; raises Refused."""
        self._guests.admit(self._guests.with_key(key))

    def remove(self, key: str) -> None:
        """End a guest's presence, or refuse one who waits; raises Refused."""
        self._end(self._guests.with_key(key), removed=True)

    @property
    def recording(self) -> bool:
        """Whether the session is being recorded now."""
        return is_recording(self._times) and self.phase != "ended"

    @property
    def recorded_times(self) -> Sequence[tuple[datetime, datetime | None]]:
        """When recording began and stopped; None where it goes on, or went on to the end."""
        return [
            (
                self._moment(time.begin_ms),
                None if time.end_ms is None else self._moment(time.end_ms),
            )
            for time in self._times or ()
        ]

    @property
    def problems(self) -> Sequence[str]:
        """What does not work in the room's process, such as its recorder; a sentence each."""
        return metrics.PROCESS.problems()

    def record(self) -> None:
        """Start recording; nothing changes where it goes on. Raises Refused."""
        times = self._recordable()
        if len(times) >= MOST_RECORDED:
            raise Refused(429, "Recording was started too often in this session.")
        self._record(started(times, self._session_ns() // NS_PER_MS))

    def stop_recording(self) -> None:
        """Stop recording; nothing changes where none goes on. Raises Refused."""
        self._record(stopped(self._recordable(), self._session_ns() // NS_PER_MS))

    def _recordable(self) -> tuple[RecordedTime, ...]:
        if self._times is None:
            raise Refused(409, NO_RECORDING)
        if self.phase == "ended":
            raise Refused(409, "The session has ended.")
        return self._times

    def _record(self, times: tuple[RecordedTime, ...]) -> None:
        """Let the recorders know before they get a window that ends later."""
        if times != self._times:
            self._times = times
            self._delivery.hold()
            self._announce_soon()

    def _moment(self, session_ms: int) -> datetime:
        return wall_clock(self.plan.start_unix_ns, session_ms * NS_PER_MS)

    # --- a guest's stay

    def _stay_of(self, guest: Guest) -> Stay | None:
        return next((stay for stay in self._stays if stay.guest is guest), None)

    async def _enter(self, guest: Guest, offer: str, program: MakePeer | None) -> str:
        begin_ns = self._session_ns()
        inbox = Inbox(guest.modalities, self.config, lambda: self._session_ns() - begin_ns)
        make_peer = program or self.make_peer or self._web_rtc
        rejoin_s = self.config.room.rejoin_s if program is None else 0.0
        source = SOURCE if program is None else PROGRAM
        stay = Stay(guest, inbox, begin_ns, source, make_peer, rejoin_s)
        self._stays.append(stay)
        try:
            answer = await stay.connect(offer)
        except BaseException:
            self._stays.remove(stay)
            self._end(guest)
            stay.end()
            raise
        self._tasks.create_task(self._send(stay))
        self._tasks.create_task(self._attend(stay))
        return answer

    async def _attend(self, stay: Stay) -> None:
        try:
            await stay.attend()
        finally:
            self._guests.leave(stay.guest)
        if not self._stopping.is_set():
            await self._announce("started")  # the withdrawal, while the last windows are made

    def _end(self, guest: Guest, *, removed: bool = False) -> None:
        stay = self._stay_of(guest)
        if stay is not None:
            stay.end()
        self._guests.leave(guest, removed=removed)

    async def _send(self, stay: Stay) -> None:
        await self._announce("started")
        pipeline = await asyncio.to_thread(self._pipeline, stay)
        if pipeline.asr_name not in self._asr:
            self._asr.add(pipeline.asr_name)
            self._announce_soon()
        log.info("%s joined.", stay.guest.name)
        await self._delivery.participant(pipeline, self._pool)
        self.counters.update(pipeline.counters)
        self.counters.update(stay.inbox.counters)
        log.info("%s left.", stay.guest.name)

    def _pipeline(self, stay: Stay) -> Pipeline:
        """Load what the participant's pipeline needs, for what the person shares only."""
        guest, inbox = stay.guest, stay.inbox
        session = self.config.session.model_copy(update={"modalities": guest.modalities})
        info = SourceInfo(
            live=True, duration_s=None, has_audio=inbox.has_audio, has_video=inbox.has_video
        )
        plan = replace(self.plan, sources={guest.name: info}, begins_ns={guest.name: stay.begin_ns})
        return Pipeline(
            plan,
            ParticipantSpec(guest.name, (stay.source,)),
            self.config.model_copy(update={"session": session}),
            chunks=inbox.chunks,
            recogniser=None if inbox.words is None else given(inbox.words, self.config),
        )

    def _announce_soon(self) -> None:
        self._tasks.create_task(self._announce("started"))

    def _facts(self, *, ended: bool) -> Facts:
        stays = [stay for stay in self._stays if stay.entered]
        people = [self._participant(stay, ended=ended) for stay in stays]
        return Facts(people, self._asr or {"none"}, recorded_times=self._times)

    def _participant(self, stay: Stay, *, ended: bool) -> Participant:
        return Participant(
            stay.guest.name,
            (stay.source,),
            self.published[stay.guest.name] if ended else None,
            stay.begin_ns // NS_PER_MS,
            consent=consent_of(stay.guest, self.terms),
        )

    def _session_ns(self) -> int:
        return self.clock_ns() - self._begun_ns
