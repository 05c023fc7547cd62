"""Records of a small session, made by hand, for the tests of whatever keeps or shows them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

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
    Sentiment,
    Session,
    SessionSentiment,
    Window,
    Word,
    window_id,
)

START = datetime(2026, 5, 3, 9, tzinfo=UTC)


def sentiment(index: int, participant: str = "ana", session: str = "standup", **changes):
    whole = Sentiment(
        session_id=session,
        participant_id=participant,
        window_id=window_id(session, participant, index),
        window_index=index,
        event_time=START + timedelta(seconds=index + 1),
        start_ms=max(index - 4, 0) * 1000,
        end_ms=(index + 1) * 1000,
        valence=0.1 * (index % 20),
        valence_raw=0.125 * (index % 20),
        uncertainty=0.3,
        label=CLASS_LABELS[3],
        polarity="neutral",
        class_probabilities=(0.1, 0.1, 0.1, 0.4, 0.1, 0.1, 0.1),
        trend_per_min=-0.25,
        gate=Gate(0.25, 0.75),
        presence=Presence(audio=0.5, text=1.0),
        evidence=("audio", "text"),
        text="naïve <b>words</b>, 好",
        latency_ms={"capture": 12.5, "total": 99.0},
        model="m-1",
        session_participants=2,
    )
    return msgspec.structs.replace(whole, **changes)


def no_evidence(index: int, **changes):
    nothing = dict.fromkeys(
        ("valence", "valence_raw", "uncertainty", "label", "polarity", "trend_per_min", "gate")
    )
    return sentiment(index, class_probabilities=None, evidence=(), **nothing, **changes)


def session(state: str = "started", **changes) -> Session:
    ended = state == "ended"
    people = tuple(
        Participant(name, (f"{name}.mp4",), 3 if ended else None) for name in ("ana", "bo")
    )
    whole = Session(
        session_id="standup",
        state=state,
        started_at=START,
        live=True,
        consent="both agreed",
        modalities=("audio", "text"),
        participants=people,
        asr="subtitles",
        counters={"late_words": 2} if ended else {},
    )
    return msgspec.structs.replace(whole, **changes)


def over_all(index: int) -> SessionSentiment:
    return SessionSentiment(
        session_id="standup",
        window_id=window_id("standup", "*", index),
        window_index=index,
        event_time=START + timedelta(seconds=index + 1),
        start_ms=0,
        end_ms=(index + 1) * 1000,
        valence=0.5,
        uncertainty=0.2,
        spread=None,
        label="weakly positive",
        polarity="positive",
        trend_per_min=None,
        participants=1,
        model="m-1",
    )


def alert(state: str = "raised") -> Alert:
    return Alert(
        alert_id="standup/ana/sharp_drop/7",
        session_id="standup",
        participant_id="ana",
        kind="sharp_drop",
        state=state,
        event_time=START + timedelta(seconds=8 if state == "raised" else 20),
        end_ms=8000,
        valence=-1.5,
        threshold=1.5,
        message="ana fell",
    )


def window(index: int, participant: str = "ana", **changes) -> Window:
    whole = Window(
        session_id="standup",
        participant_id=participant,
        window_index=index,
        session_start_unix_ns=int(START.timestamp()) * NS_PER_S,
        start_ns=index * NS_PER_S,
        end_ns=(index + 1) * NS_PER_S,
        audio=b"\x00\xff" * 50,
        words=(Word("good", index * NS_PER_S, index * NS_PER_S + 5, 0.5),),
        faces=(FaceCrop(index * NS_PER_S, b"\xff\xd8jpeg"),),
        presence=Presence(1.0, 1.0, 0.5),
    )
    return msgspec.structs.replace(whole, **changes)


def recorded(folder: Path, *records) -> Recording:
    """The records of one session, written to `folder` and read back."""
    with Writer(folder) as writer:
        for record in records:
            writer.add(record)
    return Recordings(folder).read(records[-1].session_id)
