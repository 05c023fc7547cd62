"""aiortc as a sender: its sound and image reach the inbox, as far as they are shared."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import Any

import pytest
from aioice import stun
from aioice.ice import get_host_addresses
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack

from streamer.capture import Chunk
from streamer.config import RoomConfig, as_toml, dump, load
from streamer.errors import ConfigError
from streamer.records import NS_PER_MS, AudioChunk, Modality, StreamEnd, VideoFrame
from streamer.room.ice import SILENT_S, check_addresses, ice_servers, look_after, usable
from streamer.room.inbox import Inbox
from streamer.room.offers import MOST_CANDIDATES
from streamer.room.peer import WebRtcPeer
from streamer.room.people import Refused
from streamer.session.sharing import Shared

PATIENCE_S = 30
ALL: tuple[Modality, ...] = ("audio", "text", "vision")


def inbox(modalities: tuple[Modality, ...] = ALL) -> Inbox:
    loop = asyncio.get_running_loop()
    begun_s = loop.time()
    return Inbox(modalities, load(), lambda: int((loop.time() - begun_s) * 1e9))


async def offering(*tracks: object) -> RTCPeerConnection:
    sender = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    for track in tracks:
        sender.addTrack(track)
    await sender.setLocalDescription(await sender.createOffer())
    return sender


def take(box: Inbox, kinds: set[type]) -> list[Chunk | Shared]:
    """Chunks until one of each kind is there; then the sender leaves, and the rest."""
    taken: list[Chunk | Shared] = []
    for chunk in box.chunks(threading.Event()):
        taken.append(chunk)
        kinds -= {type(chunk)}
        if not kinds:
            box.end()
    return taken


async def test_sound_and_image_of_a_sender_become_chunks_in_order() -> None:
    box = inbox()
    peer = WebRtcPeer(box)
    sender = await offering(AudioStreamTrack(), VideoStreamTrack())
    answer = await peer.answer(sender.localDescription.sdp)
    await sender.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    receiving = asyncio.create_task(peer.run())
    async with asyncio.timeout(PATIENCE_S):
        chunks = await asyncio.to_thread(take, box, {AudioChunk, VideoFrame})
        await sender.close()
        await peer.close()
        await receiving
    sound = [chunk for chunk in chunks if isinstance(chunk, AudioChunk)]
    assert all(a.end_ns == b.event_time_ns for a, b in itertools.pairwise(sound))
    assert all(chunk.event_time_ns % (100 * NS_PER_MS) == 0 for chunk in sound[1:])
    assert [type(chunk) for chunk in chunks[-2:]] == [StreamEnd, StreamEnd]


async def test_a_track_without_consent_is_refused_in_the_answer() -> None:
    peer = WebRtcPeer(inbox(("text",)))
    sender = await offering(AudioStreamTrack(), VideoStreamTrack())
    answer = await peer.answer(sender.localDescription.sdp)
    sound, image = answer.split("m=video")
    assert "a=recvonly" in sound
    assert "a=inactive" in image
    assert "a=recvonly" not in image
    await sender.close()
    await peer.close()


@pytest.mark.parametrize(
    "offer",
    [
        "",
        "hello",
        "v=0\r\nm=audio nonsense\r\n",
        "v=0\r\n" + "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n" * 50,
        "v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n",
    ],
)
async def test_what_is_no_offer_of_sound_and_image_is_refused(offer: str) -> None:
    with pytest.raises(Refused) as refused:
        await WebRtcPeer(inbox()).answer(offer)
    assert refused.value.status == 400


class Unreadable:
    """A track whose frames have no time."""

    kind = "audio"
    pts = None

    async def recv(self) -> Unreadable:
        return self


async def test_media_that_cannot_be_read_end_the_stay_of_their_sender() -> None:
    peer = WebRtcPeer(inbox())
    await peer._pull(Unreadable())
    async with asyncio.timeout(PATIENCE_S):
        await peer.run()
    await peer.close()


def settings(*changes: str) -> RoomConfig:
    return load(None, list(changes)).room


async def answered(*changes: str) -> str:
    """A room's answer to an offer of sound, with these settings."""
    peer = WebRtcPeer(inbox(), settings(*changes))
    sender = await offering(AudioStreamTrack())
    try:
        return await peer.answer(sender.localDescription.sdp)
    finally:
        await sender.close()
        await peer.close()


def candidates(sdp: str) -> list[list[str]]:
    return [line.split() for line in sdp.splitlines() if line.startswith("a=candidate:")]


async def test_media_use_the_configured_addresses_only() -> None:
    own = get_host_addresses(use_ipv4=True, use_ipv6=True)
    if not own:
        pytest.skip("hardware: this machine has no network but the loopback interface")
    assert {fields[4] for fields in candidates(await answered())} == set(own)
    answer = await answered(f'room.ice_addresses=["{own[0]}"]')
    assert {fields[4] for fields in candidates(answer)} == {own[0]}
    assert candidates(await answered('room.ice_addresses=["127.0.0.2/32"]')) == []


def test_addresses_are_chosen_by_network() -> None:
    own = ["10.0.0.7", "192.168.1.5", "2001:db8::7"]
    assert usable(own, []) == own
    assert usable(own, ["10.0.0.0/8", "2001:db8::/32"]) == ["10.0.0.7", "2001:db8::7"]
    assert usable(own, ["172.16.0.0/12"]) == []


def test_a_room_without_any_of_its_addresses_is_a_sentence() -> None:
    check_addresses(settings())
    with pytest.raises(ConfigError, match=r"No address of this machine is in room.ice_addresses"):
        check_addresses(settings('room.ice_addresses=["127.0.0.2/32"]'))


class FakeStun(asyncio.DatagramProtocol):
    """A STUN server that finds everybody at one address."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        request = stun.parse_message(data)
        answer = stun.Message(request.message_method, stun.Class.RESPONSE, request.transaction_id)
        answer.attributes["XOR-MAPPED-ADDRESS"] = ("203.0.113.9", 40_000)
        self.transport.sendto(bytes(answer), addr)


async def test_a_stun_server_is_asked_where_it_is_configured() -> None:
    own = get_host_addresses(use_ipv4=True, use_ipv6=False)
    if not own:
        pytest.skip("hardware: this machine has no network but the loopback interface")
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(FakeStun, local_addr=(own[0], 0))
    port = transport.get_extra_info("sockname")[1]
    server = f'room.ice_servers=[{{url="stun:{own[0]}:{port}"}}]'
    found = [fields[4] for fields in candidates(await answered(server)) if "srflx" in fields]
    transport.close()
    assert set(found) == {"203.0.113.9"}


TURN = (
    'room.ice_servers=[{url="stun:stun.example"}, {url="turn:turn.example:3479?transport=tcp", '
    'username="room", credential="hunter2"}]'
)


def test_the_credentials_of_a_turn_server_reach_aiortc_and_no_print() -> None:
    stun_server, turn_server = ice_servers(settings(TURN))
    assert (stun_server.urls, stun_server.credential) == ("stun:stun.example", None)
    assert (turn_server.username, turn_server.credential) == ("room", "hunter2")
    chosen = load(None, [TURN])
    assert "turn.example" in as_toml(chosen)
    assert "hunter2" not in f"{as_toml(chosen)} {dump(chosen)} {chosen!r}"


@pytest.mark.parametrize(
    ("setting", "part"),
    [
        ('room.ice_servers=[{url="http://stun.example"}]', "url must be stun:host"),
        ('room.ice_servers=[{url="turn:room:hunter2@turn.example"}]', "url must be stun:host"),
        ('room.ice_servers=[{url="turn:turn.example"}]', "needs username and credential"),
        (
            'room.ice_servers=[{url="turns:t.eu?transport=udp", username="a", credential="b"}]',
            "over TCP only",
        ),
        ('room.ice_servers=[{url="stun:a"}, {url="stun:b"}]', "at most one STUN"),
        ('room.ice_servers=[{url="stun:a", user="x"}]', "user"),
        ('room.ice_addresses=["eth0"]', "must be an address or a network"),
    ],
)
def test_a_wrong_server_or_address_is_one_sentence_without_secrets(setting: str, part: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(None, [setting])
    assert part in str(refused.value)
    assert "hunter2" not in str(refused.value)


async def test_an_offer_with_very_many_candidates_is_refused() -> None:
    line = "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n"
    offer = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n" + line * (MOST_CANDIDATES + 1)
    with pytest.raises(Refused, match=f"at most {MOST_CANDIDATES} candidates"):
        await WebRtcPeer(inbox()).answer(offer)


class Silent:
    """A connection whose sender answers no question; each takes ten seconds of the test's clock."""

    remote_password = "secret"

    def __init__(self) -> None:
        self.now_s = 0.0
        self.heard_until_s = 0.0
        self.closed_s: float | None = None
        self.remote_addr = ("192.0.2.7", 50_000)
        self._nominated = {1: self}
        self.protocol = self

    def build_request(self, pair: Any, nominate: bool) -> None:
        return None

    async def request(self, *args: Any, **settings: Any) -> None:
        self.now_s += 10
        raise stun.TransactionTimeout

    async def close(self) -> None:
        self.closed_s = self.now_s

    def heard_s(self) -> float:
        return min(self.now_s, self.heard_until_s)


@pytest.mark.parametrize("heard_until_s", [0.0, 200.0])
async def test_a_sender_is_gone_when_it_neither_answers_nor_sends(heard_until_s: float) -> None:
    silent = Silent()
    silent.heard_until_s = heard_until_s
    async with asyncio.timeout(PATIENCE_S):
        await look_after(silent, silent.heard_s, lambda: silent.now_s, ask_s=0)
    assert silent.closed_s == heard_until_s + SILENT_S + 10
