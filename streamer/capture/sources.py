r"""The grammar of participants and their sources, as a user types them.

    participant  name=source[,source…]     a comma inside a source is written `\,`
    source       webcam:0  webcam:NAME  /dev/video0
                 mic:default  mic:1  mic:NAME
                 lavfi:GRAPH               a test source of FFmpeg; its commas need no backslash
                 rtsp://…  http://…        any URL that FFmpeg opens
                 PATH  file://PATH         a media file, a folder of media files
                 PATH.vtt  PATH.srt        a transcript of the other sources, or alone
                 PATH.txt .json .rttm      likewise
    fragment     PATH#a:1  URL#a:1         the second audio stream instead of the best one
                 PATH#left  URL#right      one channel of the sound, also of a mic:1#left
                 PATH#ch:3  PATH#a:1#ch:3  the fourth channel (of the second audio stream)
                 PATH#face:left  webcam:0#face:right  PATH#face:2  PATH#face:largest
                                           one of several faces, counted from the left
                 PATH#face:25x40x18        the one at a place, in percent of the image: its middle
                                           from the left and from the top, and its width
    beginning    PATH@+20s  PATH@+1.5m     the recording begins 20 s (ms, s, m, h) into the session,
                                           unless a file of that whole name exists

Input: text. Output: ParticipantSpec and Source. Nothing is opened here; the file system is asked
only whether a path exists and is a folder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from streamer.errors import ConfigError, SourceError
from streamer.media_types import WRITTEN_SUFFIXES, exists
from streamer.plain_text import public_address, without_secrets
from streamer.records import NS_PER_MS, NS_PER_S, IdentifiedBy, Name
from streamer.spans import SpeakerTurn

Kind = Literal["webcam", "mic", "lavfi", "url", "file", "folder"]

_PREFIXES: tuple[Kind, ...] = ("webcam", "mic", "lavfi")
_CAMERA_PATH = re.compile(r"/dev/video\d+")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_BEGINNING = re.compile(r"(.+)@\+(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h)", re.DOTALL)
_NS_PER_UNIT = {"ms": NS_PER_MS, "s": NS_PER_S, "m": 60 * NS_PER_S, "h": 3600 * NS_PER_S}
MOST_BEGIN_NS = 24 * 3600 * NS_PER_S
"""The latest beginning of a recording in the session."""
_PLACE = r"left|right|largest|[1-9]\d?|\d{1,3}x\d{1,3}x\d{1,3}"
_FACE = re.compile(rf"(.*?)(?:#face:({_PLACE}))?", re.DOTALL)
_FRAGMENTS = re.compile(r"(.*?)(?:#a:(\d{1,4}))?(?:#(left|right|ch:\d{1,4}))?", re.DOTALL)
_SIDES = ("left", "right")


@dataclass(frozen=True, slots=True)
class ParticipantSpec:
    """A participant and the sources of their audio, video and words, as typed.

    The first source that has audio provides the audio, the first that has video the video.

    Attributes:
        participant_id: the name.
        sources: as typed.
        begin_ns: session time at which the recordings begin; None when it is not stated.
        transcript_file: the transcript, in place of one among or beside the sources.
        transcript_offset_ns: added to the transcript's times.
        speaker: whom of the recording's people the participant is, as the transcript calls them;
            None for a recording of this participant alone.
        identified_by: how the participant is told from others.
        turns: who speaks when in the recording, as the voices tell; one of them is `speaker`.
    """

    participant_id: str
    sources: tuple[str, ...]
    begin_ns: int | None = None
    transcript_file: Path | None = None
    transcript_offset_ns: int = 0
    speaker: str | None = None
    identified_by: IdentifiedBy = "source"
    turns: tuple[SpeakerTurn, ...] = ()

    @property
    def media(self) -> list[Source]:
        """The parsed sources of audio and video."""
        return [parse_source(text) for text in self.sources if not _is_transcript(text)]

    @property
    def transcript(self) -> Path | None:
        """The stated transcript, else the first one named as a source; None when there is none."""
        if self.transcript_file is not None:
            return self.transcript_file
        paths = [Path(text).expanduser() for text in self.sources if _is_transcript(text)]
        return paths[0] if paths else None


@dataclass(frozen=True, slots=True)
class Source:
    """One parsed source.

    Attributes:
        kind: how it is opened.
        address: a device's number or name, a filter graph, a URL or a path, without prefix.
        audio_stream: index of the audio stream to read; None for the best one.
        channel: index of the channel whose sound is read; None for a mix of all.
        face: place of the face to follow, as in `#face:left`; None for the largest one in view.
    """

    kind: Kind
    address: str
    audio_stream: int | None = None
    channel: int | None = None
    face: str | None = None

    @property
    def name(self) -> str:
        """The source as messages show it, without secrets."""
        if self.kind in _PREFIXES:
            return without_secrets(f"{self.kind}:{self.address}")
        return public_address(self.address)


def parse_participant(text: str) -> ParticipantSpec:
    r"""Parse `ana=webcam:0,mic:1`.

    Commas separate the sources; a comma inside a source is written `\,`. A comma needs no
    backslash inside a `lavfi:` graph, or where all of the text after `=` is the name of a file.

    Raises:
        ConfigError: there is no `=` or no source, or the name cannot be part of a window's id.
    """
    name, equals, sources = text.partition("=")
    if not equals or not sources.strip() or _URL.match(name.strip()):
        raise ConfigError(
            f"The participant {public_address(text)!r} must look like name=source[,source…], "
            "as in ana=webcam:0,mic:default."
        )
    return _spec(checked_name(name.strip()), sources.strip())


def participant_of(file: str) -> ParticipantSpec:
    """The participant that a bare file, folder or address stands for, named after its path.

    Of an address neither the query nor the user counts: they may contain secrets.

    Raises:
        ConfigError: the file's name cannot be a participant's name, or the address is no URL.
    """
    path, _, channel, face = _split_fragments(_split_beginning(file)[0])
    if _URL.match(file):
        parts = _split_url(path)
        path = unquote(parts.path).rstrip("/") or parts.hostname or ""
    name = Path(path.rstrip("/")).stem or "participant"
    if channel is not None:
        name = f"{name}-{_label(channel)}"
    if face is not None:
        name = f"{name}-{face}"
    try:
        checked = checked_name(name.replace("=", "-").strip())
    except ConfigError as error:
        example = f"-p ana={public_address(file)}"
        raise ConfigError(f"{error} State another name, as in {example!r}.") from None
    return _spec(checked, file)


def by_channel(spec: ParticipantSpec, count: int) -> list[ParticipantSpec]:
    """Return a participant for each of `count` channels of a participant's only source.

    Two channels are called left and right, more have numbers from 0.
    """
    [source] = spec.sources
    return [
        replace(
            spec,
            participant_id=checked_name(f"{spec.participant_id}-{_label(channel, count)}"),
            sources=(f"{source}{channel_fragment(channel, count)}",),
            identified_by="channel",
        )
        for channel in range(count)
    ]


def channel_fragment(channel: int, count: int = 2) -> str:
    """Return what a person types behind a source of `count` channels for one of them."""
    return f"#{_SIDES[channel]}" if count == 2 and channel < 2 else f"#ch:{channel}"


def face_fragment(place: str) -> str:
    """Return what a person types behind a source for the face at a place.

    Raises:
        ConfigError: there is no such place.
    """
    if re.fullmatch(_PLACE, place) is None:
        raise ConfigError(
            f"{place!r} is no place of a face: it is left, right, largest, a number counted from "
            "the left, or percentages of the image, as in 25x40x18."
        )
    return f"#face:{place}"


def _label(channel: int, count: int = 2) -> str:
    return channel_fragment(channel, count).strip("#").replace(":", "")


def _spec(participant_id: str, text: str) -> ParticipantSpec:
    spec = _with_beginning(participant_id, text)
    if all(_split_fragments(source).channel is None for source in spec.sources):
        return spec
    return replace(spec, identified_by="channel")


def _with_beginning(participant_id: str, text: str) -> ParticipantSpec:
    whole, begin_ns = _split_beginning(text)
    if begin_ns is not None:
        return ParticipantSpec(participant_id, split_sources(whole), begin_ns)
    parts = [_split_beginning(source) for source in split_sources(text)]
    stated = {begin_ns for _, begin_ns in parts if begin_ns is not None}
    if len(stated) > 1:
        raise ConfigError(
            f"The sources of {participant_id!r} state several beginnings; they have one together."
        )
    begin_ns = next(iter(stated), None)
    return ParticipantSpec(participant_id, tuple(source for source, _ in parts), begin_ns)


def _split_beginning(text: str) -> tuple[str, int | None]:
    """Split a recording that exists from the beginning that is stated behind it, if there is one.

    Raises:
        ConfigError: it is more than MOST_BEGIN_NS.
    """
    match = _BEGINNING.fullmatch(text)
    if match is None or exists(Path(text).expanduser()):
        return text, None
    if not exists(Path(_split_fragments(match[1]).address).expanduser()):
        return text, None
    begin_ns = round(float(match[2]) * _NS_PER_UNIT[match[3]])
    if begin_ns > MOST_BEGIN_NS:
        raise ConfigError(f"The beginning in {text!r} lies more than 24 hours into the session.")
    return match[1], begin_ns


class _Parts(NamedTuple):
    """A source and what is stated behind it."""

    address: str
    audio_stream: int | None = None
    channel: int | None = None
    face: str | None = None


def _split_fragments(text: str) -> _Parts:
    """Split a source from the audio stream, the channel and the face that are stated behind it.

    A file of that whole name has none; a camera has only a face, a microphone no face.
    """
    if text.startswith("lavfi:") or exists(Path(text).expanduser()):
        return _Parts(text)
    rest, face = text, None
    if not text.startswith("mic:") and (match := _FACE.fullmatch(text)) is not None:
        rest, face = match[1], match[2]
    match = _FRAGMENTS.fullmatch(rest)
    if match is None or rest.startswith("webcam:") or exists(Path(rest).expanduser()):
        return _Parts(rest, face=face)
    stream, channel = match[2], match[3]
    return _Parts(
        match[1],
        None if stream is None else int(stream),
        None if channel is None else _channel(channel),
        face,
    )


def _channel(text: str) -> int:
    return _SIDES.index(text) if text in _SIDES else int(text.removeprefix("ch:"))


def split_sources(text: str) -> tuple[str, ...]:
    """Split a comma-separated list of sources and remove its backslashes."""
    if exists(Path(text)):
        return (text,)
    sources: list[str] = []
    for part in re.split(r"(?<!\\),", text):
        part = part.replace("\\,", ",").strip()
        if sources and sources[-1].startswith("lavfi:") and not _begins_source(part):
            sources[-1] += f",{part}"
        elif part:
            sources.append(part)
    return tuple(sources)


def parse_source(text: str) -> Source:
    """Parse one source of audio or video.

    Raises:
        SourceError: the path is neither a file nor a folder.
    """
    for kind in _PREFIXES:
        if text.startswith(f"{kind}:"):
            return _parse_device(kind, text)
    address, *_, face = _split_fragments(text)
    if _CAMERA_PATH.fullmatch(address):
        return Source("webcam", address, face=face)
    if _URL.match(text):
        return _parse_url(text)
    return _parse_path(text)


def checked_name(name: str) -> str:
    """Return a participant's name.

    Raises:
        ConfigError: it cannot be one.
    """
    try:
        msgspec.convert(name, Name)
    except msgspec.ValidationError:
        valid = False
    else:
        valid = name != "*" and "\x7f" not in name
    if not valid:
        raise ConfigError(
            f"The participant's name {name!r} must have 1 to 200 characters, must not contain '/' "
            "or control characters, and must not be '*'."
        )
    return name


def _begins_source(text: str) -> bool:
    known = text.startswith(tuple(f"{kind}:" for kind in _PREFIXES)) or _URL.match(text)
    camera = _CAMERA_PATH.fullmatch(_split_fragments(text).address)
    return bool(known or camera) or exists(Path(text))


def _is_transcript(text: str) -> bool:
    return text.lower().endswith(WRITTEN_SUFFIXES) and not _URL.match(text)


def _split_url(text: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError:
        raise ConfigError(
            f"The address {public_address(text)!r} is no URL; check its host."
        ) from None


def _parse_url(text: str) -> Source:
    parts = _split_url(text)
    if parts.scheme == "file":
        return parse_source(parts.path)
    return Source("url", *_split_fragments(text))


def _parse_device(kind: Kind, text: str) -> Source:
    address, audio_stream, channel, face = _split_fragments(text)
    if audio_stream is not None:
        address, channel = text, None
    return Source(kind, address.removeprefix(f"{kind}:"), channel=channel, face=face)


def _parse_path(text: str) -> Source:
    parts = _split_fragments(text)
    path = Path(parts.address).expanduser()
    kind: Kind = "folder" if exists(path) and path.is_dir() else "file"
    if kind == "file" and exists(path) and not path.is_file():
        raise SourceError(f"{path} is neither a file nor a folder; name one of these or a URL.")
    return Source(kind, str(path), parts.audio_stream, parts.channel, parts.face)
