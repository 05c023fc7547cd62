"""People come to a room and go: their windows, and the session's record with their consent."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest
from aiortc import RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack

from streamer.config import load
from streamer.kafka.messages import Position
from streamer.kafka.topics import SESSIONS, WINDOWS
from streamer.records import NS_PER_MS, NS_PER_S, Session, Window
from streamer.room.inbox import Inbox
from streamer.room.people import Guest, Recorded, Refused
from streamer.room.rooms import Rooms
from streamer.room.server import Address
from streamer.room.session import MOST_RECORDED, PROGRAM, SOURCE, RoomCapture, room_plan
from streamer.room.site import Links
from streamer.session.sending import InFlight
from streamer.testing import FakeProducer
from tests.unit.room.test_inbox import PACKET_NS, sound
from tests.unit.room.test_peer import offering

pytestmark = pytest.mark.slow

PATIENCE_S = 30


class FakePeer:
    """A sender that sends when the test says so; `gone` is its loss of connection."""

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self.gone = asyncio.Event()

    async def answer(self, offer: str) -> str:
        if offer != "offer":
            raise Refused(400, "no offer")
        return "answer"

    async def run(self) -> None:
        await self.gone.wait()

    async def close(self) -> None:
        self.gone.set()


class Sends(FakeProducer):
    """A producer with the settings of a broker; windows, and sessions' records, pass while told."""

    kafka = load().kafka

    def __init__(self) -> None:
        super().__init__()
        self.windows_pass, self.sessions_pass = asyncio.Event(), asyncio.Event()
        self.windows_pass.set()
        self.sessions_pass.set()

    async def publish(self, record: Any, *args: Any, **settings: Any) -> Position:
        if isinstance(record, Window):
            await self.windows_pass.wait()
        if isinstance(record, Session):
            await self.sessions_pass.wait()
        return await super().publish(record, *args, **settings)


class Room:
    """A room over a producer that keeps its records, with a clock that the test sets."""

    def __init__(self, *settings: str, recorded: Recorded = "values") -> None:
        self.now_ns = 0
        self.producer = Sends()
        self.peers: list[FakePeer] = []
        self.links: list[str] = []
        self.host_links: list[str] = []
        self.forgotten: list[str] = []
        config = load(None, ["asr.engine=none", "room.rejoin_s=0", *settings])
        self.capture = RoomCapture(
            room_plan("standup", None),
            config,
            self.producer,  # type: ignore[arg-type]
            InFlight(None),
            self._make_peer,
            lambda: self.now_ns,
            recorded=recorded,
            on_forget=self.forgotten.append,
        )
        self.rooms = Rooms(
            [self.capture],
            Address(port=0),
            config,
            self._opened,
        )

    def _opened(self, rooms: Sequence[Links]) -> None:
        self.links += [links.join for links in rooms]
        self.host_links += [links.host for links in rooms]

    def _make_peer(self, inbox: Inbox) -> FakePeer:
        self.peers.append(FakePeer(inbox))
        return self.peers[-1]

    async def join(self, name: str, *modalities: str) -> Guest:
        agreed = self.capture.agree(name, modalities, self.capture.terms.version)
        guest, answer = await self.capture.join(agreed.ticket, "offer")
        assert answer == "answer"
        return guest

    def speak(self, peer: int, seconds: float) -> None:
        """The sender's sound for some seconds, which pass."""
        begun_ns = self.now_ns
        for number in range(round(seconds * NS_PER_S / PACKET_NS)):
            self.now_ns = begun_ns + number * PACKET_NS
            self.peers[peer].inbox.push_audio(sound(), self.now_ns)

    def sessions(self) -> list[Session]:
        return self.producer.records(SESSIONS)

    def windows(self, name: str) -> list[Any]:
        return [w for w in self.producer.records(WINDOWS) if w.participant_id == name]


def withdrawn(session: Session) -> list[bool]:
    """Of each participant in a record: whether they have left."""
    consents = [person.consent for person in session.participants]
    return [consent is not None and consent.withdrawn_at is not None for consent in consents]


async def room_moves() -> None:
    """Let the room's threads and tasks work."""
    await asyncio.sleep(0.01)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await room_moves()


@asynccontextmanager
async def open_room(*settings: str, recorded: Recorded = "values") -> AsyncIterator[Room]:
    room = Room(*settings, recorded=recorded)
    running = asyncio.create_task(room.rooms.run())
    await until(lambda: room.links or running.done())
    yield room
    room.capture.stop()
    async with asyncio.timeout(PATIENCE_S):
        await running


async def test_a_person_who_comes_late_has_windows_from_then_on_only() -> None:
    async with open_room() as room:
        room.now_ns = 100 * NS_PER_S
        await room.join("Ana", "audio")
        room.speak(0, 3.0)
        room.peers[0].gone.set()
        await until(lambda: any(window.final for window in room.windows("Ana")))
    windows = room.windows("Ana")
    assert [window.window_index for window in windows] == [100, 101, 102, 103][: len(windows)]
    assert [window.skipped for window in windows] == [100, *[0] * (len(windows) - 1)]
    assert windows[0].end_ns == 101 * NS_PER_S
    assert windows[-1].end_ns // (100 * NS_PER_MS) == 1030
    assert [window.final for window in windows] == [False] * (len(windows) - 1) + [True]


async def test_the_sessions_record_holds_each_ones_consent_and_its_withdrawal() -> None:
    async with open_room('session.consent="We listen."') as room:
        ana = await room.join("Ana", "audio", "text")
        await room.join("Bo", "text")
        await until(lambda: len(room.sessions()[-1].participants) == 2)
        room.speak(0, 1.0)
        room.capture.leave(ana.ticket, ana.key)
        await until(lambda: withdrawn(room.sessions()[-1]) == [True, False])
        told = room.sessions()[-1]
    empty, *_, ended = room.sessions()
    assert (empty.participants, empty.state) == ((), "started")
    assert empty.consent is not None
    assert empty.consent.startswith("We listen.\nThe session may be recorded: the estimates.")
    assert [person.participant_id for person in told.participants] == ["Ana", "Bo"]
    consents = [person.consent for person in told.participants]
    assert all(consent is not None for consent in consents)
    version = room.capture.terms.version
    assert [c and (c.version, c.modalities) for c in consents] == [
        (version, ("audio", "text")),
        (version, ("text",)),
    ]
    assert ended.state == "ended"
    assert withdrawn(ended) == [True, True]
    assert {person.sources for person in ended.participants} == {(SOURCE,)}
    assert ended.participants[0].windows == len(room.windows("Ana"))


async def test_a_withdrawal_is_announced_while_the_broker_still_waits_for_windows() -> None:
    async with open_room() as room:
        ana = await room.join("Ana", "audio")
        await until(lambda: room.sessions()[-1].participants)
        room.producer.windows_pass.clear()
        room.speak(0, 5.0)
        room.capture.leave(ana.ticket, ana.key)
        await until(lambda: withdrawn(room.sessions()[-1]) == [True])
        assert not room.windows("Ana")
        room.producer.windows_pass.set()
        await until(lambda: room.windows("Ana"))


async def test_the_record_with_a_persons_consent_is_stored_before_their_first_window() -> None:
    async with open_room() as room:
        await room.join("Ana", "audio")
        room.speak(0, 5.0)
        await until(lambda: room.windows("Ana"))
    sent = [(kind, getattr(record, "participants", ())) for kind, record in room.producer.published]
    first_window = next(place for place, (kind, _) in enumerate(sent) if kind == WINDOWS.kind)
    assert any(people for _, people in sent[:first_window])


async def test_nothing_of_a_person_is_captured_after_leaving() -> None:
    async with open_room() as room:
        ana = await room.join("Ana", "audio")
        room.speak(0, 2.0)
        room.capture.leave(ana.ticket, ana.key)
        room.speak(0, 5.0)
        await until(lambda: any(window.final for window in room.windows("Ana")))
    assert room.windows("Ana")[-1].end_ns <= 2 * NS_PER_S + 100 * NS_PER_MS


async def test_what_is_not_shared_is_in_no_window() -> None:
    async with open_room() as room:
        await room.join("Ana", "text")
        room.speak(0, 2.0)
        room.peers[0].gone.set()
        await until(lambda: any(window.final for window in room.windows("Ana")))
    assert all(window.audio is None and not window.faces for window in room.windows("Ana"))


async def test_an_offer_that_cannot_be_answered_leaves_nobody_in_the_room() -> None:
    async with open_room("room.max_participants=1") as room:
        agreed = room.capture.agree("Ana", ("text",), room.capture.terms.version)
        with pytest.raises(Refused, match="no offer"):
            await room.capture.join(agreed.ticket, "nonsense")
        assert (await room.join("Bo", "text")).name == "Bo"
        await until(lambda: room.sessions()[-1].participants)
    assert [person.participant_id for person in room.sessions()[-1].participants] == ["Bo"]


async def test_a_programs_words_are_the_persons_words_under_the_source_program() -> None:
    async with open_room() as room, aiohttp.ClientSession() as client:
        address, token = room.links[0].split("/#")
        async with client.ws_connect(f"{address}/ws") as socket:
            await socket.send_json(
                {
                    "type": "agree",
                    "token": token,
                    "name": "Ana",
                    "shares": ["text"],
                    "version": room.capture.terms.version,
                    "words": True,
                }
            )
            assert await socket.receive_json() == {"type": "joined", "name": "Ana"}
            words = [{"text": "hello", "start_us": 400_000, "end_us": 900_000}]
            said = {"type": "words", "sent_us": 1_000_000, "until_us": 2_000_000, "words": words}
            room.now_ns = NS_PER_S
            await socket.send_json(said)
            await until(lambda: time_passes(room) and room.windows("Ana"))
            await socket.send_json({"type": "leave"})
            await until(lambda: withdrawn(room.sessions()[-1]) == [True])
    spoken = [word.text for window in room.windows("Ana") for word in window.spoken.words]
    assert spoken == ["hello"]
    assert room.windows("Ana")[0].audio is None
    assert room.sessions()[-1].participants[0].sources == (PROGRAM,)
    assert room.sessions()[-1].asr == "sender"


def time_passes(room: Room) -> bool:
    """Let a little time pass, less than a sender's silence may be filled with at once."""
    room.now_ns += 20 * NS_PER_MS
    return True


async def test_no_record_contains_an_address_of_anybody() -> None:
    async with open_room() as room:
        room.capture.make_peer = None
        agreed = room.capture.agree("Ana", ("audio",), room.capture.terms.version)
        sender = await offering(AudioStreamTrack())
        _, answer = await room.capture.join(agreed.ticket, sender.localDescription.sdp)
        await sender.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await until(lambda: time_passes(room) and room.windows("Ana"))
        await sender.close()
    addresses = set(re.findall(r"a=candidate:\S+ \d \S+ \d+ (\S+)", answer))
    addresses |= set(re.findall(r"a=candidate:\S+ \d \S+ \d+ (\S+)", sender.localDescription.sdp))
    assert addresses
    for _, record in room.producer.published:
        text = msgspec.json.encode(record).decode()
        assert not [address for address in addresses if address in text]


async def test_a_lost_connection_comes_back_as_the_same_person() -> None:
    async with open_room("room.rejoin_s=600") as room:
        ana = await room.join("Ana", "audio")
        room.speak(0, 2.0)
        room.peers[0].gone.set()
        await until(lambda: not room.capture.is_connected(ana))
        room.now_ns += 3 * NS_PER_S
        again, _ = await room.capture.join(ana.ticket, "offer")
        assert again is ana
        room.speak(1, 2.0)
        room.capture.leave(ana.ticket, ana.key)
        await until(lambda: any(window.final for window in room.windows("Ana")))
    windows = room.windows("Ana")
    assert [window.window_index for window in windows] == list(range(len(windows)))
    assert [window.final for window in windows] == [False] * (len(windows) - 1) + [True]
    assert windows[-1].end_ns > 6 * NS_PER_S
    assert [person.participant_id for person in room.sessions()[-1].participants] == ["Ana"]


async def test_a_voice_that_is_withdrawn_is_in_no_later_window_and_the_record_lists_it() -> None:
    async with open_room() as room:
        ana = await room.join("Ana", "audio", "text")
        room.speak(0, 3.0)
        room.capture.share(ana.ticket, ("text",))
        room.speak(0, 12.0)
        await until(lambda: room.windows("Ana") and room.windows("Ana")[-1].end_ns > 10 * NS_PER_S)
        await until(lambda: changes_of(room, "Ana"))
        room.capture.share(ana.ticket, ("audio", "text"))
        room.speak(0, 3.0)
        room.capture.leave(ana.ticket, ana.key)
        await until(lambda: any(window.final for window in room.windows("Ana")))
    windows = room.windows("Ana")
    within = [w for w in windows if w.start_ns >= 4 * NS_PER_S and w.end_ns <= 14 * NS_PER_S]
    assert len(within) > 3
    assert all(window.audio is None and not window.presence.audio for window in within)
    assert windows[0].audio is not None
    assert windows[-1].audio is not None
    assert changes_of(room, "Ana") == [("text",), ("audio", "text")]


def changes_of(room: Room, name: str) -> list[tuple[str, ...]]:
    """What a person shared from later times on, by the session's newest record."""
    people = room.sessions()[-1].participants
    consents = [person.consent for person in people if person.participant_id == name]
    return [change.modalities for consent in consents if consent for change in consent.changes]


async def test_nobody_joins_before_the_host_starts_the_session() -> None:
    async with open_room('room.start="host"', 'room.admit="host"') as room:
        assert str(room.capture.phase) == "waiting"
        agreed = room.capture.agree("Ana", ("text",), room.capture.terms.version)
        room.capture.admit(agreed.key)
        with pytest.raises(Refused, match="has not started yet"):
            await room.capture.join(agreed.ticket, "offer")
        room.capture.begin()
        guest, _ = await room.capture.join(agreed.ticket, "offer")
        assert guest is agreed
        await until(lambda: room.sessions()[-1].participants)
    assert str(room.capture.phase) == "ended"


async def test_a_person_whom_the_host_removes_has_withdrawn_and_is_out() -> None:
    async with open_room("room.rejoin_s=600") as room:
        ana = await room.join("Ana", "audio")
        await until(lambda: room.sessions()[-1].participants)
        room.capture.remove(ana.key)
        await until(lambda: withdrawn(room.sessions()[-1]) == [True])
        assert room.peers[0].gone.is_set()
        with pytest.raises(Refused, match="Agree on the page first"):
            await room.capture.join(ana.ticket, "offer")
        with pytest.raises(Refused, match="Nobody is in the room"):
            room.capture.share(ana.ticket, ())


async def test_a_wish_to_be_forgotten_ends_the_stay_and_is_passed_on_once() -> None:
    async with open_room() as room:
        ana = await room.join("Ana", "audio")
        never_in = room.capture.agree("Bo", ("text",), room.capture.terms.version)
        for guest in (ana, ana, never_in):
            room.capture.forget(guest.ticket)
        await until(lambda: withdrawn(room.sessions()[-1]) == [True])
    assert room.forgotten == ["Ana"]


def times_of(session: Session) -> list[tuple[int, int | None]] | None:
    """The recorded times of a record, seconds."""
    if session.recorded_times is None:
        return None
    return [
        (time.begin_ms // 1000, None if time.end_ms is None else time.end_ms // 1000)
        for time in session.recorded_times
    ]


def at(room: Room, seconds: float) -> None:
    """Let session time be so much; the test's clock began with the room."""
    room.now_ns = round(seconds * NS_PER_S)


async def test_recording_starts_at_once_and_its_stop_and_start_are_in_the_sessions_record() -> None:
    async with open_room() as room:
        assert room.capture.recording
        at(room, 10)
        room.capture.stop_recording()
        room.capture.stop_recording()
        assert not room.capture.recording
        at(room, 30)
        room.capture.record()
        room.capture.record()
        await until(lambda: times_of(room.sessions()[-1]) == [(0, 10), (30, None)])
        (first, second) = room.capture.recorded_times
    assert [moment and (moment - first[0]).seconds for moment in (*first, *second)] == [
        *(0, 10, 30),
        None,
    ]
    assert times_of(room.sessions()[0]) == [(0, None)]
    ended = room.sessions()[-1]
    assert (ended.state, times_of(ended)) == ("ended", [(0, 10), (30, None)])


async def test_recording_waits_for_the_host_where_the_settings_say_so() -> None:
    async with open_room('room.record="host"') as room:
        assert (room.capture.recording, times_of(room.sessions()[-1])) == (False, [])
        at(room, 5)
        room.capture.record()
        await until(lambda: times_of(room.sessions()[-1]) == [(5, None)])


async def test_a_room_without_a_folder_cannot_record_and_leaves_it_to_other_recorders() -> None:
    async with open_room(recorded="nothing") as room:
        for act in (room.capture.record, room.capture.stop_recording):
            with pytest.raises(Refused, match="--record DIR"):
                act()
        assert (room.capture.recording, room.capture.recorded_times) == (False, [])
    assert {times_of(session) is None for session in room.sessions()} == {True}


async def test_nothing_is_recorded_after_the_end_and_not_without_bound() -> None:
    async with open_room() as room:
        for _ in range(MOST_RECORDED - 1):
            room.capture.stop_recording()
            room.capture.record()
        room.capture.stop_recording()
        with pytest.raises(Refused, match="too often"):
            room.capture.record()
    with pytest.raises(Refused, match="has ended"):
        room.capture.record()
    ended = room.sessions()[-1].recorded_times
    assert ended is not None
    assert len(ended) == MOST_RECORDED
    assert [time.begin_ms for time in ended] == sorted({time.begin_ms for time in ended})


async def test_no_later_window_goes_out_before_the_broker_has_the_record_of_a_stop() -> None:
    def later(room: Room) -> list[Window]:
        return [window for window in room.windows("Ana") if window.end_ns > 5 * NS_PER_S]

    async with open_room() as room:
        ana = await room.join("Ana", "audio")
        room.speak(0, 5.0)
        await until(lambda: room.windows("Ana"))
        room.producer.sessions_pass.clear()
        at(room, 5)
        room.capture.stop_recording()
        room.speak(0, 3.0)
        room.capture.leave(ana.ticket, ana.key)
        for _ in range(20):
            await room_moves()
        assert not later(room)
        room.producer.sessions_pass.set()
        await until(lambda: later(room))
    sent = [record for _, record in room.producer.published]
    stopped = [n for n, each in enumerate(sent) if isinstance(each, Session) and is_stopped(each)]
    assert stopped[0] < min(sent.index(window) for window in later(room))


def is_stopped(session: Session) -> bool:
    return times_of(session) == [(0, 5)]
