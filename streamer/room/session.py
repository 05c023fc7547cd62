"""A live session whose participants come and go: a pipeline for each person who joins.

What enters: people through the server's door. What leaves: their windows, and the session's record,
again whenever somebody comes or goes, with what each one has agreed to.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Literal

from streamer import metrics
from streamer.capture import ParticipantSpec, SourceInfo
from streamer.config import Config
from streamer.kafka.producer import Producer
from streamer.records import NS_PER_MS, Consent, Participant, wall_clock
from streamer.room.inbox import Inbox
from streamer.room.peer import MakePeer, Peer, WebRtcPeer
from streamer.room.people import Guest, Guests, Refused, Terms, terms_of
from streamer.room.server import Address, Server
from streamer.session.delivery import Delivery
from streamer.session.participant import Pipeline
from streamer.session.plan import Plan, session_id_of
from streamer.session.sending import InFlight
from streamer.speech.recognisers import given

log = logging.getLogger(__name__)

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


@dataclass
class _Stay:
    """A guest in the room: their media, and since when."""

    guest: Guest
    peer: Peer
    inbox: Inbox
    begin_ns: int
    source: str


@dataclass
class RoomCapture:
    """Serves the room until `stop`; `await run()` returns when the broker has every window.

    `on_link` receives the join link once it can be opened.
    """

    plan: Plan
    config: Config
    publisher: Producer
    in_flight: InFlight
    address: Address
    on_link: Callable[[str], None]
    make_peer: MakePeer | None = None
    clock_ns: Callable[[], int] = time.monotonic_ns
    _stays: list[_Stay] = field(default_factory=list)
    _asr: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """State the terms; nobody is in."""
        self._guests = Guests(terms_of(self.config), self.config.room.max_participants)
        session = self.config.session.model_copy(update={"consent": self.terms.statement})
        self.config = self.config.model_copy(update={"session": session})
        self._delivery = Delivery(self.plan, self.config, self.publisher, self.in_flight)
        self._begun_ns = self.clock_ns() - max(0, time.time_ns() - self.plan.start_unix_ns)
        self._stopping = asyncio.Event()
        self._announcing = asyncio.Lock()
        self._loop = asyncio.get_running_loop()

    @property
    def counters(self) -> Counter[str]:
        """What was dropped, late, lost or damaged, of those who have left."""
        return self._delivery.counters

    @property
    def published(self) -> Counter[str]:
        """How many windows of each participant went out."""
        return self._delivery.published

    @property
    def terms(self) -> Terms:
        """What people agree to."""
        return self._guests.terms

    @property
    def name(self) -> str:
        """The session's name."""
        return self.plan.name

    def stop(self) -> None:
        """Ask everybody to end; what is captured is flushed. Callable from any thread."""
        self._delivery.stop.set()
        self._loop.call_soon_threadsafe(self._stopping.set)

    async def run(self) -> None:
        """Let people in until `stop`.

        Raises:
            ConfigError: the address cannot be bound.
            BrokerError: the broker refuses a window, or did not take the last after a `stop`.
        """
        places = 2 * self.config.room.max_participants  # who has left may still be recognised
        pool = ThreadPoolExecutor(places, thread_name_prefix="room")
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._pool: Executor = pool
                async with Server(self, self.address, self.config) as server:
                    await self._announce("started")
                    metrics.ready()
                    self.on_link(server.url())
                    await self._stopping.wait()
                    await asyncio.gather(*(stay.peer.close() for stay in self._stays))
        except* Exception as group:
            raise group.exceptions[0] from None
        finally:
            self._delivery.stop.set()
            pool.shutdown(wait=False)
        await self._announce("ended")

    # --- the door

    def agree(self, name: str, modalities: tuple[str, ...], version: str) -> Guest:
        """Take a person's agreement; raises Refused."""
        return self._guests.agree(name, modalities, version)

    async def join(
        self, ticket: str, offer: str, make_peer: MakePeer | None = None
    ) -> tuple[Guest, str]:
        """Let a guest in, by WebRTC or another way; return the answer. Raises Refused."""
        if self._stopping.is_set():
            raise Refused(503, "The session has ended.")
        guest = self._guests.join(ticket)
        begin_ns = self._session_ns()
        inbox = Inbox(guest.modalities, self.config, lambda: self._session_ns() - begin_ns)
        source = SOURCE if make_peer is None else PROGRAM
        peer = (make_peer or self.make_peer or self._web_rtc)(inbox)
        stay = _Stay(guest, peer, inbox, begin_ns, source)
        try:
            answer = await stay.peer.answer(offer)
        except BaseException:
            self._guests.leave(guest)
            raise
        self._stays.append(stay)
        self._tasks.create_task(self._send(stay))
        self._tasks.create_task(self._attend(stay))
        return guest, answer

    def _web_rtc(self, inbox: Inbox) -> Peer:
        return WebRtcPeer(inbox, self.config.room)

    def leave(self, ticket: str, key: str) -> None:
        """End a guest's presence; raises Refused."""
        guest = self._guests.present(ticket, key)
        for stay in self._stays:
            if stay.guest is guest:
                self._end(stay)
                self._tasks.create_task(stay.peer.close())

    # --- a guest's stay

    async def _attend(self, stay: _Stay) -> None:
        try:
            await stay.peer.run()
        finally:
            self._end(stay)
            await stay.peer.close()
        if not self._stopping.is_set():
            await self._announce("started")  # the withdrawal, while the last windows are made

    def _end(self, stay: _Stay) -> None:
        stay.inbox.end()
        self._guests.leave(stay.guest)

    async def _send(self, stay: _Stay) -> None:
        await self._announce("started")
        pipeline = await asyncio.to_thread(self._pipeline, stay)
        self._asr.add(pipeline.asr_name)
        log.info("%s joined.", stay.guest.name)
        await self._delivery.participant(pipeline, self._pool)
        self.counters.update(pipeline.counters)
        self.counters.update(stay.inbox.counters)
        log.info("%s left.", stay.guest.name)

    def _pipeline(self, stay: _Stay) -> Pipeline:
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

    async def _announce(self, state: Literal["started", "ended"]) -> None:
        """Publish the session's record, one at a time: a later record never holds less."""
        async with self._announcing:
            people = [self._participant(stay, ended=state == "ended") for stay in self._stays]
            await self._delivery.announce(state, people, self._asr or {"none"})

    def _participant(self, stay: _Stay, *, ended: bool) -> Participant:
        guest = stay.guest
        withdrawn_ns = guest.withdrawn_at_ns
        consent = Consent(
            version=self.terms.version,
            given_at=wall_clock(guest.given_at_ns, 0),
            withdrawn_at=None if withdrawn_ns is None else wall_clock(withdrawn_ns, 0),
            modalities=guest.modalities,
        )
        return Participant(
            guest.name,
            (stay.source,),
            self.published[guest.name] if ended else None,
            stay.begin_ns // NS_PER_MS,
            consent=consent,
        )

    def _session_ns(self) -> int:
        return self.clock_ns() - self._begun_ns
