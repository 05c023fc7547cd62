"""aiortc as a sender: its sound and image reach the inbox, as far as they are shared."""

from __future__ import annotations

import asyncio
import itertools
import threading

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack

from streamer.capture import Chunk
from streamer.config import load
from streamer.records import NS_PER_MS, AudioChunk, Modality, StreamEnd, VideoFrame
from streamer.room.inbox import Inbox
from streamer.room.peer import WebRtcPeer
from streamer.room.people import Refused

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


def take(box: Inbox, kinds: set[type]) -> list[Chunk]:
    """Chunks until one of each kind is there; then the sender leaves, and the rest."""
    taken: list[Chunk] = []
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
