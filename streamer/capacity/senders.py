"""Recordings that repeat as live streams, for a measured load.

What enters: media files of one person each. What leaves: a stream for each participant at an
address on this machine, at real speed and without an end. Each recording is encoded once, before:
its pictures as a browser sends them (H.264 of the baseline profile, no picture depends on a later
one), its sound as samples. So a stream costs little beside what reads it. It knows no session.
"""

from __future__ import annotations

import io
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol, Self

import av
import numpy as np
from numpy.typing import NDArray

from streamer.capture.files import open_file, select_streams
from streamer.errors import SourceError

TURN_S = 10
"""How long each participant has sound, one after another."""
PIECE_S = Fraction(1, 20)
"""Length of the pieces in which sound is sent, as of most microphones."""
BIT_RATE = 800_000
"""Of the pictures: that of a person at 640x360 in a video call."""
X264 = {"preset": "veryfast", "tune": "zerolatency", "profile": "baseline", "threads": "1"}
KEY_EVERY_S = 2
MUXING = {"live": "1", "cluster_time_limit": "1", "fflags": "+flush_packets"}
"""So that Matroska keeps no packet back for longer than until the next one."""

HasSound = Callable[[float], bool]
"""Whether a participant has sound at a time, in seconds since the streams began."""
Pace = Callable[[Fraction], None]
"""Waits until a packet is due, in seconds since its stream began; it may end the stream."""


class Writable(Protocol):
    """What FFmpeg writes to."""

    def write(self, data: bytes, /) -> Any:
        """Take the next bytes."""


@dataclass(frozen=True)
class Recording:
    """What is repeated: encoded pictures, and as much sound.

    Attributes:
        encoded: a container of the pictures, whose stream describes them.
        pictures: each one's bytes, and whether it depends on no other.
        rate: of the pictures, in Hz.
        samples: mono, int16, as long as the pictures.
        rate_hz: of the samples.
    """

    encoded: bytes
    pictures: Sequence[tuple[bytes, bool]]
    rate: Fraction
    samples: NDArray[np.int16]
    rate_hz: int

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and encode a recording.

        Raises:
            SourceError: it cannot be read, or has no sound or no pictures.
        """
        encoded, rate = _encoded(path)
        with av.open(io.BytesIO(encoded)) as container:
            packets = [each for each in container.demux(video=0) if each.size]
            pictures = [(bytes(packet), packet.is_keyframe) for packet in packets]
        samples, rate_hz = _samples(path)
        whole = np.zeros(round(len(pictures) / rate * rate_hz), np.int16)
        samples = samples[: len(whole)]
        whole[: len(samples)] = samples
        return cls(encoded, pictures, rate, whole, rate_hz)

    def sound(self, begin: int, count: int) -> bytes:
        """Return `count` samples from the stream's sample `begin` on."""
        return self.samples[np.arange(begin, begin + count) % len(self.samples)].tobytes()


def _encoded(path: Path) -> tuple[bytes, Fraction]:
    """Return a container of the recording's pictures, and their rate in Hz."""
    out = io.BytesIO()
    with open_file(path) as container, av.open(out, "w", format="matroska") as target:
        source = select_streams(container, str(path)).video
        if source is None:
            raise SourceError(f"{path} has no image; give recordings that have both.")
        rate = Fraction(source.average_rate or 25)
        has_x264 = "libx264" in av.codecs_available
        stream: Any = target.add_stream(
            "libx264" if has_x264 else "mpeg4", rate=rate, options=X264 if has_x264 else {}
        )
        stream.width, stream.height = source.width // 2 * 2, source.height // 2 * 2
        stream.pix_fmt, stream.bit_rate = "yuv420p", BIT_RATE
        stream.gop_size = round(KEY_EVERY_S * rate)
        for number, frame in enumerate(container.decode(source)):
            picture = frame.reformat(stream.width, stream.height, "yuv420p")
            picture.pts, picture.time_base, picture.pict_type = number, 1 / rate, 0
            target.mux(stream.encode(picture))
        target.mux(stream.encode(None))
    return out.getvalue(), rate


def _samples(path: Path) -> tuple[NDArray[np.int16], int]:
    with open_file(path) as container:
        stream = select_streams(container, str(path)).audio
        if stream is None:
            raise SourceError(f"{path} has no sound; give recordings that have both.")
        rate_hz = stream.codec_context.rate
        mono = av.AudioResampler("s16", "mono", rate_hz)
        parts = [
            part.to_ndarray().reshape(-1)
            for frame in itertools.chain(container.decode(stream), [None])
            for part in mono.resample(frame)
        ]
        return np.concatenate([np.zeros(0, np.int16), *parts]), rate_hz


def send(recording: Recording, out: Writable, has_sound: HasSound, pace: Pace) -> None:
    """Write a recording again and again; returns only by what `pace` or `out` raises.

    Args:
        recording: what is repeated.
        out: gets a Matroska stream.
        has_sound: whether there is sound, by the seconds of this stream.
        pace: called before each packet, with the time at which it is due.
    """
    with (
        av.open(io.BytesIO(recording.encoded)) as template,
        av.open(out, "w", format="matroska", options=MUXING) as container,
    ):
        pictures = container.add_stream_from_template(template.streams.video[0])
        sound: Any = container.add_stream("pcm_s16le", rate=recording.rate_hz, layout="mono")
        size, sample_s = int(PIECE_S * recording.rate_hz), Fraction(1, recording.rate_hz)
        sent = 0
        for number, (picture, is_key) in enumerate(itertools.cycle(recording.pictures)):
            at = number / recording.rate
            while (due := (sent + size) * sample_s) <= at:
                pace(due)
                heard = has_sound(float(sent * sample_s))
                piece = recording.sound(sent, size) if heard else bytes(2 * size)
                container.mux(_packet(sound, piece, sent, size, sample_s))
                sent += size
            pace(at)
            packet = _packet(pictures, picture, number, 1, 1 / recording.rate)
            packet.is_keyframe = is_key
            container.mux(packet)


def _packet(stream: Any, data: bytes, time: int, duration: int, time_base: Fraction) -> Any:
    packet = av.Packet(data)
    packet.stream, packet.time_base = stream, time_base
    packet.pts = packet.dts = time
    packet.duration = duration
    return packet


def in_turn(number: int, count: int) -> HasSound:
    """Return whether the participant of this number has the turn, of so many participants."""
    return lambda at_s: int(at_s / TURN_S) % count == number


def always(_: float) -> bool:
    """Everybody has sound all the time."""
    return True


@contextmanager
def sending(participants: Sequence[tuple[Recording, HasSound]]) -> Iterator[list[str]]:
    """Serve a stream for each participant while the block runs; yield their addresses.

    Each reader gets the stream from its beginning, in a thread of its own. Turns count from the
    beginning of the block, so that all streams agree on them.
    """
    begun_s = time.monotonic()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            recording, has_sound = participants[int(self.path.strip("/").partition(".")[0])]
            self.send_response(200)
            self.send_header("Content-Type", "video/x-matroska")
            self.end_headers()
            joined_s = time.monotonic()
            with suppress(OSError, av.FFmpegError):  # the reader has gone
                send(
                    recording,
                    _Body(self.wfile),
                    lambda at_s: has_sound(at_s + joined_s - begun_s),
                    lambda due: _sleep_until(joined_s + float(due)),
                )

        def log_message(self, format: str, *arguments: Any) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads, server.block_on_close = True, False
        threading.Thread(target=server.serve_forever, name="senders", daemon=True).start()
        try:
            yield [
                f"http://127.0.0.1:{server.server_port}/{number}.mkv"
                for number in range(len(participants))
            ]
        finally:
            server.shutdown()


class _Body:
    """A response's body as a file that FFmpeg cannot seek."""

    def __init__(self, out: Writable) -> None:
        self.write = out.write


def _sleep_until(at_s: float) -> None:
    if (left_s := at_s - time.monotonic()) > 0:
        time.sleep(left_s)
