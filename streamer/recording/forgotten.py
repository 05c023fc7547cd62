"""Marks in a recording of the people whom it must not hold.

What enters: records, and the marks. What leaves: the records without those people. A mark is a
digest, so that it names nobody; a recorder that reads the topics again obeys it. This module does
not know Parquet.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from streamer.records import Alert, Sentiment, Session, SessionSentiment, Window

FORGOTTEN_FILE = "forgotten.json"
Kept = Sentiment | SessionSentiment | Alert | Session | Window


class Forgotten:
    """The people of one session of whom nothing may be recorded."""

    def __init__(self, session_id: str, marks: frozenset[str] = frozenset()) -> None:
        """Take the marks; `read` and `marked` make them."""
        self.session_id = session_id
        self.marks = marks

    @classmethod
    def read(cls, folder: Path, session_id: str) -> Forgotten:
        """Return the marks in a session's folder; there may be none."""
        try:
            data = (folder / FORGOTTEN_FILE).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return cls(session_id)
        return cls(session_id, frozenset(msgspec.json.decode(data, type=list[str])))

    def marked(self, name: str) -> Forgotten:
        """Return these marks with that of one more person."""
        return Forgotten(self.session_id, self.marks | {self._mark(name)})

    def to_json(self) -> bytes:
        """Return what `read` reads."""
        return msgspec.json.encode(sorted(self.marks)) + b"\n"

    def has(self, name: str | None) -> bool:
        """Whether a participant is marked; no participant is not."""
        return name is not None and bool(self.marks) and self._mark(name) in self.marks

    def without(self, record: Kept) -> Kept | None:
        """Return a record without those people; None if it is of one of them."""
        match record:
            case Session():
                people = tuple(p for p in record.participants if not self.has(p.participant_id))
                return msgspec.structs.replace(record, participants=people)
            case SessionSentiment():
                return record
            case _:
                return None if self.has(record.participant_id) else record

    def _mark(self, name: str) -> str:
        return hashlib.sha256(f"{self.session_id}/{name}".encode()).hexdigest()
