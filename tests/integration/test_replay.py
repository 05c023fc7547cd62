"""The command line end to end: a recording in, one published sentiment per window out.

Real processes, real brokers, the default checkpoint; read back with our own client, with kcat and
with Kafka's own console consumer.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from streamer.rounding import rounded
from tests.integration.replaying import WINDOWS, Finished, in_order, lines, replay, streamer, topic

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def kafka_replay(recordings: dict[str, Path], kafka_broker: str) -> tuple[str, Finished]:
    """Both participants at full speed over real Kafka; its topic prefix and what it said."""
    prefix = "replayed"
    files = [f"{name}={path}" for name, path in recordings.items()]
    said = streamer(
        "replay",
        *(f"--participant={file}" for file in files),
        *("--session", "standup", "--speed", "0", "--json"),
        *("--broker", kafka_broker, "--set", f"kafka.topic_prefix={prefix}"),
    )
    return prefix, said


@pytest.fixture(scope="module")
def embedded_replay(recordings: dict[str, Path]) -> Finished:
    """Ana at full speed on a broker that the command starts itself."""
    return replay(recordings["ana"], "--broker", "embedded")


def test_embedded_replay_publishes_every_window_once(embedded_replay: Any) -> None:
    assert embedded_replay.code == 0, embedded_replay.errors
    in_order(embedded_replay.records, WINDOWS)


def test_what_is_said_reaches_the_published_record(embedded_replay: Any) -> None:
    record = embedded_replay.records[11]
    assert "customers love the new design" in record["text"]
    assert record["valence_raw"] > 0
    assert "text" in record["evidence"]
    assert set(record["latency_ms"]) >= {"queue", "inference", "smoothing", "total"}
    assert embedded_replay.records[0]["event_time"].endswith("Z")


def test_kafka_replay_publishes_every_window_of_everyone(kafka_replay: Any) -> None:
    _, said = kafka_replay
    assert said.code == 0, said.errors
    for name in ("ana", "bo"):
        in_order([r for r in said.records if r["participant_id"] == name], WINDOWS)


def test_the_moods_of_the_meeting_differ(kafka_replay: Any) -> None:
    said = [r for r in kafka_replay[1].records if r["valence"] is not None]
    last = {r["participant_id"]: r for r in said}
    assert last["ana"]["valence"] > last["bo"]["valence"] + 0.5


def test_every_topic_has_its_records(kafka_replay: Any, kafka_broker: str) -> None:
    prefix, said = kafka_replay
    read = {
        name: [json.loads(line) for line in lines(kafka_broker, f"{prefix}.{name}.v1")]
        for name in ("scores", "session-smoothed", "sessions", "alerts", "dead-letter")
    }
    assert {r["window_id"] for r in read["scores"]} == {r["window_id"] for r in said.records}
    assert [r["window_index"] for r in read["session-smoothed"]] == list(range(WINDOWS))
    assert {a["participant_id"] for a in read["alerts"]} >= {"bo"}
    assert read["dead-letter"] == []
    started, ended = read["sessions"]
    assert (started["state"], ended["state"]) == ("started", "ended")
    assert {p["participant_id"]: p["windows"] for p in ended["participants"]} == {
        "ana": WINDOWS,
        "bo": WINDOWS,
    }
    assert len(topic(kafka_broker, f"{prefix}.windows.v1", "%S\n").split()) == 2 * WINDOWS


def test_kcat_reads_the_same_records(kafka_replay: Any, kafka_broker: str) -> None:
    assert shutil.which("kcat"), "kcat is set up by scripts/setup test"
    prefix, said = kafka_replay
    read = subprocess.run(
        ["kcat", "-C", "-q", "-e", "-b", kafka_broker, "-t", f"{prefix}.smoothed.v1"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout.splitlines()
    by_id = {record["window_id"]: record for record in map(json.loads, read)}
    assert rounded(by_id) == {record["window_id"]: record for record in said.records}
    assert len(read) == len(by_id) == 2 * WINDOWS
