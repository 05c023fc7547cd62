"""What a number of participants needs: workers, partitions, brokers, network, disk.

What enters: settings, a number of participants, and measured unit costs. What leaves: a Plan, and
its lines of text. Pure. It does not know the machine: cores are those that `unit_costs` measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streamer.capacity import unit_costs as costs
from streamer.capacity.figures import UTILISATION, Talk
from streamer.config import Config
from streamer.counted import counted
from streamer.kafka.provision import PlannedTopic, Role, changelogs, planned_topics
from streamer.kafka.topics import (
    SCORES,
    SESSION_INPUT,
    SESSION_SMOOTHED,
    SMOOTHED,
    WINDOWS,
)

CPU_STAGES = ("capture", "inference", "processing")
WORKERS = ("inference", "processing")
READERS: frozenset[Role] = frozenset({"infer", "process", "record"})
"""The commands whose reading is planned; a subscriber reads one topic more, `smoothed`."""

# Choices, not measured.
PARTITIONS_PER_WORKER = 2
"""So that participants spread over the workers, and one more worker gets work."""
BROKER_MB_S = 60.0
"""What a broker receives or sends: half of a link of 1 Gbit/s."""
BROKER_DISK_GB = 2_000.0
BROKER_PARTITIONS = 4_000
"""Kafka's own advice for one broker, replicas counted."""
SEGMENT_BYTES = 1 << 30
"""Kafka's `segment.bytes`; a compacted topic keeps about two in each partition."""
LAG_S = 2.0
"""A stage whose work has grown to this many seconds gets another worker."""
COMMIT_S = 1.0
"""How often processing commits: so much of its input always counts as lag."""
EMBEDDED_ANSWER_S = 1.0
"""How long a window is in flight on the embedded broker."""


@dataclass(frozen=True)
class Demand:
    """How many people, in sessions of how many, and who has sound."""

    participants: int
    per_session: int = 10
    talk: Talk = "turns"

    @property
    def members(self) -> int:
        """Participants of one session."""
        return min(self.participants, self.per_session)

    @property
    def sessions(self) -> int:
        """Sessions at a time."""
        return math.ceil(self.participants / self.members)

    @property
    def speaking(self) -> float:
        """The share of the time in which a participant speaks."""
        return 1.0 if self.talk == "all" else 1.0 / self.members


@dataclass(frozen=True)
class Limit:
    """How many participants one part of the configuration takes, and what gives it more."""

    part: str
    participants: int
    more: str


@dataclass(frozen=True)
class Plan:
    """What a demand needs; the limits are those of the configuration, smallest first."""

    participants: int
    sessions: int
    windows_per_s: float
    window_bytes: int
    cores: Mapping[str, float]
    memory_gb: Mapping[str, float]
    capture_processes: int
    inference_workers: int
    processing_workers: int
    partitions: int
    partition_replicas: int
    brokers: int
    in_mb_s: float
    out_mb_s: float
    windows_disk_gb: float
    other_disk_gb: float
    windows_lag: int
    scores_lag: int
    largest_session: int
    limits: tuple[Limit, ...]


@dataclass(frozen=True)
class _Traffic:
    """One topic: bytes a second before replication, how many read them, bytes kept."""

    topic: PlannedTopic
    bytes_per_s: float
    readers: int
    kept_bytes: float


def plan(config: Config, demand: Demand) -> Plan:
    """Return what `demand` needs with these settings."""
    cores, per_s = cores_per_participant(config, demand), records_per_s(config, demand)
    all_cores = {stage: demand.participants * cost for stage, cost in cores.items()}
    workers = {stage: _workers(stage, all_cores[stage]) for stage in WORKERS}
    partitions = PARTITIONS_PER_WORKER * max(workers.values())
    all_cores["processing"] += workers["processing"] * costs.PROCESSING_IDLE_CPU
    traffic = _traffic(config, demand, partitions)
    replication = config.kafka.replication
    in_mb_s, out_mb_s = _network(traffic, replication)
    windows_gb, other_gb = _disk_gb(traffic, config)
    replicas = len(traffic) * partitions * replication
    return Plan(
        participants=demand.participants,
        sessions=demand.sessions,
        windows_per_s=round(demand.participants * per_s, 1),
        window_bytes=window_bytes(config),
        cores={stage: round(value, 3) for stage, value in all_cores.items()},
        memory_gb=_memory_gb(demand, workers),
        capture_processes=demand.sessions,
        inference_workers=workers["inference"],
        processing_workers=workers["processing"],
        partitions=partitions,
        partition_replicas=replicas,
        brokers=max(
            replication,
            math.ceil(max(in_mb_s, out_mb_s) / BROKER_MB_S),
            math.ceil((windows_gb + other_gb) / BROKER_DISK_GB),
            math.ceil(replicas / BROKER_PARTITIONS),
        ),
        in_mb_s=round(in_mb_s, 3),
        out_mb_s=round(out_mb_s, 3),
        windows_disk_gb=round(windows_gb, 3),
        other_disk_gb=round(other_gb, 3),
        windows_lag=lag_threshold("inference", cores["inference"] / per_s, LAG_S),
        scores_lag=lag_threshold("processing", cores["processing"] / per_s, LAG_S + COMMIT_S),
        largest_session=_taken("processing", cores["processing"]),
        limits=limits(config, demand),
    )


def window_bytes(config: Config) -> int:
    """Return the size of a window's message when its participant speaks and has a face."""
    windows, faces, modalities = config.windows, config.faces, config.session.modalities
    total = float(costs.TEXT_BYTES)
    if "audio" in modalities:
        total += windows.length_s * costs.AUDIO_BYTES_PER_S[windows.audio_codec]
    if "vision" in modalities:
        area = (faces.size_px / costs.CROP_PX) ** 2
        quality = (faces.jpeg_quality / costs.CROP_QUALITY) ** 2
        total += windows.length_s * faces.rate_hz * costs.CROP_BYTES * area * quality
    return round(total)


def cores_per_participant(config: Config, demand: Demand) -> dict[str, float]:
    """Return the cores that each stage needs for one participant."""
    per_s = 1 / config.windows.hop_s
    return {
        "capture": costs.CAPTURE_CPU.at(demand.speaking),
        "inference": costs.INFERENCE_CPU.at(demand.speaking) * per_s,
        "processing": costs.PROCESSING_CPU * records_per_s(config, demand),
    }


def records_per_s(config: Config, demand: Demand) -> float:
    """Return how many records of a participant go to a topic in a second, revisions counted."""
    copies = costs.RECORDS_PER_WINDOW.at(demand.speaking) if config.windows.revisions else 1.0
    return copies / config.windows.hop_s


def lag_threshold(stage: str, cores_per_record: float, seconds: float) -> int:
    """Return the records that one worker processes in `seconds`: the lag that it may have."""
    return max(1, math.floor(worker_cores(stage) / cores_per_record * seconds))


def limits(config: Config, demand: Demand) -> tuple[Limit, ...]:
    """Return what the configuration takes of this kind of participant, smallest first."""
    cores = cores_per_participant(config, demand)
    kafka = config.kafka
    found = [
        Limit(
            f"{stage} workers, at most one for each of {kafka.partitions} partitions",
            _taken(stage, cores[stage], kafka.partitions),
            "raise kafka.partitions before the topics are made",
        )
        for stage in WORKERS
    ]
    if kafka.broker == "embedded":
        found += _embedded_limits(config, demand)
    else:
        found += _broker_limits(config, demand)
    return tuple(sorted(found, key=lambda limit: limit.participants))


def lines(config: Config, plans: Sequence[Plan]) -> list[str]:
    """Return the plans as a table in plain text, one column each, then what breaks first."""
    kafka = config.kafka
    hours, days = kafka.windows_retention_ms / 3.6e6, kafka.retention_ms / 86.4e6
    rows: list[tuple[str, list[str]]] = [
        ("participants", [f"{each.participants:,}" for each in plans]),
        ("sessions", [f"{each.sessions:,}" for each in plans]),
        ("windows a second, revisions too", [_short(each.windows_per_s) for each in plans]),
        ("bytes a window", [f"{each.window_bytes:,}" for each in plans]),
    ]
    for stage in CPU_STAGES:
        rows.append((f"{stage}: cores", [_short(each.cores[stage]) for each in plans]))
        rows.append((f"{stage}: memory, GB", [_short(each.memory_gb[stage]) for each in plans]))
    rows += [
        ("capture: processes", [f"{each.capture_processes:,}" for each in plans]),
        ("inference: workers", [f"{each.inference_workers:,}" for each in plans]),
        ("processing: workers", [f"{each.processing_workers:,}" for each in plans]),
        ("partitions a topic", [f"{each.partitions:,}" for each in plans]),
        ("partitions, all topics", [f"{each.partition_replicas:,}" for each in plans]),
        ("brokers", [f"{each.brokers:,}" for each in plans]),
        ("into the brokers, MB/s", [_short(each.in_mb_s) for each in plans]),
        ("out of the brokers, MB/s", [_short(each.out_mb_s) for each in plans]),
        (f"disk, windows of {hours:g} h, GB", [_short(each.windows_disk_gb) for each in plans]),
        (f"disk, the rest of {days:g} d, GB", [_short(each.other_disk_gb) for each in plans]),
        ("lag for one more inference worker", [f"{each.windows_lag:,}" for each in plans]),
        ("lag for one more processing worker", [f"{each.scores_lag:,}" for each in plans]),
        ("largest session", [f"{each.largest_session:,}" for each in plans]),
    ]
    return [*_table(rows), "", *map(breaks_first, plans)]


def breaks_first(each: Plan) -> str:
    """Return a sentence about the part of the configuration that has the smallest limit."""
    limit = each.limits[0]
    people = counted(each.participants, "participant")
    at = f"{limit.part}: {counted(limit.participants, 'participant')}"
    if limit.participants < each.participants:
        return f"{people}: this configuration breaks at {at}; {limit.more}."
    return f"{people}: this configuration takes them; it breaks first at {at}; {limit.more}."


def worker_cores(stage: str) -> float:
    """Return what a worker has for participants: its share of a core, less what it takes idle."""
    return UTILISATION - (costs.PROCESSING_IDLE_CPU if stage == "processing" else 0.0)


def _workers(stage: str, cores: float) -> int:
    return max(1, math.ceil(round(cores / worker_cores(stage), 6)))


def _taken(stage: str, cores: float, workers: int = 1) -> int:
    """Return how many participants of so many cores each the workers of a stage take."""
    return math.floor(round(workers * worker_cores(stage) / cores, 6))


def _traffic(config: Config, demand: Demand, partitions: int) -> list[_Traffic]:
    """Return every topic of the system with what it carries."""
    prefix = config.kafka.topic_prefix
    windows_per_s = demand.participants * records_per_s(config, demand)
    revised_per_s = windows_per_s - demand.participants / config.windows.hop_s
    sessions_per_s = demand.sessions / config.windows.hop_s + revised_per_s
    session_state = demand.members * costs.MEMBER_STATE_BYTES
    participants, sessions = changelogs(config)
    rates = {
        WINDOWS.full_name(prefix): windows_per_s * window_bytes(config),
        SCORES.full_name(prefix): windows_per_s * costs.SCORE_BYTES,
        SMOOTHED.full_name(prefix): windows_per_s * costs.SENTIMENT_BYTES,
        SESSION_INPUT.full_name(prefix): windows_per_s * costs.SENTIMENT_BYTES,
        SESSION_SMOOTHED.full_name(prefix): sessions_per_s * costs.SESSION_SENTIMENT_BYTES,
        participants: windows_per_s * costs.PARTICIPANT_STATE_BYTES,
        sessions: windows_per_s * session_state,
    }
    if config.smoothing.publish == "session":
        rates[SMOOTHED.full_name(prefix)] = 0.0
    return [_one(topic, rates.get(topic.name, 0.0), partitions) for topic in planned_topics(config)]


def _one(topic: PlannedTopic, bytes_per_s: float, partitions: int) -> _Traffic:
    if topic.input:  # a changelog, which is read only when a worker takes it over
        most = partitions * 2.0 * SEGMENT_BYTES
        return _Traffic(topic, bytes_per_s, 0, min(bytes_per_s * 7 * 86_400, most))
    kept_s = int(topic.settings["retention.ms"]) / 1000
    return _Traffic(topic, bytes_per_s, len(READERS & set(topic.readers)), bytes_per_s * kept_s)


def _network(traffic: Sequence[_Traffic], replication: int) -> tuple[float, float]:
    """Return megabytes a second into and out of all brokers, replication counted."""
    written = sum(each.bytes_per_s for each in traffic)
    read = sum(each.bytes_per_s * each.readers for each in traffic)
    return written * replication / 1e6, (read + written * (replication - 1)) / 1e6


def _disk_gb(traffic: Sequence[_Traffic], config: Config) -> tuple[float, float]:
    """Return gigabytes of the windows, and of all other topics, replication counted."""
    windows = WINDOWS.full_name(config.kafka.topic_prefix)
    kept = {each.topic.name: each.kept_bytes * config.kafka.replication / 1e9 for each in traffic}
    return kept[windows], sum(kept.values()) - kept[windows]


def _memory_gb(demand: Demand, workers: Mapping[str, int]) -> dict[str, float]:
    states = costs.PARTICIPANT_STATE_BYTES + costs.MEMBER_STATE_BYTES
    megabytes = {
        "capture": demand.sessions * costs.CAPTURE_MB
        + demand.participants * costs.CAPTURE_PARTICIPANT_MB,
        "inference": workers["inference"] * costs.INFERENCE_MB,
        "processing": workers["processing"] * costs.PROCESSING_MB
        + demand.participants * states / 1e6,
    }
    return {stage: round(value / 1000, 3) for stage, value in megabytes.items()}


def _embedded_limits(config: Config, demand: Demand) -> list[Limit]:
    """Return what the embedded broker takes; a trial has one session, all in one partition."""
    bytes_per_s = window_bytes(config) * records_per_s(config, demand)
    return [
        Limit(
            "capture.in_flight_bytes of the embedded broker",
            math.floor(config.capture.in_flight_bytes / (bytes_per_s * EMBEDDED_ANSWER_S)),
            "use Apache Kafka (kafka.broker)",
        ),
        Limit(
            "one session on the embedded broker, which gives one record at a time",
            math.floor(costs.EMBEDDED_RECORDS_PER_S / records_per_s(config, demand)),
            "use Apache Kafka (kafka.broker)",
        ),
    ]


def _broker_limits(config: Config, demand: Demand) -> list[Limit]:
    """Return what as many brokers as there are replicas take."""
    kafka = config.kafka
    traffic = _traffic(config, demand, kafka.partitions)
    in_mb_s, out_mb_s = _network(traffic, kafka.replication)
    mb_s = max(in_mb_s, out_mb_s) / demand.participants
    gb = sum(_disk_gb(traffic, config)) / demand.participants
    brokers = "one broker" if kafka.replication == 1 else f"{kafka.replication} brokers"
    return [
        Limit(
            f"the network of {brokers}",
            math.floor(kafka.replication * BROKER_MB_S / mb_s),
            "add brokers, or lower faces.rate_hz or faces.jpeg_quality",
        ),
        Limit(
            f"the disks of {brokers}",
            math.floor(kafka.replication * BROKER_DISK_GB / gb),
            "add brokers, or shorten kafka.windows_retention_ms and kafka.retention_ms",
        ),
    ]


def _short(value: float) -> str:
    """Return three significant digits, with commas between thousands."""
    if value >= 100 or value == round(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _table(rows: Sequence[tuple[str, list[str]]]) -> list[str]:
    first = max(len(name) for name, _ in rows)
    widths = [
        max(len(cell) for cell in column) for column in zip(*(row for _, row in rows), strict=True)
    ]
    return [
        f"{name:<{first}}"
        + "".join(f"  {cell:>{width}}" for cell, width in zip(row, widths, strict=True))
        for name, row in rows
    ]
