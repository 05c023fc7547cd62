"""A media container, as PyAV opens it, → chunks of sound and pictures in event-time order.

What enters: an open container (file, URL or device), which of its streams are wanted, and where in
the session it begins. What leaves: AudioChunks without a gap, upright VideoFrames at the wanted
rate, Notices. Real files lie about time: a start above zero is taken off, missing time stamps are
filled in, a leap of the clock is left out, gaps in the sound become silence and overlaps are cut,
so that the count of samples and event time never part. Nothing here knows devices, faces or words.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import av
import numpy as np
from numpy.typing import NDArray

from streamer.audio import Resampler
from streamer.records import NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ, AudioChunk, Notice, VideoFrame

Piece = AudioChunk | VideoFrame | Notice
Kind = Literal["audio", "vision"]

CHUNK_SAMPLES = SAMPLE_RATE_HZ // 10
"""AudioChunks hold a tenth of a second and begin at multiples of it; the last may be shorter."""
NS_PER_SAMPLE = NS_PER_S // SAMPLE_RATE_HZ
SOUND_TOLERANCE_NS = 100 * NS_PER_MS
"""Sound whose time stamp is off by less is joined without a seam; more is a gap or an overlap."""
BACKWARD_TOLERANCE_NS = 500 * NS_PER_MS
"""A time stamp that falls back further than this is a leap of the clock."""
MAX_SIDE_PX = 1280
"""Larger pictures are scaled down to this, since a face crop needs no more."""
WAIT_BYTES = 64 * 1024 * 1024
WAIT_NS = 30 * NS_PER_S
"""How much of one stream is held back while the file shows nothing of the other one."""
BAD_READS_IN_A_ROW = 20
NOTICES_IN_FULL = 5
CUT_SHORT_NS = NS_PER_S
"""Ending this much before the declared end is worth a notice."""


# --- time ---------------------------------------------------------------------------------------


@dataclass
class _Line:
    """One stream's place on the timeline: its shift and where its next packet is expected."""

    shift_ns: int = 0
    expected_ns: int = 0


class Timeline:
    """Packet time stamps → session time, with leaps of the clock taken out.

    A stamp that lies more than `max_gap_ns` ahead of everything read so far, or falls back by more
    than BACKWARD_TOLERANCE_NS, is a leap: the stream goes on where the furthest one is. Other
    streams of the container take the same leap when they come to it, so that sound and picture
    stay together. A gap that another stream fills is real and stays. With a `now`, for live
    streams, the first packet and whatever follows a leap begin at the time that it gives.
    """

    def __init__(
        self,
        origin_ns: int | None,
        start_ns: int,
        max_gap_ns: int,
        now: Callable[[], int] | None = None,
    ) -> None:
        """Begin `start_ns` into the session; `origin_ns` is the container's first stamp."""
        self.leaps: list[tuple[int, int]] = []
        self._start_ns = start_ns
        self._max_gap_ns = max_gap_ns
        self._now = now
        self._shifts: list[int] = [] if origin_ns is None else [start_ns - origin_ns]
        self._lines: dict[int, _Line] = {}
        self._furthest_ns = start_ns

    def shift_for(self, stream: int, stamp_ns: int, duration_ns: int) -> int:
        """What to add to a packet's stamps, in nanoseconds, to have session time."""
        line = self._lines.get(stream)
        if line is None:
            line = self._lines[stream] = self._begin(stamp_ns)
        line.shift_ns = self._fitting(line, stamp_ns)
        line.expected_ns = max(line.expected_ns, stamp_ns + line.shift_ns + duration_ns)
        self._furthest_ns = max(self._furthest_ns, line.expected_ns)
        return line.shift_ns

    def _begin(self, stamp_ns: int) -> _Line:
        if not self._shifts:
            begin_ns = self._start_ns if self._now is None else self._now()
            self._shifts.append(begin_ns - stamp_ns)
            self._furthest_ns = max(self._furthest_ns, begin_ns)
        expected_ns = self._furthest_ns if self.leaps else self._start_ns
        return _Line(self._shifts[-1], expected_ns)

    def _fitting(self, line: _Line, stamp_ns: int) -> int:
        """The known shift that explains the stamp best, or a new one after a leap."""
        known = [line.shift_ns, *(s for s in reversed(self._shifts) if s != line.shift_ns)]
        fitting = [shift for shift in known if self._fits(line, stamp_ns + shift)]
        if fitting:
            return min(fitting, key=lambda shift: abs(stamp_ns + shift - line.expected_ns))
        go_on_ns = max(self._furthest_ns, self._now() if self._now else 0)
        shift = go_on_ns - stamp_ns
        self.leaps.append((go_on_ns, stamp_ns + line.shift_ns - go_on_ns))
        self._shifts = [*self._shifts[-7:], shift]
        return shift

    def _fits(self, line: _Line, time_ns: int) -> bool:
        if time_ns < line.expected_ns - BACKWARD_TOLERANCE_NS:
            return False
        return time_ns <= max(line.expected_ns, self._furthest_ns) + self._max_gap_ns


# --- sound --------------------------------------------------------------------------------------


class SoundTrack:
    """Sound with session times → AudioChunks that follow each other without a gap.

    `max_fill_ns` bounds the silence that a gap becomes (None: any length); after a longer one the
    next chunk simply begins later. An overlap is cut from what comes second, and what lies beyond
    `limit_ns` is left out.
    """

    def __init__(
        self, start_ns: int, tolerance_ns: int = SOUND_TOLERANCE_NS, max_fill_ns: int | None = None
    ) -> None:
        """Begin at `start_ns`, rounded to a sample."""
        self._tolerance_ns = tolerance_ns
        self._max_fill_ns = max_fill_ns
        self.limit_ns: int | None = None
        self._resampler = Resampler()
        self._next = self._given = _sample_at(start_ns)
        self._held: list[NDArray[np.float32]] = []
        self._skip = 0
        self._run_start_ns: int | None = None
        self._run_samples = 0
        self._run_rate_hz = 0

    @property
    def end_ns(self) -> int:
        """Time just after the last sample taken in."""
        return self._next * NS_PER_SAMPLE

    def push(self, frame: av.AudioFrame, time_ns: int | None) -> Iterator[AudioChunk]:
        """Take a decoded frame at `time_ns` (None: right after the one before)."""
        rate_hz = frame.sample_rate
        yield from self._place(time_ns, rate_hz)
        self._run_samples += frame.samples
        yield from self._add(self._resampler.push(frame))

    def push_mono(
        self, samples: NDArray[np.float32], rate_hz: int, time_ns: int | None
    ) -> Iterator[AudioChunk]:
        """Like `push` for float32 mono of shape (n,)."""
        yield from self._place(time_ns, rate_hz)
        self._run_samples += len(samples)
        yield from self._add(self._resampler.push_mono(samples, rate_hz))

    def silence_until(self, time_ns: int) -> Iterator[AudioChunk]:
        """Fill up with silence to `time_ns`; what later turns out to belong before it is cut."""
        if _sample_at(time_ns) > self._next:
            yield from self._end_run()
            yield from self._fill(_sample_at(time_ns))

    def flush(self) -> Iterator[AudioChunk]:
        """Give out everything, the last chunk as short as it comes."""
        yield from self._end_run()
        if self._held:
            yield self._chunk(np.concatenate(self._held))
            self._held = []

    def _place(self, time_ns: int | None, rate_hz: int) -> Iterator[AudioChunk]:
        """Before sound at `time_ns`: go on with the run, or end it and fill or cut."""
        running = self._run_start_ns is not None
        expected_ns = self.end_ns
        if self._run_start_ns is not None:
            expected_ns = self._run_start_ns + self._run_samples * NS_PER_S // self._run_rate_hz
        at_ns = expected_ns if time_ns is None else time_ns
        if running and rate_hz == self._run_rate_hz:
            if abs(at_ns - expected_ns) <= self._tolerance_ns:
                return
        elif running and abs(at_ns - expected_ns) <= self._tolerance_ns:
            at_ns = expected_ns
        yield from self._end_run()
        target = _sample_at(at_ns)
        if target > self._next:
            yield from self._fill(target)
        self._skip = max(0, self._next - target)
        self._run_start_ns, self._run_samples, self._run_rate_hz = at_ns, 0, rate_hz

    def _end_run(self) -> Iterator[AudioChunk]:
        if self._run_start_ns is not None:
            yield from self._add(self._resampler.flush())
            self._run_start_ns = None

    def _fill(self, target: int) -> Iterator[AudioChunk]:
        longest = self._max_fill_ns
        if longest is not None and (target - self._next) * NS_PER_SAMPLE > longest:
            if self._held:
                yield self._chunk(np.concatenate(self._held))
                self._held = []
            self._next = self._given = target
            return
        self._skip = 0
        while self._next < target:
            step = min(target - self._next, CHUNK_SAMPLES)
            yield from self._add(np.zeros(step, np.float32))

    def _add(self, samples: NDArray[np.float32]) -> Iterator[AudioChunk]:
        if self.limit_ns is not None:
            room = _sample_at(self.limit_ns) - self._next + self._skip
            samples = samples[: max(0, room)]
        cut = min(self._skip, len(samples))
        self._skip -= cut
        if cut == len(samples):
            return
        self._held.append(samples[cut:])
        self._next += len(samples) - cut
        boundary = self._next - self._next % CHUNK_SAMPLES
        if boundary <= self._given:
            return
        sound = np.concatenate(self._held)
        while self._given < boundary:
            size = CHUNK_SAMPLES - self._given % CHUNK_SAMPLES
            yield self._chunk(sound[:size])
            sound = sound[size:]
        self._held = [sound] if len(sound) else []

    def _chunk(self, samples: NDArray[np.float32]) -> AudioChunk:
        chunk = AudioChunk(self._given * NS_PER_SAMPLE, samples)
        self._given += len(samples)
        return chunk


def _sample_at(time_ns: int) -> int:
    return round(time_ns / NS_PER_SAMPLE)


# --- pictures -----------------------------------------------------------------------------------


class PictureTrack:
    """Decoded pictures with session times → upright RGB frames, at most one per 1/`rate_hz`.

    Time is cut into slots of 1/`rate_hz` from the session's start; the first picture of a slot is
    given, the others are let go before their colours are converted.
    """

    def __init__(self, start_ns: int, rate_hz: float) -> None:
        """Begin at `start_ns`."""
        self._rate_hz = rate_hz
        self._slot = -1
        self._last_ns = start_ns - 1
        self.end_ns = start_ns

    def push(
        self, frame: av.VideoFrame, time_ns: int | None, duration_ns: int, pixel_aspect: float = 1.0
    ) -> VideoFrame | None:
        """Take a picture at `time_ns` (None: right after the one before) and maybe give it."""
        at_ns = self.end_ns if time_ns is None else time_ns
        if at_ns <= self._last_ns or at_ns < 0:
            return None
        self._last_ns, self.end_ns = at_ns, at_ns + duration_ns
        slot = int(at_ns * self._rate_hz // NS_PER_S)
        if slot <= self._slot:
            return None
        self._slot = slot
        return VideoFrame(at_ns, upright(frame, pixel_aspect))


def upright(frame: av.VideoFrame, pixel_aspect: float = 1.0) -> NDArray[np.uint8]:
    """A decoded picture as RGB of shape (height, width, 3), as it is meant to be seen.

    Turned by the rotation that it carries, its pixels (`pixel_aspect` wide for 1 high) made square,
    at most MAX_SIDE_PX long.
    """
    width, height = frame.width * pixel_aspect, frame.height
    shrink = min(1.0, MAX_SIDE_PX / max(width, height))
    rgb = frame.reformat(
        width=max(1, round(width * shrink)), height=max(1, round(height * shrink)), format="rgb24"
    )
    image = rgb.to_ndarray()
    quarters = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, quarters) if quarters else image)


# --- a container --------------------------------------------------------------------------------


@dataclass
class Wanted:
    """The streams of a container to be read; None where there is none or it is not wanted."""

    audio: Any = None
    video: Any = None

    @property
    def streams(self) -> list[Any]:
        """Those that are there."""
        return [stream for stream in (self.audio, self.video) if stream is not None]


@dataclass
class Reading:
    """One pass over one container. Iterate `pieces` once; `end_ns` holds afterwards.

    Attributes:
        container: open for reading.
        wanted: its streams to read.
        name: how notices call it.
        start_ns: session time at which it begins.
        frame_rate_hz: pictures per second to keep.
        max_gap_ns: see Timeline.
        sound: track that goes on from a recording before this one; made here when None.
        now: the live clock; None for recordings.
        counters: gets `damaged_packets` and `clock_leaps`.
    """

    container: Any
    wanted: Wanted
    name: str
    start_ns: int
    frame_rate_hz: float
    max_gap_ns: int
    sound: SoundTrack | None = None
    pictures: PictureTrack | None = None
    now: Callable[[], int] | None = None
    counters: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Prepare queues and timeline; nothing is read yet."""
        start = self.container.start_time
        origin_ns = None if start is None or self.now else start * 1000
        self._timeline = Timeline(origin_ns, self.start_ns, self.max_gap_ns, self.now)
        self._queues: dict[int, deque[Any]] = {s.index: deque() for s in self.wanted.streams}
        self._queued_bytes = 0
        self._ended = False
        self._bad_reads = 0
        self._notices: deque[Notice] = deque()
        self._told: Counter[str] = Counter()
        self._last_told = ""
        self._only_dts = self.container.format.name == "avi"
        self._packets = self._demux()
        if self.wanted.audio is not None and self.sound is None:
            self.sound = SoundTrack(self.start_ns)
        if self.wanted.video is not None and self.pictures is None:
            self.pictures = PictureTrack(self.start_ns, self.frame_rate_hz)
        if self.sound is not None:
            self.sound.limit_ns = self._declared_end_ns()

    def _declared_end_ns(self) -> int | None:
        """Where the sound of an MP4 ends: what follows only fills the codec's last frame."""
        declared_ns = declared_length_ns(self.container)
        if self.now or declared_ns is None or "mp4" not in self.container.format.name:
            return None
        return self.start_ns + declared_ns

    @property
    def end_ns(self) -> int:
        """Session time of the end of what has been read, over both streams."""
        ends = [self.start_ns]
        if self.wanted.audio is not None and self.sound is not None:
            ends.append(self.sound.end_ns)
        if self.wanted.video is not None and self.pictures is not None:
            ends.append(self.pictures.end_ns)
        return max(ends)

    def pieces(self) -> Iterator[Piece]:
        """Everything readable, in event-time order; never raises for damaged media."""
        makers: dict[Kind, Iterator[Piece | None]] = {}
        if self.wanted.audio is not None:
            makers["audio"] = self._sound_pieces()
        if self.wanted.video is not None:
            makers["vision"] = self._picture_pieces()
        heads: dict[Kind, Piece] = {}
        while makers:
            for kind in list(makers):
                if kind not in heads and not self._next_head(kind, makers, heads):
                    del makers[kind]
            yield from self._take_notices()
            if heads:
                first = min(heads, key=lambda kind: _time_of(heads[kind]))
                if "audio" in makers and "audio" not in heads and self.sound is not None:
                    yield from self.sound.silence_until(_time_of(heads[first]))
                yield heads.pop(first)
        yield from self._closing_notices()

    def live_pieces(self) -> Iterator[Piece]:
        """Everything in the order in which it arrives; raises what reading raises."""
        for packet in self._packets:
            self._stamp(packet)
            yield from self._decoded(packet.stream, packet)
            yield from self._take_notices()

    def _next_head(
        self,
        kind: Kind,
        makers: dict[Kind, Iterator[Piece | None]],
        heads: dict[Kind, Piece],
    ) -> bool:
        """Fetch the next piece of `kind` if there is one yet; False at its end."""
        for piece in makers[kind]:
            if piece is not None:
                heads[kind] = piece
            return True
        return False

    # -- packets --

    def _demux(self) -> Iterator[Any]:
        for packet in self.container.demux(*self.wanted.streams):
            if packet.size:
                yield packet

    def _pull(self, stream: Any) -> Any | None:
        """The next packet of `stream`; None when there is none yet (`_ended`: nor ever)."""
        queue = self._queues[stream.index]
        while not queue and not self._ended and not self._holding_too_much():
            packet = self._read()
            if packet is not None:
                self._stamp(packet)
                self._queues[packet.stream_index].append(packet)
                self._queued_bytes += packet.size
        if not queue:
            return None
        packet = queue.popleft()
        self._queued_bytes -= packet.size
        return packet

    def _holding_too_much(self) -> bool:
        if self._queued_bytes > WAIT_BYTES:
            return True
        return any(
            len(queue) > 1 and _stamp_ns(queue[-1]) - _stamp_ns(queue[0]) > WAIT_NS
            for queue in self._queues.values()
        )

    def _read(self) -> Any | None:
        """One packet from the container, or None when this read gave nothing."""
        try:
            packet = next(self._packets, None)
        except (av.FFmpegError, OSError) as error:
            self._bad_reads += 1
            self.counters["damaged_packets"] += 1
            self._tell("read", f"cannot be read on from {_clock(self.end_ns)}: {_reason(error)}")
            self._packets = self._demux()
            self._ended = self._bad_reads >= BAD_READS_IN_A_ROW
            return None
        self._bad_reads = 0
        self._ended = packet is None
        return packet

    def _stamp(self, packet: Any) -> None:
        """Rewrite a packet's stamps to session time."""
        base = packet.time_base
        if self._only_dts:
            packet.pts = packet.dts
        stamp = packet.dts if packet.dts is not None else packet.pts
        if stamp is None or not base:
            return
        leaps = len(self._timeline.leaps)
        shift_ns = self._timeline.shift_for(
            packet.stream_index,
            round(stamp * base * NS_PER_S),
            round((packet.duration or 0) * base * NS_PER_S),
        )
        for at_ns, leap_ns in self._timeline.leaps[leaps:]:
            self.counters["clock_leaps"] += 1
            if self.sound is not None:
                self.sound.limit_ns = None
            self._tell(
                "leap",
                f"its clock leaps by {leap_ns / NS_PER_S:+.1f} s at {_clock(at_ns)}; "
                "the leap is left out",
            )
        shift = round(shift_ns / NS_PER_S / base)
        if packet.pts is not None:
            packet.pts += shift
        if packet.dts is not None:
            packet.dts += shift

    # -- pieces --

    def _sound_pieces(self) -> Iterator[Piece | None]:
        yield from self._stream_pieces(self.wanted.audio)
        if self.sound is not None:
            yield from self.sound.flush()

    def _picture_pieces(self) -> Iterator[Piece | None]:
        yield from self._stream_pieces(self.wanted.video)

    def _stream_pieces(self, stream: Any) -> Iterator[Piece | None]:
        """Pieces of one stream; None each time that the file shows no packet of it for now."""
        while True:
            packet = self._pull(stream)
            if packet is not None:
                yield from self._decoded(stream, packet)
            elif self._ended:
                break
            else:
                yield None
        yield from self._decoded(stream, None)

    def _decoded(self, stream: Any, packet: Any | None) -> Iterator[Piece]:
        """What a packet (None: the end) brings out of the decoder."""
        try:
            frames = stream.codec_context.decode(packet)
        except (av.FFmpegError, ValueError) as error:
            self._damaged(error)
            return
        for frame in frames:
            time_ns = _frame_ns(frame)
            if stream.type == "audio" and self.sound is not None:
                if frame.samples:
                    yield from self.sound.push(frame, time_ns)
            elif self.pictures is not None:
                if frame.is_corrupt:
                    self._damaged(None)
                    continue
                duration_ns = _frame_duration_ns(frame, stream)
                aspect = float(stream.codec_context.sample_aspect_ratio or 1)
                picture = self.pictures.push(frame, time_ns, duration_ns, aspect)
                if picture is not None:
                    yield picture

    # -- notices --

    def _damaged(self, error: Exception | None) -> None:
        self.counters["damaged_packets"] += 1
        reason = "a broken picture" if error is None else _reason(error)
        self._tell("damage", f"is damaged near {_clock(self.end_ns)} ({reason}); it is left out")

    def _tell(self, kind: str, what: str) -> None:
        if what == self._last_told:
            return
        self._last_told = what
        self._told[kind] += 1
        if self._told[kind] <= NOTICES_IN_FULL:
            self._notices.append(Notice(f"{self.name}: {what}."))

    def _take_notices(self) -> Iterator[Notice]:
        while self._notices:
            yield self._notices.popleft()

    def _closing_notices(self) -> Iterator[Notice]:
        yield from self._take_notices()
        for count in self._told.values():
            if count > NOTICES_IN_FULL:
                rest = count - NOTICES_IN_FULL
                yield Notice(f"{self.name}: {rest} more places of the same kind.")
        declared_ns = declared_length_ns(self.container)
        if declared_ns is None or self._timeline.leaps:
            return
        missing_ns = self.start_ns + declared_ns - self.end_ns
        if missing_ns > CUT_SHORT_NS:
            yield Notice(
                f"{self.name}: it ends at {_clock(self.end_ns - self.start_ns)}, "
                f"{missing_ns / NS_PER_S:.1f} s before its declared end; it may be cut off."
            )


def declared_length_ns(container: Any) -> int | None:
    """How long the container says it is, from its first time stamp; None when it does not say."""
    if not container.duration:
        return None
    from_zero = "matroska" in container.format.name
    length_us = container.duration - (max(0, container.start_time or 0) if from_zero else 0)
    return int(length_us) * 1000 if length_us > 0 else None


def _time_of(piece: Piece) -> int:
    return -1 if isinstance(piece, Notice) else piece.event_time_ns


def _stamp_ns(packet: Any) -> int:
    stamp = packet.dts if packet.dts is not None else packet.pts
    return 0 if stamp is None else round(stamp * packet.time_base * NS_PER_S)


def _frame_ns(frame: Any) -> int | None:
    if frame.pts is None or not frame.time_base:
        return None
    time_ns: int = round(frame.pts * frame.time_base * NS_PER_S)
    return time_ns


def _frame_duration_ns(frame: Any, stream: Any) -> int:
    seconds = 1 / (stream.average_rate or stream.guessed_rate or 25)
    if frame.duration and frame.time_base:
        seconds = frame.duration * frame.time_base
    duration_ns: int = round(seconds * NS_PER_S)
    return duration_ns


def _clock(time_ns: int) -> str:
    seconds = time_ns / NS_PER_S
    return f"{int(seconds // 3600)}:{int(seconds // 60 % 60):02d}:{seconds % 60:04.1f}"


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
