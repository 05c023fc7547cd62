"""What a number of participants needs, from unit costs and settings."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from streamer.capacity import unit_costs as costs
from streamer.capacity.figures import UTILISATION
from streamer.capacity.plan import (
    BROKER_MB_S,
    PARTITIONS_PER_WORKER,
    Demand,
    lines,
    plan,
    records_per_s,
    window_bytes,
)
from streamer.config import Config, build

ROOT = Path(__file__).resolve().parents[3]
CLUSTER = {"broker": "kafka:9092", "replication": 3}


def cluster(**changes: object) -> Config:
    """Settings of a Kafka cluster, with other ones in [kafka]."""
    return build({"kafka": {**CLUSTER, **changes}})


def test_a_window_has_only_the_modalities_of_the_session() -> None:
    words = build({"session": {"modalities": ["text"]}})
    sound = build({"session": {"modalities": ["audio", "text"]}})
    assert window_bytes(words) == costs.TEXT_BYTES
    assert window_bytes(sound) == costs.TEXT_BYTES + 5 * costs.AUDIO_BYTES_PER_S["flac"]
    faces = 5 * 5 * costs.CROP_BYTES
    assert window_bytes(Config()) == window_bytes(sound) + faces


def test_a_window_grows_with_its_length_and_with_the_area_of_a_face() -> None:
    longer = build({"windows": {"length_s": 10}})
    assert window_bytes(longer) - costs.TEXT_BYTES == 2 * (
        window_bytes(Config()) - costs.TEXT_BYTES
    )
    larger = build({"faces": {"size_px": 224}})
    assert window_bytes(larger) - window_bytes(Config()) == 3 * 5 * 5 * costs.CROP_BYTES


def test_cores_and_network_grow_with_the_participants_and_workers_never_fall_below_one() -> None:
    one, many = (plan(cluster(), Demand(count)) for count in (10, 1000))
    for stage in ("capture", "inference"):
        assert many.cores[stage] == pytest.approx(100 * one.cores[stage], rel=0.05)
    assert one.cores["processing"] < many.cores["processing"] < 100 * one.cores["processing"]
    assert many.in_mb_s == pytest.approx(100 * one.in_mb_s, rel=0.01)
    assert plan(cluster(), Demand(1)).inference_workers == 1
    assert many.inference_workers == pytest.approx(many.cores["inference"] / UTILISATION, abs=1)


def test_each_worker_has_partitions_to_share() -> None:
    planned = plan(cluster(), Demand(1000))
    workers = max(planned.inference_workers, planned.processing_workers)
    assert planned.partitions == PARTITIONS_PER_WORKER * workers


def test_everybody_talking_costs_more_than_turns() -> None:
    turns, everybody = (plan(cluster(), Demand(100, talk=talk)) for talk in ("turns", "all"))
    assert everybody.cores["capture"] == pytest.approx(100 * costs.CAPTURE_CPU.speaking)
    assert everybody.cores["inference"] > turns.cores["inference"]
    assert everybody.cores["processing"] > turns.cores["processing"]


def test_revisions_are_records_too_where_they_are_on() -> None:
    once = build({"kafka": CLUSTER, "windows": {"revisions": False}})
    assert records_per_s(once, Demand(10)) == 1.0
    speaking = records_per_s(cluster(), Demand(10, talk="all"))
    assert speaking == costs.RECORDS_PER_WINDOW.speaking > records_per_s(cluster(), Demand(10))
    assert plan(once, Demand(10)).in_mb_s < plan(cluster(), Demand(10)).in_mb_s


def test_a_longer_step_between_windows_needs_less_of_all_but_capture() -> None:
    slow = build({"kafka": CLUSTER, "windows": {"hop_s": 2}})
    before, after = plan(cluster(), Demand(1000)), plan(slow, Demand(1000))
    assert after.cores["inference"] == pytest.approx(before.cores["inference"] / 2, rel=0.01)
    assert after.cores["capture"] == before.cores["capture"]
    assert after.in_mb_s == pytest.approx(before.in_mb_s / 2, rel=0.01)


def test_disk_follows_retention_and_replication() -> None:
    kept = plan(cluster(), Demand(1000))
    doubled = plan(cluster(windows_retention_ms=7_200_000), Demand(1000))
    single = plan(cluster(replication=1), Demand(1000))
    assert doubled.windows_disk_gb == pytest.approx(2 * kept.windows_disk_gb, rel=0.01)
    assert doubled.other_disk_gb == kept.other_disk_gb
    assert kept.windows_disk_gb == pytest.approx(3 * single.windows_disk_gb, rel=0.01)
    windows = 1000 * 3600 * records_per_s(cluster(), Demand(1000))
    windows_gb = windows * window_bytes(cluster()) * 3 / 1e9
    assert kept.windows_disk_gb == pytest.approx(windows_gb, rel=0.01)


def test_there_are_never_fewer_brokers_than_replicas_and_more_for_more_traffic() -> None:
    assert plan(cluster(), Demand(1)).brokers == 3
    planned = plan(cluster(), Demand(100_000))
    assert planned.brokers >= max(planned.in_mb_s, planned.out_mb_s) / BROKER_MB_S > 3


def test_a_session_is_not_larger_than_all_participants() -> None:
    assert plan(cluster(), Demand(3)).sessions == 1
    assert plan(cluster(), Demand(25)).sessions == 3
    assert plan(cluster(), Demand(3)).cores == plan(cluster(), Demand(3, per_session=3)).cores


def test_the_smallest_limit_is_the_first_and_more_partitions_raise_it() -> None:
    few = plan(cluster(partitions=1), Demand(1000))
    assert [limit.participants for limit in few.limits] == sorted(
        limit.participants for limit in few.limits
    )
    assert "partitions" in few.limits[0].part
    assert "kafka.partitions" in few.limits[0].more
    many = plan(cluster(partitions=100_000), Demand(1000))
    assert "partitions" not in many.limits[0].part
    assert many.limits[0].participants > few.limits[0].participants


def test_the_embedded_broker_is_limited_by_the_bytes_in_flight() -> None:
    once = build({"windows": {"revisions": False}})
    first = plan(once, Demand(2)).limits[0]
    assert "in_flight_bytes" in first.part and "Apache Kafka" in first.more
    assert first.participants == 3_000_000 // window_bytes(once)


def test_small_windows_on_the_embedded_broker_are_limited_by_their_number() -> None:
    words = build({"session": {"modalities": ["text"]}, "windows": {"revisions": False}})
    first = plan(words, Demand(2)).limits[0]
    assert "one session on the embedded broker" in first.part
    assert first.participants == costs.EMBEDDED_RECORDS_PER_S


def test_a_demand_beyond_the_first_limit_is_said_to_break() -> None:
    config = cluster(partitions=4)
    *_, takes, breaks = lines(config, [plan(config, Demand(count)) for count in (2, 1000)])
    assert takes.startswith("2 participants: this configuration takes them;")
    assert breaks.startswith("1,000 participants: this configuration breaks at ")


def test_every_row_has_a_column_for_each_plan() -> None:
    config = cluster()
    table = lines(config, [plan(config, Demand(count)) for count in (10, 1000)])
    rows = table[: table.index("")]
    assert rows[0].split() == ["participants", "10", "1,000"]
    assert len({len(row) for row in rows}) == 1


def test_a_plan_is_plain_json() -> None:
    planned = plan(cluster(), Demand(1000))
    assert json.loads(json.dumps(asdict(planned)))["participants"] == 1000


def test_the_document_contains_what_the_command_prints() -> None:
    """docs/scaling.md: `streamer plan` with the options that it names."""
    config = build({"kafka": {"broker": "kafka:9092", "replication": 3, "partitions": 12}})
    printed = lines(config, [plan(config, Demand(count)) for count in (10, 1000, 100_000)])
    block = "\n".join(f"    {line}".rstrip() for line in printed)
    assert block in (ROOT / "docs" / "scaling.md").read_text("utf-8"), block
