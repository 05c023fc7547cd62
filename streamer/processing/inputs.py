"""What happens to an input topic from outside: messages deleted, the topic made again or widened.

What enters: offsets and numbers of partitions. What leaves: where to go on, or why that is not
possible. It knows no record.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streamer.config import KafkaConfig
from streamer.errors import BrokerError, TopicChanged
from streamer.kafka.connection import connected
from streamer.kafka.security import aiokafka_settings

log = logging.getLogger(__name__)

LOOK_S = 5.0
"""Interval of the looks at the input topics."""


async def starting_offsets(app: Any, topic: str) -> dict[int, int]:
    """Return the next offset of each assigned partition of `topic` that has a commit.

    Where messages after the commit were deleted, it is the first that is left, and the loss is
    logged, for all partitions at once. Where a commit is beyond the end, or `watch` has seen it,
    the topic was made again: every commit is set back to the beginning. The app starts over if it
    has begun already, because Faust's consumer does not go back.
    """
    consumer = app.consumer
    commits = {
        tp: offset
        for tp, offset in (await consumer.seek_to_committed()).items()
        if tp.topic == topic and offset
    }
    made_again = topic in app.made_again
    app.made_again.discard(topic)
    if not commits:
        return {}
    first, ends = await consumer.earliest_offsets(*commits), await consumer.highwaters(*commits)
    if made_again:
        await consumer.seek_wait(first)  # seeking to a commit of 0 leaves the position as it is
        await consumer._commit(first)
        return {tp.partition: offset for tp, offset in first.items()}
    if any(offset > ends[tp] for tp, offset in commits.items()):
        app.made_again.add(topic)
        app.start_over(f"the topic {topic} was made again and is read from its beginning")
    lost = {tp: first[tp] - offset for tp, offset in commits.items() if first[tp] > offset}
    if lost:
        log.error(
            "%d messages of %s were deleted before they were processed, in partitions %s.",
            sum(lost.values()),
            topic,
            ", ".join(str(tp.partition) for tp in sorted(lost)),
        )
    return {tp.partition: max(offset, first[tp]) for tp, offset in commits.items()}


class Inputs:
    """What is known of the input topics since the worker began, over all its apps."""

    def __init__(self, partitions: Mapping[str, int]) -> None:
        """Store how many partitions each topic has."""
        self.topics = tuple(partitions)
        self._partitions = partitions
        self._ends: dict[str, Mapping[int, int]] = {}
        self._absent: set[str] = set()

    def forget(self, topics: Collection[str]) -> None:
        """Take these topics at the next look as they then are."""
        for topic in topics:
            self._ends.pop(topic, None)
            self._absent.discard(topic)

    def look(self, topic: str, ends: Mapping[int, int]) -> str:
        """Compare a topic with what it was at the last look.

        Args:
            topic: its full name.
            ends: the end of each partition; empty if the topic does not exist.

        Returns:
            Why the stage must start over; empty if nothing requires it.

        Raises:
            TopicChanged: the topic has another number of partitions than the stage's tables.
        """
        if not ends:
            if topic not in self._absent:
                log.error("The topic %s does not exist any more; waiting for it.", topic)
            self._absent.add(topic)
            return ""
        if len(ends) != self._partitions[topic]:
            raise TopicChanged(
                f"The topic {topic} has {len(ends)} partitions now and had "
                f"{self._partitions[topic]} when this worker began; give its changelog as many "
                "(`streamer topics list` names it) or set another smoothing.consumer_group, then "
                "start the workers again."
            )
        before = self._ends.get(topic, {})
        self._ends[topic] = ends
        back = any(end < before.get(number, 0) for number, end in ends.items())
        if topic in self._absent or back:
            self._absent.discard(topic)
            return f"the topic {topic} was made again"
        return ""


async def watch(kafka: KafkaConfig, inputs: Inputs, made_again: set[str]) -> str:
    """Look at the input topics every LOOK_S; return why the stage must start over.

    A topic that was made again is added to `made_again`. It has a client of its own, because
    Faust's would wait for a topic that does not exist. An outage of the broker is waited for.

    Raises:
        TopicChanged: the stage cannot go on with the topics as they are.
    """
    while True:
        with suppress(BrokerError):
            async with _client(kafka) as client:
                while True:
                    for topic, ends in (await _ends(client, inputs.topics)).items():
                        if why := inputs.look(topic, ends):
                            made_again.add(topic)
                            return why
                    await asyncio.sleep(LOOK_S)
        await asyncio.sleep(LOOK_S)


async def first_look(kafka: KafkaConfig, partitions: Mapping[str, int]) -> Inputs:
    """Return the input topics as they are before the stage begins.

    Raises:
        BrokerError: the broker does not answer.
        TopicChanged: a topic has another number of partitions than `partitions` says.
    """
    inputs = Inputs(partitions)
    async with _client(kafka) as client:
        for topic, ends in (await _ends(client, inputs.topics)).items():
            inputs.look(topic, ends)
    return inputs


def _client(kafka: KafkaConfig) -> AbstractAsyncContextManager[Any]:
    settings = aiokafka_settings(kafka) | {"enable_auto_commit": False}
    return connected(lambda: AIOKafkaConsumer(**settings), kafka)


async def _ends(client: Any, topics: Collection[str]) -> dict[str, dict[int, int]]:
    """Return the ends of each topic's partitions; nothing of a topic that is just changing."""
    cluster = await client._client.fetch_all_metadata()  # asking for one topic could create it
    ends: dict[str, dict[int, int]] = {}
    for topic in topics:
        numbers = cluster.partitions_for_topic(topic) or ()
        if numbers:
            await client._client.add_topic(topic)
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(LOOK_S):
                offsets = await client.end_offsets([TopicPartition(topic, n) for n in numbers])
            ends[topic] = {at.partition: end for at, end in offsets.items()}
    return ends
