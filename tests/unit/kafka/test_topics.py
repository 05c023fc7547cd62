"""The table of topics: names, keys, identities, and what each topic refuses."""

import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import UnreadableRecord
from streamer.kafka.codec import MSGPACK
from streamer.kafka.documentation import schema
from streamer.kafka.topics import (
    ALERTS,
    DEAD_LETTER,
    PUBLISHED,
    SCORES,
    SESSION_INPUT,
    SESSION_SMOOTHED,
    SESSIONS,
    SMOOTHED,
    TOPICS,
    WINDOWS,
    Topic,
    encoded,
    topic_of,
)
from streamer.records import NS_PER_S, FaceCrop, Presence, Sentiment, Window, Word
from tests import made_records

START_UNIX_NS = 1_769_850_000 * NS_PER_S
"""2026-01-31T09:00:00Z."""


def window(**changes: Any) -> Window:
    return made_records.window(3, **changes)


def sentiment(**changes: Any) -> Sentiment:
    return made_records.sentiment(3, **{"valence": None} | changes)


def json_records() -> list[Any]:
    """One of each JSON record, with its nullable fields null."""
    return [
        made_records.score(3, None),
        sentiment(),
        made_records.session_sentiment(3, None),
        made_records.alert(participant_id=None),
        made_records.session(consent=None, live=False),
    ]


def headers_of(topic: Topic[Any], record: Any) -> dict[str, bytes]:
    return dict(topic.encode(record).headers)


# --- names, keys and identities -----------------------------------------------------------------


def test_every_full_name_has_prefix_and_version() -> None:
    assert [topic.full_name("sentiment") for topic in TOPICS] == [
        "sentiment.windows.v1",
        "sentiment.scores.v1",
        "sentiment.smoothed.v1",
        "sentiment.session-smoothed.v1",
        "sentiment.sessions.v1",
        "sentiment.alerts.v1",
        "sentiment.session-input.v1",
        "sentiment.dead-letter.v1",
    ]


def test_each_type_has_one_default_topic() -> None:
    assert topic_of(Sentiment) is SMOOTHED
    assert topic_of(sentiment()) is SMOOTHED
    assert {topic_of(topic.struct) for topic in TOPICS} == {*TOPICS} - {SESSION_INPUT}
    assert {topic.name for topic in PUBLISHED} <= {topic.name for topic in TOPICS}


def test_records_of_a_participant_or_of_a_session_share_a_key() -> None:
    assert WINDOWS.encode(window()).key == SMOOTHED.encode(sentiment()).key == b"standup/ana"
    assert SESSION_INPUT.encode(sentiment()).key == b"standup"
    score, _, session_sentiment, alert, session = json_records()
    assert SCORES.encode(score).key == b"standup/ana"
    assert SESSION_SMOOTHED.encode(session_sentiment).key == b"standup"
    assert SESSIONS.encode(session).key == b"standup"
    assert ALERTS.encode(alert).key == b"standup"
    of_ana = msgspec.structs.replace(alert, participant_id="ana")
    assert ALERTS.encode(of_ana).key == b"standup/ana"


def test_a_replay_has_the_same_event_ids_and_a_revision_has_another() -> None:
    assert headers_of(SMOOTHED, sentiment()) == headers_of(SMOOTHED, sentiment())
    assert headers_of(SMOOTHED, sentiment())["ce_id"] == b"standup/ana/3/0"
    assert headers_of(SMOOTHED, sentiment(revision=1))["ce_id"] == b"standup/ana/3/1"


def test_the_event_time_in_the_headers_is_the_end_of_the_window() -> None:
    headers = headers_of(WINDOWS, window(session_start_unix_ns=START_UNIX_NS))
    assert headers["ce_time"] == b"2026-01-31T09:00:04Z"


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_tombstone_contains_no_record(topic: Topic[Any]) -> None:
    assert topic.decode(None) is None


@given(st.binary(max_size=200), st.sampled_from([WINDOWS, SCORES, SMOOTHED, SESSIONS]))
def test_random_bytes_are_refused(value: bytes, topic: Topic[Any]) -> None:
    with pytest.raises(UnreadableRecord):
        topic.decode(value)


@given(st.integers(0, 255), st.data())
def test_a_changed_byte_gives_a_valid_window_or_a_refusal(byte: int, data: st.DataObject) -> None:
    value = bytearray(WINDOWS.encode(window()).value)
    value[data.draw(st.integers(0, len(value) - 1))] = byte
    try:
        decoded = WINDOWS.decode(bytes(value))
    except UnreadableRecord:
        return
    assert decoded is not None
    assert WINDOWS.decode(WINDOWS.encode(decoded).value) == decoded


def test_deep_nesting_is_refused() -> None:
    for value in (b"[" * 100_000, b'{"a":' * 100_000):
        with pytest.raises(UnreadableRecord):
            SCORES.decode(value)
    with pytest.raises(UnreadableRecord):
        WINDOWS.decode(b"\x91" * 100_000)


INVALID_WINDOWS = [
    ({"schema_version": 2}, "schema version 2 is unknown; the known one is 1"),
    ({"start_ns": 5 * 10**9}, "is not a span of at most an hour"),
    ({"end_ns": 2 * 3600 * 10**9}, "is not a span of at most an hour"),
    ({"session_start_unix_ns": 2**63}, "after the year 2096"),
    ({"sample_rate_hz": 44_100}, "44100"),
    ({"words": (Word("w", 9, 3),)}, "a word ends before it starts"),
    ({"words": (Word("w", 3, 9, math.inf),)}, "NaN|confidence|words"),
    ({"faces": (FaceCrop(4 * 10**9, b""),)}, "a face is outside the window"),
    ({"presence": Presence(audio=math.nan)}, "NaN|presence.audio"),
    ({"window_index": 2**64 - 1}, "window_index"),
    ({"end_ns": 2**63}, "end_ns"),
    ({"words": (Word("w" * 20_001, 3, 9),)}, "words"),
    ({"presence": Presence(audio=1.5)}, "presence.audio"),
    ({"session_id": "a/b"}, "session_id"),
    ({"window_index": -1}, "window_index"),
    ({"audio": "text"}, "audio"),
]
INVALID_SENTIMENTS = [
    ({"window_id": "standup/ana/4"}, "window_id is not standup/ana/3"),
    ({"end_ms": 0}, "not a span of time"),
    ({"end_ms": 2**53 - 1}, "not a span of time"),
    ({"end_ms": 2**63}, "end_ms"),
    ({"revision": 2**63}, "revision"),
    ({"event_time": datetime(1, 1, 1, tzinfo=UTC)}, "the year 1 is not one of 1970 to 2096"),
    ({"text": "w" * 20_001}, "text"),
    ({"latency_ms": {f"stage {number}": 1.0 for number in range(51)}}, "latency_ms"),
    ({"participant_id": "ana\x9b31m"}, "participant_id"),
    ({"valence": 3.5}, "valence"),
    ({"class_probabilities": (1.0,) * 7}, "do not add up to 1"),
    ({"event_time": datetime(2026, 1, 31)}, "timezone"),  # noqa: DTZ001 - that is the fault
]


@pytest.mark.parametrize(("changes", "reason"), INVALID_WINDOWS)
def test_an_invalid_window_is_refused_with_its_reason(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnreadableRecord, match=reason):
        WINDOWS.decode(msgspec.msgpack.encode(window(**changes)))
    with pytest.raises(UnreadableRecord, match=reason):
        WINDOWS.encode(window(**changes))


@pytest.mark.parametrize(("changes", "reason"), INVALID_SENTIMENTS)
def test_an_invalid_sentiment_is_refused_with_its_reason(
    changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UnreadableRecord, match=reason):
        SMOOTHED.decode(msgspec.json.encode(sentiment(**changes)))
    with pytest.raises(UnreadableRecord, match=reason):
        SMOOTHED.encode(sentiment(**changes))


def test_an_infinite_number_in_json_is_refused() -> None:
    value = msgspec.json.encode(sentiment(trend_per_min=1.0)).replace(b":1.0", b":1e999")
    assert b"1e999" in value
    with pytest.raises(UnreadableRecord):
        SMOOTHED.decode(value)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", ["trend_per_min", "uncertainty", "valence", "latency_ms"])
def test_a_number_that_is_not_finite_is_not_sent_as_null(field: str, number: float) -> None:
    value = {"total": number} if field == "latency_ms" else number
    with pytest.raises(UnreadableRecord, match="NaN or an infinite number"):
        SMOOTHED.encode(sentiment(**{field: value}))


def test_encoding_does_not_decode() -> None:
    """A window contains about 100 kB of media, and encoding runs on the event loop."""

    def fail(struct: type) -> Any:
        raise AssertionError(f"a {struct.__name__} was decoded")

    topic = replace(WINDOWS, codec=replace(MSGPACK, make_decoder=fail))
    assert topic.encode(window()) == WINDOWS.encode(window())


def test_a_dead_letter_without_origin_is_refused() -> None:
    with pytest.raises(UnreadableRecord, match="original_topic"):
        DEAD_LETTER.decode(b"v", {"reason": b"bad"}, b"k")


# --- schemas ------------------------------------------------------------------------------------


@pytest.mark.parametrize("record", json_records(), ids=lambda record: type(record).__name__)
def test_every_json_record_satisfies_its_schema(record: Any) -> None:
    struct_schema = json.loads(schema(type(record)))
    jsonschema.Draft202012Validator.check_schema(struct_schema)
    validator = jsonschema.Draft202012Validator(struct_schema)
    tree = json.loads(topic_of(record).encode(record).value)
    assert list(validator.iter_errors(tree)) == []
    for invalid in ({**tree, "schema_version": 2}, {**tree, "mood": "fine"}):
        assert list(validator.iter_errors(invalid)), invalid


@pytest.mark.parametrize("consent", [None, "", "  "])
def test_a_live_session_without_consent_is_refused(consent: str | None) -> None:
    with pytest.raises(UnreadableRecord, match="states no consent"):
        SESSIONS.encode(made_records.session(consent=consent))
    with pytest.raises(UnreadableRecord, match="states no consent"):
        SESSIONS.decode(msgspec.json.encode(made_records.session(consent=consent)))
    assert SESSIONS.encode(made_records.session(consent=consent, live=False))


def test_topics_of_one_format_share_the_bytes_of_a_record() -> None:
    sentiment = made_records.sentiment(3)
    (first, smoothed), (second, for_the_session) = encoded((SMOOTHED, SESSION_INPUT), sentiment)
    assert (first, second) == (SMOOTHED, SESSION_INPUT)
    assert smoothed == SMOOTHED.encode(sentiment)
    assert for_the_session == SESSION_INPUT.encode(sentiment)
    assert for_the_session.value is smoothed.value
    assert not SMOOTHED.has_format_of(SCORES)


def test_a_record_that_no_reader_would_accept_is_for_no_topic() -> None:
    wrong = made_records.sentiment(3, window_id="of/somebody/else")
    with pytest.raises(UnreadableRecord):
        encoded((SMOOTHED, SESSION_INPUT), wrong)
