"""A participant's sources → one stream of chunks in session time.

Input: a ParticipantSpec. Output: AudioChunks, VideoFrames, Notices and, last, a StreamEnd for each
modality. Recordings come in event-time order and wait for the reader; live sources come as they
arrive, never wait, and drop chunks that are not taken in time. This module does not depend on
faces, words, windows or Kafka.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from av.stream import Discard

from streamer.capture import live
from streamer.capture.files import ContainerReader, MediaChunk, SelectedStreams, select_streams
from streamer.capture.probe import Probe, open_container, probe_all
from streamer.capture.sources import ParticipantSpec
from streamer.capture.tracks import AudioTrack, ChannelTracks, VideoTrack
from streamer.config import Config, to_ns
from streamer.records import AudioChunk, Modality, Notice, StreamEnd, VideoFrame

Chunk = MediaChunk | StreamEnd


def read(
    spec: ParticipantSpec,
    config: Config,
    stop: threading.Event,
    frame_rate_hz: float,
    *,
    modalities: Collection[Modality] | None = None,
    channels: Sequence[int] = (),
    start_unix_ns: int | None = None,
    counters: Counter[str] | None = None,
) -> Iterator[Chunk]:
    """Read one participant's sources as one stream of chunks.

    Recordings: in event-time order, audio and video within half a second of each other, at the
    reader's pace. Live: in arrival order, through one queue of `capture.queue_chunks` that a
    thread per device fills; a full queue drops the oldest frame, else the oldest audio. A device
    that disconnects gives a Notice and is opened again every `capture.reconnect_s`, while the
    others continue. The stream ends with a StreamEnd for each modality: at the end of the
    recordings, or after `stop`.

    Args:
        spec: the participant.
        config: `session.modalities` and `capture`.
        stop: ends the stream early when set.
        frame_rate_hz: the highest rate of frames to return.
        modalities: the modalities to decode instead of the configured ones; `text` needs audio.
        channels: of a recording's sound; if there are any, samples have the shape (channels, n).
        start_unix_ns: wall clock of session time 0 for live sources; None: now.
        counters: gets `dropped_video_frames`, `dropped_audio_chunks`, `reconnects`,
            `damaged_packets`, `clock_leaps`.

    Raises:
        ConfigError: live and recorded sources together.
        SourceError: a source cannot be opened at the start.
    """
    requested = frozenset(config.session.modalities if modalities is None else modalities)
    available = probe_all(spec)
    probes = _assign(available, requested)
    for message in (
        *(notice for probe in probes for notice in probe.notices),
        *_missing(spec, probes, requested),
        *_unused(available, probes, requested),
    ):
        yield Notice(message)
    probes = [probe for probe in probes if probe.has_audio or probe.has_video]
    counters = Counter() if counters is None else counters
    if not probes:
        return
    if probes[0].live:
        yield from _read_live(probes, config, stop, frame_rate_hz, start_unix_ns, counters)
    else:
        yield from _read_recorded(probes, config, stop, frame_rate_hz, channels, counters)


# --- which source provides which modality -------------------------------------------------------


def _assign(available: list[Probe], requested: frozenset[Modality]) -> list[Probe]:
    """Take each requested modality from the first source that has it, and from no other."""
    audio, video = _needs_audio(requested), "vision" in requested
    assigned = []
    for probe in available:
        assigned.append(
            replace(probe, has_audio=probe.has_audio and audio, has_video=probe.has_video and video)
        )
        audio, video = audio and not probe.has_audio, video and not probe.has_video
    return assigned


def _needs_audio(requested: frozenset[Modality]) -> bool:
    return bool(requested & {"audio", "text"})


def _missing(
    spec: ParticipantSpec, probes: list[Probe], requested: frozenset[Modality]
) -> Iterator[str]:
    names = ", ".join(probe.source.name for probe in probes)
    shared = [probe.source for probe in probes if probe.shared_picture]
    if _needs_audio(requested) and not any(probe.has_audio for probe in probes):
        yield f"{spec.participant_id} has no audio: {names} contains no audio stream."
    if "vision" not in requested or any(probe.has_video for probe in probes):
        return
    if shared:
        yield (
            f"{spec.participant_id} has no video: the picture of {names} belongs to no channel. If "
            f"it shows {spec.participant_id} alone, name it too, as in --participant "
            f"{spec.participant_id}={spec.sources[0]},{shared[0].name}."
        )
    else:
        yield f"{spec.participant_id} has no video: {names} contains no video stream."


def _unused(
    available: list[Probe], assigned: list[Probe], requested: frozenset[Modality]
) -> Iterator[str]:
    audio, video = _needs_audio(requested), "vision" in requested
    for before, after in zip(available, assigned, strict=True):
        useful = (before.has_audio and audio) or (before.has_video and video)
        if useful and not (after.has_audio or after.has_video):
            yield f"{before.source.name} is not used: an earlier source provides the same."


# --- recordings ---------------------------------------------------------------------------------


def _read_recorded(
    probes: list[Probe],
    config: Config,
    stop: threading.Event,
    frame_rate_hz: float,
    channels: Sequence[int],
    counters: Counter[str],
) -> Iterator[Chunk]:
    recordings = [_Recording(probe, config, frame_rate_hz, channels, counters) for probe in probes]
    with ExitStack() as stack:
        streams = [stack.enter_context(closing(recording.chunks())) for recording in recordings]
        for chunk in heapq.merge(*streams, key=_event_time_ns):
            if stop.is_set():
                break
            yield chunk
    for recording in recordings:
        yield from recording.ends()


def _event_time_ns(chunk: MediaChunk) -> int:
    return -1 if isinstance(chunk, Notice) else chunk.event_time_ns


class _Recording:
    """A file, a URL of known length, or the files of a folder one after another."""

    def __init__(
        self,
        probe: Probe,
        config: Config,
        frame_rate_hz: float,
        channels: Sequence[int],
        counters: Counter[str],
    ) -> None:
        self._probe = probe
        self._max_gap_ns = to_ns(config.capture.max_gap_s)
        self._counters = counters
        self._audio: AudioTrack | ChannelTracks | None = None
        if probe.has_audio and channels:
            self._audio = ChannelTracks(0, channels)
        elif probe.has_audio:
            self._audio = AudioTrack(0, channel=probe.source.channel)
        self._video = VideoTrack(0, frame_rate_hz) if probe.has_video else None

    def chunks(self) -> Generator[MediaChunk, None, None]:
        start_ns = 0
        for path in self._probe.files or (None,):
            with open_container(self._probe.source, path) as container:
                reader = self._reader(container, path, start_ns)
                for chunk in reader.read():
                    if isinstance(chunk, VideoFrame) and reader.streams.audio is None:
                        yield from self._silence_until(chunk.event_time_ns)
                    yield chunk
            start_ns = reader.end_ns
            if len(self._probe.files) > 1:
                yield from self._silence_until(start_ns)

    def ends(self) -> Iterator[StreamEnd]:
        if self._audio is not None:
            yield StreamEnd("audio", self._audio.end_ns)
        if self._video is not None:
            yield StreamEnd("vision", self._video.end_ns)

    def _silence_until(self, time_ns: int) -> Iterator[MediaChunk]:
        if self._audio is not None:
            yield from self._audio.silence_until(time_ns)

    def _reader(self, container: Any, path: Path | None, start_ns: int) -> ContainerReader:
        source = self._probe.source
        name = str(path or source.name)
        best = select_streams(container, name, source.audio_stream)
        streams = SelectedStreams(
            best.audio if self._audio is not None else None,
            best.video if self._video is not None else None,
        )
        for stream in container.streams:
            if stream not in streams.present:
                stream.discard = Discard.all
        return ContainerReader(
            container,
            streams,
            name,
            start_ns,
            self._max_gap_ns,
            audio=self._audio,
            video=self._video,
            counters=self._counters,
        )


# --- live sources -------------------------------------------------------------------------------


def _read_live(
    probes: list[Probe],
    config: Config,
    stop: threading.Event,
    frame_rate_hz: float,
    start_unix_ns: int | None,
    counters: Counter[str],
) -> Iterator[Chunk]:
    clock = _session_clock(start_unix_ns)
    feeds = [
        live.Feed(probe.source, probe.has_audio, probe.has_video, frame_rate_hz) for probe in probes
    ]
    ends: dict[Modality, int] = {}
    if any(probe.has_audio for probe in probes):
        ends["audio"] = 0
    if any(probe.has_video for probe in probes):
        ends["vision"] = 0
    for chunk in live.run(feeds, config.capture, stop, clock, counters):
        if isinstance(chunk, AudioChunk):
            ends["audio"] = chunk.end_ns
        elif isinstance(chunk, VideoFrame):
            ends["vision"] = chunk.event_time_ns + 1
        yield chunk
    for modality, end_ns in ends.items():
        yield StreamEnd(modality, end_ns)


def _session_clock(start_unix_ns: int | None) -> Callable[[], int]:
    """A clock of session time in nanoseconds that never goes backwards."""
    begun = time.monotonic_ns()
    if start_unix_ns is not None:
        begun -= max(0, time.time_ns() - start_unix_ns)
    return lambda: time.monotonic_ns() - begun
