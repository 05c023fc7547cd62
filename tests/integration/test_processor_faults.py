"""The stream processor on a broker: what a fault must not do to the published sentiment.

Every test starts real workers (processes of their own) and compares what lies on the topics with
what the pure smoothing gives for the same scores: every window once or more, and by window_id and
revision one value only.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka.admin import AdminClient, ConfigResource

from streamer.kafka.consumer import Consumer
from streamer.kafka.embedded import EmbeddedBroker
from streamer.kafka.provision import changelogs
from streamer.kafka.topics import (
    ALERTS,
    DEAD_LETTER,
    SCORES,
    SESSION_INPUT,
    SESSION_SMOOTHED,
    SESSIONS,
    SMOOTHED,
)
from streamer.policy import UNKNOWN_SESSION
from tests import made_records
from tests.processor_bench import (
    Bench,
    as_expected,
    assigned,
    benches,
    changelog,
    conversation,
    finish,
    logged,
    meeting_as_expected,
    reading,
    score,
    shared,
    talking,
)


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    with EmbeddedBroker() as embedded:
        yield embedded.address


@pytest.fixture
def bench(broker: str, tmp_path: Path) -> Iterator[Bench]:
    yield from benches(broker, tmp_path)


@pytest.fixture
def kafka_bench(kafka_broker: str, tmp_path: Path) -> Iterator[Bench]:
    yield from benches(kafka_broker, tmp_path)


async def test_starts_before_its_topics_and_passes_tombstones_and_garbage(bench: Bench) -> None:
    bench.set("smoothing.idle_flush_s=1.0")
    worker = bench.start()
    await assigned(bench, 0)
    good = [score("s", "ana", index, session_participants=1) for index in range(6)]
    producer = AIOKafkaProducer(bootstrap_servers=bench.config.kafka.broker)
    await producer.start()
    try:
        sessions = SESSIONS.full_name(bench.prefix)
        await producer.send_and_wait(sessions, SESSIONS.encode(bench.session).value, key=b"s")
        for index, each in enumerate(good):
            key = b"s/ana"
            value = SCORES.encode(each).value
            await producer.send_and_wait(SCORES.full_name(bench.prefix), None, key=key)
            await producer.send_and_wait(SCORES.full_name(bench.prefix), b"{not json", key=key)
            if index != 4:
                await producer.send_and_wait(SCORES.full_name(bench.prefix), value, key=key)
            await producer.send_and_wait(SESSION_INPUT.full_name(bench.prefix), None, key=b"s")
            await producer.send_and_wait(SESSION_INPUT.full_name(bench.prefix), b"\xff", key=b"s")
    finally:
        await producer.stop()
    expected = {each.window_id for each in good if each.window_index != 4}
    async with reading(bench, SMOOTHED) as out, reading(bench, SESSION_SMOOTHED) as meeting:
        records = await out.windows(expected)  # window 5 by the flush after silence
        assert [each.window_index for each in records] == [0, 1, 2, 3, 5]
        assert all(each.latency_ms["total"] >= 30.0 for each in records)
        await meeting.windows({f"s/*/{index}" for index in (0, 1, 2, 3, 5)})
    finish(worker)
    assert await bench.committed(SCORES) == 17
    assert await bench.committed(SESSION_INPUT) == 12 + 5
    buried = await dead_letters(bench)
    assert len(buried) == 12
    origins = {(each["original_topic"], each["reason"][:16]) for each in buried}
    assert origins == {
        (SCORES.full_name(bench.prefix).encode(), b"not a record of "),
        (SESSION_INPUT.full_name(bench.prefix).encode(), b"not a record of "),
    }


async def dead_letters(bench: Bench) -> list[dict[str, bytes]]:
    async with Consumer(bench.config, DEAD_LETTER) as reader:
        return [dict(each.headers) async for each in reader.snapshot()]


async def test_killed_in_the_middle_publishes_every_window_with_one_value(bench: Bench) -> None:
    people, windows = ("ana", "bo", "cy", "di", "eve"), 240
    scores = conversation(people, 0, windows - 1, final=True)
    async with bench.publisher() as publisher, reading(bench, SMOOTHED) as out:
        worker = bench.start()
        await bench.publish(publisher, scores[: len(scores) // 2])
        await out.until(lambda records: len(records) > 150)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        await bench.publish(publisher, scores[len(scores) // 2 :])
        second = bench.start()
        records = await out.windows({each.window_id for each in scores})
        finish(second)
    as_expected(records, scores, bench)


async def test_recovers_from_a_long_changelog(bench: Bench) -> None:
    people, windows = tuple(f"p{number}" for number in range(6)), 400
    scores = [score("s", person, index) for index in range(windows) for person in people]
    async with bench.publisher() as publisher, reading(bench, SMOOTHED) as out:
        worker = bench.start()
        await bench.publish(publisher, scores)
        await out.until(lambda records: len(records) == len(scores))
        finish(worker)
        worker = bench.start()
        again = scores[: len(people)] + scores[-len(people) :]
        more = [score("s", person, windows + index) for index in range(5) for person in people]
        await bench.publish(publisher, again + more)
        records = await out.windows({each.window_id for each in more})
        finish(worker)
    assert len(records) == len(scores) + len(more)
    as_expected(records, scores + more, bench)


async def test_a_worker_takes_over_from_one_that_is_killed(bench: Bench) -> None:
    async with reading(bench, SMOOTHED) as out:
        async with talking(bench, ("ana", "bo", "cy", "di")) as scores:
            first = bench.start()
            await out.until(lambda records: len(records) > 50)
            second = bench.start()
            await shared(bench, 1, out)
            first.send_signal(signal.SIGKILL)
            first.wait()
        records = await out.windows({each.window_id for each in scores})
    finish(second)
    as_expected(records, scores, bench)


@pytest.mark.kafka
async def test_workers_that_join_leave_and_die_lose_nothing(
    kafka_bench: Bench, tmp_path: Path
) -> None:
    """One worker, then three, of which one dies while the group rebalances, then one."""
    pytest.importorskip("rocksdict")
    bench = kafka_bench
    bench.set("smoothing.store=rocksdb", f"smoothing.data_dir={tmp_path}/tables")
    async with reading(bench, SMOOTHED) as out, reading(bench, SESSION_SMOOTHED) as meeting:
        async with talking(bench, [f"p{number}" for number in range(8)]) as scores:
            first = bench.start()
            await out.until(lambda records: len(records) > 50)
            second = bench.start()
            await shared(bench, 1, out)
            given_back = bench.log(1).count("are given back")
            third = bench.start()
            await logged(bench, 1, "are given back", times=given_back + 1)
            second.send_signal(signal.SIGKILL)
            second.wait()
            await shared(bench, 2, out)
            finish(third)
        records = await out.windows({each.window_id for each in scores})
        await meeting_as_expected(meeting, scores, bench)
    finish(first)
    as_expected(records, scores, bench)
    for name in changelogs(bench.config):
        await never_back(bench, name)


@pytest.mark.kafka
async def test_a_worker_that_was_paused_changes_nothing(kafka_bench: Bench) -> None:
    """Two workers; one is stopped (SIGSTOP) until the other has its partitions, and goes on.

    It is stopped in the middle of a backlog, so that it has messages in hand and states queued: a
    worker that went on with them would set back the states that the other has written since. The
    meeting is slow meanwhile: at most 256 windows are out when a late report comes. At the start
    one participant's path is held up, until the meeting has gone on without it.
    """
    bench = kafka_bench
    bench.set("smoothing.lateness_s=2")
    people = [f"p{number}" for number in range(8)]
    held = {"p3"}
    async with reading(bench, SMOOTHED) as out, reading(bench, SESSION_SMOOTHED) as meeting:
        paused = bench.start()
        second = bench.start()
        for number in (0, 1):
            await logged(bench, number, r"partitions \[\d, \d\] of session_input")
        async with talking(bench, people, held) as scores:
            await meeting.until(lambda records: len(records) > 20)
            held.clear()
            await shared(bench, 1, out)
            everything = r"partitions \[0, 1, 2, 3\] of session_input"
            times = len(re.findall(everything, bench.log(1)))
            before = len(out.records)
            scores.ahead, scores.interval_s = 100, 1.0
            await out.until(lambda records: len(records) >= before + 200)
            paused.send_signal(signal.SIGSTOP)
            await logged(bench, 1, everything, times=times + 1)
            before = len(out.records)
            await out.until(lambda records: len(records) >= before + 100)
            paused.send_signal(signal.SIGCONT)
            await logged(bench, 0, "Starting over: the process stood still")
            scores.interval_s = 0.1
            await shared(bench, 1, out)
        records = await out.windows({each.window_id for each in scores})
        await meeting_as_expected(meeting, scores, bench)
    assert {each.revision for each in meeting.records} >= {0, 1}
    finish(paused)
    finish(second)
    as_expected(records, scores, bench)
    for name in changelogs(bench.config):
        await never_back(bench, name)


async def never_back(bench: Bench, name: str) -> None:
    """No value in a changelog is less far than the one of its key before it."""
    changes = await changelog(bench, name)
    assert changes
    for key, row in changes.items():
        assert row == sorted(row), key


@pytest.mark.kafka
async def test_changelogs_are_compacted_and_lie_in_as_many_partitions(kafka_bench: Bench) -> None:
    bench = kafka_bench
    bench.set("kafka.partitions=3", "kafka.compression=zstd")
    async with reading(bench, SMOOTHED) as out, talking(bench, ["ana"]):
        worker = bench.start()
        await out.until(lambda records: len(records) > 10)
    finish(worker)
    admin = AdminClient({"bootstrap.servers": bench.config.kafka.broker})
    for name in changelogs(bench.config):
        assert len(admin.list_topics(name, timeout=10).topics[name].partitions) == 3
        resource = ConfigResource(ConfigResource.Type.TOPIC, name)
        settings = admin.describe_configs([resource])[resource].result(timeout=10)
        assert settings["cleanup.policy"].value == "compact"


async def test_publishes_the_meeting_and_no_person_if_the_session_says_so(bench: Bench) -> None:
    bench.session = made_records.session(session_id="s", publish="session", min_participants=2)
    people, windows = ("ana", "bo"), 40
    scores = [
        score("s", person, index, valence=-2.5, final=index == windows - 1)
        for index in range(windows)
        for person in people
    ]
    late = score("no record", "ana", 0)
    async with bench.publisher() as publisher, reading(bench, SESSION_SMOOTHED) as out:
        worker = bench.start()
        await bench.publish(publisher, [late, *scores])
        records = await out.windows({f"s/*/{index}" for index in range(windows)})
        finish(worker)
    assert records[-1].final
    async with reading(bench, SMOOTHED) as persons, reading(bench, ALERTS) as alerts:
        of_persons = [each.record async for each in persons.reader.snapshot()]
        found = await alerts.until(lambda records: len(records) > 0)
    assert of_persons == []
    assert all(record.participants == 2 or record.valence is None for record in records)
    [letter] = await dead_letters(bench)
    assert letter["reason"].decode() == UNKNOWN_SESSION
    assert {each.participant_id for each in found} == {None}


def test_an_unreachable_broker_is_one_sentence_and_exit_code_4(tmp_path: Path) -> None:
    bench = Bench("127.0.0.1:9", "nowhere", tmp_path)
    bench.set("kafka.connect_timeout_s=2")
    worker = bench.start()
    stdout, _ = worker.communicate(timeout=30)
    assert worker.returncode == 4
    assert stdout == b""
    assert "Traceback" not in bench.said()
    assert "127.0.0.1:9" in bench.said()
