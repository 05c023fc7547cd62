"""What a participant's sources contain, before they are read.

Input: a ParticipantSpec. Output: a SourceInfo for the session's plan, and a Probe of each source
for `reading`. Recordings and URLs are opened and closed again; devices are not opened.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from streamer.capture.devices import open_stream
from streamer.capture.files import (
    SelectedStreams,
    check_channel,
    declared_length_ns,
    open_file,
    select_streams,
)
from streamer.capture.sources import ParticipantSpec, Source, face_fragment
from streamer.capture.zoom import start_of
from streamer.errors import ConfigError, SourceError
from streamer.media_types import MEDIA_SUFFIXES, TRANSCRIPT_SUFFIXES
from streamer.records import NS_PER_S
from streamer.spans import SpeakerTurn

PLAYLISTS = frozenset({"hls", "applehttp", "dash", "sdp", "rtsp", "rtp"})
"""Formats of a list or a description of streams, whose own size says nothing of their length."""
_IMAGE_SIZE = re.compile(r"(?<=_Recording)(?:_[a-z]+)*_\d+x\d+$")
TEXT_CODECS = frozenset({"subrip", "srt", "webvtt", "mov_text", "ass", "ssa", "text"})


StartOrigin = Literal["name", "creation", "apple", "android", "file"]
"""What tells when a recording began.

`creation` is the container's `creation_time`; `apple` an iPhone's own date, with its time zone;
`android` the `creation_time` of an Android phone, at which the recording *ended*, less its length;
`file` the file's modification time, at which it ended too, less its length.
"""


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """A participant's sources together.

    Attributes:
        live: True for devices and streams, which cannot wait.
        duration_s: the declared length; None when live or unknown.
        has_audio: whether a source has audio.
        has_video: whether a source has video.
        subtitle_path: a WebVTT or SRT file: one named as a source, else one beside the recording.
        subtitle_stream: container index of a text subtitle stream inside the first recording.
        start_unix_ns: when the recording began; None when live or unknown.
        start_origin: what tells so; None when nothing does.
        path: the first recording, which contains `subtitle_stream`; None when live.
        speaker: as of ParticipantSpec; such a participant has no video unless a face is chosen, as
            a face in the recording may be anybody's.
        transcript_offset_ns: as of ParticipantSpec.
        turns: as of ParticipantSpec.
        face: place of the face to follow; None for the largest one.
    """

    live: bool
    duration_s: float | None
    has_audio: bool
    has_video: bool
    subtitle_path: Path | None = None
    subtitle_stream: int | None = None
    start_unix_ns: int | None = None
    start_origin: StartOrigin | None = None
    path: Path | None = None
    speaker: str | None = None
    transcript_offset_ns: int = 0
    turns: tuple[SpeakerTurn, ...] = ()
    face: str | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """One source as it was found.

    Attributes:
        source: the source.
        live: whether it is a device or a stream without an end.
        has_audio: whether it has audio to read.
        has_video: whether it has video to read; a source of one channel has none unless a face is
            chosen, as a face in it may be anybody's.
        files: the files to read one after another; empty for devices and URLs.
        duration_s: the declared length; None when live or unknown.
        subtitle_stream: container index of its first text subtitle stream.
        start_unix_ns: when the recording began; None when unknown.
        start_origin: what tells so; None when nothing does.
        notices: messages for the user.
        channels: of its audio; 0 without audio, and for devices.
        shared_picture: whether it has video that is not read, because the source is one channel.
    """

    source: Source
    live: bool
    has_audio: bool
    has_video: bool
    files: tuple[Path, ...] = ()
    duration_s: float | None = None
    subtitle_stream: int | None = None
    start_unix_ns: int | None = None
    start_origin: StartOrigin | None = None
    notices: tuple[str, ...] = ()
    channels: int = 0
    shared_picture: bool = False


def info(spec: ParticipantSpec) -> SourceInfo:
    """Describe a participant's sources.

    Raises:
        ConfigError: live and recorded sources together.
        SourceError: a source is missing, empty or not media.
    """
    probes = probe_all(spec)
    recorded = [probe for probe in probes if not probe.live]
    first = recorded[0] if recorded else None
    seen = next((probe.source for probe in probes if probe.has_video), None)
    face = None if seen is None else seen.face
    return SourceInfo(
        live=first is None,
        duration_s=max(_known([probe.duration_s for probe in recorded]), default=None),
        has_audio=any(probe.has_audio for probe in probes),
        has_video=seen is not None and (spec.speaker is None or face is not None),
        subtitle_path=_transcript(spec, first),
        subtitle_stream=first.subtitle_stream if first else None,
        start_unix_ns=first.start_unix_ns if first else None,
        start_origin=first.start_origin if first else None,
        path=first.files[0] if first and first.files else None,
        speaker=spec.speaker,
        transcript_offset_ns=spec.transcript_offset_ns,
        turns=spec.turns,
        face=face,
    )


def probe_all(spec: ParticipantSpec) -> list[Probe]:
    """Probe each of a participant's sources of audio and video, in the order named.

    Raises:
        ConfigError: no source of audio or video, or live and recorded sources together.
        SourceError: a source is missing, empty or not media.
    """
    sources = spec.media
    if not sources:
        raise ConfigError(
            f"The participant {spec.participant_id!r} has no source of audio or video: "
            "add a file, a device or a URL."
        )
    probes = [_probe(source) for source in sources]
    if len({probe.live for probe in probes}) > 1:
        raise ConfigError(
            f"The participant {spec.participant_id!r} mixes live sources and recordings; "
            "use only one of the two."
        )
    return probes


def audio_channels(spec: ParticipantSpec) -> int:
    """Return how many channels the sound of a participant's only source has.

    Raises:
        ConfigError: there are several sources.
        SourceError: it is missing, empty or not media.
    """
    probes = probe_all(spec)
    if len(probes) > 1:
        raise ConfigError(f"The channels of {spec.participant_id!r} are those of one source.")
    return probes[0].channels


def open_container(source: Source, path: Path | None = None) -> Any:
    """Open a URL, a graph, or a file: `path`, or the source's own.

    Raises:
        SourceError: it cannot be opened.
    """
    if source.kind in ("lavfi", "url"):
        return open_stream(source)
    return open_file(path or Path(source.address))


def _probe(source: Source) -> Probe:
    match source.kind:
        case "webcam":
            return Probe(source, live=True, has_audio=False, has_video=True)
        case "mic":
            return Probe(source, live=True, has_audio=True, has_video=False)
        case "folder":
            return _probe_folder(source)
        case "file":
            return _probe_file(source, Path(source.address))
        case _:
            return _probe_container(source)


def _probe_folder(source: Source) -> Probe:
    """Probe a folder as one recording: its files one after another, unreadable ones left out."""
    folder = Path(source.address)
    probes: list[Probe] = []
    errors: list[str] = []
    for path in _media_files(folder):
        try:
            probes.append(_probe_file(source, path))
        except SourceError as error:
            errors.append(str(error))
    if not probes:
        cause = f": {errors[0]}" if errors else ": it contains no media file."
        raise SourceError(f"The folder {folder} has nothing to read{cause}")
    durations = _known([probe.duration_s for probe in probes])
    return replace(
        probes[0],
        has_audio=any(probe.has_audio for probe in probes),
        has_video=any(probe.has_video for probe in probes),
        files=tuple(path for probe in probes for path in probe.files),
        duration_s=sum(durations) if durations else None,
        notices=(*errors, *(notice for probe in probes for notice in probe.notices)),
    )


def _media_files(folder: Path) -> list[Path]:
    """The media files of a folder, sorted by name with numbers by value: part2 before part10."""
    try:
        paths = [
            path
            for path in folder.iterdir()
            if path.suffix.lower() in MEDIA_SUFFIXES
            and path.is_file()
            and not path.name.startswith(".")
        ]
    except OSError as error:
        raise SourceError(f"The folder {folder} cannot be read: {error.strerror}.") from None
    return sorted(paths, key=_natural_order)


def _natural_order(path: Path) -> tuple[list[tuple[int, str]], str]:
    parts = re.split(r"(\d+)", path.name.lower())
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts], path.name


def _probe_file(source: Source, path: Path) -> Probe:
    probe = replace(_probe_container(source, path), files=(path,))
    named = start_of(path.stem)
    if named is not None:
        start_unix_ns = round(named.timestamp()) * NS_PER_S
        return replace(probe, start_unix_ns=start_unix_ns, start_origin="name")
    if probe.start_unix_ns is not None:
        return probe
    # A file is last changed when its recording ends.
    length_ns = round((probe.duration_s or 0) * NS_PER_S)
    start_unix_ns = path.stat().st_mtime_ns - length_ns
    return replace(probe, start_unix_ns=start_unix_ns, start_origin="file")


def _probe_container(source: Source, path: Path | None = None) -> Probe:
    with open_container(source, path) as container:
        streams = select_streams(container, source.name, source.audio_stream)
        channels = 0 if streams.audio is None else streams.audio.codec_context.layout.nb_channels
        check_channel(source, channels)
        own_picture = source.channel is None or source.face is not None
        if streams.video is None and source.face is not None:
            raise SourceError(
                f"{source.name} has no video, so there is no {face_fragment(source.face)}."
            )
        length_ns = declared_length_ns(container)
        texts = container.streams.subtitles if source.channel is None else ()
        start_unix_ns, start_origin = _start(container.metadata, length_ns)
        return Probe(
            source,
            live=path is None and _is_live(source, container, length_ns),
            has_audio=streams.audio is not None,
            has_video=streams.video is not None and own_picture,
            duration_s=None if length_ns is None else length_ns / NS_PER_S,
            subtitle_stream=next(
                (s.index for s in texts if s.codec_context.name in TEXT_CODECS), None
            ),
            start_unix_ns=start_unix_ns,
            start_origin=start_origin,
            notices=tuple(_unread_audio(source, container, streams)),
            channels=channels,
            shared_picture=streams.video is not None and not own_picture,
        )


def _is_live(source: Source, container: Any, length_ns: int | None) -> bool:
    """Return whether a graph or an address has no end.

    An address of a file whose header has no length, such as a browser's WebM, is a recording: the
    server knows its size. A live playlist has a size too, but it is the playlist's own.
    """
    if source.kind == "lavfi":
        return True
    if length_ns is not None:
        return False
    is_playlist = any(name in PLAYLISTS for name in container.format.name.split(","))
    return is_playlist or container.size <= 0


def _unread_audio(source: Source, container: Any, streams: SelectedStreams) -> Iterable[str]:
    """A message that names the other audio streams, where none was asked for."""
    count = len(container.streams.audio)
    if count > 1 and source.audio_stream is None and streams.audio is not None:
        index = list(container.streams.audio).index(streams.audio)
        yield (
            f"{source.name} has {count} audio streams; #a:{index} is read. To read another one, "
            f"name it, as in {Path(source.name).name}#a:{(index + 1) % count}."
        )


def _transcript(spec: ParticipantSpec, recording: Probe | None) -> Path | None:
    """The transcript named as a source, else the one beside a recording of one file.

    The one beside has the words of all channels, so that one channel has none of it.
    """
    named = spec.transcript
    if named is not None:
        if not named.is_file():
            raise SourceError(f"There is no subtitle file {named}; check the name.")
        return named
    if recording is None or len(recording.files) != 1 or recording.source.channel is not None:
        return None
    return transcript_beside(recording.files[0])


def transcript_beside(recording: Path) -> Path | None:
    """The transcript of a recording: in its folder, named with its stem, or the stem and more.

    `talk.vtt` comes before `talk.srt`, both before `talk.transcript.vtt`, and that one before
    `talk.en.vtt`. Zoom's recordings have an image size behind the stem that their transcript has
    not: `GMT20260105-090000_Recording_640x360.mp4`.
    """
    stems = dict.fromkeys((recording.stem, _IMAGE_SIZE.sub("", recording.stem)))
    names = [
        f"{stem}{more}{suffix}"
        for stem in stems
        for more in ("", ".transcript")
        for suffix in TRANSCRIPT_SUFFIXES
    ]
    for name in names:
        if (exact := recording.with_name(name)).is_file():
            return exact
    try:
        entries = recording.parent.iterdir()
        paths = sorted(path for path in entries if path.suffix in TRANSCRIPT_SUFFIXES)
    except OSError:
        return None
    either = "|".join(map(re.escape, stems))
    language = re.compile(rf"(?:{either})\.[A-Za-z]{{2,3}}(-[A-Za-z0-9]+)*")
    return next((path for path in paths if language.fullmatch(path.stem)), None)


def _known(durations_s: list[float | None]) -> list[float]:
    """The durations, or none at all when one is unknown."""
    known = [duration_s for duration_s in durations_s if duration_s is not None]
    return known if len(known) == len(durations_s) else []


def _start(
    metadata: Mapping[str, str], length_ns: int | None
) -> tuple[int | None, StartOrigin | None]:
    """Return when a container says that its recording began, and how it says so."""
    apple_ns = _unix_ns(metadata.get("com.apple.quicktime.creationdate", ""))
    if apple_ns is not None:
        return apple_ns, "apple"
    created_ns = _unix_ns(metadata.get("creation_time", ""))
    if created_ns is None:
        return None, None
    if not any(name.startswith("com.android.") for name in metadata):
        return created_ns, "creation"
    return (None, None) if length_ns is None else (created_ns - length_ns, "android")


def _unix_ns(text: str) -> int | None:
    """Parse a container's creation time; None when it is missing or the epoch itself."""
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return None if when.year <= 1970 else round(when.timestamp()) * NS_PER_S
