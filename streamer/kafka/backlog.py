"""How many messages the stages have still to process, and how many workers for it.

Read from their consumer groups: the commits and the members.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError

from streamer.config import Config
from streamer.kafka.connection import connected, unreachable
from streamer.kafka.groups import Stage, consumer_group
from streamer.kafka.presence import admin_client, count_workers
from streamer.kafka.security import aiokafka_settings
from streamer.kafka.topics import SCORES, WINDOWS, Topic

_INPUTS: dict[Stage, Topic[Any]] = {"inference": WINDOWS, "smoothing": SCORES}


@dataclass(frozen=True, slots=True)
class Work:
    """A stage's input topic at one moment.

    Attributes:
        published: messages published since the topic began, over all partitions.
        waiting: messages after the stage's last commit; None if it has committed nothing, for
            example because it never ran.
        workers: running workers of the stage; None if the broker does not list them.
    """

    published: int
    waiting: int | None
    workers: int | None = None


class Backlog:
    """Reads how many messages inference and smoothing have still to process.

    An async context manager over one client per stage that joins no group and fetches no message. A
    stage commits when the results of a message are published, and smoothing commits every few
    seconds: a small number of waiting messages is normal, a growing one is a backlog.
    """

    def __init__(self, config: Config) -> None:
        """Store the settings; entering the context connects."""
        self._config = config
        self._consumers: dict[Stage, Any] = {}
        self._admin: Any = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Connect; raise BrokerError if no broker answers in time."""
        kafka = self._config.kafka
        settings = aiokafka_settings(kafka) | {"enable_auto_commit": False}
        try:
            for stage in _INPUTS:
                group = consumer_group(self._config, stage)
                client = partial(AIOKafkaConsumer, group_id=group, **settings)
                self._consumers[stage] = await self._stack.enter_async_context(
                    connected(client, kafka)
                )
            self._admin = await self._stack.enter_async_context(admin_client(self._config))
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def read(self) -> dict[str, Work]:
        """Return the work of each stage whose input topic exists.

        Raises:
            BrokerError: the broker does not answer.
        """
        kafka, works = self._config.kafka, dict[str, Work]()
        try:
            async with asyncio.timeout(kafka.connect_timeout_s):
                workers = await self._count_workers()
                for stage, topic in _INPUTS.items():
                    name = topic.full_name(kafka.topic_prefix)
                    work = await _work(self._consumers[stage], name)
                    if work is not None:
                        works[stage] = replace(work, workers=workers.get(stage))
        except (KafkaError, OSError) as error:
            raise unreachable(kafka, error) from error
        return works

    async def _count_workers(self) -> dict[Stage, int | None]:
        if self._admin is None:
            return {}
        try:
            return await count_workers(self._admin, self._config)
        except IncompatibleBrokerVersion:
            self._admin = None  # closed with the others
            return {}


async def _work(consumer: Any, topic: str) -> Work | None:
    if not consumer.assignment():
        if topic not in await consumer.topics():
            return None
        await consumer._client.add_topic(topic)
        numbers = consumer.partitions_for_topic(topic) or set()
        consumer.assign([TopicPartition(topic, number) for number in numbers])
    partitions = list(consumer.assignment())
    ends = await consumer.end_offsets(partitions)
    beginnings = await consumer.beginning_offsets(partitions)
    commits = {at: await consumer.committed(at) for at in partitions}
    published = sum(ends.values())
    if all(commit is None for commit in commits.values()):
        return Work(published, 0 if published == 0 else None)
    waiting = (ends[at] - max(commits[at] or 0, beginnings[at]) for at in partitions)
    return Work(published, sum(max(count, 0) for count in waiting))
