"""Records of a small session, made up: the tests' one function for each kind of record.

Session `standup` has the participants ana and bo and one window a second. Each function takes any
field of its record by keyword, and derives from `index` and `valence` the fields that follow from
them.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from streamer.recording.reader import Recordings
from streamer.recording.recorded import Recording
from streamer.recording.writer import Writer
from streamer.records import (
    CLASS_LABELS,
    NS_PER_S,
    Alert,
    FaceCrop,
    Gate,
    Participant,
    Presence,
    Score,
    Sentiment,
    Session,
    SessionSentiment,
    SpeechSpan,
    Spoken,
    SpokenWord,
    Window,
    Word,
    window_id,
)
from streamer.valence import class_index, polarity_of

START = datetime(2026, 5, 3, 9, tzinfo=UTC)
START_UNIX_NS = int(START.timestamp()) * NS_PER_S

Recordable = Sentiment | SessionSentiment | Alert | Session | Window
Probabilities = tuple[float, float, float, float, float, float, float]


def class_probabilities(valence: float, confidence: float = 0.7) -> Probabilities:
    """`confidence` for the class of `valence`; the other six share the rest."""
    rest, index = (1 - confidence) / 6, class_index(valence)
    first, second, third, fourth, fifth, sixth, seventh = (
        confidence if k == index else rest for k in range(7)
    )
    return first, second, third, fourth, fifth, sixth, seventh


def _step(index: int) -> dict[str, Any]:
    """The fields of the JSON records that place window `index`, 5 s long, in time."""
    return {
        "window_index": index,
        "start_ms": max(0, index - 4) * 1000,
        "end_ms": (index + 1) * 1000,
    }


def _names(valence: float | None) -> dict[str, Any]:
    """The label and the polarity of `valence`; null without evidence."""
    if valence is None:
        return {"label": None, "polarity": None}
    return {"label": CLASS_LABELS[class_index(valence)], "polarity": polarity_of(valence)}


def _evidence(index: int, valence: float | None) -> dict[str, Any]:
    """What a score and a sentiment tell of a window; `valence` None: it had no evidence."""
    if valence is None:
        return {
            "class_probabilities": None,
            "gate": None,
            "presence": Presence(),
            "evidence": (),
            "text": "",
        }
    return {
        "class_probabilities": class_probabilities(valence),
        "gate": Gate(val=0.625, cls=0.5),
        "presence": Presence(audio=0.75, text=1.0),
        "evidence": ("audio", "text"),
        "text": f"the words of window {index}",
    }


def window(
    index: int = 0,
    text: str = "good day",
    *,
    participant_id: str = "ana",
    session_id: str = "standup",
    **changes: Any,
) -> Window:
    """Return window `index`, 1 s long, with a little of every modality."""
    start_ns = index * NS_PER_S
    words = (Word(word, start_ns + k, start_ns + k + 1) for k, word in enumerate(text.split()))
    fields: dict[str, Any] = {
        "window_index": index,
        "session_start_unix_ns": START_UNIX_NS,
        "start_ns": start_ns,
        "end_ns": start_ns + NS_PER_S,
        "audio": b"\x00\x10" * 50,
        "words": tuple(words),
        "faces": (FaceCrop(start_ns, b"\xff\xd8jpeg"),),
        "presence": Presence(audio=1.0, text=1.0, vision=0.5),
    }
    return Window(session_id=session_id, participant_id=participant_id, **fields | changes)


def score(
    index: int = 0,
    valence: float | None = 0.5,
    *,
    participant_id: str = "ana",
    session_id: str = "standup",
    **changes: Any,
) -> Score:
    """Return the score of window `index`; `valence` None: the window has no evidence."""
    fields: dict[str, Any] = {
        "window_id": window_id(session_id, participant_id, index),
        **_step(index),
        "session_start": START,
        "valence": valence,
        **_evidence(index, valence),
        "latency_ms": {"capture": 12.0, "queue": 5.0, "inference": 80.0},
        "model": "tiny",
    }
    return Score(session_id=session_id, participant_id=participant_id, **fields | changes)


def sentiment(
    index: int = 0,
    valence: float | None = 0.5,
    *,
    participant_id: str = "ana",
    session_id: str = "standup",
    **changes: Any,
) -> Sentiment:
    """Return the sentiment at the end of window `index`; `valence` None: there is no evidence."""
    fields: dict[str, Any] = {
        "window_id": window_id(session_id, participant_id, index),
        **_step(index),
        "event_time": START + timedelta(seconds=index + 1),
        "valence": valence,
        "valence_raw": valence,
        "uncertainty": None if valence is None else 0.25,
        **_names(valence),
        **_evidence(index, valence),
        "trend_per_min": None if valence is None else 0.4,
        "latency_ms": {"capture": 12.0, "queue": 5.0, "inference": 80.0, "total": 110.0},
        "model": "tiny",
    }
    return Sentiment(session_id=session_id, participant_id=participant_id, **fields | changes)


def session_sentiment(
    index: int = 0,
    valence: float | None = 0.25,
    *,
    session_id: str = "standup",
    **changes: Any,
) -> SessionSentiment:
    """Return the session as a whole at the end of window `index`."""
    fields: dict[str, Any] = {
        "window_id": window_id(session_id, "*", index),
        **_step(index),
        "event_time": START + timedelta(seconds=index + 1),
        "valence": valence,
        "uncertainty": None if valence is None else 0.2,
        "spread": None if valence is None else 0.75,
        **_names(valence),
        "trend_per_min": None if valence is None else -0.2,
        "participants": 0 if valence is None else 2,
        "model": "tiny",
    }
    return SessionSentiment(session_id=session_id, **fields | changes)


def alert(index: int = 7, **changes: Any) -> Alert:
    """Return a sharp drop of ana, raised at the end of window `index`."""
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
    }
    return Alert(**fields | changes)


def session(state: Literal["started", "ended"] = "started", **changes: Any) -> Session:
    """Return the record of the session at its start or its end."""
    windows = 3 if state == "ended" else None
    fields: dict[str, Any] = {
        "session_id": "standup",
        "state": state,
        "started_at": START,
        "live": True,
        "consent": "all agreed",
        "modalities": ("audio", "text", "vision"),
        "participants": (
            Participant("ana", ("webcam:0",), windows),
            Participant("bo", ("rtsp://cam/1",), windows),
        ),
        "asr": "subtitles",
        "publish": "participant",
        "min_participants": 1,
        "counters": {"late_words": 2} if state == "ended" else {},
    }
    return Session(**fields | changes)


def said(index: int, text: str) -> Spoken:
    """One second of speech with some words; the recogniser is unsure of the number."""
    start_ms = index * 1000
    words = (
        SpokenWord(
            word, start_ms + 300 * k, start_ms + 300 * k + 250, 0.4 if word.isdigit() else 0.9
        )
        for k, word in enumerate([*text.split(), str(index)])
    )
    return Spoken((SpeechSpan(start_ms, start_ms + 1000),), tuple(words))


def of_two(index: int) -> list[Sentiment | SessionSentiment]:
    """One second of a meeting of two: bo is silent from 20 to 30."""
    wave = math.sin(index / 15)
    quiet = 20 <= index < 30
    bo = said(index, "and bo answers") if index % 10 > 6 and not quiet else Spoken()
    return [
        sentiment(index, 1.5 * wave, spoken=said(index, "so says ana") if index % 10 < 6 else None),
        sentiment(index, None if quiet else -1.2 + wave, participant_id="bo", spoken=bo),
        session_sentiment(index, wave / 3),
    ]


def with_sessions(*records: Any) -> list[Any]:
    """Return the records, before them the record of each of their sessions that is not there.

    Nothing reads a record of a session without it. The added ones allow everything.
    """
    present = {record.session_id for record in records if isinstance(record, Session)}
    names = dict.fromkeys(record.session_id for record in records)
    return [*(session(session_id=name) for name in names if name not in present), *records]


def recorded(folder: Path, *records: Recordable, session_id: str = "standup") -> Recording:
    """Write records to `folder` and read the recording of `session_id` back."""
    write(folder, *records)
    return Recordings(folder).read(session_id)


def write(folder: Path, *records: Recordable) -> None:
    """Write records to `folder` as one run of the recorder does."""
    with Writer(folder) as writer:
        for record in records:
            writer.add(record)
