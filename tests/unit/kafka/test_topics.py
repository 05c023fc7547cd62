"""Names, wire format, refusals, schemas, progress: topics without a broker."""

import json
import logging
import math
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.config import build
from streamer.errors import ConfigError, UnreadableRecord
from streamer.kafka import topics
from streamer.kafka.connection import RepeatFilter
from streamer.kafka.consumer import _Progress
from streamer.kafka.topics import DEAD_LETTER, Topics, decode, encode
from streamer.records import (
    Alert,
    FaceCrop,
    Presence,
    Score,
    Sentiment,
    Session,
    SessionSentiment,
    Window,
    Word,
)

SCHEMAS = Path(__file__).resolve().parents[3] / "docs" / "schema"
NAMES = Topics("sentiment")
NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)


def window(**changes) -> Window:
    whole = Window(
        session_id="s",
        participant_id="ana",
        window_index=3,
        session_start_unix_ns=10**18,
        start_ns=0,
        end_ns=4 * 10**9,
        words=(Word("good", 0, 5),),
        faces=(FaceCrop(1, b"jpeg"),),
    )
    return msgspec.structs.replace(whole, **changes)


def sentiment(**changes) -> Sentiment:
    whole = Sentiment(
        session_id="s",
        participant_id="ana",
        window_id="s/ana/3",
        window_index=3,
        event_time=NOW,
        start_ms=0,
        end_ms=4000,
        valence=None,
        valence_raw=None,
        uncertainty=None,
        label=None,
        polarity=None,
        class_probabilities=None,
        trend_per_min=None,
        gate=None,
        presence=Presence(),
        evidence=(),
        text="",
        latency_ms={},
        model="m",
    )
    return msgspec.structs.replace(whole, **changes)


def json_records() -> list[tuple[type, object]]:
    """One of each JSON record, with its nullable fields null."""
    score = Score(
        session_id="s",
        participant_id="ana",
        window_id="s/ana/3",
        window_index=3,
        session_start=NOW,
        start_ms=0,
        end_ms=4000,
        valence=None,
        class_probabilities=None,
        gate=None,
        presence=Presence(),
        evidence=(),
        text="",
        latency_ms={},
        model="m",
    )
    session_sentiment = SessionSentiment(
        session_id="s",
        window_id="s/*/3",
        window_index=3,
        event_time=NOW,
        start_ms=0,
        end_ms=4000,
        valence=None,
        uncertainty=None,
        spread=None,
        label=None,
        polarity=None,
        trend_per_min=None,
        participants=0,
        model="m",
    )
    alert = Alert(
        alert_id="a",
        session_id="s",
        participant_id=None,
        kind="sharp_drop",
        state="raised",
        event_time=NOW,
        end_ms=4000,
        valence=-1.0,
        threshold=1.5,
        message="",
    )
    session = Session(
        session_id="s",
        state="started",
        started_at=NOW,
        live=False,
        consent=None,
        modalities=("text",),
        participants=(),
        asr="none",
    )
    records = [score, sentiment(), session_sentiment, alert, session]
    return [(type(record), record) for record in records]


# --- names and keys -----------------------------------------------------------------------------


def test_every_topic_carries_prefix_and_version():
    assert NAMES.all == (
        "sentiment.windows.v1",
        "sentiment.scores.v1",
        "sentiment.smoothed.v1",
        "sentiment.session-smoothed.v1",
        "sentiment.sessions.v1",
        "sentiment.alerts.v1",
        "sentiment.session-input.v1",
        "sentiment.dead-letter.v1",
    )


def test_a_participant_stays_on_one_partition_and_a_session_on_one():
    assert encode(window(), NAMES).key == encode(sentiment(), NAMES).key == b"s/ana"
    assert encode(sentiment(), NAMES, "session_input").key == b"s"
    assert encode(dict(json_records())[Alert], NAMES).key == b"s"


def test_a_replay_has_the_same_event_ids_and_a_revision_another_one():
    first, again = (dict(encode(sentiment(), NAMES).headers)["ce_id"] for _ in range(2))
    assert first == again == b"s/ana/3/0"
    assert dict(encode(sentiment(revision=1), NAMES).headers)["ce_id"] == b"s/ana/3/1"


def test_event_time_of_the_headers_is_media_time():
    start_ns = int(NOW.timestamp()) * 10**9
    headers = dict(encode(window(session_start_unix_ns=start_ns), NAMES).headers)
    assert headers["ce_time"] == b"2026-01-31T09:00:04Z"


# --- refusals -----------------------------------------------------------------------------------


def test_a_tombstone_is_nothing():
    assert decode("windows", None) is None
    assert decode("smoothed", None) is None


@given(st.binary(max_size=200), st.sampled_from(["windows", "scores", "smoothed", "sessions"]))
def test_no_bytes_do_more_than_be_refused(value, kind):
    with pytest.raises(UnreadableRecord):
        decode(kind, value)


@given(st.integers(0, 5), st.integers(0, 255), st.data())
def test_a_flipped_byte_gives_a_sound_window_or_a_refusal(_, byte, data):
    value = bytearray(encode(window(), NAMES).value)
    value[data.draw(st.integers(0, len(value) - 1))] = byte
    try:
        read = decode("windows", bytes(value))
    except UnreadableRecord:
        return
    assert encode(read, NAMES).value


def test_deep_nesting_is_refused():
    for value in (b"[" * 100_000, b'{"a":' * 100_000):
        with pytest.raises(UnreadableRecord):
            decode("scores", value)
    with pytest.raises(UnreadableRecord):
        decode("windows", b"\x91" * 100_000)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"schema_version": 2}, "schema version 2 is unknown; this reader knows 1"),
        ({"start_ns": 5 * 10**9}, "is not a span of at most an hour"),
        ({"end_ns": 2 * 3600 * 10**9}, "is not a span of at most an hour"),
        ({"session_start_unix_ns": 2**63}, "after the year 2096"),
        ({"sample_rate_hz": 44_100}, "44100"),
        ({"words": (Word("w", 9, 3),)}, "a word ends before it starts"),
        ({"faces": (FaceCrop(4 * 10**9, b""),)}, "a face is outside the window"),
        ({"presence": Presence(audio=math.nan)}, "presence.audio"),
        ({"presence": Presence(audio=1.5)}, "presence.audio"),
        ({"session_id": "a/b"}, "session_id"),
        ({"window_index": -1}, "window_index"),
        ({"audio": "text"}, "audio"),
    ],
)
def test_an_absurd_window_is_refused_with_its_reason(changes, reason):
    value = msgspec.msgpack.encode(window(**changes))
    with pytest.raises(UnreadableRecord, match=reason):
        decode("windows", value)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"window_id": "s/ana/4"}, "window_id is not s/ana/3"),
        ({"end_ms": 0}, "not a span of time"),
        ({"valence": 3.5}, "valence"),
        ({"class_probabilities": (1.0,) * 7}, "do not add up to 1"),
        ({"event_time": datetime(2026, 1, 31)}, "timezone"),  # noqa: DTZ001 - that is the fault
    ],
)
def test_an_absurd_sentiment_is_refused_with_its_reason(changes, reason):
    value = msgspec.json.encode(sentiment(**changes))
    with pytest.raises(UnreadableRecord, match=reason):
        decode("smoothed", value)


def test_json_that_is_not_finite_is_refused():
    value = msgspec.json.encode(sentiment(trend_per_min=1.0)).replace(b":1.0", b":1e999")
    assert b"1e999" in value
    with pytest.raises(UnreadableRecord):
        decode("smoothed", value)


def test_a_number_that_is_not_finite_does_not_go_out_as_null():
    with pytest.raises(UnreadableRecord, match="NaN"):
        encode(sentiment(trend_per_min=math.nan), NAMES)


def test_a_record_that_no_reader_would_take_does_not_go_out():
    with pytest.raises(UnreadableRecord, match="window_id is not"):
        encode(sentiment(window_id="elsewhere"), NAMES)


def test_a_dead_letter_without_origin_is_refused():
    with pytest.raises(UnreadableRecord, match="original_topic"):
        DEAD_LETTER.decode(b"v", {"reason": b"bad"}, b"k")


# --- schemas ------------------------------------------------------------------------------------


def test_the_published_schemas_are_current(tmp_path):
    written = topics.write_schemas(tmp_path)
    assert {path.name for path in written} == {path.name for path in SCHEMAS.iterdir()}
    for path in written:
        assert path.read_text("utf-8") == (SCHEMAS / path.name).read_text("utf-8"), (
            f"run `streamer schema {SCHEMAS.relative_to(SCHEMAS.parents[1])}`"
        )


@pytest.mark.parametrize(("struct", "record"), json_records())
def test_every_json_record_keeps_its_schema(struct, record):
    schema = json.loads(topics.schema(struct))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    tree = json.loads(encode(record, NAMES).value)
    assert list(validator.iter_errors(tree)) == []
    for broken in ({**tree, "schema_version": 2}, {**tree, "mood": "fine"}):
        assert list(validator.iter_errors(broken)), broken


# --- settings of the clients --------------------------------------------------------------------


def kafka(**settings):
    return build({"kafka": {"broker": "example.org:9092", **settings}}).kafka


def test_sasl_settings_reach_the_client():
    security = {
        "protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-256",
        "username": "ana",
        "password": "secret",
    }
    settings = topics.client_settings(kafka(security=security))
    assert settings["bootstrap_servers"] == ["example.org:9092"]
    assert settings["security_protocol"] == "SASL_PLAINTEXT"
    assert settings["sasl_mechanism"] == "SCRAM-SHA-256"
    assert settings["sasl_plain_username"] == "ana"
    assert settings["sasl_plain_password"] == "secret"
    assert "ssl_context" not in settings


def test_an_embedded_broker_has_no_address_of_its_own():
    with pytest.raises(ConfigError, match="streamer broker"):
        topics.client_settings(build({}).kafka)


def test_a_missing_certificate_is_named():
    security = {"protocol": "SSL", "ca_file": "no-such-ca.pem"}
    with pytest.raises(ConfigError, match=r"no-such-ca\.pem"):
        topics.client_settings(kafka(security=security))


def test_a_start_without_a_time_zone_is_refused():
    naive = datetime(2026, 1, 31)  # noqa: DTZ001 - that is the fault
    with pytest.raises(ConfigError, match="time zone"):
        topics.Reader(build({}), "scores", start=naive)


# --- what is logged -----------------------------------------------------------------------------


def test_a_broker_that_is_away_is_told_in_one_line(caplog):
    calm = RepeatFilter()
    log = logging.getLogger("test.aiokafka")
    log.addFilter(calm)
    with caplog.at_level(logging.INFO, "test.aiokafka"):
        for attempt in range(20):
            log.error("Unable connect to node with id %s: %s", 1, f"refused {attempt}")
            log.warning("Got error produce response: NodeNotReadyError: %s", attempt)
            log.error("Topic %s not found in cluster metadata", "t")
            log.info("Joined group")
    log.removeFilter(calm)
    warned = [record.getMessage() for record in caplog.records if record.levelno > logging.INFO]
    assert warned == [
        "The broker does not answer; waiting for it: Unable connect to node with id 1: refused 0",
        "Topic t not found in cluster metadata",
    ]
    assert len(caplog.records) == 22


# --- progress -----------------------------------------------------------------------------------


def test_progress_never_passes_what_is_still_in_hand():
    #  offset   0  1  2  3  4
    #           .  x  .  .  x      x unreadable: done when it is met
    progress = _Progress()
    for offset in range(5):
        progress.read(offset, done=offset in (1, 4))
    assert progress.next_offset is None
    progress.finish(0)
    assert progress.next_offset == 2
    progress.finish(3)
    assert progress.next_offset == 5


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.data())
def test_progress_ends_after_the_last_offset_once_all_is_done(unreadable, data):
    progress = _Progress()
    for offset, bad in enumerate(unreadable):
        progress.read(offset, done=bad)
    good = [offset for offset, bad in enumerate(unreadable) if not bad]
    for up_to in sorted(data.draw(st.sets(st.sampled_from(good)))) if good else []:
        progress.finish(up_to)
        assert all(offset > up_to for offset in progress.pending)
        assert progress.next_offset is not None and progress.next_offset > up_to
    if good:
        progress.finish(good[-1])
    assert progress.next_offset == len(unreadable)
    assert not progress.pending and not progress.done
