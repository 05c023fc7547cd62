"""Replays with other settings and of other recordings: fewer modalities, no persons, recorded."""

import json
import math
from pathlib import Path

import av
import msgspec
import pytest

from streamer.recording.reader import Recordings
from streamer.records import Window
from tests.integration.replaying import (
    SHORT,
    Finished,
    in_order,
    lines,
    replay,
    streamer,
    topic,
    without_times,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first replay is recorded."""
    return tmp_path_factory.mktemp("recorded")


@pytest.fixture(scope="module")
def first(short: dict[str, Path], kafka_broker: str, folder: Path) -> Finished:
    """A replay that is recorded, with its windows and media."""
    keep = ("--record", str(folder), "--record-windows", "--record-media")
    return once_more("first", short["bo"], kafka_broker, *keep)


def once_more(prefix: str, file: Path, broker: str, *options: str) -> Finished:
    return replay(
        file,
        *("--session-id", "again", "--broker", broker, *options),
        *("--set", f"kafka.topic_prefix={prefix}"),
    )


def test_two_replays_have_the_same_windows_and_scores(
    short: dict[str, Path], kafka_broker: str, first: Finished
) -> None:
    """The wire bytes of windows are equal; scores and sentiments are, but for their latencies."""
    seen = []
    second = once_more("second", short["bo"], kafka_broker)
    for prefix, said in (("first", first), ("second", second)):
        assert said.code == 0, said.errors
        windows = topic(kafka_broker, f"{prefix}.windows.v1", "%S:%s")
        scores = [json.loads(s) for s in lines(kafka_broker, f"{prefix}.scores.v1")]
        seen.append((windows, [without_times(s) for s in scores]))
        assert len(scores) == SHORT
    assert seen[0] == seen[1]


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
    """Three talking heads at once on real Kafka: a sentiment a window, from all modalities."""
    clips = [shared_data / "clips" / f"{name}.mp4" for name in ("17", "27", "WDA_KatieHill_000")]
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


def length_s(clip: Path) -> float:
    with av.open(str(clip)) as container:
        duration_us: int = container.duration
        return duration_us / 1e6


def test_a_recorded_replay_keeps_windows_and_media_when_asked(
    short: dict[str, Path], folder: Path, first: Finished
) -> None:
    assert first.code == 0, first.errors
    in_order(first.records, SHORT)
    saved = Recordings(folder)
    bo = saved.find("again")
    assert [w.window_id for w in saved.windows(bo)] == [r["window_id"] for r in first.records]
    assert saved.media(bo)["bo"].read_bytes() == short["bo"].read_bytes()
    again = streamer(
        *("replay", "--recorded", "again", "--dir", str(folder), "--speed", "0", "--json")
    )
    assert again.code == 0, again.errors
    values = ("window_index", "valence_raw", "valence", "text")
    assert [[r[name] for name in values] for r in again.records] == [
        [r[name] for name in values] for r in first.records
    ]
