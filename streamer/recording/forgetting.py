"""Deletes what a recording holds of one person.

What enters: a session and a participant's name. What leaves: the recording without that person's
records, windows and media, and a mark (`forgotten`) by which a recorder drops what comes later.
What was published of the meeting as a whole stays.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from streamer.errors import did_you_mean
from streamer.media_types import playable_path
from streamer.recording.arrow import arrow_schema, from_arrow, to_arrow
from streamer.recording.files import (
    INDEX_FILE,
    batches,
    current_parts,
    group_rows,
    index_json,
    opened,
    parts_of,
    replacing,
    set_aside,
    write_whole,
)
from streamer.recording.forgotten import FORGOTTEN_FILE, Forgotten
from streamer.recording.recorded import RecordedKind, RecordingError
from streamer.recording.writer import Writer
from streamer.records import Participant, Session

log = logging.getLogger(__name__)

OF_A_PERSON: Sequence[RecordedKind] = ("smoothed", "alerts", "windows")
"""Kinds of records that belong to one participant, or to none."""


@dataclass(frozen=True)
class Erased:
    """What was deleted.

    Attributes:
        session_id: of which session.
        records: how many records of each kind.
        media: the media files, also those of others that are of the same source.
        damaged: files that cannot be read, and so may still hold something of the person.
    """

    session_id: str
    records: Counter[RecordedKind]
    media: tuple[Path, ...]
    damaged: tuple[Path, ...]


def forget(folder: Path, selector: str, name: str) -> Erased:
    """Delete what the recording of a session holds of a participant.

    Raises:
        RecordingError: there is no such session or participant, a recorder writes to the folder, or
            the disk fails; what is left then is deleted when this is called again.
    """
    eraser = Eraser(folder)
    with eraser:
        session_id = eraser.find(selector)
        try:
            return eraser.forget(session_id, name)
        except OSError as error:
            raise RecordingError(
                f"{name!r} could not be deleted from {folder}: {error}. Try again."
            ) from error


class Eraser(Writer):
    """A writer that deletes."""

    def forget(self, session_id: str, name: str) -> Erased:
        """Delete what a session's recording holds of a participant; see `forget`."""
        folder = self.path(session_id)
        marks = Forgotten.read(folder, session_id)
        people = self._people(session_id)
        if name not in people and not marks.has(name):
            known = ", ".join(sorted(people)) or "nobody"
            hint = did_you_mean(name, people, f"there are: {known}.")
            raise RecordingError(
                f"The recording of {session_id} has no participant {name!r}; {hint}"
            )
        media = self._media_with(session_id, name, people)
        marks = marks.marked(name)
        write_whole(folder / FORGOTTEN_FILE, marks.to_json())
        for path in media:
            path.unlink(missing_ok=True)
        counts: Counter[RecordedKind] = Counter()
        for kind in OF_A_PERSON:
            for path in self._sound_parts(folder, kind):
                counts[kind] += _drop_rows(path, kind, name)
        for path in self._sound_parts(folder, "sessions"):
            _rewrite_sessions(path, marks)
        self._open.pop(session_id, None)
        write_whole(folder / INDEX_FILE, index_json(self._state(session_id).summary()))
        return Erased(session_id, counts, media, tuple(sorted(folder.glob("*.damaged"))))

    def _people(self, session_id: str) -> dict[str, Participant | None]:
        """Everybody of whom the recording holds something; None without an entry in its record."""
        people: dict[str, Participant | None] = {}
        for kind in ("smoothed", "windows"):
            for row in self._rows(session_id, kind, ("participant_id",)):
                people[row["participant_id"]] = None
        for session in self.records(session_id, Session):
            people |= {person.participant_id: person for person in session.participants}
        return people

    def _media_with(
        self, session_id: str, name: str, people: dict[str, Participant | None]
    ) -> tuple[Path, ...]:
        """The media files that hold the person: their own, and others' of the same source."""
        own = _files_of(people.get(name))
        return tuple(
            path
            for other, path in self.media(session_id).items()
            if other == name or own & _files_of(people.get(other))
        )

    def _sound_parts(self, folder: Path, kind: RecordedKind) -> list[Path]:
        """The files of a kind that can be read; what a merged file supersedes is deleted."""
        parts = parts_of(folder, kind)
        current = current_parts(parts)
        for old in set(parts) - set(current):
            old.path.unlink()
        return [part.path for part in set_aside(current)]


def _files_of(person: Participant | None) -> set[Path]:
    sources = () if person is None else person.sources
    return {path for path in map(playable_path, sources) if path is not None}


def _drop_rows(path: Path, kind: RecordedKind, name: str) -> int:
    """Delete a participant's rows, and the file if no other is left; return how many."""
    with opened(path) as file:
        rows = int(file.metadata.num_rows)
        kept = sum(
            _others(batch, name).num_rows
            for batch in batches(file, group_rows(kind), ["participant_id"])
        )
    if kept == 0:
        path.unlink()
    elif kept < rows:
        with replacing(path) as half, opened(path) as file:
            with pq.ParquetWriter(half, file.schema_arrow, compression="zstd") as writer:
                for batch in batches(file, group_rows(kind)):
                    writer.write_table(_others(batch, name))
    return int(rows - kept)


def _others(batch: pa.RecordBatch, name: str) -> pa.Table:
    table = pa.Table.from_batches([batch])
    own = pc.fill_null(pc.equal(table["participant_id"], name), False)
    return table.filter(pc.invert(own))


def _rewrite_sessions(path: Path, marks: Forgotten) -> None:
    """Take the marked people out of the session's own records."""
    with opened(path) as file:
        rows: list[dict[str, Any]] = [
            from_arrow(row) for row in file.read(use_threads=False).to_pylist()
        ]
    known = set(Session.__struct_fields__)
    records = [
        msgspec.convert({name: row[name] for name in row if name in known}, Session) for row in rows
    ]
    left = [to_arrow(record) for record in map(marks.without, records) if record is not None]
    with replacing(path) as half:
        pq.write_table(
            pa.Table.from_pylist(left, schema=arrow_schema(Session)), half, compression="zstd"
        )
