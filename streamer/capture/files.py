"""One pass over an open media container: packets → chunks in event-time order.

Input: a container that PyAV has opened (a file, a URL or a device), the streams to read and the
session time at which it begins. Output: AudioChunks, VideoFrames and Notices. Damaged parts are
skipped and missing timestamps filled in. This module does not depend on devices, faces or words.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av

from streamer.capture.backlog import read_backlog
from streamer.capture.source_notices import SourceNotices
from streamer.capture.sources import Source, channel_fragment
from streamer.capture.timeline import Timeline
from streamer.capture.tracks import AudioTrack, ChannelTracks, VideoTrack
from streamer.errors import SourceError
from streamer.records import NS_PER_S, AudioChunk, Notice, VideoFrame

MediaChunk = AudioChunk | VideoFrame | Notice
Kind = Literal["audio", "video"]

QUEUED_BYTES_LIMIT = 64 * 1024 * 1024
QUEUED_TIME_LIMIT_NS = 30 * NS_PER_S
"""Bounds for the packets of one stream that wait while the container has none of the other."""
BAD_READS_LIMIT = 20
"""Reading ends after so many failed reads in a row."""
TRUNCATED_NS = NS_PER_S
"""A recording that ends this much before its declared end gives a notice."""


# --- opening ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SelectedStreams:
    """The streams of a container to read; None where there is none or it is not read."""

    audio: Any = None
    video: Any = None

    @property
    def present(self) -> list[Any]:
        """The streams that are not None."""
        return [stream for stream in (self.audio, self.video) if stream is not None]


def open_file(path: Path) -> Any:
    """Open a media file.

    Raises:
        SourceError: the file is missing, empty, not readable or not media.
    """
    try:
        if path.stat().st_size == 0:
            raise SourceError(f"The file {path} is empty; there is nothing to read.")
        # An absolute path, because FFmpeg takes `10:30.mp4` for an address of the protocol `10`.
        return av.open(str(path.absolute()), "r", metadata_errors="ignore")
    except FileNotFoundError:
        raise SourceError(f"There is no file {path}; check the name.") from None
    except PermissionError:
        raise SourceError(f"The file {path} may not be read; check its permissions.") from None
    except (av.FFmpegError, OSError, ValueError) as error:
        raise SourceError(
            f"The file {path} cannot be read as media ({reason(error)}); "
            "it may be of another type, or truncated before its index."
        ) from None


def select_streams(container: Any, name: str, audio_stream: int | None = None) -> SelectedStreams:
    """Select the best audio and video streams that can be decoded; cover images do not count.

    Args:
        container: open for reading.
        name: of the source, for messages.
        audio_stream: index among the audio streams; None for the best one.

    Raises:
        SourceError: nothing can be decoded, or there is no such audio stream.
    """
    audio = [s for s in container.streams.audio if s.codec_context is not None]
    video = [
        s
        for s in container.streams.video
        if s.codec_context is not None and not s.disposition & s.disposition.attached_pic
    ]
    if not audio and not video:
        raise SourceError(f"{name} contains neither audio nor video that can be decoded.")
    if audio_stream is None:
        return SelectedStreams(_best(container, "audio", audio), _best(container, "video", video))
    if audio_stream >= len(audio):
        raise SourceError(
            f"{name} has {len(audio)} audio streams, counted from #a:0; "
            f"there is no #a:{audio_stream}."
        )
    return SelectedStreams(audio[audio_stream], _best(container, "video", video))


def check_channel(source: Source, count: int) -> None:
    """Check that a source whose sound has `count` channels has the one that is asked for.

    Raises:
        SourceError: it has not.
    """
    if source.channel is not None and source.channel >= count:
        asked = channel_fragment(source.channel)
        are = "1 channel" if count == 1 else f"{count} channels"
        raise SourceError(
            f"{source.name} has {are}, counted from #ch:0; there is no {asked}."
            if count
            else f"{source.name} has no audio, so there is no {asked}."
        )


def _best(container: Any, kind: str, decodable: list[Any]) -> Any:
    best = container.streams.best(kind)
    return best if best in decodable else next(iter(decodable), None)


def declared_length_ns(container: Any) -> int | None:
    """The length that the container declares, from its first timestamp; None when unknown."""
    if not container.duration:
        return None
    from_zero = "matroska" in container.format.name
    length_us = container.duration - (max(0, container.start_time or 0) if from_zero else 0)
    return int(length_us) * 1000 if length_us > 0 else None


def reason(error: BaseException) -> str:
    """The cause of an error in a few words, without FFmpeg's numbers."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


# --- reading ------------------------------------------------------------------------------------


@dataclass
class ContainerReader:
    """Reads one container once, through `read` or `read_live`; `end_ns` is valid afterwards.

    Attributes:
        container: open for reading.
        streams: the streams to read.
        name: of the source, for notices.
        start_ns: session time at which the container begins.
        max_gap_ns: see Timeline.
        audio: the track that gets the audio; needed where `streams` has an audio stream. A track
            that already has audio continues.
        video: the track that gets the frames; needed where `streams` has a video stream.
        now: the live clock; None for recordings.
        counters: gets `damaged_packets` and `clock_leaps` (jumps of the container's clock).
    """

    container: Any
    streams: SelectedStreams
    name: str
    start_ns: int
    max_gap_ns: int
    audio: AudioTrack | ChannelTracks | None = None
    video: VideoTrack | None = None
    now: Callable[[], int] | None = None
    counters: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Prepare queues and timeline; nothing is read yet."""
        start = self.container.start_time
        origin_ns = None if start is None or self.now else start * 1000
        self._limit_ns = self._latest_ns()
        is_mp4 = "mp4" in self.container.format.name
        latest_ns = self._limit_ns if is_mp4 else None
        self._timeline = Timeline(origin_ns, self.start_ns, self.max_gap_ns, self.now, latest_ns)
        self._queues: dict[int, deque[Any]] = {s.index: deque() for s in self.streams.present}
        self._queued_bytes = 0
        self._ended = False
        self._bad_reads = 0
        self._notices = SourceNotices(self.name)
        self._with_packets: set[str] = set()
        self._decoded: set[str] = set()
        self._only_dts = self.container.format.name == "avi"
        self._packets = self._demux()
        if self.audio is not None:
            self.audio.begin_stream()
            self.audio.limit_ns = self._declared_end_ns()

    def _declared_end_ns(self) -> int | None:
        """The end of an MP4's audio; later samples only fill the codec's last frame."""
        declared_ns = declared_length_ns(self.container)
        if self.now or declared_ns is None or "mp4" not in self.container.format.name:
            return None
        return self.start_ns + declared_ns

    def _latest_ns(self) -> int | None:
        """The latest time that a recording's timestamps and durations may reach: its length.

        A damaged index gives a single frame many hours. Of other formats than MP4 a packet may be
        later, because their length is an estimate, or of a recording that has grown since.
        """
        declared_ns = declared_length_ns(self.container)
        if self.now or declared_ns is None:
            return None
        return self.start_ns + declared_ns + self.max_gap_ns

    def _credible_ns(self, duration_ns: int, at_ns: int) -> int:
        """Cut a packet's or frame's duration at the recording's end, or at `max_gap_ns`."""
        left_ns = 0 if self._limit_ns is None else self._limit_ns - at_ns
        return max(0, min(duration_ns, max(self.max_gap_ns, left_ns)))

    @property
    def end_ns(self) -> int:
        """Session time at which the data read so far ends, over both streams."""
        ends = [self.start_ns]
        if self.streams.audio is not None and self.audio is not None:
            ends.append(self.audio.end_ns)
        if self.streams.video is not None and self.video is not None:
            ends.append(self.video.end_ns)
        return max(ends)

    def read(self) -> Iterator[MediaChunk]:
        """Yield everything readable in event-time order; damaged media raise nothing."""
        readers: dict[Kind, Iterator[MediaChunk | None]] = {}
        if self.streams.audio is not None:
            readers["audio"] = self._read_audio()
        if self.streams.video is not None:
            readers["video"] = self._read_stream(self.streams.video)
        heads: dict[Kind, MediaChunk] = {}
        while readers:
            for kind in list(readers):
                if kind not in heads and not self._next_head(kind, readers, heads):
                    del readers[kind]
            yield from self._notices.take()
            if heads:
                first = min(heads, key=lambda kind: _time_of(heads[kind]))
                if "audio" in readers and "audio" not in heads and self.audio is not None:
                    yield from self.audio.silence_until(_time_of(heads[first]))
                yield heads.pop(first)
        self._check_length()
        for missing in sorted(self._with_packets - self._decoded):
            self._notices.add("none", f"nothing of its {missing} could be decoded")
        yield from self._notices.close()

    def read_live(self, waiting: bool = False) -> Iterator[MediaChunk]:
        """Yield chunks in arrival order; errors of the container are raised.

        Args:
            waiting: whether the first packets may have been sent a while ago, as those of a
                network stream; they then begin at the time at which they were sent.
        """
        for packet in self._since_sent() if waiting else self._packets:
            self._shift(packet)
            yield from self._decode(packet.stream, packet)
            yield from self._notices.take()

    def _next_head(
        self,
        kind: Kind,
        readers: dict[Kind, Iterator[MediaChunk | None]],
        heads: dict[Kind, MediaChunk],
    ) -> bool:
        """Fetch the next chunk of `kind` if there is one yet; False at its end."""
        for chunk in readers[kind]:
            if chunk is not None:
                heads[kind] = chunk
            return True
        return False

    # -- packets --

    def _since_sent(self) -> Iterator[Any]:
        """Yield the packets; the timeline begins when the first was sent, or with the session."""
        now = self.now or (lambda: self.start_ns)
        backlog = read_backlog(self._packets, now, _own_ns)
        sent_ns = max(0, backlog.sent_ns)
        self._timeline = Timeline(backlog.begin_ns, sent_ns, self.max_gap_ns, self.now)
        yield from backlog.packets
        if backlog.failure is not None:
            raise backlog.failure
        yield from self._packets

    def _demux(self) -> Iterator[Any]:
        for packet in self.container.demux(*self.streams.present):
            if packet.size:
                yield packet

    def _next_packet(self, stream: Any) -> Any | None:
        """The next packet of `stream`; None when there is none yet, or at the end (`_ended`)."""
        queue = self._queues[stream.index]
        while not queue and not self._ended and not self._queues_full():
            packet = self._read_packet()
            if packet is not None:
                self._shift(packet)
                self._queues[packet.stream_index].append(packet)
                self._queued_bytes += packet.size
        if not queue:
            return None
        packet = queue.popleft()
        self._queued_bytes -= packet.size
        return packet

    def _queues_full(self) -> bool:
        if self._queued_bytes > QUEUED_BYTES_LIMIT:
            return True
        return any(
            len(queue) > 1 and _packet_ns(queue[-1]) - _packet_ns(queue[0]) > QUEUED_TIME_LIMIT_NS
            for queue in self._queues.values()
        )

    def _read_packet(self) -> Any | None:
        """Read one packet from the container; None at its end and after a failed read."""
        try:
            packet = next(self._packets, None)
        except (av.FFmpegError, OSError) as error:
            self._bad_reads += 1
            self.counters["damaged_packets"] += 1
            self._notices.add("read", f"read error at {_clock(self.end_ns)}: {reason(error)}")
            self._packets = self._demux()
            self._ended = self._bad_reads >= BAD_READS_LIMIT
            return None
        self._bad_reads = 0
        self._ended = packet is None
        return packet

    def _shift(self, packet: Any) -> None:
        """Rewrite a packet's timestamps to session time."""
        base = packet.time_base
        if self._only_dts:
            packet.pts = packet.dts
        timestamp = packet.dts if packet.dts is not None else packet.pts
        if timestamp is None or not base:
            return
        jumps = len(self._timeline.jumps)
        shift_ns = self._timeline.shift_for(
            packet.stream_index,
            _in_ns(timestamp, base),
            self._credible_ns(_in_ns(packet.duration or 0, base), self.end_ns),
        )
        for jump in self._timeline.jumps[jumps:]:
            self.counters["clock_leaps"] += 1
            if self.audio is not None:
                self.audio.limit_ns = None
            self._notices.add(
                "jump",
                f"timestamps jump by {jump.size_ns / NS_PER_S:+.1f} s at {_clock(jump.at_ns)}; "
                "the jump is removed",
            )
        shift = round(shift_ns / NS_PER_S / base) if shift_ns else 0
        if packet.pts is not None and packet.dts is not None:
            apart_ns = _in_ns(abs(packet.pts - packet.dts), base)
            if apart_ns > self.max_gap_ns:  # an index that is damaged
                packet.pts = packet.dts
        if packet.pts is not None:
            packet.pts += shift
        if packet.dts is not None:
            packet.dts += shift

    # -- chunks --

    def _read_audio(self) -> Iterator[MediaChunk | None]:
        yield from self._read_stream(self.streams.audio)
        if self.audio is not None:
            yield from self.audio.flush()

    def _read_stream(self, stream: Any) -> Iterator[MediaChunk | None]:
        """Yield the chunks of one stream, and None whenever it has no packet for now."""
        while True:
            packet = self._next_packet(stream)
            if packet is not None:
                yield from self._decode(stream, packet)
            elif self._ended:
                break
            else:
                yield None
        yield from self._decode(stream, None)

    def _decode(self, stream: Any, packet: Any | None) -> Iterator[MediaChunk]:
        """Decode a packet; None flushes the decoder at the end."""
        if packet is not None:
            self._with_packets.add(stream.type)
        if stream.type == "video" and not self._needed(stream, packet):
            return
        try:
            frames = stream.codec_context.decode(packet)
        except (av.FFmpegError, ValueError) as error:
            self._count_damage(reason(error))
            return
        for frame in frames:
            self._decoded.add(stream.type)
            if stream.type == "audio" and self.audio is not None:
                if frame.samples:
                    yield from self.audio.push(frame, _frame_ns(frame))
                    self._notices.note_channels(self.audio.stereo)
            elif self.video is not None:
                yield from self._video_frame(self.video, stream, frame)

    def _needed(self, stream: Any, packet: Any | None) -> bool:
        """Whether to decode a video packet; the decoder may drop its frame if no other needs it.

        That holds for recordings: without such frames a decoder gives the others later.
        """
        codec = stream.codec_context
        wanted = self._wanted(stream, packet)
        if codec.codec.intra_only:
            return wanted
        drop = "DEFAULT" if wanted or self.now else "NONREF"
        if codec.skip_frame != drop:
            codec.skip_frame = drop
        return True

    def _wanted(self, stream: Any, packet: Any | None) -> bool:
        """Whether no earlier packet is of the same slot; True where a packet has no time."""
        if packet is None or packet.pts is None or self.video is None or self._only_dts:
            return True
        at_ns = _in_ns(packet.pts, packet.time_base)
        return self.video.wants(at_ns, self._credible_ns(_duration_ns(packet, stream), at_ns))

    def _video_frame(self, track: VideoTrack, stream: Any, frame: Any) -> Iterator[VideoFrame]:
        if frame.is_corrupt:
            self._count_damage("a corrupt frame")
            return
        aspect = float(stream.codec_context.sample_aspect_ratio or 1)
        time_ns = _frame_ns(frame, stream.time_base)
        at_ns = track.end_ns if time_ns is None else time_ns
        length_ns = self._credible_ns(_duration_ns(frame, stream), at_ns)
        chunk = track.push(frame, time_ns, length_ns, aspect)
        if chunk is not None:
            yield chunk

    # -- notices --

    def _count_damage(self, cause: str) -> None:
        self.counters["damaged_packets"] += 1
        if self.video is not None:
            self.video.lost()
        self._notices.add(
            "damage", f"damaged data near {_clock(self.end_ns)} ({cause}) was skipped"
        )

    def _check_length(self) -> None:
        """Add a notice when the recording ends well before its declared end."""
        declared_ns = declared_length_ns(self.container)
        if declared_ns is None or self._timeline.jumps:
            return
        missing_ns = self.start_ns + declared_ns - self.end_ns
        if missing_ns > TRUNCATED_NS:
            self._notices.add(
                "length",
                f"ends at {_clock(self.end_ns - self.start_ns)}, {missing_ns / NS_PER_S:.1f} s "
                "before its declared end; it may be truncated",
            )


def _time_of(chunk: MediaChunk) -> int:
    return -1 if isinstance(chunk, Notice) else chunk.event_time_ns


def _packet_ns(packet: Any) -> int:
    return _own_ns(packet) or 0


def _own_ns(packet: Any) -> int | None:
    timestamp = packet.dts if packet.dts is not None else packet.pts
    return None if timestamp is None else _in_ns(timestamp, packet.time_base)


def _frame_ns(frame: Any, time_base: Any = None) -> int | None:
    """A frame's time; those that the decoder gives at its end need the stream's `time_base`."""
    base = frame.time_base or time_base
    if frame.pts is None or not base:
        return None
    return _in_ns(frame.pts, base)


def _duration_ns(frame: Any, stream: Any) -> int:
    base = frame.time_base or stream.time_base
    if frame.duration and base:
        return _in_ns(frame.duration, base)
    duration_ns: int = round(NS_PER_S / (stream.average_rate or stream.guessed_rate or 25))
    return duration_ns


def _in_ns(ticks: int, base: Fraction) -> int:
    """Return ticks of a time base, a fraction of a second, to the nearest nanosecond.

    A half goes to the even one, as `round` has it, which takes twenty times as long on fractions.
    """
    whole, rest = divmod(ticks * base.numerator * NS_PER_S, base.denominator)
    return whole + (2 * rest + whole % 2 > base.denominator)


def _clock(time_ns: int) -> str:
    seconds = time_ns / NS_PER_S
    return f"{int(seconds // 3600)}:{int(seconds // 60 % 60):02d}:{seconds % 60:04.1f}"
