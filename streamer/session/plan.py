"""The plan of a session: its participants, their sources, its start and speed.

What enters: participants and settings. What leaves: a `Plan`, with every source probed.
"""

from __future__ import annotations

import functools
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from streamer import capture, session_ids
from streamer.capture.sources import ParticipantSpec
from streamer.config import Config
from streamer.errors import ConfigError, SourceError
from streamer.records import NS_PER_S, Name, wall_clock
from streamer.session.beginnings import beginnings
from streamer.speech.fitting import misfit
from streamer.speech.transcripts import parse_subtitles

NO_CONSENT = (
    "A live session needs the consent of those who are captured: state it with "
    '--consent "who agreed, and how" or session.consent in the configuration.'
)
RANDOM = functools.partial(secrets.randbits, 16)
"""Makes the random part of an id."""


@dataclass(frozen=True)
class Plan:
    """What is to be captured.

    Attributes:
        start_unix_ns: wall clock at session time 0.
        live: devices and streams that cannot wait; False for recordings.
        begins_ns: session time at which a participant's recordings begin; 0 where it is missing.
        notice: a sentence for people on what was guessed; may be empty.
        speed: of a replay: 1 as recorded, 4 four times as fast, 0 as fast as it goes.
        notices: what is wrong with the times of transcripts, each a sentence.
    """

    session_id: str
    start_unix_ns: int
    live: bool
    speed: float
    participants: tuple[ParticipantSpec, ...]
    sources: dict[str, capture.SourceInfo]
    begins_ns: Mapping[str, int] = field(default_factory=dict)
    notice: str = ""
    notices: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The session's name, for people."""
        return session_ids.name_of(self.session_id)


def make_plan(
    participants: Sequence[ParticipantSpec],
    config: Config,
    *,
    speed: float,
    name: str | None = None,
    session_id: str | None = None,
    start: datetime | None = None,
    now_ns: Callable[[], int] = time.time_ns,
    random: Callable[[], int] = RANDOM,
) -> Plan:
    """Look at every source and decide the session's id and start, and when each one begins.

    Args:
        participants: who is captured, from which sources.
        config: the settings.
        speed: of a replay, as in `Plan`.
        name: of the session; None for `live`, or for the first participant's name in a replay.
        session_id: fixes the id; None for a new one.
        start: wall clock at session time 0 of recordings; None for what they tell of it.
        now_ns: the wall clock, Unix nanoseconds.
        random: returns the random part of an id.

    Raises:
        ConfigError: live without consent, no participant, a name used twice, no finite speed, a
            name or id that cannot be one.
        SourceError: a source cannot be opened.
    """
    if not participants:
        raise ConfigError("Nobody to listen to: name at least one --participant or file.")
    names = [spec.participant_id for spec in participants]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ConfigError(f"The participant {twice[0]!r} is named twice; give each its own name.")
    if not 0 <= speed < 1000:
        raise ConfigError(f"The speed {speed:g} must lie between 0 (no waiting) and 1000.")
    sources = {spec.participant_id: source_info(spec) for spec in participants}
    live = any(source.live for source in sources.values())
    if live and not config.session.consent.strip():
        raise ConfigError(NO_CONSENT)
    if live and start is not None:
        raise ConfigError("A start can be stated for recordings only; a live session starts now.")
    begin = beginnings(participants, sources)
    begun_ns = now_ns()
    if start is not None:
        start_ns = round(start.timestamp() * 1e6) * 1000
    elif live:
        start_ns = begun_ns
    else:
        start_ns = min(_session_starts(sources, begin.at_ns), default=begun_ns)
    return Plan(
        session_id=session_id_of(
            name,
            session_id,
            otherwise="live" if live else names[0],
            now_ns=lambda: begun_ns,
            random=random,
        ),
        start_unix_ns=start_ns,
        live=live,
        speed=1.0 if live else speed,
        participants=tuple(participants),
        sources=sources,
        begins_ns=begin.at_ns,
        notice=begin.notice,
        notices=tuple(_misfits(participants, sources)),
    )


def _misfits(
    participants: Sequence[ParticipantSpec], sources: Mapping[str, capture.SourceInfo]
) -> Iterator[str]:
    """Yield what is wrong with the times of each transcript of a recording."""
    infos = [sources[spec.participant_id] for spec in participants if spec.media]
    lengths = {
        (info.subtitle_path, info.transcript_offset_ns): info.duration_s
        for info in infos
        if info.subtitle_path is not None and info.duration_s is not None
    }
    for (path, offset_ns), length_s in lengths.items():
        try:
            read = parse_subtitles(path)
        except SourceError:  # said where its words are needed
            continue
        notice = misfit(read, path.name, offset_ns, round(length_s * NS_PER_S))
        if notice is not None:
            yield notice


def source_info(spec: ParticipantSpec) -> capture.SourceInfo:
    """Describe a participant's sources; a transcript alone lasts to the end of its last cue.

    Raises:
        ConfigError: live and recorded sources together, or none.
        SourceError: a source is missing, empty, not media, or a transcript without words.
    """
    path = spec.transcript
    if spec.media or path is None:
        return capture.info(spec)
    read = parse_subtitles(path).later(spec.transcript_offset_ns)
    if not read.words:
        raise SourceError(f"{path} contains no words; name the recording too.")
    return capture.SourceInfo(
        live=False,
        duration_s=max(word.end_ns for word in read.words) / NS_PER_S,
        has_audio=False,
        has_video=False,
        subtitle_path=path,
        speaker=spec.speaker,
        transcript_offset_ns=spec.transcript_offset_ns,
    )


def _session_starts(
    sources: Mapping[str, capture.SourceInfo], begins_ns: Mapping[str, int]
) -> list[int]:
    """Return the wall clock at session time 0 by each recording that knows its own start."""
    return [
        max(info.start_unix_ns - begins_ns[name], 0)
        for name, info in sources.items()
        if info.start_unix_ns is not None
    ]


def session_id_of(
    name: str | None,
    session_id: str | None,
    *,
    otherwise: str,
    now_ns: Callable[[], int] = time.time_ns,
    random: Callable[[], int] = RANDOM,
) -> str:
    """Return `session_id`, or a new id of the session `name`, else `otherwise`.

    Raises:
        ConfigError: the name or the id cannot be one, or the id has another name.
    """
    if session_id is None:
        new = session_ids.make_id(name or otherwise, wall_clock(now_ns(), 0), random())
        _check(name or otherwise, new, f"at most {session_ids.LONGEST_NAME}")
        return new
    _check(session_id, session_id, "at most 200")
    own_name = session_ids.name_of(session_id)
    if name is not None and name != own_name:
        raise ConfigError(
            f"The id {session_id!r} is of a session {own_name!r}, not {name!r}: give one of "
            "--session and --session-id."
        )
    return session_id


def _check(shown: str, session_id: str, length: str) -> None:
    try:
        msgspec.convert(session_id, Name)
    except msgspec.ValidationError:
        raise ConfigError(
            f"The session {shown!r} must have {length} characters and must not contain '/' or "
            "control characters."
        ) from None
