"""The bytes of each record on its topic: other programs rely on them, so they never change.

A change here is a new schema version. `wire.json` contains the bytes: JSON values as text, msgpack
values in base64.
"""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streamer.kafka.messages import EncodedRecord
from streamer.kafka.topics import SCORES, SESSIONS, SMOOTHED, TOPICS, WINDOWS, Topic
from streamer.records import (
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
)

GOLDEN = json.loads(Path(__file__).with_name("wire.json").read_text("utf-8"))
STARTED = datetime(2026, 1, 31, 9, 0, 0, 250_000, tzinfo=UTC)
STARTED_NS = 1_769_850_000_250_000_000
PROBABILITIES = (0.0, 0.0, 0.125, 0.25, 0.5, 0.125, 0.0)
SPOKEN = Spoken((SpeechSpan(7064, 7512),), (SpokenWord("bien", 7100, 7400, 0.75),))
PRESENCE = Presence(audio=0.5, text=1.0, vision=0.25)

RECORDS = {
    "windows": Window(
        session_id="standup",
        participant_id="Zoë",
        window_index=7,
        session_start_unix_ns=STARTED_NS,
        start_ns=3_000_000_000,
        end_ns=8_000_000_000,
        audio_codec="flac",
        audio=b"fLaC\x00",
        words=(Word("bien", 3_100_000_000, 3_400_000_000, 0.75),),
        faces=(FaceCrop(3_200_000_000, b"\xff\xd8\xff\xd9"),),
        presence=PRESENCE,
        context="très",
        skipped=1,
        spoken=SPOKEN,
    ),
    "scores": Score(
        session_id="standup",
        participant_id="Zoë",
        window_id="standup/Zoë/7",
        window_index=7,
        session_start=STARTED,
        start_ms=3000,
        end_ms=8000,
        valence=0.75,
        class_probabilities=PROBABILITIES,
        gate=Gate(val=0.5, cls=0.25),
        presence=PRESENCE,
        evidence=("audio", "text", "vision"),
        text="bien",
        skipped=1,
        latency_ms={"queue": 2.5, "capture": 40.0, "inference": 12.5},
        model="semi-iin",
        spoken=SPOKEN,
    ),
    "smoothed": Sentiment(
        session_id="standup",
        participant_id="Zoë",
        window_id="standup/Zoë/7",
        window_index=7,
        event_time=STARTED,
        start_ms=3000,
        end_ms=8000,
        valence=0.625,
        valence_raw=0.75,
        uncertainty=0.5,
        label="weakly positive",
        polarity="positive",
        class_probabilities=PROBABILITIES,
        trend_per_min=-0.25,
        gate=Gate(val=0.5, cls=0.25),
        presence=PRESENCE,
        evidence=("audio", "text", "vision"),
        text="bien",
        latency_ms={"total": 60.0, "smoothing": 0.5},
        model="semi-iin",
        final=True,
        spoken=SPOKEN,
    ),
    "session_smoothed": SessionSentiment(
        session_id="standup",
        window_id="standup/*/7",
        window_index=7,
        event_time=STARTED,
        start_ms=3000,
        end_ms=8000,
        valence=None,
        uncertainty=None,
        spread=None,
        label=None,
        polarity=None,
        trend_per_min=None,
        participants=1,
        model="semi-iin",
        divided=False,
    ),
    "sessions": Session(
        session_id="standup",
        state="ended",
        started_at=STARTED,
        live=True,
        consent="all agreed",
        modalities=("text",),
        participants=(Participant("Zoë", ("mic:default",), 8, 20_000),),
        asr="pocketsphinx",
        publish="session",
        min_participants=2,
        counters={"late_words": 2, "dropped": 0},
        name="standup",
    ),
    "alerts": Alert(
        alert_id="standup/Zoë/sharp_drop/7",
        session_id="standup",
        participant_id="Zoë",
        kind="sharp_drop",
        state="raised",
        event_time=STARTED,
        end_ms=8000,
        valence=-1.5,
        threshold=1.5,
        message="Zoë's sentiment fell by 2.0 within 15 s.",
    ),
}
RECORDS["session_input"] = RECORDS["smoothed"]
ENCODED = [topic for topic in TOPICS if topic.kind in RECORDS]


def as_golden(topic: Topic[Any], message: EncodedRecord) -> dict[str, Any]:
    """Return a message as it is stored in `wire.json`."""
    is_text = topic is not WINDOWS
    return {
        "topic": topic.full_name("sentiment"),
        "key": (message.key or b"").decode(),
        "value": message.value.decode() if is_text else base64.b64encode(message.value).decode(),
        "headers": [[name, value.decode()] for name, value in message.headers],
    }


def test_every_topic_of_records_is_covered() -> None:
    assert len(ENCODED) == len(RECORDS) == len(GOLDEN) == len(TOPICS) - 1


@pytest.mark.parametrize("topic", ENCODED, ids=lambda topic: topic.name)
def test_the_bytes_do_not_change(topic: Topic[Any]) -> None:
    assert as_golden(topic, topic.encode(RECORDS[topic.kind])) == GOLDEN[topic.kind]


@pytest.mark.parametrize("topic", ENCODED, ids=lambda topic: topic.name)
def test_the_bytes_decode_to_the_record(topic: Topic[Any]) -> None:
    stored = GOLDEN[topic.kind]["value"]
    value = base64.b64decode(stored) if topic is WINDOWS else stored.encode()
    assert topic.decode(value) == RECORDS[topic.kind]


def test_records_of_versions_that_do_not_say_how_a_participant_is_known_are_read() -> None:
    topics: tuple[Topic[Any], ...] = (WINDOWS, SCORES, SMOOTHED, SESSIONS)
    for topic in topics:
        codec: Any = msgspec.msgpack if topic is WINDOWS else msgspec.json
        fields = codec.decode(topic.encode(RECORDS[topic.kind]).value)
        for part in (fields, *fields.get("participants", ())):
            part.pop("identified_by", None)
            part.pop("identity_confidence", None)
        assert "identified_by" not in str(fields)
        assert topic.decode(codec.encode(fields)) == RECORDS[topic.kind]


def test_records_of_older_producers_are_read() -> None:
    """They have no `spoken`."""
    stored = json.loads(GOLDEN["smoothed"]["value"])
    del stored["spoken"]
    (smoothed,) = (topic for topic in ENCODED if topic.kind == "smoothed")
    record = smoothed.decode(json.dumps(stored).encode())
    assert record == msgspec.structs.replace(RECORDS["smoothed"], spoken=None)
