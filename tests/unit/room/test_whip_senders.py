"""Programs that send by WHIP: OBS's offer, FFmpeg's own muxer, GStreamer's certificate of RSA."""

from __future__ import annotations

import asyncio
import re
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiortc import (
    RTCCertificate,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import AudioStreamTrack
from aiortc.rtcdtlstransport import generate_certificate
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from yarl import URL

from streamer.room.offers import Offer
from streamer.room.peer import WebRtcPeer
from tests.unit.room.test_peer import inbox
from tests.unit.room.test_room_session import PATIENCE_S, Room, open_room, until

pytestmark = pytest.mark.slow

OBS = """\
v=0
o=rtc 2871462511 0 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=group:LS 0 1
a=msid-semantic:WMS *
a=ice-options:ice2,trickle
a=fingerprint:sha-256 {fingerprint}
m=audio 50000 UDP/TLS/RTP/SAVPF 111
c=IN IP4 192.0.2.7
a=mid:0
a=sendonly
a=ssrc:1001 cname:obs
a=ssrc:1001 msid:obs-audio obs-audio
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;maxaveragebitrate=96000;stereo=1;sprop-stereo=1;useinbandfec=1
a=setup:actpass
a=ice-ufrag:obsf
a=ice-pwd:obspasswordobspassword22
a=candidate:1 1 UDP 2122317823 192.0.2.7 50000 typ host
a=end-of-candidates
m=video 50000 UDP/TLS/RTP/SAVPF 96
c=IN IP4 192.0.2.7
a=mid:1
a=sendonly
a=ssrc:1002 cname:obs
a=ssrc:1002 msid:obs-video obs-video
a=rtcp-mux
a=rtpmap:96 H264/90000
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtcp-fb:96 goog-remb
a=fmtp:96 profile-level-id={profile};packetization-mode=1;level-asymmetry-allowed=1
a=setup:actpass
a=ice-ufrag:obsf
a=ice-pwd:obspasswordobspassword22
"""
"""As libdatachannel, with which OBS sends, writes it; `profile` is H.264's."""


def obs(profile: str) -> str:
    fingerprint = ":".join(["7A"] * 32)
    return OBS.format(fingerprint=fingerprint, profile=profile).replace("\n", "\r\n")


@asynccontextmanager
async def on_the_wall_clock(*settings: str) -> AsyncIterator[Room]:
    """A room that takes WebRTC, in real time."""
    async with open_room(*settings) as room:
        room.capture.make_peer = None
        begun_ns = time.monotonic_ns()
        room.capture.clock_ns = lambda: time.monotonic_ns() - begun_ns
        yield room


@asynccontextmanager
async def agreed(*shares: str) -> AsyncIterator[tuple[Room, aiohttp.ClientSession, str]]:
    """Such a room, a client at its address, and Ana's ticket."""
    async with on_the_wall_clock() as room:
        base = room.links[0].partition("#")[0]
        terms = room.capture.terms
        ticket = room.capture.agree("Ana", shares, terms.version).ticket
        async with aiohttp.ClientSession(base) as client:
            yield room, client, ticket


@pytest.mark.parametrize("profile", ["42e01f", "64001f", "4d401f"])
async def test_obs_posts_an_offer_with_its_token_and_deletes_the_location(profile: str) -> None:
    async with agreed("audio", "vision") as (_, client, ticket):
        bearer = {"Authorization": f"Bearer {ticket}"}
        headers = {**bearer, "Content-Type": "application/sdp"}
        async with client.post("/whip", data=obs(profile), headers=headers) as response:
            assert (response.status, response.content_type) == (201, "application/sdp")
            answer = await response.text()
            place = response.url.join(URL(response.headers["Location"]))
        assert place.path.startswith("/whip/")
        sound, image = answer.split("m=video")
        assert re.search(r"a=rtpmap:111 opus/48000/2\r\n", sound)
        assert "a=recvonly" in image
        assert re.search(rf"a=fmtp:96 .*profile-level-id={profile}", image)
        assert re.search(r"a=rtpmap:96 H264/90000\r\n", image)
        async with client.delete(place, headers=bearer) as response:
            assert response.status == 200
        async with client.delete(place, headers=bearer) as response:
            assert response.status == 404


async def test_senders_ask_what_is_taken_and_learn_that_candidates_do_not_trickle() -> None:
    async with agreed("audio") as (_, client, ticket):
        async with client.options("/whip") as response:
            assert (response.status, response.headers["Accept-Post"]) == (204, "application/sdp")
        bearer = {"Authorization": f"Bearer {ticket}"}
        async with client.patch("/whip/any", data="a=candidate:", headers=bearer) as response:
            assert response.status == 405
        async with client.post("/whip", data="v=0", headers=bearer) as response:
            assert response.status == 415


def test_an_offer_with_vp8_keeps_its_profiles_of_h264() -> None:
    alone = obs("64001f").replace("a=end-of-candidates\r\n", "")
    both = alone.replace("a=rtpmap:96", "a=rtpmap:97 VP8/90000\r\na=rtpmap:96")
    assert Offer(both).sdp == both
    taken = Offer(obs("64001f"))
    assert "profile-level-id=42e01f" in taken.sdp
    assert taken.answered(taken.sdp) == alone


FFMPEG = """
import sys
from fractions import Fraction

import av
import numpy as np

address, ticket, certificate, key = sys.argv[1:]
options = {"authorization": ticket, "cert_file": certificate, "key_file": key}
with av.open(address, "w", format="whip", options=options) as out:
    image = out.add_stream("libx264", rate=25, options={"preset": "ultrafast", "bf": "0"})
    image.width, image.height, image.pix_fmt = 160, 120, "yuv420p"
    sound = out.add_stream("libopus", rate=48_000)
    sound.layout = "stereo"
    number = 0
    while sys.stdin.readline():  # a fiftieth of a second
        at = np.arange(960) + 960 * number
        tone = (8_000 * np.sin(2 * np.pi * 440 * at / 48_000)).astype("<i2")
        samples = np.repeat(tone, 2)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, int(at[0]), Fraction(1, 48_000)
        out.mux(sound.encode(frame))
        if number % 2 == 0:
            shown = np.full((120, 160, 3), number % 256, np.uint8)
            picture = av.VideoFrame.from_ndarray(shown)
            picture.pts, picture.time_base = number // 2, Fraction(1, 25)
            out.mux(image.encode(picture))
        number += 1
"""
"""FFmpeg as a program of its own: its muxer waits for the room with Python's lock held."""


def key_files(folder: Path) -> list[str]:
    """A certificate and its key, for an FFmpeg over GnuTLS: its own are of a curve too weak."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = generate_certificate(key)
    (folder / "cert.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    return [str(folder / "cert.pem"), str(folder / "key.pem")]


async def test_ffmpegs_muxer_sends_sound_and_images_and_leaves(tmp_path: Path) -> None:
    async with agreed("audio", "vision") as (room, _, ticket):
        address = f"{room.links[0].partition('#')[0]}whip"
        sender = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", textwrap.dedent(FFMPEG)),
            *(address, ticket, *key_files(tmp_path)),
            stdin=asyncio.subprocess.PIPE,
        )
        assert sender.stdin is not None
        async with asyncio.timeout(PATIENCE_S):
            while not seen(room):
                sender.stdin.write(b"\n")
                await asyncio.sleep(0.02)
            sender.stdin.close()
            await sender.wait()
            await until(lambda: room.capture.guests[0].withdrawn_at_ns)
    windows = room.windows("Ana")
    assert sender.returncode == 0
    assert all(window.audio for window in windows[1:])


def seen(room: Room) -> bool:
    """Whether two seconds of sound and of images have come."""
    stays: list[Any] = room.capture._stays
    return bool(stays) and min(stays[0].inbox.ends_ns) > 2e9


async def test_a_sender_whose_addresses_the_room_does_not_reach_may_reach_the_room() -> None:
    peer = WebRtcPeer(inbox())
    sender = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    sender.addTrack(AudioStreamTrack())
    await sender.setLocalDescription(await sender.createOffer())
    hidden = "a=candidate:1 1 udp 2122317823 hidden.invalid 50000 typ host\r\n"
    offer = re.sub(r"(a=candidate:.*\r\n)+", hidden, sender.localDescription.sdp)
    assert offer.count("a=candidate") == offer.count("a=end-of-candidates") == 1
    answer = await peer.answer(offer)
    await sender.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    async with asyncio.timeout(PATIENCE_S):
        await peer._connected.wait()
    assert peer._connection.connectionState == "connected"
    await sender.close()
    await peer.close()


class RsaCertificate(RTCCertificate):  # type: ignore[misc]  # aiortc has no types
    """A sender's certificate as GStreamer's: of RSA, with ciphers for it."""

    def _create_ssl_context(self, srtp_profiles: Any) -> Any:
        context = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(b"ECDHE-RSA-AES128-GCM-SHA256")
        return context


async def test_a_sender_may_have_a_certificate_of_rsa() -> None:
    peer = WebRtcPeer(inbox())
    sender = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    key = rsa.generate_private_key(65_537, 2048)
    own = RsaCertificate(key=key, cert=generate_certificate(key))
    sender._RTCPeerConnection__certificates = [own]
    sender.addTrack(AudioStreamTrack())
    await sender.setLocalDescription(await sender.createOffer())
    answer = await peer.answer(sender.localDescription.sdp)
    await sender.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    async with asyncio.timeout(PATIENCE_S):
        await peer._connected.wait()
    assert peer._connection.connectionState == "connected"
    await sender.close()
    await peer.close()
