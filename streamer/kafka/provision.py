"""The topics of a system as its broker must have them, and the rights that each command needs.

`streamer topics` and every stage create topics by this table, and docs/operating.md contains it.
It knows no broker.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from streamer.config import Config
from streamer.kafka.groups import consumer_group
from streamer.kafka.messages import ENVELOPE_BYTES
from streamer.kafka.topics import (
    ALERTS,
    DEAD_LETTER,
    PUBLISHED,
    SCORES,
    SESSION_INPUT,
    SESSION_SMOOTHED,
    SESSIONS,
    SMOOTHED,
    TOPICS,
    WINDOWS,
    Topic,
)

Role = Literal[
    "capture",
    "infer",
    "process",
    "record",
    "record --windows",
    "dashboard",
    "subscribe",
    "speakers name",
]
"""A command that uses a broker; `run`, `replay` and `demo` are capture, infer and process."""

READS: Mapping[Role, tuple[Topic[Any], ...]] = {
    "capture": (SESSIONS,),
    "infer": (WINDOWS, SESSIONS),
    "process": (SCORES, SESSION_INPUT, SESSIONS),
    "record": (SESSIONS, SMOOTHED, SESSION_SMOOTHED, ALERTS),
    "record --windows": (SESSIONS, SMOOTHED, SESSION_SMOOTHED, ALERTS, WINDOWS),
    "dashboard": (SESSIONS, SMOOTHED, SESSION_SMOOTHED, ALERTS, WINDOWS, SCORES),
    "subscribe": PUBLISHED,
    "speakers name": (SESSIONS,),
}
"""What each command reads; processing its changelogs too."""
WRITES: Mapping[Role, tuple[Topic[Any], ...]] = {
    "capture": (WINDOWS, SESSIONS, DEAD_LETTER),
    "infer": (SCORES, DEAD_LETTER),
    "process": (SMOOTHED, SESSION_SMOOTHED, ALERTS, SESSION_INPUT, DEAD_LETTER),
    "record": (DEAD_LETTER,),
    "record --windows": (DEAD_LETTER,),
    "dashboard": (),
    "subscribe": (),
    "speakers name": (SESSIONS, DEAD_LETTER),
}
"""What each command writes; processing its changelogs too."""
GROUPS: Mapping[Role, str] = {
    "capture": "",
    "infer": "Read on `inference.consumer_group`",
    "process": "Read on the group that the changelogs begin with",
    "record": "Read on the prefix `sentiment-recorder-`",
    "record --windows": "as `record`",
    "dashboard": "Describe on the groups of `infer` and `process`",
    "subscribe": "Read on the `group` that it is given, if any",
    "speakers name": "",
}
"""The rights on consumer groups."""
CHANGELOGS: Mapping[str, Topic[Any]] = {"participants": SCORES, "sessions": SESSION_INPUT}
"""Processing's tables, each with the input topic whose number of partitions it must have."""


@dataclass(frozen=True, slots=True)
class PlannedTopic:
    """A topic as a broker should have it.

    Attributes:
        name: its full name.
        partitions: how many.
        replication: how many brokers store it.
        settings: of the topic, by Kafka's names.
        readers: the commands that read it.
        writers: the commands that write it.
        input: of a changelog, the topic that must have as many partitions; else empty.
    """

    name: str
    partitions: int
    replication: int
    settings: dict[str, str]
    readers: tuple[Role, ...]
    writers: tuple[Role, ...]
    input: str = ""


def changelogs(config: Config) -> tuple[str, ...]:
    """Names of the changelog topics, the participants' and the sessions'."""
    group = consumer_group(config, "smoothing")
    return tuple(f"{group}-{table}-changelog" for table in CHANGELOGS)


def planned_topics(config: Config, role: Role | None = None) -> list[PlannedTopic]:
    """Return every topic of the system, or those that a command reads or writes."""
    plan = [_planned(topic, config) for topic in TOPICS]
    plan += [
        _planned_changelog(name, source, config)
        for name, source in zip(changelogs(config), CHANGELOGS.values(), strict=True)
    ]
    return [each for each in plan if role is None or role in (*each.readers, *each.writers)]


def _planned(topic: Topic[Any], config: Config) -> PlannedTopic:
    kafka = config.kafka
    retention_ms = kafka.windows_retention_ms if topic is WINDOWS else kafka.retention_ms
    return PlannedTopic(
        topic.full_name(kafka.topic_prefix),
        kafka.partitions,
        kafka.replication,
        {"retention.ms": str(retention_ms), **_common(config)},
        tuple(role for role, topics in READS.items() if topic in topics),
        tuple(role for role, topics in WRITES.items() if topic in topics),
    )


def _planned_changelog(name: str, source: Topic[Any], config: Config) -> PlannedTopic:
    kafka = config.kafka
    return PlannedTopic(
        name,
        kafka.partitions,
        kafka.replication,
        {"cleanup.policy": "compact", **_common(config)},
        ("process",),
        ("process",),
        input=source.full_name(kafka.topic_prefix),
    )


def _common(config: Config) -> dict[str, str]:
    return {
        "max.message.bytes": str(config.kafka.max_message_bytes + ENVELOPE_BYTES),
        "message.timestamp.type": "CreateTime",
    }


def rights_table(config: Config) -> str:
    """Return the rights that each command needs, as a Markdown table."""
    rows = ["| command | Read and Describe | Write and Describe | consumer group |"]
    rows.append("| --- | --- | --- | --- |")
    for role in READS:
        reads, writes = (
            ", ".join(
                f"`{planned.name}`"
                for planned in planned_topics(config)
                if role in (planned.readers if reading else planned.writers)
            )
            for reading in (True, False)
        )
        rows.append(f"| `{role}` | {reads or '–'} | {writes or '–'} | {GROUPS[role] or '–'} |")
    return "\n".join(rows) + "\n"
