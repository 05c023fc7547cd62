"""Recorded sessions on disk: Parquet files in a folder per session, and an index of them.

What enters: published records, and windows where asked. What leaves: the same records, typed,
duplicates removed, in the order of event time. Knows nothing of Kafka, and no clock.

    FOLDER/standup/session.json                    the index entry, always derivable from the rest
    FOLDER/standup/smoothed-000000-000031.parquet  32 parts merged into one
    FOLDER/standup/smoothed-000032-000032.parquet  a part: what came between two flushes
    FOLDER/standup/media/ana.mp4                   what a participant was replayed from, when asked

A part is written under another name, synced, and renamed: a file with its final name is whole. A
merged file supersedes the parts whose numbers it spans, so a kill between the two changes nothing.
Any Parquet reader opens them (`SELECT * FROM 'FOLDER/*/smoothed-*.parquet'`); the columns are the
fields of `records`.
"""

from __future__ import annotations

import contextlib
import difflib
import fcntl
import hashlib
import itertools
import logging
import os
import re
import shutil
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar
from urllib.parse import quote

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import inspect

from streamer.errors import StreamerError
from streamer.media_types import PLAYABLE_TYPES, playable_path
from streamer.records import (
    NS_PER_MS,
    Alert,
    Modality,
    Participant,
    Sentiment,
    Session,
    SessionSentiment,
    Window,
)

__all__ = [
    "Recording",
    "RecordingError",
    "Recordings",
    "Summary",
    "Writer",
    "arrow_schema",
    "recording_of",
]

log = logging.getLogger("streamer.recordings")

Published = Sentiment | SessionSentiment | Alert
Recorded = Published | Session | Window
RecordedKind = Literal["smoothed", "session_smoothed", "alerts", "sessions", "windows"]
S = TypeVar("S", bound=msgspec.Struct)

STRUCTS: Mapping[RecordedKind, type[msgspec.Struct]] = {
    "smoothed": Sentiment,
    "session_smoothed": SessionSentiment,
    "alerts": Alert,
    "sessions": Session,
    "windows": Window,
}
_KIND_OF: Mapping[type, RecordedKind] = {struct: kind for kind, struct in STRUCTS.items()}
MERGE_PARTS = 32
"""So many parts of a kind are merged into one file."""
READ_ROWS = 64
_PART = re.compile(r"([a-z_]+)-(\d{6,})-(\d{6,})\.parquet")
_INDEX_FILE = "session.json"
_MEDIA_FOLDER = "media"


class RecordingError(StreamerError):
    """A recording cannot be found, read or written."""


class Summary(msgspec.Struct, kw_only=True):
    """A session in the index.

    Attributes:
        started_at: wall clock at session time 0; null until a record tells it.
        last_event_time: wall clock of the newest record's end.
        duration_ms: end of the last window in session time.
        complete: capture said that it ended, and every participant's last record is there.
        counts: how many different records there are, per kind.
        alerts: how many were raised.
        mean_valence: over all participants' windows with evidence; null without any.
    """

    session_id: str
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


@dataclass(frozen=True)
class Recording:
    """Everything published in one session, duplicates removed.

    Attributes:
        session: the newest of its own records; None when none was recorded.
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
    def participants(self) -> tuple[str, ...]:
        """Everyone of whom there is a record, by name."""
        return tuple(sorted({record.participant_id for record in self.sentiments}))


class Recordings:
    """The recorded sessions in one folder. Reading needs no lock and may go on while one writes."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; nothing is opened or made."""
        self.folder = folder

    def index(self) -> list[Summary]:
        """Every session, newest first; one that cannot be read is left out with a warning."""
        found = []
        for path in sorted(self.folder.glob(f"*/{_INDEX_FILE}")):
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=Summary))
            except (OSError, msgspec.DecodeError) as error:
                log.warning("%s cannot be read: %s.", path, error)
        return sorted(
            found, key=lambda s: (-s.started_at.timestamp() if s.started_at else 0, s.session_id)
        )

    def read(self, session_id: str) -> Recording:
        """Everything of one session but its windows.

        Raises:
            RecordingError: there is no such session; the nearest name is given.
        """
        self._known(session_id)
        return recording_of(
            session_id,
            itertools.chain(
                self.records(session_id, Sentiment),
                self.records(session_id, SessionSentiment),
                self.records(session_id, Session),
                self.records(session_id, Alert),
            ),
        )

    def windows(self, session_id: str) -> Iterator[Window]:
        """The session's windows, each once, in the order in which they ended.

        Two passes: times first, then one window after another; memory holds GROUPS_HELD row
        groups of READ_ROWS windows, so participants may lie in the files in any order.

        Raises:
            RecordingError: there is no such session, or its windows were not recorded.
        """
        self._windows_there(session_id)
        with contextlib.ExitStack() as stack:
            files = list(self._files(session_id, "windows", stack))
            held: OrderedDict[tuple[int, int], pa.Table] = OrderedDict()
            for place in _in_order(files):
                group = (place.file, place.group)
                if group not in held:
                    held[group] = files[place.file].read_row_group(place.group)
                    if len(held) > GROUPS_HELD:
                        held.popitem(last=False)
                held.move_to_end(group)
                (row,) = held[group].slice(place.row, 1).to_pylist()
                known = {n: row[n] for n in Window.__struct_fields__ if n in row}
                yield msgspec.convert(known, Window)

    def window_indices(self, session_id: str) -> Iterator[tuple[str, int]]:
        """Participant and index of each recorded window, as written, duplicates included.

        Raises:
            RecordingError: there is no such session, or its windows were not recorded.
        """
        self._windows_there(session_id)
        for row in self._rows(session_id, "windows", ("participant_id", "window_index")):
            yield row["participant_id"], row["window_index"]

    def _windows_there(self, session_id: str) -> None:
        self._known(session_id)
        if not self.parts(session_id, "windows"):
            raise RecordingError(
                f"The session {session_id!r} was recorded without its windows; replay its media "
                "files, or record them too (--windows, --record-windows)."
            )

    def records(self, session_id: str, struct: type[S]) -> Iterator[S]:
        """A session's records of one type as they were written, duplicates included."""
        for row in self._rows(session_id, _KIND_OF[struct]):
            try:
                yield msgspec.convert(row, struct)
            except msgspec.ValidationError as error:
                log.warning(
                    "A recorded %s of %s is unsound: %s.", struct.__name__, session_id, error
                )

    def path(self, session_id: str) -> Path:
        """The folder of a session; it need not exist."""
        return self.folder / folder_name(session_id)

    def media(self, session_id: str) -> dict[str, Path]:
        """The media file of each participant of whom one was kept."""
        folder = self.path(session_id)
        try:
            entry = msgspec.json.decode((folder / _INDEX_FILE).read_bytes(), type=Summary)
        except (OSError, msgspec.DecodeError):
            return {}
        names = [person.participant_id for person in entry.participants]
        places = [
            (name, folder / _MEDIA_FOLDER / (folder_name(name) + suffix))
            for name in names
            for suffix in PLAYABLE_TYPES
        ]
        return {name: place for name, place in places if place.is_file()}

    def parts(self, session_id: str, kind: RecordedKind) -> list[Path]:
        """The files that hold a kind, in order; those that a merged file supersedes left out."""
        return [part.path for part in _current(_parts(self.path(session_id), kind))]

    def _rows(
        self, session_id: str, kind: RecordedKind, columns: Sequence[str] | None = None
    ) -> Iterator[dict[str, Any]]:
        known = columns or STRUCTS[kind].__struct_fields__
        with contextlib.ExitStack() as stack:
            for file in self._files(session_id, kind, stack):
                here = [name for name in known if name in file.schema_arrow.names]
                for batch in file.iter_batches(_group_rows(kind), columns=here):
                    yield from map(_from_arrow, batch.to_pylist())

    def _files(
        self, session_id: str, kind: RecordedKind, stack: contextlib.ExitStack
    ) -> Iterator[pq.ParquetFile]:
        """Those that can be read, open until `stack` closes."""
        for path, stream in self._streams(session_id, kind, stack):
            try:
                yield stack.enter_context(pq.ParquetFile(stream))
            except (OSError, pa.ArrowException) as error:
                log.warning("%s cannot be read and is left out: %s.", path, error)

    def _streams(
        self, session_id: str, kind: RecordedKind, stack: contextlib.ExitStack
    ) -> Sequence[tuple[Path, BinaryIO]]:
        """All files of a kind, open at once: a writer's merge may delete them meanwhile."""
        while True:
            with contextlib.ExitStack() as attempt, contextlib.suppress(FileNotFoundError):
                paths = self.parts(session_id, kind)
                opened = [(path, attempt.enter_context(path.open("rb"))) for path in paths]
                stack.enter_context(attempt.pop_all())
                return opened

    def _known(self, session_id: str) -> None:
        if self.path(session_id).is_dir():
            return
        names = [summary.session_id for summary in self.index()]
        near = difflib.get_close_matches(session_id, names, n=1, cutoff=0.5)
        hint = (
            f"did you mean {near[0]!r}?" if near else "`streamer sessions` lists those there are."
        )
        raise RecordingError(
            f"There is no recorded session {session_id!r} in {self.folder}; {hint}"
        )


class Writer(Recordings):
    """Adds to the recorded sessions of a folder; one writer at a time, held by a lock.

    `add` keeps records in memory; `flush` makes them safe. Use from one thread at a time.

    Attributes:
        repeated: records that were there before and are not written again.
        contradicting: of those, the ones that said something else before: another recording
            was made under the same session name.
    """

    def __init__(self, folder: Path) -> None:
        """Make the folder, lock it, and clear away what a killed writer left half-written.

        Raises:
            RecordingError: another recorder writes there, or the folder cannot be made.
        """
        super().__init__(folder)
        self.repeated = 0
        self.contradicting = 0
        self._open: dict[str, _State] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = (folder / ".lock").open("w")
        except OSError as error:
            raise RecordingError(f"Nothing can be recorded in {folder}: {error}.") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise RecordingError(
                f"Another recorder writes to {folder}; stop it or choose another --dir."
            ) from None
        for half in (*folder.glob("*/*.tmp"), *folder.glob(f"*/{_MEDIA_FOLDER}/.*.tmp")):
            half.unlink(missing_ok=True)

    def close(self) -> None:
        """Flush, merge what is in parts, and let go of the folder."""
        try:
            self.flush()
            for state in self._open.values():
                self._merge(state, least=2)
        finally:
            self._lock.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pending(self) -> int:
        """How many records a kill would lose here."""
        return sum(len(records) for state in self._open.values() for records in state.new.values())

    def add(self, record: Recorded) -> None:
        """Take in a record, unless it is there already."""
        state = self._state(record.session_id)
        if state.add(record):
            state.new.setdefault(_KIND_OF[type(record)], []).append(record)
            return
        self.repeated += 1
        if state.contradicts(record):
            self.contradicting += 1
            if not state.warned:
                state.warned = True
                log.warning(
                    "Session %s was recorded before with other values; the first ones stay. "
                    "Give the session another name, or record into another folder.",
                    record.session_id,
                )

    def keep_media(self, session: Session) -> None:
        """Copy the media file of each participant beside the records, unless it is there.

        A source that is no file of PLAYABLE_TYPES here is left out with a warning: a device has no
        file, and who may write to the topic must not have any file of this machine copied.

        Raises:
            RecordingError: the disk is full or gone.
        """
        folder = self.path(session.session_id) / _MEDIA_FOLDER
        for person in session.participants:
            source = next(filter(None, map(_media_file, person.sources)), None)
            if source is None:
                log.warning(
                    "No media of %s is kept: %s is no media file of this machine.",
                    person.participant_id,
                    " or ".join(person.sources) or "nothing",
                )
                continue
            place = folder / (folder_name(person.participant_id) + source.suffix.lower())
            try:
                if place.exists():
                    continue
                folder.mkdir(parents=True, exist_ok=True)
                with _replacing(place) as half:
                    shutil.copyfile(source, half)
            except OSError as error:
                raise RecordingError(f"{source} could not be kept in {folder}: {error}.") from error

    def flush(self) -> None:
        """Put everything added onto the disk; when this returns, it is safe there.

        Raises:
            RecordingError: the disk is full or gone; what was added is kept for the next flush.
        """
        for state in list(self._open.values()):
            if not state.new:
                continue
            folder = self.path(state.session_id)
            try:
                folder.mkdir(exist_ok=True)
                for kind in list(state.new):
                    number = 1 + max((part.last for part in _parts(folder, kind)), default=-1)
                    _write_part(folder, kind, number, state.new[kind])
                    del state.new[kind]
                summary = state.summary()
                _write_whole(folder / _INDEX_FILE, _pretty(summary))
                self._merge(state, least=2 if summary.complete else MERGE_PARTS)
            except OSError as error:
                raise RecordingError(
                    f"Recording to {folder} failed: {error}; what is on the disk stays whole."
                ) from error
        while len(self._open) > OPEN_SESSIONS:
            del self._open[next(iter(self._open))]

    def _state(self, session_id: str) -> _State:
        state = self._open.pop(session_id, None)
        if state is None:
            state = _State(session_id)
            for kind in STRUCTS:
                for record in self._recorded(session_id, kind):
                    state.add(record)
        self._open[session_id] = state
        return state

    def _recorded(self, session_id: str, kind: RecordedKind) -> Iterator[Any]:
        """What is there, without sound and pictures, which the index does not look at."""
        struct, heavy = STRUCTS[kind], ("audio", "faces", "words")
        light = [name for name in struct.__struct_fields__ if name not in heavy]
        for row in self._rows(session_id, kind, light):
            yield msgspec.convert(row, struct)

    def _merge(self, state: _State, least: int) -> None:
        folder = self.path(state.session_id)
        for kind in STRUCTS:
            parts = _parts(folder, kind)
            for old in set(parts) - set(_current(parts)):
                old.path.unlink()
            small = [part for part in _current(parts) if part.first == part.last]
            if len(small) >= least and (sound := _set_aside(small)):
                _merge_parts(folder, kind, sound)


GROUPS_HELD = 16
"""Row groups of windows in memory while they are read in order, some 10 MB each."""
OPEN_SESSIONS = 64
"""Sessions whose records' names are remembered; an older one is read again when it goes on."""


@dataclass(frozen=True, order=True, slots=True)
class _Place:
    """Where a window lies; sorts by the time it ended, then by participant."""

    end_ns: int
    participant_id: str
    revision: int
    file: int
    group: int
    row: int


def _in_order(files: Sequence[pq.ParquetFile]) -> list[_Place]:
    """One place per window, its newest revision's, by event time."""
    columns = ["participant_id", "window_index", "revision", "end_ns"]
    newest: dict[tuple[str, int], _Place] = {}
    for number, file in enumerate(files):
        for group in range(file.num_row_groups):
            rows = file.read_row_group(group, columns).to_pylist()
            for at, row in enumerate(rows):
                name, index, revision = (row[column] for column in columns[:3])
                known = newest.get((name, index))
                if known is None or known.revision < revision:
                    newest[name, index] = _Place(row["end_ns"], name, revision, number, group, at)
    return sorted(newest.values())


def recording_of(session_id: str, records: Iterable[Published | Session]) -> Recording:
    """Published records of one session, in any order and with duplicates, as a Recording."""
    everything = list(records)
    sentiments = newest_revisions(one for one in everything if isinstance(one, Sentiment))
    over_all = newest_revisions(one for one in everything if isinstance(one, SessionSentiment))
    sessions = [one for one in everything if isinstance(one, Session)]
    alerts = {(one.alert_id, one.state): one for one in everything if isinstance(one, Alert)}
    state = _State(session_id)
    distinct: list[Recorded] = [*sessions, *sentiments, *over_all, *alerts.values()]
    for record in distinct:
        state.add(record)
    sessions.sort(key=lambda session: session.state == "ended")
    return Recording(
        summary=state.summary(),
        session=sessions[-1] if sessions else None,
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
    """A file name that stands for the session: itself where that is safe, else percent-encoded."""
    name = quote(session_id, safe=" ()+,=@[]{}!'&;~")
    if name.startswith("."):
        name = "%2E" + name[1:]
    if len(name) <= 150:
        return name
    return f"{name[:150]}-{hashlib.sha256(session_id.encode()).hexdigest()[:16]}"


# --- a session in memory ------------------------------------------------------------------------


@dataclass
class _State:
    """What the writer remembers of a session: names of records, and what the index tells."""

    session_id: str
    new: dict[RecordedKind, list[Any]] = field(default_factory=dict)
    warned: bool = False
    _seen: dict[tuple[RecordedKind, str], object] = field(default_factory=dict)
    _counts: Counter[str] = field(default_factory=Counter)
    _session: Session | None = None
    _started_at: datetime | None = None
    _newest: datetime | None = None
    _duration_ms: int = 0
    _raised: int = 0
    _valence: float = 0.0
    _scored: int = 0
    _models: set[str] = field(default_factory=set)
    _whole_final: bool = False
    _finals: set[str] = field(default_factory=set)
    _names: set[str] = field(default_factory=set)

    def add(self, record: Recorded) -> bool:
        """Take note of a record; False when it was there before."""
        identity = (_KIND_OF[type(record)], _identity(record))
        if identity in self._seen:
            return False
        self._seen[identity] = _substance(record)
        self._counts[identity[0]] += 1
        match record:
            case Session():
                if self._session is None or record.state == "ended":
                    self._session = record
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

    def contradicts(self, record: Recorded) -> bool:
        """Whether a record of the same name said something else."""
        seen = self._seen[_KIND_OF[type(record)], _identity(record)]
        return seen != _substance(record)

    def summary(self) -> Summary:
        """The index entry."""
        session = self._session
        people = session.participants if session else ()
        named = people or tuple(Participant(name, ()) for name in sorted(self._names))
        over = session is not None and session.state == "ended"
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
            mean_valence=round(self._valence / self._scored, 4) if self._scored else None,
        )

    @property
    def _names_nobody(self) -> bool:
        """Published was the session as a whole, to its end, and no single person."""
        return self._whole_final and not self._names

    def _heard_out(self, people: Sequence[Participant]) -> bool:
        return all(person.participant_id in self._finals for person in people if person.windows)

    def _note_sentiment(self, record: Sentiment) -> None:
        self._note_time(record)
        self._names.add(record.participant_id)
        self._models.add(record.model)
        if record.final:
            self._finals.add(record.participant_id)
        if record.valence is not None:
            self._valence += record.valence
            self._scored += 1

    def _note_time(self, record: Sentiment | SessionSentiment) -> None:
        self._duration_ms = max(self._duration_ms, record.end_ms)
        if self._newest is None or record.event_time > self._newest:
            self._newest = record.event_time
        if self._started_at is None:
            self._started_at = record.event_time - timedelta(milliseconds=record.end_ms)


def _identity(record: Recorded) -> str:
    match record:
        case Session():
            return record.state
        case Alert():
            return f"{record.alert_id}/{record.state}"
        case _:
            return f"{record.window_id}/{record.revision}"


def _substance(record: Recorded) -> object:
    """What two recordings of the same thing agree in; latencies, for one, are measured anew."""
    match record:
        case Sentiment() | SessionSentiment():
            return hash((record.valence, record.event_time, record.model))
        case Alert():
            return hash((record.valence, record.event_time))
        case Session():
            return hash(record.started_at)
        case Window():
            return hash((record.session_start_unix_ns, record.end_ns))


# --- files --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Part:
    path: Path
    first: int
    last: int


def _parts(folder: Path, kind: RecordedKind) -> list[_Part]:
    found = []
    for path in folder.glob(f"{kind}-*.parquet"):
        match = _PART.fullmatch(path.name)
        if match and match[1] == kind:
            found.append(_Part(path, int(match[2]), int(match[3])))
    return sorted(found, key=lambda part: (part.first, -part.last))


def _current(parts: Sequence[_Part]) -> list[_Part]:
    """Those not spanned by another one; `parts` by first number, the widest first."""
    current: list[_Part] = []
    for part in parts:
        if not current or part.last > current[-1].last:
            current.append(part)
    return current


def _write_part(folder: Path, kind: RecordedKind, number: int, records: Sequence[Any]) -> None:
    path = folder / f"{kind}-{number:06d}-{number:06d}.parquet"
    schema = arrow_schema(STRUCTS[kind])
    table = pa.Table.from_pylist([_to_arrow(record) for record in records], schema=schema)
    with _replacing(path) as half:
        pq.write_table(table, half, compression="zstd", row_group_size=_group_rows(kind))


def _merge_parts(folder: Path, kind: RecordedKind, parts: Sequence[_Part]) -> None:
    path = folder / f"{kind}-{parts[0].first:06d}-{parts[-1].last:06d}.parquet"
    schema = arrow_schema(STRUCTS[kind])
    with (
        _replacing(path) as half,
        pq.ParquetWriter(half, schema, compression="zstd") as writer,
    ):
        group: list[pa.Table] = []
        for part in parts:
            with _opened(part.path) as file:
                group += [_of_now(batch, kind) for batch in file.iter_batches(_group_rows(kind))]
            if part is parts[-1] or sum(map(len, group)) >= _group_rows(kind):
                writer.write_table(pa.concat_tables(group))
                group.clear()
    for part in parts:
        part.path.unlink()


def _of_now(batch: pa.RecordBatch, kind: RecordedKind) -> pa.Table:
    """The batch with today's columns, where another version wrote it."""
    struct, schema = STRUCTS[kind], arrow_schema(STRUCTS[kind])
    if batch.schema.equals(schema):
        return pa.Table.from_batches([batch])
    known = [name for name in struct.__struct_fields__ if name in batch.schema.names]
    rows = [_from_arrow(row) for row in batch.select(known).to_pylist()]
    records = [msgspec.convert(row, struct) for row in rows]
    return pa.Table.from_pylist([_to_arrow(record) for record in records], schema=schema)


def _group_rows(kind: RecordedKind) -> int:
    """Rows that are read or written at once: a window weighs a hundred thousand bytes."""
    return READ_ROWS if kind == "windows" else READ_ROWS * 64


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    with path.open("rb") as stream, pq.ParquetFile(stream) as file:
        yield file


def _set_aside(parts: Iterable[_Part]) -> list[_Part]:
    """The parts that can be read; a damaged one gets another name and is never merged."""
    sound = []
    for part in parts:
        try:
            with _opened(part.path):
                sound.append(part)
        except pa.ArrowException:
            part.path.rename(part.path.with_suffix(".damaged"))
            log.warning("%s is damaged and set aside.", part.path)
    return sound


def _media_file(source: str) -> Path | None:
    path = playable_path(source)
    return path if path is not None and path.is_file() else None


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A name to write to; afterwards the file is synced and has its final name, or is gone."""
    half = path.with_name(f".{path.name}.tmp")
    try:
        yield half
        _sync(half)
        half.replace(path)
        _sync(path.parent)
    finally:
        half.unlink(missing_ok=True)


def _write_whole(path: Path, data: bytes) -> None:
    with _replacing(path) as half:
        half.write_bytes(data)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _pretty(summary: Summary) -> bytes:
    return msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n"


# --- structs and Arrow --------------------------------------------------------------------------


@cache
def arrow_schema(struct: type[msgspec.Struct]) -> pa.Schema:
    """The Arrow schema of a record: a column per field, times in UTC to the microsecond."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    return pa.schema([_arrow_field(field) for field in info.fields])


def _arrow_field(field: inspect.Field) -> pa.Field:
    kind = field.type
    if isinstance(kind, inspect.UnionType):
        (kind,) = (one for one in kind.types if not isinstance(one, inspect.NoneType))
        return pa.field(field.name, _arrow_type(kind), nullable=True)
    return pa.field(field.name, _arrow_type(kind), nullable=False)


def _arrow_type(kind: inspect.Type) -> pa.DataType:
    match kind:
        case inspect.IntType():
            return pa.int64()
        case inspect.FloatType():
            return pa.float64()
        case inspect.BoolType():
            return pa.bool_()
        case inspect.StrType() | inspect.LiteralType():
            return pa.string()
        case inspect.BytesType():
            return pa.binary()
        case inspect.DateTimeType():
            return pa.timestamp("us", tz="UTC")
        case inspect.TupleType():
            return pa.list_(_arrow_type(kind.item_types[0]))
        case inspect.VarTupleType():
            return pa.list_(_arrow_type(kind.item_type))
        case inspect.DictType():
            return pa.map_(_arrow_type(kind.key_type), _arrow_type(kind.value_type))
        case inspect.StructType():
            return pa.struct([_arrow_field(field) for field in kind.fields])
    raise TypeError(f"a column cannot hold {kind}")


def _to_arrow(record: msgspec.Struct) -> dict[str, Any]:
    row = msgspec.to_builtins(record, builtin_types=(datetime, bytes))
    if type(record) in (Sentiment, Session):
        for name in ("latency_ms", "counters"):
            if name in row:
                row[name] = list(row[name].items())
    return dict(row)


def _from_arrow(row: dict[str, Any]) -> dict[str, Any]:
    for name in ("latency_ms", "counters"):
        if name in row:
            row[name] = dict(row[name])
    return row
