"""Sessions of the past, for the page: which there are, their records, their media files.

What enters: a folder of recordings. What leaves: summaries and logs in the shape of `feed`'s.
Everything here blocks on the disk: call it from a thread. Knows neither Kafka nor HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from streamer.config import Config
from streamer.dashboard.feed import SessionLog
from streamer.media_types import is_file, playable_path
from streamer.policy import policy_of, refusal
from streamer.recording.reader import Recordings
from streamer.records import Alert, Sentiment, Session, SessionSentiment
from streamer.shown_names import relations

MAX_RECORDS = 1_000_000


class History(Protocol):
    """Where sessions of the past are kept."""

    def index(self) -> Sequence[dict[str, Any]]:
        """A summary of each, newest first, as `SessionLog.summary` with `complete`."""

    def read(self, session_id: str) -> SessionLog:
        """All its records that it may show, by event time; raises StreamerError."""

    def media(self, session_id: str) -> dict[str, Path]:
        """Return the media file of each participant that is stored beside its records."""


class Recorded:
    """The sessions that `streamer record` wrote to a folder."""

    def __init__(self, recordings: Recordings) -> None:
        """Name the recordings; nothing is opened."""
        self._recordings = recordings

    def index(self) -> Sequence[dict[str, Any]]:
        """See History; `valence` is the mean too."""
        return [
            {
                "session_id": summary.session_id,
                "name": summary.name,
                "live": summary.live,
                "ended": True,
                "started_ms": _unix_ms(summary.started_at),
                "updated_ms": _unix_ms(summary.last_event_time) or 0,
                "end_ms": summary.duration_ms,
                "participants": [person.participant_id for person in summary.participants],
                "names": summary.names,
                **relations(summary.participants),
                "valence": summary.mean_valence,
                "mean": summary.mean_valence,
                "course": summary.course,
                "label": None,
                "polarity": None,
                "divided": False,
                "alerts": summary.alerts,
                "complete": summary.complete,
                "recorded_times": summary.recorded_times,
            }
            for summary in self._recordings.index()
        ]

    def read(self, session_id: str) -> SessionLog:
        """See History.

        Raises:
            RecordingError: there is no such session.
        """
        recording = self._recordings.read(session_id)
        log = SessionLog(session_id, MAX_RECORDS)
        records: list[Sentiment | SessionSentiment | Alert] = [
            *recording.sentiments,
            *recording.session_sentiments,
            *recording.alerts,
        ]
        if recording.session is not None:
            log.add(recording.session, 0)
            policy = policy_of(recording.session, Config())
            records = [record for record in records if not refusal(policy, record)]
        for record in sorted(records, key=lambda record: record.end_ms):
            log.add(record, round(record.event_time.timestamp() * 1000))
        log.ended = log.recorded = True
        return log

    def media(self, session_id: str) -> dict[str, Path]:
        """See History."""
        return self._recordings.media(session_id)


def media(session: Session | None, folder: Path | None, *, anywhere: bool) -> dict[str, Path]:
    """The media file of each participant that has one here.

    A session's record names its sources, and whoever may write to the topic may write any name
    into it: so a file counts only when it is of PLAYABLE_TYPES and either lies in `folder`, which
    the person who started the page chose, or `anywhere` allows the path as it was recorded.
    """
    paths = {}
    for person in () if session is None else session.participants:
        for source in person.sources:
            named = playable_path(source)
            if named is None:
                continue
            places = [folder / named.name] if folder is not None else []
            places += [named] if anywhere else []
            for place in places:
                if person.participant_id not in paths and is_file(place):
                    paths[person.participant_id] = place
    return paths


def _unix_ms(moment: Any) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)
