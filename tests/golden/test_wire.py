"""The bytes of each record on its topic: another program relies on them, so they never change.

A change here is a new schema version. The bytes stand in `wire.json`, values as text where they
are JSON and in base64 where they are msgpack.
"""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from streamer.kafka.topics import Topics, decode, encode
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
    Window,
    Word,
)

GOLDEN = json.loads(Path(__file__).with_name("wire.json").read_text("utf-8"))
STARTED = datetime(2026, 1, 31, 9, 0, 0, 250_000, tzinfo=UTC)
STARTED_NS = 1_769_850_000_250_000_000
PROBABILITIES = (0.0, 0.0, 0.125, 0.25, 0.5, 0.125, 0.0)
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
    ),
    "sessions": Session(
        session_id="standup",
        state="ended",
        started_at=STARTED,
        live=True,
        consent="all agreed",
        modalities=("text",),
        participants=(Participant("Zoë", ("mic:default",), 8),),
        asr="pocketsphinx",
        counters={"late_words": 2, "dropped": 0},
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


def as_golden(wire) -> dict:
    """A Wire as `wire.json` holds it."""
    in_text = wire.headers[-1] == ("content-type", b"application/json")
    return {
        "topic": wire.topic,
        "key": wire.key.decode(),
        "value": wire.value.decode() if in_text else base64.b64encode(wire.value).decode(),
        "headers": [[name, value.decode()] for name, value in wire.headers],
    }


@pytest.mark.parametrize("kind", RECORDS)
def test_the_bytes_are_what_they_always_were(kind):
    assert as_golden(encode(RECORDS[kind], Topics("sentiment"), kind)) == GOLDEN[kind]


@pytest.mark.parametrize("kind", RECORDS)
def test_the_bytes_give_the_record_back(kind):
    held = GOLDEN[kind]["value"]
    value = base64.b64decode(held) if kind == "windows" else held.encode()
    assert decode(kind, value) == RECORDS[kind]
