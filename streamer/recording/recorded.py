"""A recorded session: its records in memory, its summary, and its name on disk.

What enters: records. What leaves: a `Recording` with the newest revision of each record, in order.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import fmean
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import msgspec

from streamer.conversation import Conversation, SpeechTimes
from streamer.errors import StreamerError
from streamer.recorded_times import gaps
from streamer.recording.figures import course
from streamer.recording.forgotten import Forgotten
from streamer.records import (
    NS_PER_MS,
    Alert,
    Modality,
    Participant,
    RecordedTime,
    Sentiment,
    Session,
    SessionSentiment,
    Window,
)
from streamer.remembered import Remembered
from streamer.session_ids import name_of
from streamer.shown_names import merged
from streamer.spans import Span

Published = Sentiment | SessionSentiment | Alert
Recorded = Published | Session | Window
COURSE_PARTS = 12
"""Parts of a session in the index, for a small picture of its course."""
EVERYBODY = "*"
"""Stands for the meeting as a whole where others are participants."""
RecordedKind = Literal["smoothed", "session_smoothed", "alerts", "sessions", "windows"]
S = TypeVar("S", bound=msgspec.Struct)
STRUCTS: Mapping[RecordedKind, type[msgspec.Struct]] = {
    "smoothed": Sentiment,
    "session_smoothed": SessionSentiment,
    "alerts": Alert,
    "sessions": Session,
    "windows": Window,
}
KIND_OF: Mapping[type, RecordedKind] = {struct: kind for kind, struct in STRUCTS.items()}


class RecordingError(StreamerError):
    """A recording cannot be found, read or written."""


class Summary(msgspec.Struct, kw_only=True):
    """A session in the index.

    Attributes:
        name: of the session, for people; the one in its id where the index entry has none.
        started_at: wall clock at session time 0; null until a record tells it.
        last_event_time: wall clock of the newest record's end.
        duration_ms: end of the last window in session time.
        complete: capture said that it ended, and every participant's last record is there.
        counts: how many different records there are, per kind.
        alerts: how many were raised.
        mean_valence: of the meeting's own records with a value; null without any.
        course: the same in each of COURSE_PARTS equal parts of the session.
        names: the name to show for a participant who has one, by `participant_id`.
        recorded_times: what is recorded, where the host started and stopped it; else null.
        ended_unrecorded: whose last record was in a time that is not recorded; `*` is the meeting.
    """

    session_id: str
    name: str = ""
    started_at: datetime | None = None
    last_event_time: datetime | None = None
    duration_ms: int = 0
    complete: bool = False
    live: bool | None = None
    consent: str | None = None
    asr: str | None = None
    modalities: tuple[Modality, ...] = ()
    participants: tuple[Participant, ...] = ()
    models: tuple[str, ...] = ()
    counts: dict[str, int] = {}
    alerts: int = 0
    mean_valence: float | None = None
    course: tuple[float | None, ...] = ()
    names: dict[str, str] = {}
    recorded_times: tuple[RecordedTime, ...] | None = None
    ended_unrecorded: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Complete an entry of an older version."""
        self.name = self.name or name_of(self.session_id)


@dataclass(frozen=True)
class Recording:
    """Everything published in one session, duplicates removed.

    Attributes:
        session: its own record, with its end and its newest names; None when none was recorded.
        sentiments: by window, then participant.
        session_sentiments: by window.
        alerts: by time.
    """

    summary: Summary
    session: Session | None
    sentiments: Sequence[Sentiment]
    session_sentiments: Sequence[SessionSentiment]
    alerts: Sequence[Alert]

    @property
    def names(self) -> Mapping[str, str]:
        """The name to show for a participant who has one."""
        return {} if self.session is None else self.session.names

    @property
    def participants(self) -> tuple[str, ...]:
        """The id of everyone of whom there is a record, sorted."""
        return tuple(sorted({record.participant_id for record in self.sentiments}))

    def of(self, participant_id: str) -> list[Sentiment]:
        """Return the records of one participant, by window."""
        return [each for each in self.sentiments if each.participant_id == participant_id]

    @property
    def conversation(self) -> Conversation:
        """Who spoke how much."""
        return SpeechTimes(self.sentiments).conversation(self.unrecorded)

    @property
    def unrecorded(self) -> list[Span]:
        """The times before the last record, milliseconds, at which the host did not record."""
        return gaps(self.summary.recorded_times, self.summary.duration_ms)


def recording_of(
    session_id: str, records: Iterable[Published | Session], ended_unrecorded: Iterable[str] = ()
) -> Recording:
    """Published records of one session, in any order and with duplicates, as a Recording.

    Args:
        session_id: of the session.
        records: all of its records.
        ended_unrecorded: as in its index entry.
    """
    everything = list(records)
    sentiments = newest_revisions(record for record in everything if isinstance(record, Sentiment))
    over_all = newest_revisions(
        record for record in everything if isinstance(record, SessionSentiment)
    )
    sessions = [record for record in everything if isinstance(record, Session)]
    alerts = {
        (record.alert_id, record.state): record
        for record in everything
        if isinstance(record, Alert)
    }
    state = OpenSession(session_id, Forgotten(session_id), set(ended_unrecorded))
    distinct: list[Recorded] = [*sessions, *sentiments, *over_all, *alerts.values()]
    for record in distinct:
        state.add(record)
    session: Session | None = None
    for record in sessions:
        session = merged(session, record)
    return Recording(
        summary=state.summary(),
        session=session,
        sentiments=sentiments,
        session_sentiments=over_all,
        alerts=sorted(alerts.values(), key=lambda alert: (alert.event_time, alert.alert_id)),
    )


def newest_revisions(records: Iterable[S]) -> list[S]:
    """One record per window, its newest revision, by window and participant."""
    newest: dict[str, Any] = {}
    for record in records:
        known = newest.get(record.window_id)  # type: ignore[attr-defined]
        if known is None or known.revision < record.revision:  # type: ignore[attr-defined]
            newest[record.window_id] = record  # type: ignore[attr-defined]
    return sorted(newest.values(), key=lambda record: (record.window_index, record.window_id))


def folder_name(session_id: str) -> str:
    """Return the folder name of a session: its name if that is safe, else percent-encoded."""
    name = quote(session_id, safe=" ()+,=@[]{}!'&;~")
    if name.startswith("."):
        name = "%2E" + name[1:]
    if len(name) <= 150:
        return name
    return f"{name[:150]}-{hashlib.sha256(session_id.encode()).hexdigest()[:16]}"


def identity_of(record: Recorded) -> str:
    """Return the identity by which a duplicate is recognised within its session and kind."""
    match record:
        case Session():
            return f"{record.edition}/{record.revision}"
        case Alert():
            return f"{record.alert_id}/{record.state}"
        case _:
            return f"{record.window_id}/{record.revision}"


def content_of(record: Recorded) -> int:
    """Return the hash of what two recordings of the same thing agree in, so not of latencies."""
    match record:
        case Sentiment() | SessionSentiment():
            return hash((record.valence, record.event_time, record.model))
        case Alert():
            return hash((record.valence, record.event_time))
        case Session():
            return hash(record.started_at)
        case Window():
            return hash((record.session_start_unix_ns, record.end_ns))


@dataclass
class OpenSession:
    """The writer's state of a session: identities of records, the index entry, who is forgotten.

    `changed` is set where the index entry is to be written although no record is new.
    """

    session_id: str
    forgotten: Forgotten
    ended_unrecorded: set[str] = field(default_factory=set)
    changed: bool = False
    new: dict[RecordedKind, list[Any]] = field(default_factory=dict)
    warned: bool = False
    _seen: Remembered = field(default_factory=Remembered)
    _windows: Remembered = field(default_factory=Remembered)
    _counts: Counter[RecordedKind] = field(default_factory=Counter)
    _of_meeting: dict[int, tuple[int, int, float | None]] = field(default_factory=dict)
    _session: Session | None = None
    _started_at: datetime | None = None
    _newest: datetime | None = None
    _duration_ms: int = 0
    _raised: int = 0
    _models: set[str] = field(default_factory=set)
    _whole_final: bool = False
    _finals: set[str] = field(default_factory=set)
    _names: set[str] = field(default_factory=set)

    def add(self, record: Recorded) -> bool:
        """Take note of a record; False when it was there before."""
        identity = (KIND_OF[type(record)], identity_of(record))
        if self._seen.get(identity) is not None:
            return False
        self._seen.put(identity, content_of(record))
        self._count(record)
        match record:
            case Session():
                self._session = merged(self._session, record)
                self._started_at = record.started_at
            case Sentiment():
                self._note_sentiment(record)
            case SessionSentiment():
                self._note_time(record)
                self._whole_final |= record.final
            case Alert():
                self._raised += record.state == "raised"
            case Window():
                self._duration_ms = max(self._duration_ms, record.end_ns // NS_PER_MS)
        return True

    def pass_over(self, record: Sentiment | SessionSentiment) -> None:
        """Take note of somebody's last record, which is not stored."""
        name = record.participant_id if isinstance(record, Sentiment) else EVERYBODY
        if name not in self.ended_unrecorded and not self.forgotten.has(name):
            self.ended_unrecorded.add(name)
            self.changed = True

    def contradicts(self, record: Recorded) -> bool:
        """Whether a record of the same name said something else."""
        return self._seen.get((KIND_OF[type(record)], identity_of(record))) != content_of(record)

    def summary(self) -> Summary:
        """The index entry."""
        session = self._session
        people = session.participants if session else ()
        named = people or tuple(Participant(name, ()) for name in sorted(self._names))
        over = session is not None and session.state == "ended"
        newest = self._of_meeting.values()
        values = [(end_ms, value) for _, end_ms, value in newest if value is not None]
        return Summary(
            session_id=self.session_id,
            started_at=self._started_at,
            last_event_time=self._newest,
            duration_ms=self._duration_ms,
            complete=over and (self._names_nobody or self._heard_out(people)),
            live=session.live if session else None,
            consent=session.consent if session else None,
            asr=session.asr if session else None,
            modalities=session.modalities if session else (),
            participants=named,
            models=tuple(sorted(self._models)),
            counts=dict(sorted(self._counts.items())),
            alerts=self._raised,
            mean_valence=round(fmean(value for _, value in values), 4) if values else None,
            course=_rounded(course(values, self._duration_ms, COURSE_PARTS)) if values else (),
            names=dict(session.names) if session else {},
            recorded_times=session.recorded_times if session else None,
            ended_unrecorded=tuple(
                name for name in sorted(self.ended_unrecorded) if not self.forgotten.has(name)
            ),
        )

    def _count(self, record: Recorded) -> None:
        """Count a record, whose revisions count once, and keep the meeting's newest valence."""
        kind = KIND_OF[type(record)]
        name: str
        match record:
            case Session():
                name = record.state
            case Alert():
                name = identity_of(record)
            case _:
                name = record.window_id
        if self._windows.get((kind, name)) is None:
            self._windows.put((kind, name), 0)
            self._counts[kind] += 1
        if isinstance(record, SessionSentiment):
            before = self._of_meeting.get(record.window_index)
            if before is None or record.revision >= before[0]:
                value = record.revision, record.end_ms, record.valence
                self._of_meeting[record.window_index] = value

    @property
    def _names_nobody(self) -> bool:
        """Published was the session as a whole, to its end, and no single person."""
        return (self._whole_final or EVERYBODY in self.ended_unrecorded) and not self._names

    def _heard_out(self, people: Sequence[Participant]) -> bool:
        ended = self._finals | self.ended_unrecorded
        return all(person.participant_id in ended for person in people if person.windows)

    def _note_sentiment(self, record: Sentiment) -> None:
        self._note_time(record)
        self._names.add(record.participant_id)
        self._models.add(record.model)
        if record.final:
            self._finals.add(record.participant_id)

    def _note_time(self, record: Sentiment | SessionSentiment) -> None:
        self._duration_ms = max(self._duration_ms, record.end_ms)
        if self._newest is None or record.event_time > self._newest:
            self._newest = record.event_time
        if self._started_at is None:
            self._started_at = record.event_time - timedelta(milliseconds=record.end_ms)


def _rounded(values: Sequence[float | None]) -> tuple[float | None, ...]:
    return tuple(None if value is None else round(value, 2) for value in values)
