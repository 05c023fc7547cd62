"""The stream processor without a broker: in which order a stage makes things safe, and what of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import faust
import msgspec
import pytest
from faust.types import TP

from streamer.config import Config, build
from streamer.errors import ConfigError, TopicChanged
from streamer.kafka.groups import consumer_group
from streamer.kafka.provision import changelogs
from streamer.kafka.topics import ALERTS, SCORES, SESSION_INPUT
from streamer.policy import UNKNOWN_SESSION, Policy
from streamer.processing import app, spec
from streamer.processing.stored import changes_in
from streamer.records import Sentiment
from streamer.testing import ALL_ALLOWED, FakePolicies, FakeProducer
from tests import made_records
from tests.stage_bench import Bench, Crash, eventually, plain, score, windows, wire

MEETING_ONLY = Policy("session", 3, ("text",))


async def test_outputs_are_acknowledged_before_changelog_table_and_commit() -> None:
    bench = Bench()
    async with bench.working():
        await bench.feed(*map(bench.event, wire(0, 1, 2)))
    order = [entry[0] for entry in bench.journal if entry[0] != "published"]
    steps = ["acknowledged", "changelog", "table", "committable"]
    assert [step for step in dict.fromkeys(order)] == steps
    assert order == sorted(order, key=steps.index)
    assert windows(bench.journal) == windows(bench.journal, "session_input") == [0, 1, 2]
    assert bench.journal.of("committable") == [(0,), (1,), (2,)]


async def test_a_crash_before_the_changelog_repeats_the_same_values() -> None:
    bench = Bench()
    async with bench.working():
        await bench.feed(*map(bench.event, wire(0, 1, 2)))
    rows = dict(bench.table.rows)
    async with bench.working():
        await bench.feed(*map(bench.event, wire(3, 4)))
    first = [plain(record) for kind, record in bench.journal.of("acknowledged")][-4:]
    bench.table.rows = rows
    bench.offset = 3
    bench.journal.clear()
    bench.restart()
    async with bench.working():
        await bench.feed(*map(bench.event, wire(3, 4)))
    assert [plain(record) for kind, record in bench.journal.of("acknowledged")] == first


async def test_a_replayed_score_is_acknowledged_and_sends_nothing() -> None:
    bench = Bench()
    async with bench.working():
        await bench.feed(*map(bench.event, wire(0, 1)))
    bench.journal.clear()
    async with bench.working():
        await bench.feed(*map(bench.event, wire(0, 1)))
    assert [entry[0] for entry in bench.journal] == ["committable", "committable"]
    assert bench.stage.counters["duplicates"] == 2


async def test_tombstones_and_garbage_do_not_stop_it() -> None:
    bench = Bench()
    values = [None, b"{not json", *wire(0), b'{"schema_version": 99}']
    async with bench.working():
        await bench.feed(*map(bench.event, values))
    assert bench.journal.of("committable") == [(0,), (1,), (2,), (3,)]
    letters = bench.producer.dead_letters
    assert [(raw.offset, raw.value) for raw, _ in letters] == [(1, values[1]), (3, values[3])]
    assert "schema version 99" in letters[1][1]
    assert windows(bench.journal) == [0]
    assert bench.stage.counters["tombstones"] == 1
    assert bench.stage.counters["unreadable"] == 2


async def test_a_flush_after_silence_is_written_down_before_it_is_sent() -> None:
    bench = Bench()
    async with bench.working(maintained=True):
        await bench.feed(*map(bench.event, wire(0, 2, 3)))
        await eventually(lambda: bench.stage.counters["flushed"] == 4)
        await eventually(lambda: not bench.stage._decode(bench.table.rows[b"s/ana"]).outbox)
    assert windows(bench.journal) == [0, 2, 3]
    verbs = [(entry[0], entry[-1]) for entry in bench.journal]
    sent = next(
        place
        for place, (verb, record) in enumerate(verbs)
        if verb == "published" and record.window_index == 2
    )
    written = max(place for place in range(sent) if verbs[place][0] == "table")
    outbox = bench.stage._decode(verbs[written][1]).outbox
    assert [kind for kind, _ in outbox] == ["smoothed", "session_input"] * 2
    assert bench.producer.encoded[-len(outbox) :] == list(outbox), "sent as written"


async def test_a_flush_that_a_crash_cut_off_is_sent_as_written_and_first() -> None:
    bench = Bench()
    async with bench.working():
        await bench.feed(*map(bench.event, wire(0, 2, 3)))
    limit = len(bench.journal.of("published")) + 1

    def crash_at_limit(_: object) -> None:
        if len(bench.journal.of("published")) >= limit:
            raise Crash

    bench.producer.check = crash_at_limit
    async with bench.working():
        async with bench.stage._lock:
            with pytest.raises(Crash):
                await bench.stage._flush(b"s/ana")
    sent_before = bench.journal.of("published")[-1]
    stored = list(bench.stage._decode(bench.table.rows[b"s/ana"]).outbox)
    bench.journal.clear()
    bench.restart()
    bench.producer.encoded.clear()
    async with bench.working():
        await bench.feed(*map(bench.event, wire(1, 4)))
    sent = bench.journal.of("published")
    assert sent[0] == sent_before
    assert bench.producer.encoded[: len(stored)] == stored, "byte for byte"
    assert [record.window_index for kind, record in sent if kind == "smoothed"] == [2, 3, 4]


async def test_a_backlog_is_no_silence() -> None:
    bench = Bench()
    async with bench.working():
        await bench.feed(bench.event(wire(1)[0], at_ms=1_000_000))
        bench.clock.now_s += 0.03
        await bench.feed(bench.event(None, at_ms=1_000_020))
        bench.clock.now_s += 0.03
        assert bench.stage._silent() == []
        await bench.feed(bench.event(None, at_ms=1_000_060))
        assert bench.stage._silent() == [b"s/ana"]


async def test_a_skipped_message_starts_the_app_over_once() -> None:
    bench = Bench()
    bench.offset = 5
    bench.restart()
    async with bench.working():
        value = wire(0)[0]
        await bench.feed(bench.event(value, offset=7))
        assert bench.journal == []
        assert "5 to 6" in bench.app.why[0]
        await bench.feed(bench.event(value, offset=7))
    assert bench.journal.of("committable") == [(7,)]
    assert len(bench.app.why) == 1


async def test_a_changelog_of_other_partitions_ends_it_before_anything_is_smoothed() -> None:
    bench = Bench()
    bench.app.partitions["changelog"] = 3
    async with bench.working():
        await bench.feed(*map(bench.event, wire(0)))
    assert bench.journal == []
    with pytest.raises(TopicChanged, match="4 partitions but changelog has 3"):
        bench.app.ended.result()


async def test_a_revision_is_published_once_and_with_the_same_values_after_a_crash() -> None:
    """The windows before it were another worker's; this one is killed after publishing."""
    bench = Bench()
    async with bench.working():
        await bench.feed(*map(bench.event, wire(0, 1)))
    rows, revised = dict(bench.table.rows), SCORES.encode(score(0, 1.0, revision=1)).value
    answers = []
    for _ in range(2):
        bench.table.rows, bench.offset = dict(rows), 2
        bench.journal.clear()
        bench.restart()
        async with bench.working():
            await bench.feed(bench.event(revised))
        answers.append([plain(record) for _, record in bench.journal.of("acknowledged")])
    assert answers[0] == answers[1]
    assert [(s.window_index, s.revision, s.valence) for s in answers[0]] == [(0, 1, 1.0)] * 2

    bench.journal.clear()
    async with bench.working():
        await bench.feed(bench.event(revised), *map(bench.event, wire(0, 1)))
    assert bench.journal.of("acknowledged") == []
    assert bench.stage.counters["duplicates"] == 3


async def test_old_keys_are_forgotten() -> None:
    bench = Bench(kafka={"retention_ms": 1})
    async with bench.working():
        await bench.feed(*map(bench.event, wire(0)))
        await bench.stage._steps.join()
        assert bench.table.rows
        bench.clock.now_s += 0.01
        await bench.stage._expire()
    assert bench.table.rows == {}
    assert bench.journal.of("changelog")[-1] == (b"s/ana", None)
    assert bench.stage.counters["expired"] == 1


async def test_a_state_of_another_version_is_begun_anew() -> None:
    bench = Bench()
    bench.table.rows[b"s/ana"] = b"\x93garbage"
    async with bench.working():
        await bench.feed(*map(bench.event, wire(0)))
    assert windows(bench.journal) == [0]
    assert bench.stage.counters["states_lost"] >= 1


async def test_a_state_of_another_version_that_is_replaced_counts_on() -> None:
    bench = Bench()
    bench.table.rows[b"s/ana"] = msgspec.msgpack.encode(["another", 0, 0, [], 41])
    async with bench.working():
        await bench.feed(*map(bench.event, wire(0)))
    assert changes_in(bench.table.rows[b"s/ana"]) == 42


async def test_a_revoked_partition_leaves_nothing_behind() -> None:
    bench = Bench()
    async with bench.working():
        await bench.feed(*map(bench.event, wire(0, 2)))
        await bench.app.closing[0](bench.app, {TP("sentiment.scores.v1", 0)})
        assert bench.journal.of("committable") == [(0,), (1,)]
        assert bench.stage._silent() == []
        bench.clock.now_s += 0.1
        assert bench.stage._silent() == []


def test_session_mode_routes_nothing_of_a_person_to_a_public_topic() -> None:
    persons, meeting = spec.participant_spec(build({})), spec.session_spec(build({}))
    _, outputs = persons.step(None, score(0, evidence=("text",)), MEETING_ONLY)
    (sentiment,) = outputs
    assert persons.routes(sentiment, MEETING_ONLY) == (SESSION_INPUT,)
    alert = made_records.alert()
    assert persons.routes(alert, MEETING_ONLY) == ()
    assert persons.routes(alert, ALL_ALLOWED) == (ALERTS,)
    assert meeting.routes(alert, MEETING_ONLY) == (ALERTS,)


async def test_a_score_of_a_session_without_record_is_set_aside_until_the_record_is_there() -> None:
    bench = Bench()
    bench.policies.policies["s"] = None
    async with bench.working():
        await bench.feed(*map(bench.event, wire(0)))
        await bench.stage._steps.join()
        assert [reason for _, reason in bench.producer.dead_letters] == [UNKNOWN_SESSION]
        assert bench.table.rows == {} and bench.journal.of("published") == []
        del bench.policies.policies["s"]
        await bench.feed(*map(bench.event, wire(0)))
    assert windows(bench.journal) == [0]
    assert len(bench.producer.dead_letters) == 1


async def test_held_scores_of_a_session_whose_record_is_gone_stay_unpublished() -> None:
    bench = Bench()
    async with bench.working():
        await bench.feed(*map(bench.event, wire(1, 2)))
        bench.policies.policies["s"] = None
        async with bench.stage._lock:
            await bench.stage._flush(b"s/ana")
    assert bench.journal.of("published") == []


async def test_a_score_of_a_modality_that_the_session_does_not_allow_is_set_aside() -> None:
    bench = Bench()
    bench.policies.policies["s"] = MEETING_ONLY
    allowed, other = (score(k, evidence=name) for k, name in enumerate([("text",), ("vision",)]))
    async with bench.working():
        await bench.feed(*(bench.event(msgspec.json.encode(each)) for each in (other, allowed)))
    assert [reason for _, reason in bench.producer.dead_letters] == [
        "it was made of vision, which its session does not allow"
    ]
    assert {kind for kind, _ in bench.journal.of("published")} == {"session_input"}


def test_latencies_count_from_the_time_of_the_score() -> None:
    rules = spec.participant_spec(build({}))
    _, outputs = rules.step(None, spec.arrived(score(0), 1_000_000), ALL_ALLOWED)
    (sentiment,) = outputs
    stamped = spec.stamped(sentiment, 1_000_070.5)
    assert isinstance(stamped, Sentiment)
    assert stamped.latency_ms == {
        "capture": 12.0,
        "queue": 5.0,
        "inference": 80.0,
        "smoothing": 70.5,
        "total": 167.5,
    }
    early = spec.stamped(sentiment, 999_000.0)
    assert isinstance(early, Sentiment)
    assert early.latency_ms["smoothing"] == 0.0


def test_two_systems_on_one_cluster_share_no_changelog() -> None:
    one = build({})
    other = build({"kafka": {"topic_prefix": "demo"}})
    assert consumer_group(one, "smoothing") == "sentiment-smoothing"
    assert consumer_group(other, "smoothing") == "demo-sentiment-smoothing"
    assert set(changelogs(one)).isdisjoint(changelogs(other))


def built(**settings: Any) -> app.Processor:
    config: Config = build(settings)
    counts = {"sentiment.scores.v1": 3, "sentiment.session-input.v1": 5}
    producer = FakeProducer()
    return app.build_app(config, producer, FakePolicies(), counts, embedded=False)  # type: ignore[arg-type]


async def test_the_app_has_the_configured_security_and_compression() -> None:
    security = {
        "protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "username": "u",
        "password": "p",
    }
    kafka = {"broker": "a:1,b:2", "compression": "zstd", "security": security}
    conf = built(kafka=kafka).app.conf
    credentials = conf.broker_credentials
    assert isinstance(credentials, faust.SASLCredentials)
    assert credentials.mechanism.value == "SCRAM-SHA-512"
    assert (credentials.username, credentials.password) == ("u", "p")
    assert credentials.protocol.value == "SASL_PLAINTEXT"
    assert conf.producer_compression_type == "zstd"
    assert [str(url) for url in conf.broker] == ["kafka://a:1", "kafka://b:2"]
    tls = built(kafka={"broker": "a:1", "security": {"protocol": "SSL"}}).app.conf
    assert isinstance(tls.broker_credentials, faust.SSLCredentials)


async def test_changelogs_have_the_partitions_of_their_input() -> None:
    tables = built(kafka={"broker": "a:1"}).app.tables
    assert tables["participants"].changelog_topic.partitions == 3
    assert tables["sessions"].changelog_topic.partitions == 5
    assert tables["sessions"].changelog_topic.compacting


async def test_rocksdb_without_its_package_is_one_sentence(monkeypatch: Any) -> None:
    monkeypatch.setitem(__import__("sys").modules, "rocksdict", None)
    with pytest.raises(ConfigError, match=r"streamer\[rocksdb\]"):
        built(kafka={"broker": "a:1"}, smoothing={"store": "rocksdb"})


async def test_a_record_whose_state_is_too_large_to_store_is_set_aside() -> None:
    bench = Bench(kafka={"max_message_bytes": 240_000})
    long = [score(index, text="w" * 19_000) for index in (0, *range(5, 15))]
    async with bench.working():
        await bench.feed(*(bench.event(msgspec.json.encode(record)) for record in long))
    assert all(len(value) < 240_000 for value in bench.table.rows.values())
    reasons = [reason for _, reason in bench.producer.dead_letters]
    assert reasons and all("the state that it makes takes" in reason for reason in reasons)
    assert len(bench.journal.of("committable")) == len(long)  # nothing is stuck


async def test_two_held_scores_of_600_kilobytes_make_no_change_over_the_brokers_limit() -> None:
    """Scores 2 and 3 wait for score 1."""
    bench = Bench(kafka={"max_message_bytes": 1_000_000})
    records = [score(0), *(score(k, text="w" * 600_000) for k in (2, 3))]
    async with bench.working():
        await bench.feed(*(bench.event(msgspec.json.encode(record)) for record in records))
    changes = [value for _, value in bench.journal.of("changelog")]
    assert changes and all(len(value) < 1_000_000 for value in changes)
    assert len(bench.producer.dead_letters) == 2
    assert len(bench.journal.of("committable")) == len(records)  # nothing is stuck


async def test_more_participants_than_a_state_can_hold_are_set_aside() -> None:
    bench = Bench(spec.session_spec, kafka={"max_message_bytes": 240_000})
    name = "x" * 190
    crowd = [
        made_records.sentiment(0, session_id="s", participant_id=f"{number}{name}")
        for number in range(400)
    ]
    async with bench.working():
        await bench.feed(*(bench.event(msgspec.json.encode(record)) for record in crowd))
    reasons = [reason for _, reason in bench.producer.dead_letters]
    assert 0 < len(reasons) < len(crowd)
    assert all("the state that it makes takes" in reason for reason in reasons)
    assert all(len(value) < 240_000 for value in bench.table.rows.values())
    assert len(bench.journal.of("committable")) == len(crowd)  # nothing is stuck
    bench.restart()
    async with bench.working():
        await bench.feed(bench.event(msgspec.json.encode(crowd[0])))
    assert len(bench.journal.of("committable")) == len(crowd) + 1


async def test_absurd_numbers_are_set_aside() -> None:
    bench = Bench()
    absurd: list[dict[str, Any]] = [
        {"window_index": 2**64 - 1, "window_id": f"s/ana/{2**64 - 1}", "final": True},
        {"end_ms": 2**53 - 1},
        {"session_start": datetime(1, 1, 1, tzinfo=UTC)},
        {"session_participants": 2**63},
    ]
    records = [score(0), *(score(1, **changes) for changes in absurd), score(1)]
    async with bench.working():
        await bench.feed(*(bench.event(msgspec.json.encode(record)) for record in records))
    assert len(bench.producer.dead_letters) == len(absurd)
    assert len(bench.journal.of("committable")) == len(records)
