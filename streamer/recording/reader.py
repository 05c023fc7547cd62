"""Reading recorded sessions back, by name, in order, in bounded memory."""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from streamer.errors import did_you_mean
from streamer.media_types import PLAYABLE_TYPES
from streamer.recording.arrow import from_arrow
from streamer.recording.files import (
    INDEX_FILE,
    MEDIA_FOLDER,
    batches,
    current_parts,
    group_rows,
    parquet,
    parts_of,
)
from streamer.recording.recorded import (
    KIND_OF,
    STRUCTS,
    RecordedKind,
    Recording,
    RecordingError,
    S,
    Summary,
    folder_name,
    recording_of,
)
from streamer.records import (
    Alert,
    Sentiment,
    Session,
    SessionSentiment,
    Window,
)
from streamer.session_ids import EXACTLY, newest

log = logging.getLogger(__name__)


class Recordings:
    """The recorded sessions in one folder. Reading needs no lock and may go on while one writes."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; nothing is opened or made."""
        self.folder = folder

    def index(self) -> list[Summary]:
        """Every session, newest first; one that cannot be read is left out with a warning."""
        summaries = []
        for path in sorted(self.folder.glob(f"*/{INDEX_FILE}")):
            try:
                summaries.append(msgspec.json.decode(path.read_bytes(), type=Summary))
            except (OSError, msgspec.DecodeError) as error:
                log.warning("%s cannot be read: %s.", path, error)
        return sorted(summaries, key=_age, reverse=True)

    def find(self, selector: str) -> str:
        """Return the id of a session: the newest one that `selector` means.

        Args:
            selector: an id or a name, see `session_ids`.

        Raises:
            RecordingError: there is no such session; the nearest name is given.
        """
        session_ids = [summary.session_id for summary in self.index()]
        session_id = newest(selector, session_ids) or selector.removeprefix(EXACTLY)
        self._known(session_id)
        return session_id

    def read(self, session_id: str) -> Recording:
        """Everything of one session but its windows.

        Raises:
            RecordingError: there is no session of this id.
        """
        self._known(session_id)
        entry = self.entry(session_id)
        return recording_of(
            session_id,
            itertools.chain(
                self.records(session_id, Sentiment),
                self.records(session_id, SessionSentiment),
                self.records(session_id, Session),
                self.records(session_id, Alert),
            ),
            () if entry is None else entry.ended_unrecorded,
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
                    held[group] = files[place.file].read_row_group(place.group, use_threads=False)
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
        for row in self._rows(session_id, KIND_OF[struct]):
            try:
                yield msgspec.convert(row, struct)
            except msgspec.ValidationError as error:
                log.warning(
                    "A recorded %s of %s is unsound: %s.", struct.__name__, session_id, error
                )

    def path(self, session_id: str) -> Path:
        """The folder of a session; it need not exist."""
        return self.folder / folder_name(session_id)

    def entry(self, session_id: str) -> Summary | None:
        """The index entry of a session; None where there is none that can be read."""
        try:
            data = (self.path(session_id) / INDEX_FILE).read_bytes()
            return msgspec.json.decode(data, type=Summary)
        except (OSError, msgspec.DecodeError):
            return None

    def media(self, session_id: str) -> dict[str, Path]:
        """The media file of each participant of whom one was kept."""
        folder, entry = self.path(session_id), self.entry(session_id)
        if entry is None:
            return {}
        names = [person.participant_id for person in entry.participants]
        places = [
            (name, folder / MEDIA_FOLDER / (folder_name(name) + suffix))
            for name in names
            for suffix in PLAYABLE_TYPES
        ]
        return {name: place for name, place in places if place.is_file()}

    def parts(self, session_id: str, kind: RecordedKind) -> list[Path]:
        """The files that hold a kind, in order; those that a merged file supersedes left out."""
        return [part.path for part in current_parts(parts_of(self.path(session_id), kind))]

    def _rows(
        self, session_id: str, kind: RecordedKind, columns: Sequence[str] | None = None
    ) -> Iterator[dict[str, Any]]:
        known = columns or STRUCTS[kind].__struct_fields__
        with contextlib.ExitStack() as stack:
            for file in self._files(session_id, kind, stack):
                here = [name for name in known if name in file.schema_arrow.names]
                for batch in batches(file, group_rows(kind), here):
                    yield from map(from_arrow, batch.to_pylist())

    def _files(
        self, session_id: str, kind: RecordedKind, stack: contextlib.ExitStack
    ) -> Iterator[pq.ParquetFile]:
        """Those that can be read, open until `stack` closes."""
        for path, stream in self._streams(session_id, kind, stack):
            try:
                yield stack.enter_context(parquet(stream))
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
        index = self.index()
        names = {name for summary in index for name in (summary.name, summary.session_id)}
        hint = did_you_mean(session_id, names, "`streamer sessions` lists those there are.")
        raise RecordingError(
            f"There is no recorded session {session_id!r} in {self.folder}; {hint}"
        )


def _age(summary: Summary) -> tuple[float, str]:
    """Sorts sessions from the oldest to the newest; ids tell replays of one recording apart."""
    started_at = summary.started_at
    return (started_at.timestamp() if started_at else 0.0, summary.session_id)


GROUPS_HELD = 16
"""Row groups of windows in memory while they are read in order, some 10 MB each."""
OPEN_SESSIONS = 64
"""Sessions whose records' names are remembered; an older one is read again when it goes on."""


@dataclass(frozen=True, order=True, slots=True)
class _Place:
    """The position of a window; sorts by the window's end, then by participant."""

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
            rows = file.read_row_group(group, columns, use_threads=False).to_pylist()
            for at, row in enumerate(rows):
                name, index, revision = (row[column] for column in columns[:3])
                known = newest.get((name, index))
                if known is None or known.revision < revision:
                    newest[name, index] = _Place(row["end_ns"], name, revision, number, group, at)
    return sorted(newest.values())
