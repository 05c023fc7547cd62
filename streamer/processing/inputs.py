"""What happens to an input topic from outside: messages deleted, the topic made again or widened.

What enters: offsets and numbers of partitions. What leaves: where to go on, or why that is not
possible. It knows no record.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from streamer.config import KafkaConfig
from streamer.errors import BrokerError, TopicChanged
from streamer.kafka.connection import connected
from streamer.kafka.security import aiokafka_settings
from streamer.kafka.topic_ids import TopicState, topic_states

log = logging.getLogger(__name__)

LOOK_S = 5.0
"""Interval of the looks at the input topics."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a partition is read from.

    Attributes:
        offset: of the first message to read.
        deleted: how many messages before it were deleted and never processed.
        made_again: the group's commit is of an earlier topic of this name.
    """

    offset: int
    deleted: int = 0
    made_again: bool = False


def start_of(commit: OffsetAndMetadata | None, first: int, end: int, topic_id: str) -> Start:
    """Return where to read a partition from.

    Args:
        commit: the group's, if any; its metadata name the topic (`commit_metadata`).
        first: the offset of the first message that is left.
        end: the offset after the last one.
        topic_id: of the topic as it is now; empty if the broker gives none.
    """
    if commit is None:
        return Start(first)
    of_another = bool(commit.metadata) and commit.metadata != commit_metadata(topic_id)
    if commit.offset > end or (of_another and topic_id):
        return Start(first, made_again=True)
    return Start(max(commit.offset, first), deleted=max(first - commit.offset, 0))


def commit_metadata(topic_id: str) -> str:
    """Return the metadata of a commit: an offset means nothing in another topic of that name."""
    return f"topic {topic_id}" if topic_id else ""


async def find_starts(
    consumer: Any, partitions: Collection[TopicPartition], ids: Mapping[str, str]
) -> dict[TopicPartition, Start]:
    """Return where aiokafka's consumer of a group is to read these partitions from.

    Raises:
        KafkaError: the broker does not answer.
    """
    if not partitions:
        return {}
    commits = await consumer._coordinator.fetch_committed_offsets(list(partitions))
    first = await consumer.beginning_offsets(partitions)
    ends = await consumer.end_offsets(partitions)
    return {
        at: start_of(commits.get(at), first[at], ends[at], ids.get(at.topic, ""))
        for at in partitions
    }


async def starting_offsets(app: Any, topic: str) -> dict[int, int]:
    """Return the first offset to read of each assigned partition of `topic`; log what was lost."""
    starts = {at: start for at, start in (await app.consumer.starts()).items() if at.topic == topic}
    if any(start.made_again for start in starts.values()):
        log.warning("The topic %s was made again; reading its beginning.", topic)
    lost = {at.partition: start.deleted for at, start in starts.items() if start.deleted}
    if lost:
        log.error(
            "%d messages of %s were deleted before they were processed, in partitions %s.",
            sum(lost.values()),
            topic,
            ", ".join(str(number) for number in sorted(lost)),
        )
    return {at.partition: start.offset for at, start in starts.items()}


class Inputs:
    """The input topics as they were when the worker began, over all its apps."""

    def __init__(self, partitions: Mapping[str, int]) -> None:
        """Store how many partitions each topic has."""
        self.topics = tuple(partitions)
        self._partitions = partitions
        self._absent: set[str] = set()

    def look(self, topic: str, now: TopicState | None, read_id: str) -> str:
        """Compare a topic with what it was.

        Args:
            topic: its full name.
            now: what the broker has; None if the topic does not exist.
            read_id: the id of the topic that the app reads; empty if it is not known.

        Returns:
            Why the stage must start over; empty if nothing requires it.

        Raises:
            TopicChanged: the topic has another number of partitions than the stage's tables.
        """
        if now is None:
            if topic not in self._absent:
                log.error("The topic %s does not exist any more; waiting for it.", topic)
            self._absent.add(topic)
            return ""
        if now.partitions != self._partitions[topic]:
            raise TopicChanged(
                f"The topic {topic} has {now.partitions} partitions now and had "
                f"{self._partitions[topic]} when this worker began; give its changelog as many "
                "(`streamer topics list` names it) or set another smoothing.consumer_group, then "
                "start the workers again."
            )
        is_back = topic in self._absent
        self._absent.discard(topic)
        made_again = now.id != read_id if now.id and read_id else is_back
        return f"the topic {topic} was made again" if made_again else ""


async def watch(kafka: KafkaConfig, inputs: Inputs, read_ids: Mapping[str, str]) -> str:
    """Look at the input topics every LOOK_S; return why the app must start over.

    It must if it reads another topic than the broker has; `read_ids` are those that it reads.

    It has a client of its own, because Faust's would wait for a topic that does not exist. An
    outage of the broker is waited for.

    Raises:
        TopicChanged: the stage cannot go on with the topics as they are.
    """
    settings = aiokafka_settings(kafka) | {"enable_auto_commit": False}
    while True:
        with suppress(BrokerError):
            async with connected(lambda: AIOKafkaConsumer(**settings), kafka) as client:
                while True:
                    for topic, now in (await topic_states(client._client, inputs.topics)).items():
                        if why := inputs.look(topic, now, read_ids.get(topic, "")):
                            return why
                    await asyncio.sleep(LOOK_S)
        await asyncio.sleep(LOOK_S)
