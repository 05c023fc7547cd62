"""The command line end to end: a recording in, one published sentiment per window out.

Real processes, real brokers, the default checkpoint; read back with our own client, with kcat and
with Kafka's own console consumer.
"""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import msgspec
import pytest

from streamer.demo import LENGTH_S, meeting
from streamer.recording.reader import Recordings
from streamer.records import Window

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

WINDOWS = math.ceil(LENGTH_S)
SHORT = 14
"""Seconds, and so windows, of the meeting's beginning: enough for all but the bounds of memory."""


@dataclass(frozen=True)
class Finished:
    """What a finished `streamer` process said."""

    code: int
    lines: list[str]
    errors: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """Standard output, one JSON object per line and nothing else."""
        return [json.loads(line) for line in self.lines]


def streamer(*arguments: str, env: Mapping[str, str] | None = None, timeout: Any = 300) -> Finished:
    process = subprocess.run(
        [sys.executable, "-m", "streamer", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **(env or {})},
        check=False,
    )
    return Finished(process.returncode, process.stdout.splitlines(), process.stderr)


def replay(file: Path | str, *arguments: str, **options: Any) -> Finished:
    return streamer("replay", str(file), "--speed", "0", "--json", *arguments, **options)


def in_order(records: Sequence[dict[str, Any]], count: int) -> None:
    """One sentiment per window, each once, in order, only the last one final."""
    assert [r["window_index"] for r in records] == list(range(count))
    assert [r["final"] for r in records] == [False] * (count - 1) + [True]
    for record in records:
        session, participant, index = record["window_id"].split("/")
        assert (session, participant) == (record["session_id"], record["participant_id"])
        assert int(index) == record["window_index"]
        assert record["valence"] is None or -3 <= record["valence"] <= 3


def without_times(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "latency_ms"}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The demo's meeting, made anew."""
    return meeting(tmp_path_factory.mktemp("meeting") / "made")


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The first SHORT seconds of the meeting."""
    return meeting(tmp_path_factory.mktemp("short") / "made", SHORT)


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
    assert by_id == {record["window_id"]: record for record in said.records}
    assert len(read) == len(by_id) == 2 * WINDOWS


def test_two_replays_have_the_same_windows_and_scores(
    short: dict[str, Path], kafka_broker: str
) -> None:
    """The wire bytes of windows are equal; scores and sentiments are, but for their latencies."""
    seen = []
    for prefix in ("first", "second"):
        said = replay(
            short["bo"],
            *("--session-id", "again", "--broker", kafka_broker),
            *("--set", f"kafka.topic_prefix={prefix}"),
        )
        assert said.code == 0, said.errors
        windows = topic(kafka_broker, f"{prefix}.windows.v1", "%S:%s")
        scores = [json.loads(s) for s in lines(kafka_broker, f"{prefix}.scores.v1")]
        seen.append((windows, [without_times(s) for s in scores]))
        assert len(scores) == SHORT
    assert seen[0] == seen[1]


def topic(broker: str, name: str, form: str) -> bytes:
    command = ["kcat", "-C", "-q", "-e", "-b", broker, "-t", name, "-f", form]
    return subprocess.run(command, capture_output=True, timeout=60, check=True).stdout


def lines(broker: str, name: str) -> list[str]:
    return topic(broker, name, "%s\n").decode().splitlines()


def test_text_only_keeps_no_sound_and_no_picture(short: dict[str, Path], kafka_broker: str) -> None:
    said = replay(
        short["bo"],
        *("--broker", kafka_broker, "--set", "kafka.topic_prefix=words"),
        *("--set", 'session.modalities=["text"]'),
    )
    assert said.code == 0, said.errors
    in_order(said.records, SHORT)
    assert {e for r in said.records for e in r["evidence"]} == {"text"}
    raw = topic(kafka_broker, "words.windows.v1", "%s").split(b"schema_version")
    assert len(raw) - 1 == SHORT
    decoder = msgspec.msgpack.Decoder(Window)
    sizes = [int(size) for size in topic(kafka_broker, "words.windows.v1", "%S\n").split()]
    whole, at = topic(kafka_broker, "words.windows.v1", "%s"), 0
    for size in sizes:
        window = decoder.decode(whole[at : at + size])
        at += size
        assert window.audio is None
        assert window.faces == ()


def test_a_meeting_can_be_published_without_any_single_person(
    short: dict[str, Path], tmp_path: Path
) -> None:
    said = streamer(
        "replay",
        *(f"--participant={name}={path}" for name, path in short.items()),
        *("--speed", "0", "--json", "--session", "standup"),
        *("--set", "smoothing.publish=session", "--set", "smoothing.session_min_participants=2"),
    )
    assert said.code == 0, said.errors
    assert [r["window_index"] for r in said.records] == list(range(SHORT))
    assert all("participant_id" not in record for record in said.records)
    assert not any(name in line for line in said.lines for name in ('"ana"', '"bo"'))
    assert any(r["valence"] is not None and r["participants"] == 2 for r in said.records)


def test_clips_of_real_people(shared_data: Path, kafka_broker: str) -> None:
    """Every clip at once on real Kafka, and one on the embedded broker: a sentiment a window."""
    clips = sorted((shared_data / "clips").glob("*.mp4"))
    assert len(clips) >= 6
    prefix = "clips"
    said = streamer(
        *("replay", "--speed", "0", "--json", "--session", "clips", *map(str, clips)),
        *("--broker", kafka_broker, "--set", f"kafka.topic_prefix={prefix}"),
    )
    assert said.code == 0, said.errors
    for clip in clips:
        mine = [r for r in said.records if r["participant_id"] == clip.stem]
        in_order(mine, len(mine))
        assert abs(len(mine) - math.ceil(length_s(clip))) <= 1
        for modality in ("audio", "text", "vision"):
            assert any(r["presence"][modality] > 0 for r in mine)
    read = [json.loads(line) for line in lines(kafka_broker, f"{prefix}.smoothed.v1")]
    assert {r["window_id"] for r in read} == {r["window_id"] for r in said.records}
    embedded = replay(clips[0])
    assert embedded.code == 0, embedded.errors
    in_order(embedded.records, len([r for r in read if r["participant_id"] == clips[0].stem]))


def length_s(clip: Path) -> float:
    with av.open(str(clip)) as container:
        duration_us: int = container.duration
        return duration_us / 1e6


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["absent.mp4"], 3, "absent.mp4"),
        (["notes.txt"], 3, "notes.txt"),
        (["empty.wav"], 3, "empty.wav"),
        (["notes.txt", "--set", "windows.lenght_s=3"], 2, "did you mean 'windows.length_s'"),
        (["notes.txt", "--speed", "-1"], 2, "speed"),
        ([], 2, "Nobody to listen to"),
    ],
)
def test_bad_input_is_one_sentence_and_a_code(
    arguments: Any, code: int, told: str, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("no media here")
    (tmp_path / "empty.wav").write_bytes(b"")
    paths = [str(tmp_path / a) if a.endswith((".mp4", ".txt", ".wav")) else a for a in arguments]
    said = streamer("replay", "--json", *paths)
    assert said.code == code, said.errors
    assert told in said.errors
    assert "Traceback" not in said.errors
    assert said.lines == []


def test_an_unreachable_broker_is_one_sentence(short: dict[str, Path]) -> None:
    said = replay(
        short["ana"],
        *("--broker", "localhost:1", "--set", "kafka.connect_timeout_s=3"),
    )
    assert said.code == 4
    assert "localhost:1" in said.errors
    assert "Traceback" not in said.errors
    assert said.lines == []


def test_a_wrong_checkpoint_is_told_by_the_stage_that_met_it(
    short: dict[str, Path], tmp_path: Path
) -> None:
    said = replay(short["ana"], "--set", f"inference.checkpoint={tmp_path / 'none'}")
    assert said.code == 7
    assert "inference stage" in said.errors
    assert str(tmp_path / "none") in said.errors
    assert "Traceback" not in said.errors


def test_a_recorded_replay_keeps_windows_and_media_when_asked(
    short: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    keep = ("--record", str(folder), "--record-windows", "--record-media")
    finished = replay(short["ana"], *keep)
    assert finished.code == 0, finished.errors
    in_order(finished.records, SHORT)
    kept = Recordings(folder)
    ana = kept.find("ana")
    assert [w.window_id for w in kept.windows(ana)] == [r["window_id"] for r in finished.records]
    assert kept.media(ana)["ana"].read_bytes() == short["ana"].read_bytes()
    again = streamer("replay", "--recorded", "ana", "--dir", str(folder), "--speed", "0", "--json")
    assert again.code == 0, again.errors
    values = ("window_index", "valence_raw", "valence", "text")
    assert [[r[name] for name in values] for r in again.records] == [
        [r[name] for name in values] for r in finished.records
    ]


def test_what_to_record_without_a_place_for_it_is_refused(short: dict[str, Path]) -> None:
    refused = replay(short["ana"], "--record-windows")
    assert refused.code == 2
    assert "--record-windows and --record-media require --record DIR." in refused.errors


def test_ctrl_c_ends_a_replay_cleanly(recordings: dict[str, Path]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "streamer", "replay", str(recordings["ana"]), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        first = process.stdout.readline()
        assert json.loads(first)["window_index"] == 0
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        rest, errors = process.stdout.read(), process.stderr.read()
    assert process.returncode == 130, errors
    records = [json.loads(line) for line in rest.splitlines()]
    assert records[-1]["final"] is True
    assert [r["window_index"] for r in records] == list(range(1, len(records) + 1))
    assert len(records) < WINDOWS - 10
    assert "Traceback" not in errors
