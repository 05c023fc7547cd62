"""Sources → one participant's chunks in session time.

What enters: what a user types (`webcam:0`, `mic:default`, a file, a folder, a URL). What leaves:
AudioChunks, VideoFrames, Notices and, last, a StreamEnd for each modality. Recordings come in
event-time order and wait for the reader; live sources come as they arrive, never wait, and drop
what is not taken in time. Nothing here knows faces, words, windows or Kafka.
"""

from __future__ import annotations

import heapq
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import av
from av.stream import Discard

from streamer.capture import live
from streamer.capture.files import (
    PictureTrack,
    Piece,
    Reading,
    SoundTrack,
    Wanted,
    declared_length_ns,
)
from streamer.capture.live import Device, devices
from streamer.config import Config, to_ns
from streamer.errors import ConfigError, SourceError
from streamer.records import (
    NS_PER_S,
    SAMPLE_RATE_HZ,
    AudioChunk,
    Modality,
    Notice,
    StreamEnd,
    VideoFrame,
)

__all__ = [
    "Chunk",
    "Device",
    "ParticipantSpec",
    "SourceInfo",
    "devices",
    "info",
    "parse_participant",
    "public_name",
    "read",
]

Chunk = AudioChunk | VideoFrame | StreamEnd | Notice

MEDIA_SUFFIXES = frozenset(
    (
        ".3gp .aac .ac3 .aif .aiff .amr .asf .au .avi .caf .flac .flv .m2ts .m4a .m4b .m4v .mka "
        ".mkv .mov .mp2 .mp3 .mp4 .mpeg .mpg .mts .mxf .oga .ogg .ogv .opus .ts .vob .wav .webm "
        ".wma .wmv"
    ).split()
)
"""Which files of a folder are taken for media; a file named by itself may be called anything."""
SUBTITLE_SUFFIXES = (".vtt", ".srt")
TEXT_CODECS = frozenset({"subrip", "srt", "webvtt", "mov_text", "ass", "ssa", "text"})
MAX_NAME = 200
_SCHEME = re.compile(r"^(webcam|mic|lavfi):|^[A-Za-z][A-Za-z0-9+.-]*://|^/dev/video\d+$")
_STREAM_CHOICE = re.compile(r"^(.*)#a:(\d+)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ParticipantSpec:
    """A participant and where sound and picture come from; the first that has one gives it."""

    participant_id: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known of a participant's sources before they are read.

    Attributes:
        live: devices and streams that cannot wait.
        duration_s: as declared; None when unknown or live.
        has_audio: whether there is sound.
        has_video: whether there are pictures.
        subtitle_path: a WebVTT or SRT file: one named as a source, else one beside the recording.
        subtitle_stream: container index of a text subtitle stream inside the first recording.
        start_unix_ns: when the recording began: the container's `creation_time`, else the file's
            modification time; None when live or unknown.
        path: the first recording, where `subtitle_stream` lies; None when live.
    """

    live: bool
    duration_s: float | None
    has_audio: bool
    has_video: bool
    subtitle_path: Path | None = None
    subtitle_stream: int | None = None
    start_unix_ns: int | None = None
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class _Source:
    """One source as typed, understood. `kind`: webcam, mic, lavfi, url, file, folder."""

    kind: str
    address: str
    audio_stream: int | None = None

    @property
    def name(self) -> str:
        return public_name(self.address)


# --- what the user types ------------------------------------------------------------------------


def parse_participant(text: str) -> ParticipantSpec:
    r"""`ana=webcam:0,mic:1` → its parts.

    Commas part the sources; a comma inside one is written `\,` (or left, where the whole is the
    name of a file, or inside a `lavfi:` graph).

    Raises:
        ConfigError: no `=`, no source, or a name that cannot be part of a window's identity.
    """
    name, equals, rest = text.partition("=")
    name = name.strip()
    if not equals or not rest.strip():
        raise ConfigError(
            f"The participant {text!r} must look like name=source[,source…], "
            "as in ana=webcam:0,mic:default."
        )
    if not name or len(name) > MAX_NAME or name == "*" or re.search(r"[/\x00-\x1f\x7f]", name):
        raise ConfigError(
            f"The participant's name {name!r} must have 1 to {MAX_NAME} characters, no '/' and no "
            "control characters, and not be '*'."
        )
    return ParticipantSpec(name, tuple(_split(rest.strip())))


def public_name(source: str) -> str:
    """A source without user, password and query, for notices and records."""
    if "://" not in source:
        return source
    parts = urlsplit(source)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def _split(text: str) -> list[str]:
    if Path(text).exists():
        return [text]
    found: list[str] = []
    for piece in re.split(r"(?<!\\),", text):
        piece = piece.replace("\\,", ",").strip()
        is_new = bool(_SCHEME.match(piece)) or Path(piece).exists()
        if found and found[-1].startswith("lavfi:") and not is_new:
            found[-1] += f",{piece}"
        elif piece:
            found.append(piece)
    return found


def _understand(typed: str) -> _Source:
    for kind in ("webcam", "mic", "lavfi"):
        if typed.startswith(f"{kind}:"):
            return _Source(kind, typed)
    if re.fullmatch(r"/dev/video\d+", typed):
        return _Source("webcam", f"webcam:{typed}")
    if re.match(r"^[A-Za-z][A-Za-z0-9+.-]*://", typed):
        return _url(typed)
    path = Path(typed).expanduser()
    audio_stream = None
    if not path.exists() and (choice := _STREAM_CHOICE.match(typed)):
        path, audio_stream = Path(choice[1]).expanduser(), int(choice[2])
    if path.is_dir():
        return _Source("folder", str(path), audio_stream)
    if path.exists() and not path.is_file():
        raise SourceError(f"{path} is neither a file nor a folder; name one of these or a URL.")
    return _Source("file", str(path), audio_stream)


def _url(typed: str) -> _Source:
    parts = urlsplit(typed)
    if parts.scheme == "file":
        return _understand(parts.path)
    choice = re.fullmatch(r"a:(\d+)", parts.fragment)
    if choice:
        return _Source("url", typed.rpartition("#")[0], int(choice[1]))
    return _Source("url", typed)


# --- looking at sources -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Look:
    """What one source turned out to be."""

    source: _Source
    live: bool
    has_audio: bool
    has_video: bool
    files: tuple[Path, ...] = ()
    duration_s: float | None = None
    subtitle_stream: int | None = None
    created_unix_ns: int | None = None
    notices: tuple[str, ...] = ()


def info(spec: ParticipantSpec) -> SourceInfo:
    """Look at a participant's sources; recordings and URLs are opened, devices are not.

    Raises:
        ConfigError: live and recorded sources together.
        SourceError: a source is missing, empty or not media.
    """
    looks = _look_at_all(spec)
    recorded = [look for look in looks if not look.live]
    durations = [look.duration_s for look in recorded]
    first = recorded[0] if recorded else None
    path = first.files[0] if first and first.files else None
    return SourceInfo(
        live=not recorded,
        duration_s=None if None in durations or not durations else max(d or 0 for d in durations),
        has_audio=any(look.has_audio for look in looks),
        has_video=any(look.has_video for look in looks),
        subtitle_path=_subtitles(spec, first),
        subtitle_stream=first.subtitle_stream if first else None,
        start_unix_ns=_started(first) if first else None,
        path=path,
    )


def _look_at_all(spec: ParticipantSpec) -> list[_Look]:
    sources = [s for s in spec.sources if not s.lower().endswith(SUBTITLE_SUFFIXES)]
    if not sources:
        raise ConfigError(
            f"The participant {spec.participant_id!r} has no source of sound or picture: "
            "add a file, a device or a URL."
        )
    looks = [_look(_understand(typed)) for typed in sources]
    if len({look.live for look in looks}) > 1:
        raise ConfigError(
            f"The participant {spec.participant_id!r} mixes live sources and recordings; "
            "take either one or the other."
        )
    return looks


def _look(source: _Source) -> _Look:
    match source.kind:
        case "webcam":
            return _Look(source, live=True, has_audio=False, has_video=True)
        case "mic":
            return _Look(source, live=True, has_audio=True, has_video=False)
        case "folder":
            return _look_at_folder(source)
        case "file":
            return _look_at_file(source, Path(source.address))
        case _:
            with _open(source) as container:
                wanted = _streams(container, source)
                is_live = source.kind == "lavfi" or container.duration is None
                return replace(_described(source, container, wanted), live=is_live, files=())


def _look_at_file(source: _Source, path: Path) -> _Look:
    with _open(source, path) as container:
        wanted = _streams(container, source)
        look = _described(source, container, wanted)
        return replace(look, files=(path,), created_unix_ns=look.created_unix_ns or _modified(path))


def _look_at_folder(source: _Source) -> _Look:
    folder = Path(source.address)
    looks: list[_Look] = []
    refused: list[str] = []
    for path in _media_files(folder):
        try:
            looks.append(_look_at_file(source, path))
        except SourceError as error:
            refused.append(str(error))
    if not looks:
        why = f": {refused[0]}" if refused else "; it holds no media file."
        raise SourceError(f"The folder {folder} has nothing to read{why}")
    lengths = [look.duration_s for look in looks]
    return replace(
        looks[0],
        has_audio=any(look.has_audio for look in looks),
        has_video=any(look.has_video for look in looks),
        files=tuple(path for look in looks for path in look.files),
        duration_s=None if None in lengths else sum(length or 0 for length in lengths),
        notices=tuple(refused) + tuple(notice for look in looks for notice in look.notices),
    )


def _media_files(folder: Path) -> list[Path]:
    """Media of a folder by name, numbers by value: part2 before part10."""
    try:
        names = [
            entry
            for entry in folder.iterdir()
            if entry.suffix.lower() in MEDIA_SUFFIXES
            and entry.is_file()
            and not entry.name.startswith(".")
        ]
    except OSError as error:
        raise SourceError(f"The folder {folder} cannot be read: {error.strerror}.") from None
    return sorted(names, key=_natural)


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    pieces = re.split(r"(\d+)", path.name.lower())
    return [(int(p), "") if p.isdigit() else (-1, p) for p in pieces], path.name


def _described(source: _Source, container: Any, wanted: Wanted) -> _Look:
    notices = []
    length_ns = declared_length_ns(container)
    tracks = len(container.streams.audio)
    if tracks > 1 and source.audio_stream is None and wanted.audio is not None:
        chosen = list(container.streams.audio).index(wanted.audio)
        notices.append(
            f"{source.name} has {tracks} audio streams; #a:{chosen} is read, "
            f"another one as in {Path(source.name).name}#a:{(chosen + 1) % tracks}."
        )
    return _Look(
        source,
        live=False,
        has_audio=wanted.audio is not None,
        has_video=wanted.video is not None,
        duration_s=None if length_ns is None else length_ns / NS_PER_S,
        subtitle_stream=next(
            (s.index for s in container.streams.subtitles if s.codec_context.name in TEXT_CODECS),
            None,
        ),
        created_unix_ns=_created(container.metadata.get("creation_time", "")),
        notices=tuple(notices),
    )


def _open(source: _Source, path: Path | None = None) -> Any:
    """Open a file or URL; SourceError in one sentence when that cannot be."""
    if source.kind in ("lavfi", "url"):
        return live.open_stream(source.address)
    place = path or Path(source.address)
    try:
        if place.stat().st_size == 0:
            raise SourceError(f"The file {place} is empty; there is nothing to read.")
        container = av.open(str(place), "r", metadata_errors="ignore")
    except FileNotFoundError:
        raise SourceError(f"There is no file {place}; check the name.") from None
    except PermissionError:
        raise SourceError(f"The file {place} may not be read; check its permissions.") from None
    except (av.FFmpegError, OSError, ValueError) as error:
        raise SourceError(
            f"The file {place} cannot be read as media ({live.reason(error)}); "
            "it may be something else, or cut off before its index."
        ) from None
    return container


def _streams(container: Any, source: _Source) -> Wanted:
    """The best sound and picture streams that can be decoded; cover pictures do not count."""
    audio = [s for s in container.streams.audio if s.codec_context is not None]
    video = [
        s
        for s in container.streams.video
        if s.codec_context is not None and not s.disposition & s.disposition.attached_pic
    ]
    if not audio and not video:
        container.close()
        raise SourceError(f"{source.name} holds neither sound nor pictures that can be decoded.")
    return Wanted(_chosen_audio(container, audio, source), _best(container, "video", video))


def _chosen_audio(container: Any, audio: list[Any], source: _Source) -> Any:
    if source.audio_stream is None:
        return _best(container, "audio", audio)
    if source.audio_stream >= len(audio):
        container.close()
        raise SourceError(
            f"{source.name} has {len(audio)} audio streams, counted from #a:0; "
            f"there is no #a:{source.audio_stream}."
        )
    return audio[source.audio_stream]


def _best(container: Any, kind: str, able: list[Any]) -> Any:
    best = container.streams.best(kind)
    return best if best in able else next(iter(able), None)


def _subtitles(spec: ParticipantSpec, first: _Look | None) -> Path | None:
    named = [s for s in spec.sources if s.lower().endswith(SUBTITLE_SUFFIXES)]
    if named:
        path = Path(named[0]).expanduser()
        if not path.is_file():
            raise SourceError(f"There is no subtitle file {path}; check the name.")
        return path
    if first is None or len(first.files) != 1:
        return None
    from streamer.speech.transcripts import beside

    return beside(first.files[0])


def _created(text: str) -> int | None:
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return None if when.year <= 1970 else round(when.timestamp()) * NS_PER_S


def _modified(path: Path) -> int:
    return path.stat().st_mtime_ns


def _started(look: _Look) -> int | None:
    return look.created_unix_ns


# --- reading ------------------------------------------------------------------------------------


def read(
    spec: ParticipantSpec,
    config: Config,
    stop: threading.Event,
    frame_rate_hz: float,
    *,
    modalities: Collection[Modality] | None = None,
    start_unix_ns: int | None = None,
    counters: Counter[str] | None = None,
) -> Iterator[Chunk]:
    """One participant's sources as one stream of chunks.

    Recordings: in event-time order, sound and picture within half a second of each other, at the
    reader's pace. Live: as they arrive, through one queue of `capture.queue_chunks` that a thread
    per device fills; when it is full the oldest picture goes, else the oldest sound. A device
    that leaves is told in a Notice and tried again every `capture.reconnect_s`, while the others
    go on. Ends with a StreamEnd for each modality: at the end of recordings, or after `stop`.

    Args:
        spec: the participant.
        config: `session.modalities`, `capture`.
        stop: set it to end early.
        frame_rate_hz: pictures per second to keep.
        modalities: what to decode, instead of the configured ones; `text` stands for its sound.
        start_unix_ns: wall clock of session time 0 for live sources; now when None.
        counters: gets `dropped_video_frames`, `dropped_audio_chunks`, `reconnects`,
            `damaged_packets`, `clock_leaps`.

    Raises:
        ConfigError: live and recorded sources together.
        SourceError: a source cannot be opened at the start.
    """
    wanted = frozenset(config.session.modalities if modalities is None else modalities)
    seen = _look_at_all(spec)
    looks = _assigned(seen, wanted)
    for message in (
        *(notice for look in looks for notice in look.notices),
        *_missing(spec, looks, wanted),
        *_superfluous(seen, looks, wanted),
    ):
        yield Notice(message)
    looks = [look for look in looks if look.has_audio or look.has_video]
    counters = Counter() if counters is None else counters
    if not looks:
        return
    if looks[0].live:
        yield from _read_live(looks, config, stop, frame_rate_hz, start_unix_ns, counters)
    else:
        yield from _read_recorded(looks, config, stop, frame_rate_hz, counters)


def _assigned(looks: list[_Look], wanted: frozenset[Modality]) -> list[_Look]:
    """Each modality from the first source that has it, and only if it is wanted."""
    audio, video = bool(wanted & {"audio", "text"}), "vision" in wanted
    assigned = []
    for look in looks:
        assigned.append(
            replace(look, has_audio=look.has_audio and audio, has_video=look.has_video and video)
        )
        audio, video = audio and not look.has_audio, video and not look.has_video
    return assigned


def _missing(
    spec: ParticipantSpec, looks: list[_Look], wanted: frozenset[Modality]
) -> Iterator[str]:
    names = ", ".join(look.source.name for look in looks)
    if wanted & {"audio", "text"} and not any(look.has_audio for look in looks):
        yield f"{spec.participant_id} has no sound: there is none in {names}."
    if "vision" in wanted and not any(look.has_video for look in looks):
        yield f"{spec.participant_id} has no picture: there is none in {names}."


def _superfluous(
    seen: list[_Look], looks: list[_Look], wanted: frozenset[Modality]
) -> Iterator[str]:
    audio, video = bool(wanted & {"audio", "text"}), "vision" in wanted
    for before, after in zip(seen, looks, strict=True):
        useful = (before.has_audio and audio) or (before.has_video and video)
        if useful and not (after.has_audio or after.has_video):
            yield f"{before.source.name} is not used: a source named before it gives the same."


def _read_recorded(
    looks: list[_Look],
    config: Config,
    stop: threading.Event,
    frame_rate_hz: float,
    counters: Counter[str],
) -> Iterator[Chunk]:
    recordings = [_Recording(look, config, frame_rate_hz, counters) for look in looks]
    with ExitStack() as stack:
        streams = [stack.enter_context(closing(recording.pieces())) for recording in recordings]
        for piece in heapq.merge(*streams, key=_order):
            if stop.is_set():
                break
            yield piece
    for recording in recordings:
        yield from recording.ends()


def _order(piece: Piece) -> int:
    return -1 if isinstance(piece, Notice) else piece.event_time_ns


class _Recording:
    """A file, a URL of known length, or the files of a folder one after another."""

    def __init__(
        self, look: _Look, config: Config, frame_rate_hz: float, counters: Counter[str]
    ) -> None:
        self._look = look
        self._config = config
        self._frame_rate_hz = frame_rate_hz
        self._counters = counters
        self._sound = SoundTrack(0) if look.has_audio else None
        self._pictures = PictureTrack(0, frame_rate_hz) if look.has_video else None

    def pieces(self) -> Generator[Piece, None, None]:
        start_ns = 0
        for path in self._look.files or (None,):
            with _open(self._look.source, path) as container:
                reading = self._reading(container, path, start_ns)
                for piece in reading.pieces():
                    if isinstance(piece, VideoFrame) and reading.wanted.audio is None:
                        yield from self._silence(piece.event_time_ns)
                    yield piece
            start_ns = reading.end_ns
            if len(self._look.files) > 1:
                yield from self._silence(start_ns)

    def ends(self) -> Iterator[StreamEnd]:
        if self._sound is not None:
            yield StreamEnd("audio", self._sound.end_ns)
        if self._pictures is not None:
            yield StreamEnd("vision", self._pictures.end_ns)

    def _silence(self, until_ns: int) -> Iterator[Piece]:
        if self._sound is not None:
            yield from self._sound.silence_until(until_ns)

    def _reading(self, container: Any, path: Path | None, start_ns: int) -> Reading:
        found = _streams(container, self._look.source)
        wanted = Wanted(
            found.audio if self._sound is not None else None,
            found.video if self._pictures is not None else None,
        )
        for stream in container.streams:
            if stream not in wanted.streams:
                stream.discard = Discard.all
        return Reading(
            container,
            wanted,
            str(path or self._look.source.name),
            start_ns,
            self._frame_rate_hz,
            to_ns(self._config.capture.max_gap_s),
            sound=self._sound,
            pictures=self._pictures,
            counters=self._counters,
        )


def _read_live(
    looks: list[_Look],
    config: Config,
    stop: threading.Event,
    frame_rate_hz: float,
    start_unix_ns: int | None,
    counters: Counter[str],
) -> Iterator[Chunk]:
    clock = _session_clock(start_unix_ns)
    feeds = [
        live.Feed(look.source.address, look.has_audio, look.has_video, frame_rate_hz)
        for look in looks
    ]
    ends: dict[Modality, int] = {}
    if any(look.has_audio for look in looks):
        ends["audio"] = 0
    if any(look.has_video for look in looks):
        ends["vision"] = 0
    for chunk in live.run(feeds, config.capture, stop, clock, counters):
        if isinstance(chunk, AudioChunk):
            ends["audio"] = chunk.event_time_ns + len(chunk.samples) * NS_PER_S // SAMPLE_RATE_HZ
        elif isinstance(chunk, VideoFrame):
            ends["vision"] = chunk.event_time_ns + 1
        yield chunk
    for modality, end_ns in ends.items():
        yield StreamEnd(modality, end_ns)


def _session_clock(start_unix_ns: int | None) -> Callable[[], int]:
    """Session time in nanoseconds, by the steady clock."""
    begun = time.monotonic_ns()
    if start_unix_ns is not None:
        begun -= max(0, time.time_ns() - start_unix_ns)
    return lambda: time.monotonic_ns() - begun
