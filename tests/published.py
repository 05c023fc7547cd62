"""Published records, made up: what the page, the recorder and others are fed in tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from streamer.records import (
    CLASS_LABELS,
    Alert,
    Gate,
    Participant,
    Presence,
    Score,
    Sentiment,
    Session,
    SessionSentiment,
    class_index,
    polarity_of,
    window_id,
)

START = datetime(2026, 5, 4, 9, 0, tzinfo=UTC)


def sentiment(index: int, valence: float | None = 0.5, **changes: Any) -> Sentiment:
    """Window `index` of ana in session standup, one a second; `valence` None: no evidence."""
    fields: dict[str, Any] = {
        "session_id": "standup",
        "participant_id": "ana",
        "window_index": index,
        "event_time": START + timedelta(seconds=index + 1),
        "start_ms": max(0, index - 4) * 1000,
        "end_ms": (index + 1) * 1000,
        "valence": valence,
        "valence_raw": valence,
        "uncertainty": None if valence is None else 0.25,
        "label": None if valence is None else CLASS_LABELS[class_index(valence)],
        "polarity": None if valence is None else polarity_of(valence),
        "class_probabilities": None,
        "trend_per_min": None if valence is None else 0.4,
        "gate": None if valence is None else Gate(val=0.625, cls=0.5),
        "presence": Presence() if valence is None else Presence(audio=0.75, text=1.0),
        "evidence": () if valence is None else ("audio", "text"),
        "text": "" if valence is None else f"the words of window {index}",
        "latency_ms": {"capture": 12.0, "queue": 5.0, "inference": 80.0, "total": 110.0},
        "model": "tiny",
    } | changes
    fields["window_id"] = window_id(fields["session_id"], fields["participant_id"], index)
    return Sentiment(**fields)


def score(index: int) -> Score:
    """The score of window `index` of ana."""
    published = sentiment(index)
    same = {name: getattr(published, name, None) for name in Score.__struct_fields__}
    return Score(**same | {"session_start": START, "skipped": 0})


def meeting(index: int, valence: float | None = 0.25, **changes: Any) -> SessionSentiment:
    """The session as a whole at the end of window `index`."""
    fields: dict[str, Any] = {
        "session_id": "standup",
        "window_index": index,
        "event_time": START + timedelta(seconds=index + 1),
        "start_ms": max(0, index - 4) * 1000,
        "end_ms": (index + 1) * 1000,
        "valence": valence,
        "uncertainty": None if valence is None else 0.2,
        "spread": None if valence is None else 0.75,
        "label": None if valence is None else CLASS_LABELS[class_index(valence)],
        "polarity": None if valence is None else polarity_of(valence),
        "trend_per_min": None if valence is None else -0.2,
        "participants": 0 if valence is None else 2,
        "model": "tiny",
    } | changes
    fields["window_id"] = window_id(fields["session_id"], "*", index)
    return SessionSentiment(**fields)


def alert(index: int, **changes: Any) -> Alert:
    """A sharp drop of ana, raised at the end of window `index`."""
    fields: dict[str, Any] = {
        "alert_id": f"standup/ana/sharp_drop/{index}",
        "session_id": "standup",
        "participant_id": "ana",
        "kind": "sharp_drop",
        "state": "raised",
        "event_time": START + timedelta(seconds=index + 1),
        "end_ms": (index + 1) * 1000,
        "valence": -1.25,
        "threshold": 1.5,
        "message": "ana fell by 1.75 within 15 s; valence is -1.25.",
    } | changes
    return Alert(**fields)


def session(state: str = "started", **changes: Any) -> Session:
    """The session's own record."""
    fields: dict[str, Any] = {
        "session_id": "standup",
        "state": state,
        "started_at": START,
        "live": True,
        "consent": "all agreed",
        "modalities": ("audio", "text", "vision"),
        "participants": (Participant("ana", ("webcam:0",)), Participant("bo", ("rtsp://cam/1",))),
        "asr": "subtitles",
    } | changes
    return Session(**fields)
