"""Small media files with every defect of real ones, generated through PyAV when a test needs them.

`write` encodes any tracks and may change their timestamps; `cut_tail`, `damage` and `rotate` then
change the bytes as disks, networks and phones do.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from streamer.demo.synthetic import draw_face

Wave = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Seconds, shape (n,) → the samples at those times, in [-1, 1]: of shape (n,), or (n, channels)."""
Drawing = Callable[[float], NDArray[np.uint8]]
"""Seconds → an RGB frame."""
Restamp = Callable[[float], float]
"""True time of a packet in seconds → the timestamp that the file contains."""


def tone(hz: float = 440.0, level: float = 0.5) -> Wave:
    return lambda seconds: level * np.sin(2 * np.pi * hz * seconds)


def silence(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.zeros_like(seconds)


def side_by_side(*waves: Wave) -> Wave:
    """One wave for each channel."""
    return lambda seconds: np.stack([wave(seconds) for wave in waves], axis=1)


def beeps(at: Sequence[float], length_s: float = 0.05, hz: float = 1000.0) -> Wave:
    """Silence with a beep at each of the given seconds."""

    def wave(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        on = np.zeros(len(seconds), bool)
        for start in at:
            on |= (seconds >= start) & (seconds < start + length_s)
        return np.where(on, 0.8 * np.sin(2 * np.pi * hz * seconds), 0.0)

    return wave


def grey_clock(size: tuple[int, int] = (64, 48), levels_per_s: float = 20.0) -> Drawing:
    """A plain frame whose brightness encodes its time."""
    width, height = size
    return lambda t: np.full((height, width, 3), round(20 + levels_per_s * t) % 256, np.uint8)


def read_grey_clock(image: NDArray[np.uint8], levels_per_s: float = 20.0) -> float:
    """Decode the time of a `grey_clock` frame, in seconds."""
    return (float(image.mean()) - 20) / levels_per_s


def face(mood: float = 0.5, size: tuple[int, int] = (320, 240)) -> Drawing:
    return lambda t: draw_face(mood, t, size, talking=True)


@dataclass(frozen=True)
class Audio:
    """An audio track; `holes` are spans of seconds without packets."""

    seconds: float = 3.0
    rate: int = 16_000
    layout: str = "mono"
    codec: str = "pcm_s16le"
    wave: Wave = field(default_factory=tone)
    start_s: float = 0.0
    holes: tuple[tuple[float, float], ...] = ()
    options: dict[str, str] = field(default_factory=dict)
    bit_rate: int | None = None
    language: str | None = None
    default: bool = True


@dataclass(frozen=True)
class Video:
    """A video track with frames evenly at `rate`, or at the given `times` in seconds."""

    seconds: float = 3.0
    rate: int = 10
    codec: str = "libx264"
    draw: Drawing = field(default_factory=grey_clock)
    times: tuple[float, ...] | None = None
    start_s: float = 0.0
    holes: tuple[tuple[float, float], ...] = ()
    options: dict[str, str] = field(default_factory=dict)
    pixels: str = "yuv420p"
    pixel_aspect: Fraction | None = None


def write(
    path: Path,
    *tracks: Audio | Video,
    stamp: Restamp | None = None,
    container: str | None = None,
    metadata: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Write a file with these tracks, interleaved by time; `stamp` changes every timestamp."""
    with av.open(str(path), "w", format=container, options=options or {}) as out:
        out.metadata.update(metadata or {})
        streams = [_add(out, track) for track in tracks]
        packets = []
        for track, stream in zip(tracks, streams, strict=True):
            encoded = (
                _encode_audio(track, stream)
                if isinstance(track, Audio)
                else _encode_video(track, stream)
            )
            for packet in encoded:
                true_s = float(packet.pts * packet.time_base)
                if not any(start <= true_s < end for start, end in track.holes):
                    packets.append((float((packet.dts or 0) * packet.time_base), true_s, packet))
        for _, true_s, packet in sorted(packets, key=lambda item: item[0]):
            if stamp is not None:
                moved = round((stamp(true_s) - true_s) / packet.time_base)
                packet.pts += moved
                packet.dts += moved
            out.mux(packet)
    return path


def _add(out: av.container.OutputContainer, track: Audio | Video) -> av.stream.Stream:
    if isinstance(track, Audio):
        stream = out.add_stream(
            track.codec, rate=track.rate, layout=track.layout, options=track.options
        )
        if track.bit_rate:
            stream.bit_rate = track.bit_rate
        if track.language:
            stream.metadata["language"] = track.language
        if not track.default:
            stream.disposition = av.stream.Disposition(0)
        return stream
    height, width = track.draw(0.0).shape[:2]
    options = {"preset": "ultrafast"} if track.codec == "libx264" else {}
    stream = out.add_stream(track.codec, rate=track.rate, options=options | track.options)
    stream.width, stream.height, stream.pix_fmt = width, height, track.pixels
    stream.bit_rate = 1_000_000
    stream.codec_context.time_base = Fraction(1, 1000) if track.times else Fraction(1, track.rate)
    if track.pixel_aspect is not None:
        stream.codec_context.sample_aspect_ratio = track.pixel_aspect
    return stream


def _encode_audio(track: Audio, stream: av.AudioStream) -> list[av.Packet]:
    channels = av.AudioLayout(track.layout).nb_channels
    total = round(track.seconds * track.rate)
    first = round(track.start_s * track.rate)
    packets = []
    for begin in range(0, total, track.rate // 10):
        index = np.arange(begin, min(total, begin + track.rate // 10))
        samples = track.wave((first + index) / track.rate).astype(np.float32)
        frame = av.AudioFrame(format="flt", layout=track.layout, samples=len(index))
        packed = samples if samples.ndim == 2 else np.repeat(samples[:, None], channels, axis=1)
        frame.planes[0].update(np.ascontiguousarray(packed).tobytes())
        frame.sample_rate, frame.time_base = track.rate, Fraction(1, track.rate)
        frame.pts = first + begin
        packets += stream.encode(frame)
    return packets + list(stream.encode(None))


def _encode_video(track: Video, stream: av.VideoStream) -> list[av.Packet]:
    base = stream.codec_context.time_base
    times = track.times or [n / track.rate for n in range(round(track.seconds * track.rate))]
    packets = []
    for time_s in times:
        at_s = track.start_s + time_s
        frame = av.VideoFrame.from_ndarray(track.draw(at_s), format="rgb24")
        frame.pts, frame.time_base = round(at_s / base), base
        packets += stream.encode(frame)
    return packets + list(stream.encode(None))


def jump(at_s: float, by_s: float) -> Restamp:
    """Timestamps that jump once."""
    return lambda true_s: true_s + by_s if true_s >= at_s else true_s


def talking_head(path: Path, seconds: float = 3.0, mood: float = 0.5) -> Path:
    """Write a video of a face that the detector finds, with a tone as its voice."""
    return write(
        path,
        Audio(seconds=seconds, codec="aac", rate=44_100, layout="stereo"),
        Video(seconds=seconds, draw=face(mood)),
    )


def cut_tail(path: Path, share: float) -> Path:
    """Truncate a file to the first `share` of its bytes, as an interrupted copy does."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def damage(path: Path, from_share: float, to_share: float, seed: int = 0) -> Path:
    """Overwrite part of the bytes with noise."""
    data = bytearray(path.read_bytes())
    begin, end = int(len(data) * from_share), int(len(data) * to_share)
    data[begin:end] = np.random.default_rng(seed).bytes(end - begin)
    path.write_bytes(bytes(data))
    return path


def rotate(path: Path, quarters: int) -> Path:
    """Set in an MP4's header that its video is shown rotated clockwise by quarter turns."""
    cosine, sine = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarters % 4]
    matrix = struct.pack(
        ">9i", cosine << 16, sine << 16, 0, -sine << 16, cosine << 16, 0, 0, 0, 1 << 30
    )
    data = bytearray(path.read_bytes())
    header = data.find(b"tkhd")
    while header >= 0:
        width_at = header + 4 + 76
        if data[width_at : width_at + 4] != bytes(4):
            data[width_at - 36 : width_at] = matrix
        header = data.find(b"tkhd", header + 4)
    path.write_bytes(bytes(data))
    return path


def sparse_wav(path: Path, seconds: float, rate: int = 16_000) -> Path:
    """Write hours of silence as a sparse file, which needs no disk space."""
    size = round(seconds * rate) * 2
    header = b"RIFF" + struct.pack("<I", min(36 + size, 0xFFFFFFFF)) + b"WAVEfmt "
    header += struct.pack("<IHHIIHH", 16, 1, 1, rate, rate * 2, 2, 16)
    with path.open("wb") as file:
        file.write(header + b"data" + struct.pack("<I", min(size, 0xFFFFFFFF)))
        file.truncate(44 + size)
    return path


def write_with_cover(recording: Path, path: Path) -> Path:
    """Copy the packets and mark the video stream as a cover image."""
    with av.open(str(recording)) as source, av.open(str(path), "w") as out:
        streams = {s.index: out.add_stream_from_template(s) for s in source.streams}
        for stream in streams.values():
            if stream.type == "video":
                stream.disposition = av.stream.Disposition.attached_pic
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                out.mux(packet)
    return path


def write_with_subtitles(path: Path, *tracks: Audio | Video) -> Path:
    """Write the tracks and an SRT stream of one cue after them."""
    plain = write(path.with_name(f"plain-{path.name}"), *tracks)
    srt = path.with_suffix(".inside.srt")
    srt.write_text("1\n00:00:00,500 --> 00:00:01,500\nGood morning.\n\n")
    with av.open(str(plain)) as a, av.open(str(srt)) as b, av.open(str(path), "w") as out:
        copies = [
            (source, {s.index: out.add_stream_from_template(s) for s in source.streams})
            for source in (a, b)
        ]
        for source, streams in copies:
            for packet in source.demux():
                if packet.size:
                    packet.stream = streams[packet.stream_index]
                    out.mux(packet)
    plain.unlink()
    srt.unlink()
    return path


class Stripped:
    """An open container whose packets, except the first of each stream, have no timestamps."""

    def __init__(self, container: av.container.InputContainer, kind: str) -> None:
        self._container = container
        self._kinds = ("audio", "video") if kind == "both" else (kind,)

    def __getattr__(self, name: str) -> object:
        return getattr(self._container, name)

    def __enter__(self) -> Stripped:
        return self

    def __exit__(self, *error: object) -> None:
        self._container.close()

    def demux(self, *streams: av.stream.Stream) -> Iterator[av.Packet]:
        begun = set()
        for packet in self._container.demux(*streams):
            if packet.stream.type in self._kinds and packet.stream_index in begun:
                packet.pts = packet.dts = None
            begun.add(packet.stream_index)
            yield packet


class Displaced:
    """An open container whose first packet of one kind has its timestamps moved by `by_s`."""

    def __init__(self, container: av.container.InputContainer, kind: str, by_s: float) -> None:
        self._container = container
        self._kind, self._by_s = kind, by_s

    def __getattr__(self, name: str) -> object:
        return getattr(self._container, name)

    def demux(self, *streams: av.stream.Stream) -> Iterator[av.Packet]:
        moved = False
        for packet in self._container.demux(*streams):
            if packet.stream.type == self._kind and not moved and packet.pts is not None:
                packet.pts = packet.dts = packet.pts + round(self._by_s / packet.time_base)
                moved = True
            yield packet
