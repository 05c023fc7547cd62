"""The topics on real brokers, embedded and Apache Kafka: the same tests on both.

Read back with our client, with kcat and with Kafka's own console consumer. What only a real broker
can do (restart, SASL, TLS, retention) is tested on Apache Kafka alone.
"""

import asyncio
import contextlib
import json
import shutil
import subprocess
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka.admin import AdminClient, ConfigResource

from streamer.config import Config, build
from streamer.errors import BrokerError
from streamer.kafka import topics
from streamer.kafka.broker import KafkaBroker, kafka_command
from streamer.kafka.topics import Publisher, Raw, Reader, Topics, ensure_topics
from streamer.records import (
    Alert,
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

pytestmark = pytest.mark.timeout(180)

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
PROBABILITIES = (0.0, 0.0, 0.125, 0.25, 0.5, 0.125, 0.0)
BROKERS = ["embedded", pytest.param("kafka", marks=pytest.mark.kafka)]
OUTAGE_S = 20


def settings(address: str, **kafka) -> Config:
    """Settings for a fresh set of topics at `address`."""
    return build(
        {"kafka": {"broker": address, "topic_prefix": f"t{uuid.uuid4().hex[:12]}", **kafka}}
    )


@pytest.fixture(params=BROKERS)
def address(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue(f"{request.param}_broker")


@pytest.fixture
async def config(address) -> Config:
    chosen = settings(address)
    await ensure_topics(chosen)
    return chosen


@pytest.fixture
async def kafka_config(kafka_broker) -> Config:
    chosen = settings(kafka_broker)
    await ensure_topics(chosen)
    return chosen


def window(k: int, participant: str = "ana", size: int = 0) -> Window:
    return Window(
        session_id="s",
        participant_id=participant,
        window_index=k,
        session_start_unix_ns=1_700_000_000 * 10**9,
        start_ns=k * 10**9,
        end_ns=(k + 1) * 10**9,
        audio=bytes(size) if size else None,
        words=(Word("très", k * 10**9, k * 10**9 + 1),),
        presence=Presence(text=1.0),
    )


def sentiment(k: int, participant: str = "Zoë") -> Sentiment:
    return Sentiment(
        session_id="s",
        participant_id=participant,
        window_id=f"s/{participant}/{k}",
        window_index=k,
        event_time=NOW + timedelta(seconds=k + 1),
        start_ms=k * 1000,
        end_ms=(k + 1) * 1000,
        valence=0.625,
        valence_raw=0.75,
        uncertainty=0.5,
        label="weakly positive",
        polarity="positive",
        class_probabilities=PROBABILITIES,
        trend_per_min=-0.25,
        gate=Gate(0.5, 0.25),
        presence=Presence(text=1.0),
        evidence=("text",),
        text='he said "très bien"\n',
        latency_ms={"total": 60.0},
        model="m",
    )


def one_of_each() -> dict[str, object]:
    common = {"session_id": "s", "window_index": 0, "start_ms": 0, "end_ms": 1000, "model": "m"}
    return {
        "windows": window(0, size=150_000),
        "scores": Score(
            **common,
            participant_id="Zoë",
            window_id="s/Zoë/0",
            session_start=NOW,
            valence=None,
            class_probabilities=None,
            gate=None,
            presence=Presence(),
            evidence=(),
            text="",
            latency_ms={},
        ),
        "smoothed": sentiment(0),
        "session_smoothed": SessionSentiment(
            **common,
            window_id="s/*/0",
            event_time=NOW,
            valence=None,
            uncertainty=None,
            spread=None,
            label=None,
            polarity=None,
            trend_per_min=None,
            participants=0,
        ),
        "sessions": Session(
            session_id="s",
            state="ended",
            started_at=NOW,
            live=True,
            consent="all agreed",
            modalities=("text",),
            participants=(Participant("Zoë", ("mic:default",), 1),),
            asr="none",
        ),
        "alerts": Alert(
            alert_id="s/Zoë/drop/0",
            session_id="s",
            participant_id="Zoë",
            kind="sharp_drop",
            state="raised",
            event_time=NOW,
            end_ms=1000,
            valence=-1.0,
            threshold=1.5,
            message="",
        ),
        "session_input": sentiment(0),
    }


async def read(reader: Reader, count: int) -> list:
    """The next `count` messages."""
    taken: list = []
    async with asyncio.timeout(60):
        while len(taken) < count:
            taken += await reader.batch(100, 200)
    assert len(taken) == count
    return taken


async def publish(config: Config, *records) -> None:
    async with Publisher(config) as publisher:
        for record in records:
            await publisher.publish(record)


async def send_raw(config: Config, topic: str, *values: bytes | None) -> list[tuple[int, int]]:
    """Put raw values on a topic; gives partition and Kafka offset of each."""
    producer = AIOKafkaProducer(bootstrap_servers=config.kafka.broker)
    await producer.start()
    try:
        places = [await producer.send_and_wait(topic, value, key=b"s/ana") for value in values]
    finally:
        await producer.stop()
    return [(place.partition, place.offset) for place in places]


def lines_of(command: list[str]) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def kcat(address: str, topic: str, form: str) -> list[str]:
    if shutil.which("kcat") is None:
        pytest.skip("no kcat; install Debian's kcat")
    return lines_of(["kcat", "-b", address, "-t", topic, "-C", "-e", "-q", "-f", form + "\n"])


# --- what goes out comes back -------------------------------------------------------------------


@pytest.mark.parametrize("kind", one_of_each())
async def test_every_kind_comes_back_as_it_went(config, kind):
    record = one_of_each()[kind]
    async with Publisher(config) as publisher:
        place = await publisher.publish(record, [("capture_latency_ms", b"12.5")], kind=kind)
    async with Reader(config, kind) as reader:
        (received,) = await read(reader, 1)
    assert received.record == record
    assert (received.topic, received.partition, received.offset) == (
        place.topic,
        place.partition,
        place.offset,
    )
    assert received.headers["capture_latency_ms"] == b"12.5"
    assert received.headers["ce_id"].decode() == topics.event_id(record)
    assert abs(received.timestamp_ms / 1000 - datetime.now(UTC).timestamp()) < 60


async def test_kcat_reads_the_sentiment_and_its_headers(config):
    await publish(config, *(sentiment(k) for k in range(3)))
    topic = Topics(config.kafka.topic_prefix).smoothed
    values = kcat(config.kafka.broker, topic, "%k %s")
    assert [line.split(" ", 1)[0] for line in values] == ["s/Zoë"] * 3
    trees = [json.loads(line.split(" ", 1)[1]) for line in values]
    assert [tree["window_id"] for tree in trees] == ["s/Zoë/0", "s/Zoë/1", "s/Zoë/2"]
    assert trees[0]["text"] == 'he said "très bien"\n'
    headers = kcat(config.kafka.broker, topic, "%h")[0].split(",")
    assert "ce_specversion=1.0" in headers
    assert "ce_id=s/Zoë/0/0" in headers
    assert "ce_type=streamer.smoothed.v1" in headers
    assert "ce_time=2026-01-31T09:00:01Z" in headers
    assert "content-type=application/json" in headers


@pytest.mark.slow
@pytest.mark.kafka
async def test_kafkas_own_console_consumer_reads_the_sentiment(kafka_config):
    await publish(kafka_config, *(sentiment(k) for k in range(3)))
    topic = Topics(kafka_config.kafka.topic_prefix).smoothed
    command = kafka_command(
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
        *("--bootstrap-server", kafka_config.kafka.broker, "--topic", topic),
        *("--from-beginning", "--max-messages", "3", "--timeout-ms", "30000"),
        *("--formatter-property", "print.key=true", "--formatter-property", "print.headers=true"),
    )
    lines = await asyncio.to_thread(lines_of, command)
    assert len(lines) == 3
    for k, line in enumerate(lines):
        headers, key, value = line.split("\t")
        assert f"ce_id:s/Zoë/{k}/0" in headers
        assert key == "s/Zoë"
        assert json.loads(value)["window_index"] == k


@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
async def test_compressed_topics_are_read_by_us_and_by_kcat(address, compression):
    config = settings(address, compression=compression)
    await ensure_topics(config)
    await publish(config, *(sentiment(k) for k in range(20)))
    async with Reader(config, "smoothed") as reader:
        received = await read(reader, 20)
    assert [item.record for item in received] == [sentiment(k) for k in range(20)]
    seen = kcat(address, Topics(config.kafka.topic_prefix).smoothed, "%s")
    assert len(seen) == 20 and json.loads(seen[7])["window_index"] == 7


async def test_a_participant_stays_in_order_whatever_is_in_flight(config):
    people = [f"p{number}" for number in range(6)]
    async with Publisher(config) as publisher:
        sent = [
            await publisher.publish_soon(window(k, participant, size=2000))
            for k in range(60)
            for participant in people
        ]
        await asyncio.gather(*sent)
    async with Reader(config, "windows") as reader:
        received = [item.record for item in await read(reader, 360)]
    for participant in people:
        own = [item.window_index for item in received if item.participant_id == participant]
        assert own == list(range(60))


# --- what cannot go out -------------------------------------------------------------------------


async def test_a_record_over_the_limit_is_refused_with_the_arithmetic(config):
    async with Publisher(config) as publisher:
        with pytest.raises(BrokerError, match=r"exceeds kafka\.max_message_bytes = 1,048,576"):
            await publisher.publish(window(0, size=1_100_000))
        await publisher.publish(window(1, size=1_000_000))
    async with Reader(config, "windows") as reader:
        (received,) = await read(reader, 1)
    assert received.record.window_index == 1


@pytest.mark.kafka
async def test_a_record_that_the_broker_refuses_fails_alone(kafka_config):
    """A client that is allowed more than the topic is."""
    kafka = kafka_config.kafka.model_copy(update={"max_message_bytes": 3_000_000})
    async with Publisher(kafka_config.model_copy(update={"kafka": kafka})) as publisher:
        too_large = await publisher.publish_soon(window(0, size=2_000_000))
        with pytest.raises(BrokerError, match="MessageSizeTooLarge"):
            await too_large
        after = [await publisher.publish_soon(window(k)) for k in range(1, 4)]
        await asyncio.gather(*after)
        assert publisher.counters["refused"] == 1
    async with Reader(kafka_config, "windows") as reader:
        received = await read(reader, 3)
    assert [item.record.window_index for item in received] == [1, 2, 3]


async def test_nobody_at_the_address_is_told_within_the_time():
    config = settings("127.0.0.1:1", connect_timeout_s=0.5)
    for attempt in (ensure_topics(config), Publisher(config).__aenter__()):
        with pytest.raises(BrokerError, match=r"No Kafka broker answers at 127\.0\.0\.1:1"):
            await attempt
    with pytest.raises(BrokerError, match=r"streamer broker"):
        await Reader(config, "scores").__aenter__()


# --- what cannot be read ------------------------------------------------------------------------


@pytest.mark.slow
async def test_the_unreadable_goes_to_dead_letter_and_stops_nothing(config):
    names = Topics(config.kafka.topic_prefix)
    good = topics.encode(window(0), names).value
    values = [b"\x00rubbish", None, good, b"", None]
    places = await send_raw(config, names.windows, *values)
    async with Reader(config, "windows", group="g") as reader:
        (received,) = await read(reader, 1)
        await reader.commit([received])
        while reader.counters["unreadable"] < 2 or reader.counters["tombstones"] < 2:
            assert await reader.batch(100, 200) == []
        assert reader.counters["read"] == 1
    async with Reader(config, "dead_letter") as reader:
        letters = [item.record for item in await read(reader, 2)]
    assert [letter.value for letter in letters] == [b"\x00rubbish", b""]
    assert [(letter.partition, letter.offset) for letter in letters] == [places[0], places[3]]
    assert all(letter.topic == names.windows and letter.key == b"s/ana" for letter in letters)
    assert all("not a record of windows" in letter.reason for letter in letters)
    # All of it is committed: the next of the group finds nothing.
    async with Reader(config, "windows", group="g") as reader:
        await publish(config, window(1))
        (received,) = await read(reader, 1)
        assert received.record.window_index == 1


async def test_a_reader_without_a_group_writes_no_dead_letters(config):
    names = Topics(config.kafka.topic_prefix)
    await send_raw(config, names.smoothed, b"rubbish", None)
    await publish(config, sentiment(0))
    async with Reader(config, "smoothed") as reader:
        (received,) = await read(reader, 1)
        while not (reader.counters["unreadable"] and reader.counters["tombstones"]):
            await reader.batch(1, 100)
        assert received.record == sentiment(0)
    assert kcat(config.kafka.broker, names.dead_letter, "%s") == []


async def test_a_dead_letter_keeps_origin_and_headers(config):
    raw = Raw("elsewhere", 3, 41, 1_700_000_000_123, b"k", b"\xff" * 10, {"ce_id": b"s/ana/0/0"})
    async with Publisher(config) as publisher:
        await publisher.dead_letter(raw, "it is rubbish")
        whole = Raw("elsewhere", 3, 42, 0, None, b"x" * config.kafka.max_message_bytes)
        await publisher.dead_letter(whole, "too large to keep")
    async with Reader(config, "dead_letter") as reader:
        received = sorted(await read(reader, 2), key=lambda item: item.record.offset)
    letter = received[0].record
    assert (letter.topic, letter.partition, letter.offset) == ("elsewhere", 3, 41)
    assert (letter.key, letter.value) == (b"k", b"\xff" * 10)
    assert letter.timestamp_ms == 1_700_000_000_123
    assert letter.reason == "it is rubbish"
    assert received[0].headers["original_header_ce_id"] == b"s/ana/0/0"
    assert received[0].headers["ce_id"] == b"elsewhere/3/41"
    assert received[1].headers["original_bytes"] == str(config.kafka.max_message_bytes).encode()
    assert len(received[1].record.value) < config.kafka.max_message_bytes


# --- where reading begins, and where it goes on -------------------------------------------------


async def test_reading_begins_where_it_is_told_to(config):
    await publish(config, *(sentiment(k) for k in range(3)))
    await asyncio.sleep(0.02)
    then = datetime.now(UTC)
    await asyncio.sleep(0.02)
    await publish(config, sentiment(3))
    async with (
        Reader(config, "smoothed", start="earliest") as whole,
        Reader(config, "smoothed", start=then) as later,
        Reader(config, "smoothed", start="latest") as newest,
        Reader(config, "smoothed", start=datetime.now(UTC) + timedelta(hours=1)) as future,
    ):
        await publish(config, sentiment(4))
        assert [item.record.window_index for item in await read(whole, 5)] == [0, 1, 2, 3, 4]
        assert [item.record.window_index for item in await read(later, 2)] == [3, 4]
        assert [item.record.window_index for item in await read(newest, 1)] == [4]
        assert await future.batch(10, 300) == []


@pytest.mark.slow
async def test_a_group_goes_on_behind_its_commit(config):
    await publish(config, *(window(k) for k in range(5)))
    async with Reader(config, "windows", group="g") as reader:
        received = await read(reader, 5)
        await reader.commit(received[:2])
        assert reader.lag() == 0 or reader.lag() == 3
    async with Reader(config, "windows", group="g") as reader:
        again = await read(reader, 3)
        assert [item.record.window_index for item in again] == [2, 3, 4]
        await reader.commit()
        await publish(config, window(5))
        await read(reader, 1)
    async with Reader(config, "windows", group="g") as reader:
        assert [item.record.window_index for item in await read(reader, 1)] == [5]


# --- Apache Kafka alone -------------------------------------------------------------------------


@pytest.mark.kafka
async def test_a_rebalance_waits_for_the_records_in_hand(kafka_config):
    """Two share a group; nothing is lost, and what was in hand is not given out again.

    (The embedded broker refuses commits during a rebalance: there, it is given out again.)
    """
    people = [f"p{number}" for number in range(12)]
    await publish(kafka_config, *(window(0, participant) for participant in people))
    async with Reader(kafka_config, "windows", group="g") as first:
        in_hand = await read(first, len(people))
        async with Reader(kafka_config, "windows", group="g") as second:
            seen_by_second: list = []

            async def follow() -> None:
                while True:
                    received = await second.batch(100, 200)
                    seen_by_second.extend(received)
                    await second.commit(received)

            following = asyncio.create_task(follow())
            waiting = asyncio.create_task(first.batch(100, 200))
            async with asyncio.timeout(60):
                while not first.counters["rebalances"]:  # noqa: ASYNC110 - a counter
                    await asyncio.sleep(0.05)
            await first.commit(in_hand)
            more = list(await waiting)
            await publish(kafka_config, *(window(1, participant) for participant in people))
            async with asyncio.timeout(60):
                while len(more) + len(seen_by_second) < len(people):
                    received = await first.batch(100, 200)
                    more += received
                    await first.commit(received)
            following.cancel()
            await asyncio.wait([following])
    assert seen_by_second, "the second reader got no partition"
    both = [item.record for item in (*more, *seen_by_second)]
    assert sorted(item.participant_id for item in both) == sorted(people)
    assert {item.window_index for item in both} == {1}


@pytest.mark.kafka
async def test_topics_have_the_configured_partitions_and_retention(kafka_broker):
    config = settings(kafka_broker, partitions=6, windows_retention_ms=600_000)
    await ensure_topics(config)
    await ensure_topics(config)
    names = Topics(config.kafka.topic_prefix)
    admin = AdminClient({"bootstrap.servers": kafka_broker})
    present = admin.list_topics(timeout=10).topics
    assert {len(present[name].partitions) for name in names.all} == {6}
    kinds = {name: ConfigResource(ConfigResource.Type.TOPIC, name) for name in names.all}
    described = admin.describe_configs(list(kinds.values()))
    retention = {
        name: int(described[resource].result(10)["retention.ms"].value)
        for name, resource in kinds.items()
    }
    assert retention.pop(names.windows) == 600_000
    assert set(retention.values()) == {config.kafka.retention_ms}


@pytest.mark.kafka
@pytest.mark.slow
async def test_a_broker_that_is_gone_for_twenty_seconds_costs_nothing(tmp_path):
    """Publisher, group reader and plain reader go on; the publisher's buffer stays bounded."""
    broker = KafkaBroker(tmp_path / "kafka", port=0)
    await asyncio.to_thread(broker.start)
    try:
        config = settings(broker.address)
        await ensure_topics(config)
        async with (
            Publisher(config) as publisher,
            Reader(config, "windows", group="g") as group,
            Reader(config, "windows") as plain,
        ):
            await publisher.publish(window(0))
            await group.commit(await read(group, 1))
            await read(plain, 1)

            await asyncio.to_thread(broker.stop)
            whole = 120
            sent: list[asyncio.Future] = []

            async def produce() -> None:
                for k in range(1, whole):
                    sent.append(await publisher.publish_soon(window(k, size=150_000)))

            producing = asyncio.create_task(produce())
            reading = {
                reader: asyncio.create_task(read(reader, whole - 1)) for reader in (group, plain)
            }
            await asyncio.sleep(OUTAGE_S)
            assert not producing.done()
            assert 150_000 * len(sent) <= topics.BUFFER_BYTES
            assert not any(item.done() for item in sent)
            await asyncio.to_thread(broker.start)
            await asyncio.wait_for(producing, 90)
            await asyncio.wait_for(asyncio.gather(*sent), 90)
            for reader, task in reading.items():
                received = await asyncio.wait_for(task, 90)
                assert [item.record.window_index for item in received] == list(range(1, whole))
                await reader.commit(received)
        async with Reader(config, "windows", group="g") as group:
            await publish(config, window(whole))
            assert [item.record.window_index for item in await read(group, 1)] == [whole]
    finally:
        await asyncio.to_thread(broker.stop)


@pytest.mark.kafka
async def test_records_that_never_reached_the_broker_are_told_at_the_end(tmp_path):
    broker = KafkaBroker(tmp_path / "kafka", port=0)
    await asyncio.to_thread(broker.start)
    try:
        config = settings(broker.address, connect_timeout_s=20)
        await ensure_topics(config)
        short = config.kafka.model_copy(update={"connect_timeout_s": 1.0})
        with pytest.raises(BrokerError, match="3 records could not be delivered"):
            async with Publisher(config.model_copy(update={"kafka": short})) as publisher:
                await publisher.publish(window(0))
                await asyncio.to_thread(broker.stop)
                for k in range(1, 4):
                    await publisher.publish_soon(window(k))
    finally:
        await asyncio.to_thread(broker.stop)


def certificates(folder: Path) -> dict[str, Path]:
    """A certificate authority, a server's key and certificate, and a client's."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl; install Debian's openssl")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test CA")
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1\n", "utf-8")
    for name in ("server", "client"):
        openssl(
            "req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}"
        )
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
            *("-CAcreateserial", "-out", f"{name}.pem", "-extfile", "san", "-days", "2"),
        )
    both = folder / "server-both.pem"
    both.write_bytes((folder / "server.key").read_bytes() + (folder / "server.pem").read_bytes())
    return {"server": both} | {
        name: folder / name for name in ("ca.pem", "client.pem", "client.key")
    }


async def goes_round(config: Config) -> None:
    await ensure_topics(config)
    await publish(config, sentiment(0))
    async with Reader(config, "smoothed", group="g") as reader:
        (received,) = await read(reader, 1)
        await reader.commit()
    assert received.record == sentiment(0)


@pytest.mark.kafka
@pytest.mark.slow
async def test_sasl_lets_in_who_knows_the_password_and_nobody_else(tmp_path):
    password = 'pass "word" \\ =,1'
    broker = KafkaBroker(tmp_path / "kafka", port=0, users={"ana": password, "bo": "other"})
    await asyncio.to_thread(broker.start)
    try:
        for mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
            security = {
                "protocol": "SASL_PLAINTEXT",
                "sasl_mechanism": mechanism,
                "username": "ana",
                "password": password,
            }
            await goes_round(settings(broker.address, security=security))
            wrong = {**security, "password": "guess"}
            config = settings(broker.address, security=wrong, connect_timeout_s=3)
            with pytest.raises(BrokerError, match=r"kafka\.security"):
                await ensure_topics(config)
        with pytest.raises(BrokerError):
            await ensure_topics(settings(broker.address, connect_timeout_s=3))
    finally:
        await asyncio.to_thread(broker.stop)


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.parametrize("users", [{}, {"ana": "secret"}])
async def test_tls_with_client_certificates(tmp_path, users):
    files = certificates(tmp_path)
    broker = KafkaBroker(
        tmp_path / "kafka",
        port=0,
        users=users,
        certificate_file=files["server"],
        client_ca_file=files["ca.pem"],
    )
    security = {
        "protocol": "SASL_SSL" if users else "SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "username": "ana",
        "password": "secret",
        "ca_file": str(files["ca.pem"]),
        "certificate_file": str(files["client.pem"]),
        "key_file": str(files["client.key"]),
    }
    stranger = {**security, "certificate_file": "", "key_file": ""}
    distrustful = {**security, "ca_file": ""}
    await asyncio.to_thread(broker.start)
    try:
        await goes_round(settings(broker.address, security=security))
        for refused in (stranger, distrustful):
            config = settings(broker.address, security=refused, connect_timeout_s=3)
            with pytest.raises(BrokerError, match=r"kafka\.security"):
                await ensure_topics(config)
    finally:
        with contextlib.suppress(BrokerError):
            await asyncio.to_thread(broker.stop)
