"""Writing sessions: parts, their merging, the index, and copies of media files.

One process writes into a folder, which a lock holds. A kill damages no file.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from streamer.directories import lock
from streamer.recording.files import (
    HALF_WRITTEN,
    INDEX_FILE,
    MEDIA_FOLDER,
    current_parts,
    index_json,
    media_file,
    merge_parts,
    parts_of,
    replacing,
    set_aside,
    write_part,
    write_whole,
)
from streamer.recording.forgotten import Forgotten
from streamer.recording.reader import OPEN_SESSIONS, Recordings
from streamer.recording.recorded import (
    KIND_OF,
    STRUCTS,
    OpenSession,
    Recorded,
    RecordedKind,
    RecordingError,
    folder_name,
)
from streamer.records import Sentiment, Session, SessionSentiment

log = logging.getLogger(__name__)

MERGE_PARTS = 32
"""So many parts of a kind are merged into one file."""


class Writer(Recordings):
    """Adds to the recorded sessions of a folder; one writer at a time, held by a lock.

    `add` keeps records in memory; `flush` makes them safe. Use from one thread at a time.

    Attributes:
        repeated: records that were there before and are not written again.
        contradicting: of those, the ones that said something else before: another recording
            was made under the same session id.
    """

    def __init__(self, folder: Path) -> None:
        """Create and lock the folder, and delete half-written files of a killed writer.

        Raises:
            RecordingError: another recorder writes there, or the folder cannot be made.
        """
        super().__init__(folder)
        self.repeated = 0
        self.contradicting = 0
        self._open: dict[str, OpenSession] = {}
        try:
            folder_lock = lock(folder / ".lock")
        except OSError as error:
            raise RecordingError(f"Nothing can be recorded in {folder}: {error}.") from error
        if folder_lock is None:
            raise RecordingError(
                f"Another recorder writes to {folder}; stop it or choose another --dir."
            )
        self._lock = folder_lock
        half_written = f".*{HALF_WRITTEN}"
        try:
            for half in (
                *folder.glob(f"*/{half_written}"),
                *folder.glob(f"*/{MEDIA_FOLDER}/{half_written}"),
            ):
                half.unlink(missing_ok=True)
        except OSError as error:
            self._lock.release()
            raise RecordingError(f"Nothing can be recorded in {folder}: {error}.") from error

    def close(self) -> None:
        """Flush, merge the parts, and unlock the folder."""
        try:
            self.flush()
            for state in self._open.values():
                self._merge(state, least=2)
        finally:
            self._lock.release()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pending(self) -> int:
        """How many records a kill would lose here."""
        return sum(len(records) for state in self._open.values() for records in state.new.values())

    def add(self, record: Recorded) -> None:
        """Take in a record, unless it is there already; nothing of a person who is forgotten."""
        state = self._state(record.session_id)
        kept = state.forgotten.without(record)
        if kept is None:
            return
        record = kept
        if state.add(record):
            state.new.setdefault(KIND_OF[type(record)], []).append(record)
            return
        self.repeated += 1
        if state.contradicts(record):
            self.contradicting += 1
            if not state.warned:
                state.warned = True
                log.warning(
                    "Session %s was recorded before with other values; the first ones stay. "
                    "Choose another --session-id, or record into another folder.",
                    record.session_id,
                )

    def pass_over(self, record: Sentiment | SessionSentiment) -> None:
        """Take note of somebody's last record, of a time that is not recorded."""
        self._state(record.session_id).pass_over(record)

    def keep_media(self, session: Session) -> None:
        """Copy the media file of each participant beside the records, unless it is there.

        A source that is no file of PLAYABLE_TYPES here is left out with a warning: a device has no
        file, and who may write to the topic must not have any file of this machine copied.

        Raises:
            RecordingError: the disk is full or gone.
        """
        folder = self.path(session.session_id) / MEDIA_FOLDER
        forgotten = self._state(session.session_id).forgotten
        for person in session.participants:
            if forgotten.has(person.participant_id):
                continue
            source = next(filter(None, map(media_file, person.sources)), None)
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
                with replacing(place) as half:
                    shutil.copyfile(source, half)
            except OSError as error:
                raise RecordingError(f"{source} could not be kept in {folder}: {error}.") from error

    def flush(self) -> None:
        """Put everything added onto the disk; when this returns, it is safe there.

        Raises:
            RecordingError: the disk is full or gone; what was added is kept for the next flush.
        """
        for state in list(self._open.values()):
            folder = self.path(state.session_id)
            if not state.new and not (state.changed and folder.is_dir()):
                continue
            try:
                folder.mkdir(exist_ok=True)
                for kind in list(state.new):
                    number = 1 + max((part.last for part in parts_of(folder, kind)), default=-1)
                    write_part(folder, kind, number, state.new[kind])
                    del state.new[kind]
                summary = state.summary()
                write_whole(folder / INDEX_FILE, index_json(summary))
                state.changed = False
                self._merge(state, least=2 if summary.complete else MERGE_PARTS)
            except OSError as error:
                reason = os.strerror(error.errno) if error.errno else str(error)
                raise RecordingError(
                    f"Recording to {folder} failed: {reason}; what is on the disk stays whole."
                ) from error
        while len(self._open) > OPEN_SESSIONS:
            del self._open[next(iter(self._open))]

    def _state(self, session_id: str) -> OpenSession:
        state = self._open.pop(session_id, None)
        if state is None:
            forgotten = Forgotten.read(self.path(session_id), session_id)
            entry = self.entry(session_id)
            state = OpenSession(
                session_id, forgotten, set() if entry is None else set(entry.ended_unrecorded)
            )
            for kind in STRUCTS:
                for record in self._recorded(session_id, kind):
                    state.add(record)
        self._open[session_id] = state
        return state

    def _recorded(self, session_id: str, kind: RecordedKind) -> Iterator[Any]:
        """Return the stored records without audio and faces, which the index does not use."""
        struct, heavy = STRUCTS[kind], ("audio", "faces", "words")
        light = [name for name in struct.__struct_fields__ if name not in heavy]
        for row in self._rows(session_id, kind, light):
            yield msgspec.convert(row, struct)

    def _merge(self, state: OpenSession, least: int) -> None:
        folder = self.path(state.session_id)
        for kind in STRUCTS:
            parts = parts_of(folder, kind)
            for old in set(parts) - set(current_parts(parts)):
                old.path.unlink()
            small = [part for part in current_parts(parts) if part.first == part.last]
            if len(small) >= least and (sound := set_aside(small)):
                merge_parts(folder, kind, sound)
