"""Decoded frames with session times → the chunks of one audio and one video track.

Input: decoded audio and video frames. Output: AudioChunks in which sample count and event time
never part (gaps become silence, overlaps are cut), and upright VideoFrames at a limited rate.
This module does not depend on containers, devices or sessions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from streamer.audio import Resampler
from streamer.records import NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ, AudioChunk, VideoFrame
from streamer.stereo import Stereo

CHUNK_SAMPLES = SAMPLE_RATE_HZ // 10
"""AudioChunks contain a tenth of a second and begin at multiples of it; the last may be shorter."""
NS_PER_SAMPLE = NS_PER_S // SAMPLE_RATE_HZ
AUDIO_TOLERANCE_NS = 100 * NS_PER_MS
"""Audio whose timestamp differs by less is joined; a larger difference is a gap or an overlap."""
MAX_SIDE_PX = 1280
"""Larger frames are scaled down to this side; a face crop needs no more."""


class AudioTrack:
    """Turns audio with session times into AudioChunks that follow each other without a gap.

    A gap of up to `max_fill_ns` (None: any gap) is filled with silence; after a longer one the
    next chunk begins later. The later part of an overlap is cut. Audio after `limit_ns` is left
    out. Of several channels `channel` is taken, None: a mix of all.
    """

    def __init__(
        self,
        start_ns: int,
        tolerance_ns: int = AUDIO_TOLERANCE_NS,
        max_fill_ns: int | None = None,
        channel: int | None = None,
    ) -> None:
        """Start at `start_ns`, rounded to a sample."""
        self._tolerance_ns = tolerance_ns
        self._max_fill_ns = max_fill_ns
        self.limit_ns: int | None = None
        self._resampler = Resampler(channel)
        self._next = self._chunked = _sample_at(start_ns)
        self._pending: list[NDArray[np.float32]] = []
        self._skip = 0
        self._run_start_ns: int | None = None
        self._run_samples = 0
        self._run_rate_hz = 0

    @property
    def end_ns(self) -> int:
        """Time just after the last sample taken."""
        return self._next * NS_PER_SAMPLE

    def push(self, frame: av.AudioFrame, time_ns: int | None) -> Iterator[AudioChunk]:
        """Add a decoded frame at `time_ns`; None: directly after the previous one."""
        yield from self._seek(time_ns, frame.sample_rate)
        self._run_samples += frame.samples
        yield from self._append(self._resampler.push(frame))

    @property
    def stereo(self) -> Stereo:
        """What the two channels of the stream are to each other."""
        return self._resampler.stereo

    def begin_stream(self) -> None:
        """The next frames are of another stream, whose channels may have another meaning."""
        self._resampler.begin_stream()

    def push_channels(
        self, samples: NDArray[np.float32], rate_hz: int, time_ns: int | None
    ) -> Iterator[AudioChunk]:
        """Like `push`, for float32 samples of shape (channels, n)."""
        yield from self._seek(time_ns, rate_hz)
        self._run_samples += samples.shape[1]
        yield from self._append(self._resampler.push_channels(samples, rate_hz))

    def silence_until(self, time_ns: int) -> Iterator[AudioChunk]:
        """Fill with silence up to `time_ns`; audio that arrives later for this time is cut."""
        if _sample_at(time_ns) > self._next:
            yield from self._end_run()
            yield from self._fill(_sample_at(time_ns))

    def flush(self) -> Iterator[AudioChunk]:
        """Yield all remaining samples; the last chunk may be short."""
        yield from self._end_run()
        yield from self._flush_pending()

    def _seek(self, time_ns: int | None, rate_hz: int) -> Iterator[AudioChunk]:
        """Prepare for audio at `time_ns`: continue the run, or end it and fill or cut."""
        running = self._run_start_ns is not None
        expected_ns = self.end_ns
        if self._run_start_ns is not None:
            expected_ns = self._run_start_ns + self._run_samples * NS_PER_S // self._run_rate_hz
        at_ns = expected_ns if time_ns is None else time_ns
        if running and abs(at_ns - expected_ns) <= self._tolerance_ns:
            if rate_hz == self._run_rate_hz:
                return
            at_ns = expected_ns
        yield from self._end_run()
        target = _sample_at(at_ns)
        if target > self._next:
            yield from self._fill(target)
        self._skip = max(0, self._next - target)
        self._run_start_ns, self._run_samples, self._run_rate_hz = at_ns, 0, rate_hz

    def _end_run(self) -> Iterator[AudioChunk]:
        if self._run_start_ns is not None:
            yield from self._append(self._resampler.flush())
            self._run_start_ns = None

    def _fill(self, target: int) -> Iterator[AudioChunk]:
        """Add silence up to sample `target`, or leave a gap when it would be too long.

        There is no silence after the track's declared end.
        """
        if self.limit_ns is not None:
            target = max(self._next, min(target, _sample_at(self.limit_ns)))
        limit_ns = self._max_fill_ns
        if limit_ns is not None and (target - self._next) * NS_PER_SAMPLE > limit_ns:
            yield from self._flush_pending()
            self._next = self._chunked = target
            return
        self._skip = 0
        while self._next < target:
            step = min(target - self._next, CHUNK_SAMPLES)
            yield from self._append(np.zeros(step, np.float32))

    def _append(self, samples: NDArray[np.float32]) -> Iterator[AudioChunk]:
        """Take samples at the track's end and yield the chunks that they complete."""
        if self.limit_ns is not None:
            remaining = _sample_at(self.limit_ns) - self._next + self._skip
            samples = samples[: max(0, remaining)]
        cut = min(self._skip, len(samples))
        self._skip -= cut
        if cut == len(samples):
            return
        self._pending.append(samples[cut:])
        self._next += len(samples) - cut
        boundary = self._next - self._next % CHUNK_SAMPLES
        if boundary <= self._chunked:
            return
        pending = np.concatenate(self._pending)
        while self._chunked < boundary:
            size = CHUNK_SAMPLES - self._chunked % CHUNK_SAMPLES
            yield self._chunk(pending[:size])
            pending = pending[size:]
        self._pending = [pending] if len(pending) else []

    def _flush_pending(self) -> Iterator[AudioChunk]:
        if self._pending:
            yield self._chunk(np.concatenate(self._pending))
            self._pending = []

    def _chunk(self, samples: NDArray[np.float32]) -> AudioChunk:
        chunk = AudioChunk(self._chunked * NS_PER_SAMPLE, samples)
        self._chunked += len(samples)
        return chunk


class ChannelTracks:
    """Several channels of one stream: AudioChunks whose samples have the shape (channels, n).

    Each channel is what an AudioTrack of it alone gives.
    """

    def __init__(self, start_ns: int, channels: Sequence[int]) -> None:
        """Start at `start_ns`, rounded to a sample."""
        self._tracks = [AudioTrack(start_ns, channel=channel) for channel in channels]

    @property
    def end_ns(self) -> int:
        """Time just after the last sample taken."""
        return self._tracks[0].end_ns

    @property
    def stereo(self) -> Stereo:
        """What channels that are mixed are to each other; these are not."""
        return self._tracks[0].stereo

    @property
    def limit_ns(self) -> int | None:
        """Audio after this time is left out; None for all of it."""
        return self._tracks[0].limit_ns

    @limit_ns.setter
    def limit_ns(self, limit_ns: int | None) -> None:
        for track in self._tracks:
            track.limit_ns = limit_ns

    def begin_stream(self) -> None:
        """See AudioTrack."""
        for track in self._tracks:
            track.begin_stream()

    def push(self, frame: av.AudioFrame, time_ns: int | None) -> Iterator[AudioChunk]:
        """Add a decoded frame at `time_ns`; None: directly after the previous one."""
        return _together([track.push(frame, time_ns) for track in self._tracks])

    def silence_until(self, time_ns: int) -> Iterator[AudioChunk]:
        """Fill with silence up to `time_ns`."""
        return _together([track.silence_until(time_ns) for track in self._tracks])

    def flush(self) -> Iterator[AudioChunk]:
        """Yield all remaining samples."""
        return _together([track.flush() for track in self._tracks])


def _together(tracks: Sequence[Iterator[AudioChunk]]) -> Iterator[AudioChunk]:
    for chunks in zip(*tracks, strict=True):
        samples = np.stack([chunk.samples for chunk in chunks])
        yield AudioChunk(chunks[0].event_time_ns, samples)


SLOTS_KEPT = 64
"""Slots for which `VideoTrack.wants` remembers packets: more than any codec reorders."""


class VideoTrack:
    """Turns decoded frames with session times into upright RGB frames, at most `rate_hz`.

    Time is divided into slots of 1/`rate_hz` from the session's start. The first frame of a slot
    is returned; the others are dropped before their colours are converted. `wants` tells from a
    packet's time, before it is decoded, whether its frame can be the first.
    """

    def __init__(self, start_ns: int, rate_hz: float) -> None:
        """Start at `start_ns`."""
        self._rate_hz = rate_hz
        self._slot = -1
        self._last_ns = start_ns - 1
        self._end_ns = self._passed_ns = start_ns
        self._earliest_ns: dict[int, int] = {}  # of the packets that were wanted, by slot
        self._reformatter = VideoReformatter()

    @property
    def end_ns(self) -> int:
        """Session time at which the frames end, those that were not decoded included."""
        return max(self._end_ns, self._passed_ns)

    def wants(self, at_ns: int, duration_ns: int) -> bool:
        """Whether the frame of a packet may be the first of its slot; ask in decoding order.

        It is not if the slot has a frame, or the packet of an earlier one; it then counts for
        `end_ns` as if it had been pushed.
        """
        slot = self._slot_of(at_ns)
        earliest_ns = self._earliest_ns.get(slot)
        if slot > self._slot and (earliest_ns is None or at_ns < earliest_ns):
            self._earliest_ns[slot] = at_ns
            if len(self._earliest_ns) > SLOTS_KEPT:
                del self._earliest_ns[min(self._earliest_ns)]
            return True
        self._passed_ns = max(self._passed_ns, at_ns + duration_ns)
        return False

    def lost(self) -> None:
        """A wanted packet gave no frame: those that follow it are wanted."""
        self._earliest_ns.clear()

    def _slot_of(self, at_ns: int) -> int:
        return int(at_ns * self._rate_hz // NS_PER_S)

    def push(
        self, frame: av.VideoFrame, time_ns: int | None, duration_ns: int, pixel_aspect: float = 1.0
    ) -> VideoFrame | None:
        """Add a frame at `time_ns` (None: directly after the previous one).

        Returns:
            The upright frame, or None when its slot already has one.
        """
        at_ns = self.end_ns if time_ns is None else time_ns
        if at_ns <= self._last_ns or at_ns < 0:
            return None
        self._last_ns, self._end_ns = at_ns, at_ns + duration_ns
        slot = self._slot_of(at_ns)
        if slot <= self._slot:
            return None
        self._slot = slot
        return VideoFrame(at_ns, upright(frame, pixel_aspect, self._reformatter))


def upright(
    frame: av.VideoFrame, pixel_aspect: float, reformatter: VideoReformatter
) -> NDArray[np.uint8]:
    """Convert a decoded frame to RGB of shape (height, width, 3), as it is meant to be shown.

    Applies the frame's rotation, makes its pixels (`pixel_aspect` wide for 1 high) square and
    limits its longer side to MAX_SIDE_PX. The reformatter is that of the frames before: a new one
    for each frame, as `frame.reformat` takes, costs twice as much as the conversion.
    """
    width, height = frame.width * pixel_aspect, frame.height
    shrink = min(1.0, MAX_SIDE_PX / max(width, height))
    rgb = reformatter.reformat(
        frame,
        width=max(1, round(width * shrink)),
        height=max(1, round(height * shrink)),
        format="rgb24",
        threads=1,
    )
    image = rgb.to_ndarray()
    quarters = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, quarters) if quarters else image)


def _sample_at(time_ns: int) -> int:
    return round(time_ns / NS_PER_SAMPLE)
