"""The topics on real brokers: the same tests on the embedded broker and on Apache Kafka.

Records are read with our client, with kcat and with Kafka's own console consumer. Restart, SASL,
TLS and retention are tested on Apache Kafka only.
"""

import asyncio
import contextlib
import json
import shutil
import subprocess
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka.admin import AdminClient, ConfigResource

from streamer.config import Config, build
from streamer.errors import BrokerError
from streamer.kafka.admin import ensure_topics
from streamer.kafka.apache import KafkaBroker
from streamer.kafka.consumer import Consumer
from streamer.kafka.java import kafka_command
from streamer.kafka.messages import NO_PARTITION, Position, RawMessage
from streamer.kafka.producer import BUFFER_BYTES, Producer
from streamer.kafka.topics import (
    DEAD_LETTER,
    SCORES,
    SMOOTHED,
    TOPICS,
    WINDOWS,
    Topic,
)
from streamer.records import Sentiment, Window
from tests import made_records as made

pytestmark = pytest.mark.timeout(180)

BROKERS = ["embedded", pytest.param("kafka", marks=pytest.mark.kafka)]
OUTAGE_S = 12
"""Longer than a consumer group's session, 10 s."""


def settings(address: str, **kafka: Any) -> Config:
    """Return settings with a new topic prefix at `address`."""
    return build(
        {"kafka": {"broker": address, "topic_prefix": f"t{uuid.uuid4().hex[:12]}", **kafka}}
    )


@pytest.fixture(params=BROKERS)
def address(request: pytest.FixtureRequest) -> str:
    address: str = request.getfixturevalue(f"{request.param}_broker")
    return address


@pytest.fixture
async def config(address: str) -> Config:
    chosen = settings(address)
    await ensure_topics(chosen)
    return chosen


def name_of(config: Config, topic: Topic[Any]) -> str:
    return topic.full_name(config.kafka.topic_prefix)


@pytest.fixture
async def kafka_config(kafka_broker: str) -> Config:
    chosen = settings(kafka_broker)
    await ensure_topics(chosen)
    return chosen


def window(k: int, participant: str = "ana", size: int = 0) -> Window:
    """A window with one word and with `size` bytes of sound."""
    audio = bytes(size) if size else None
    return made.window(k, "très", session_id="s", participant_id=participant, audio=audio, faces=())


def sentiment(k: int, participant: str = "Zoë") -> Sentiment:
    """A sentiment whose text and name are not ASCII."""
    text = 'he said "très bien"\n'
    return made.sentiment(k, 0.625, session_id="s", participant_id=participant, text=text)


def one_of_each() -> dict[str, object]:
    return {
        "windows": window(0, size=150_000),
        "scores": made.score(0, None, session_id="s", participant_id="Zoë"),
        "smoothed": sentiment(0),
        "session_smoothed": made.session_sentiment(0, None, session_id="s"),
        "sessions": made.session("ended", session_id="s"),
        "alerts": made.alert(0, session_id="s", participant_id="Zoë"),
        "session_input": sentiment(0),
    }


async def read(consumer: Consumer[Any], count: int) -> list[Any]:
    """Read the next `count` messages."""
    taken: list[Any] = []
    async with asyncio.timeout(60):
        while len(taken) < count:
            taken += await consumer.batch(100, 200)
    assert len(taken) == count
    return taken


async def publish(config: Config, *records: Any) -> None:
    async with Producer(config) as producer:
        for record in records:
            await producer.publish(record)


async def send_raw(config: Config, topic: str, *values: bytes | None) -> list[tuple[int, int]]:
    """Send raw values to a topic; return the partition and offset of each."""
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


# --- what is published is read -----------------------------------------------------------------


@pytest.mark.parametrize(
    "topic",
    [topic for topic in TOPICS if topic is not DEAD_LETTER],
    ids=lambda topic: topic.name,
)
async def test_a_record_of_each_topic_is_read_as_it_was_published(
    config: Config, topic: Topic[Any]
) -> None:
    record = one_of_each()[topic.kind]
    async with Producer(config) as producer:
        position = await producer.publish(record, [("capture_latency_ms", b"12.5")], topic=topic)
    async with Consumer(config, topic) as consumer:
        (received,) = await read(consumer, 1)
    assert received.record == record
    assert (received.topic, received.partition, received.offset) == (
        position.topic,
        position.partition,
        position.offset,
    )
    assert received.headers["capture_latency_ms"] == b"12.5"
    assert received.headers["ce_id"].decode() == topic.event_id(record)
    assert abs(received.timestamp_ms / 1000 - datetime.now(UTC).timestamp()) < 60


async def test_kcat_reads_the_sentiment_and_its_headers(config: Config) -> None:
    await publish(config, *(sentiment(k) for k in range(3)))
    topic = name_of(config, SMOOTHED)
    values = kcat(config.kafka.broker, topic, "%k %s")
    assert [line.split(" ", 1)[0] for line in values] == ["s/Zoë"] * 3
    trees = [json.loads(line.split(" ", 1)[1]) for line in values]
    assert [tree["window_id"] for tree in trees] == ["s/Zoë/0", "s/Zoë/1", "s/Zoë/2"]
    assert trees[0]["text"] == 'he said "très bien"\n'
    headers = kcat(config.kafka.broker, topic, "%h")[0].split(",")
    assert "ce_specversion=1.0" in headers
    assert "ce_id=s/Zoë/0/0" in headers
    assert "ce_type=streamer.smoothed.v1" in headers
    assert "ce_time=2026-05-03T09:00:01Z" in headers
    assert "content-type=application/json" in headers


@pytest.mark.slow
@pytest.mark.kafka
async def test_kafkas_console_consumer_reads_the_sentiment(kafka_config: Config) -> None:
    await publish(kafka_config, *(sentiment(k) for k in range(3)))
    topic = name_of(kafka_config, SMOOTHED)
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
async def test_our_client_and_kcat_read_compressed_topics(address: str, compression: str) -> None:
    config = settings(address, compression=compression)
    await ensure_topics(config)
    await publish(config, *(sentiment(k) for k in range(20)))
    async with Consumer(config, SMOOTHED) as consumer:
        received = await read(consumer, 20)
    assert [item.record for item in received] == [sentiment(k) for k in range(20)]
    seen = kcat(address, name_of(config, SMOOTHED), "%s")
    assert len(seen) == 20 and json.loads(seen[7])["window_index"] == 7


async def test_records_of_a_participant_stay_in_order(config: Config) -> None:
    people = [f"p{number}" for number in range(6)]
    async with Producer(config) as producer:
        sent = [
            await producer.publish_soon(window(k, participant, size=2000))
            for k in range(60)
            for participant in people
        ]
        await asyncio.gather(*sent)
    async with Consumer(config, WINDOWS) as consumer:
        received = [item.record for item in await read(consumer, 360)]
    for participant in people:
        own = [item.window_index for item in received if item.participant_id == participant]
        assert own == list(range(60))


# --- what cannot be sent -----------------------------------------------------------------------


async def test_a_record_over_the_limit_is_refused_with_its_size(config: Config) -> None:
    async with Producer(config) as producer:
        refused = await producer.publish(window(0, size=1_100_000))
        assert refused.partition == NO_PARTITION
        await producer.publish(window(1, size=1_000_000))
    async with Consumer(config, WINDOWS) as consumer:
        (received,) = await read(consumer, 1)
    assert received.record.window_index == 1
    async with Consumer(config, DEAD_LETTER) as consumer:
        (letter,) = await read(consumer, 1)
    assert "exceeds kafka.max_message_bytes = 1,048,576" in letter.record.reason
    assert int(letter.headers["original_bytes"]) > 1_100_000


async def test_a_missing_broker_is_reported_within_the_time() -> None:
    config = settings("127.0.0.1:1", connect_timeout_s=0.5)
    for attempt in (ensure_topics(config), Producer(config).__aenter__()):
        with pytest.raises(BrokerError, match=r"No Kafka broker answers at 127\.0\.0\.1:1"):
            await attempt
    with pytest.raises(BrokerError, match=r"streamer broker"):
        await Consumer(config, SCORES).__aenter__()


# --- what cannot be read ------------------------------------------------------------------------


@pytest.mark.slow
async def test_unreadable_messages_are_dead_lettered_and_reading_continues(config: Config) -> None:
    good = WINDOWS.encode(window(0)).value
    values = [b"\x00rubbish", None, good, b"", None]
    places = await send_raw(config, name_of(config, WINDOWS), *values)
    async with Consumer(config, WINDOWS, group="g") as consumer:
        (received,) = await read(consumer, 1)
        await consumer.commit([received])
        while consumer.counters["unreadable"] < 2 or consumer.counters["tombstones"] < 2:
            assert await consumer.batch(100, 200) == []
        assert consumer.counters["read"] == 1
    async with Consumer(config, DEAD_LETTER) as consumer:
        letters = [item.record for item in await read(consumer, 2)]
    assert [letter.value for letter in letters] == [b"\x00rubbish", b""]
    assert [(letter.partition, letter.offset) for letter in letters] == [places[0], places[3]]
    assert all(
        letter.topic == name_of(config, WINDOWS) and letter.key == b"s/ana" for letter in letters
    )
    assert all("not a record of windows" in letter.reason for letter in letters)
    # Everything is committed: the next consumer of the group begins after it.
    async with Consumer(config, WINDOWS, group="g") as consumer:
        await publish(config, window(1))
        (received,) = await read(consumer, 1)
        assert received.record.window_index == 1


async def test_a_consumer_without_a_group_writes_no_dead_letters(config: Config) -> None:
    await send_raw(config, name_of(config, SMOOTHED), b"rubbish", None)
    await publish(config, sentiment(0))
    async with Consumer(config, SMOOTHED) as consumer:
        (received,) = await read(consumer, 1)
        while not (consumer.counters["unreadable"] and consumer.counters["tombstones"]):
            await consumer.batch(1, 100)
        assert received.record == sentiment(0)
    assert kcat(config.kafka.broker, name_of(config, DEAD_LETTER), "%s") == []


async def test_a_dead_letter_contains_origin_and_headers(config: Config) -> None:
    raw = RawMessage(
        "elsewhere", 3, 41, 1_700_000_000_123, b"k", b"\xff" * 10, {"ce_id": b"s/ana/0/0"}
    )
    async with Producer(config) as producer:
        await producer.dead_letter(raw, "it is rubbish")
        whole = RawMessage("elsewhere", 3, 42, 0, None, b"x" * config.kafka.max_message_bytes)
        await producer.dead_letter(whole, "too large to keep")
    async with Consumer(config, DEAD_LETTER) as consumer:
        received = sorted(await read(consumer, 2), key=lambda item: item.record.offset)
    letter = received[0].record
    assert (letter.topic, letter.partition, letter.offset) == ("elsewhere", 3, 41)
    assert (letter.key, letter.value) == (b"k", b"\xff" * 10)
    assert letter.timestamp_ms == 1_700_000_000_123
    assert letter.reason == "it is rubbish"
    assert received[0].headers["original_header_ce_id"] == b"s/ana/0/0"
    assert received[0].headers["ce_id"] == b"elsewhere/3/41"
    assert received[1].headers["original_bytes"] == str(config.kafka.max_message_bytes).encode()
    assert len(received[1].record.value) < config.kafka.max_message_bytes


# --- where reading begins and continues ----------------------------------------------------------


async def test_reading_begins_at_the_configured_start(config: Config) -> None:
    then = datetime.now(UTC) - timedelta(minutes=1)
    then_ms = round(then.timestamp() * 1000)
    async with Producer(config) as producer:
        for k in range(3):
            await producer.publish(sentiment(k), timestamp_ms=then_ms - 1)
        await producer.publish(sentiment(3), timestamp_ms=then_ms)
    async with (
        Consumer(config, SMOOTHED, start="earliest") as whole,
        Consumer(config, SMOOTHED, start=then) as later,
        Consumer(config, SMOOTHED, start="latest") as newest,
        Consumer(config, SMOOTHED, start=datetime.now(UTC) + timedelta(hours=1)) as future,
    ):
        await publish(config, sentiment(4))
        assert [item.record.window_index for item in await read(whole, 5)] == [0, 1, 2, 3, 4]
        assert [item.record.window_index for item in await read(later, 2)] == [3, 4]
        assert [item.record.window_index for item in await read(newest, 1)] == [4]
        assert await future.batch(10, 300) == []


@pytest.mark.slow
async def test_a_group_continues_after_its_commit(config: Config) -> None:
    await publish(config, *(window(k) for k in range(5)))
    async with Consumer(config, WINDOWS, group="g") as consumer:
        received = await read(consumer, 5)
        await consumer.commit(received[:2])
        assert consumer.lag() in (0, 3)
    async with Consumer(config, WINDOWS, group="g") as consumer:
        again = await read(consumer, 3)
        assert [item.record.window_index for item in again] == [2, 3, 4]
        await consumer.commit()
        await publish(config, window(5))
        await read(consumer, 1)
    async with Consumer(config, WINDOWS, group="g") as consumer:
        assert [item.record.window_index for item in await read(consumer, 1)] == [5]


# --- Apache Kafka only --------------------------------------------------------------------------


@pytest.mark.kafka
async def test_a_rebalance_waits_for_the_records_in_use(kafka_config: Config) -> None:
    """Two consumers share a group; none of its records is lost or read again.

    (The embedded broker refuses commits during a rebalance: there they are read again.)
    """
    people = [f"p{number}" for number in range(12)]
    await publish(kafka_config, *(window(0, participant) for participant in people))
    async with Consumer(kafka_config, WINDOWS, group="g") as first:
        in_use = await read(first, len(people))
        async with Consumer(kafka_config, WINDOWS, group="g") as second:
            read_by_second: list[Any] = []

            async def follow() -> None:
                while True:
                    received = await second.batch(100, 200)
                    read_by_second.extend(received)
                    await second.commit(received)

            following = asyncio.create_task(follow())
            waiting = asyncio.create_task(first.batch(100, 200))
            async with asyncio.timeout(60):
                while not first.counters["rebalances"]:  # noqa: ASYNC110 - a counter
                    await asyncio.sleep(0.05)
            await first.commit(in_use)
            more = list(await waiting)
            await publish(kafka_config, *(window(1, participant) for participant in people))
            async with asyncio.timeout(60):
                while len(more) + len(read_by_second) < len(people):
                    received = await first.batch(100, 200)
                    more += received
                    await first.commit(received)
            following.cancel()
            await asyncio.wait([following])
    assert read_by_second, "the second consumer got no partition"
    both = [item.record for item in (*more, *read_by_second)]
    assert sorted(item.participant_id for item in both) == sorted(people)
    assert {item.window_index for item in both} == {1}


@pytest.mark.kafka
async def test_topics_have_the_configured_partitions_and_retention(kafka_broker: str) -> None:
    config = settings(kafka_broker, partitions=6, windows_retention_ms=600_000)
    await ensure_topics(config)
    await ensure_topics(config)
    names = [name_of(config, topic) for topic in TOPICS]
    admin = AdminClient({"bootstrap.servers": kafka_broker})
    present = admin.list_topics(timeout=10).topics
    assert {len(present[name].partitions) for name in names} == {6}
    kinds = {name: ConfigResource(ConfigResource.Type.TOPIC, name) for name in names}
    described = admin.describe_configs(list(kinds.values()))
    retention = {
        name: int(described[resource].result(10)["retention.ms"].value)
        for name, resource in kinds.items()
    }
    assert retention.pop(name_of(config, WINDOWS)) == 600_000
    assert set(retention.values()) == {config.kafka.retention_ms}


@pytest.mark.kafka
@pytest.mark.slow
async def test_an_outage_longer_than_a_group_session_loses_no_record(tmp_path: Path) -> None:
    """Producer, group and plain consumer continue; the producer's buffer stays bounded."""
    broker = KafkaBroker(tmp_path / "kafka", port=0)
    await asyncio.to_thread(broker.start)
    try:
        config = settings(broker.address)
        await ensure_topics(config)
        async with (
            Producer(config) as producer,
            Consumer(config, WINDOWS, group="g") as group,
            Consumer(config, WINDOWS) as plain,
        ):
            await producer.publish(window(0))
            await group.commit(await read(group, 1))
            await read(plain, 1)

            await asyncio.to_thread(broker.stop)
            count = 120
            sent: list[asyncio.Future[Position]] = []

            async def produce() -> None:
                for k in range(1, count):
                    sent.append(await producer.publish_soon(window(k, size=150_000)))

            producing = asyncio.create_task(produce())
            reading = {
                consumer: asyncio.create_task(read(consumer, count - 1))
                for consumer in (group, plain)
            }
            await asyncio.sleep(OUTAGE_S)
            assert not producing.done()
            assert 150_000 * len(sent) <= BUFFER_BYTES
            assert not any(item.done() for item in sent)
            await asyncio.to_thread(broker.start)
            await asyncio.wait_for(producing, 90)
            await asyncio.wait_for(asyncio.gather(*sent), 90)
            for consumer, task in reading.items():
                received = await asyncio.wait_for(task, 90)
                assert [item.record.window_index for item in received] == list(range(1, count))
                await consumer.commit(received)
        async with Consumer(config, WINDOWS, group="g") as group:
            await publish(config, window(count))
            assert [item.record.window_index for item in await read(group, 1)] == [count]
    finally:
        await asyncio.to_thread(broker.stop)


@pytest.mark.kafka
async def test_closing_reports_the_records_that_never_reached_the_broker(tmp_path: Path) -> None:
    broker = KafkaBroker(tmp_path / "kafka", port=0)
    await asyncio.to_thread(broker.start)
    try:
        config = settings(broker.address, connect_timeout_s=20)
        await ensure_topics(config)
        short = config.kafka.model_copy(update={"connect_timeout_s": 1.0})
        with pytest.raises(BrokerError, match="3 records could not be delivered"):
            async with Producer(config.model_copy(update={"kafka": short})) as producer:
                await producer.publish(window(0))
                await asyncio.to_thread(broker.stop)
                for k in range(1, 4):
                    await producer.publish_soon(window(k))
    finally:
        await asyncio.to_thread(broker.stop)


def certificates(folder: Path) -> dict[str, Path]:
    """Make a certificate authority, and a key and certificate of a server and of a client."""
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


async def publish_and_read(config: Config) -> None:
    await ensure_topics(config)
    await publish(config, sentiment(0))
    async with Consumer(config, SMOOTHED, group="g") as consumer:
        (received,) = await read(consumer, 1)
        await consumer.commit()
    assert received.record == sentiment(0)


@pytest.mark.kafka
@pytest.mark.slow
async def test_sasl_accepts_the_password_and_refuses_others(tmp_path: Path) -> None:
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
            await publish_and_read(settings(broker.address, security=security))
            wrong = {**security, "password": "guess"}
            config = settings(broker.address, security=wrong, connect_timeout_s=1)
            with pytest.raises(BrokerError, match=r"kafka\.security"):
                await ensure_topics(config)
        with pytest.raises(BrokerError):
            await ensure_topics(settings(broker.address, connect_timeout_s=1))
    finally:
        await asyncio.to_thread(broker.stop)


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.parametrize("users", [{}, {"ana": "secret"}])
async def test_tls_with_client_certificates(tmp_path: Path, users: Any) -> None:
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
        await publish_and_read(settings(broker.address, security=security))
        for refused in (stranger, distrustful):
            config = settings(broker.address, security=refused, connect_timeout_s=1)
            with pytest.raises(BrokerError, match=r"kafka\.security"):
                await ensure_topics(config)
    finally:
        with contextlib.suppress(BrokerError):
            await asyncio.to_thread(broker.stop)
