"""What the system needs of a broker before it starts: which kind it is, and its topics."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)

from streamer.config import Config
from streamer.errors import BrokerError
from streamer.kafka.connection import connected
from streamer.kafka.embedded import is_embedded
from streamer.kafka.provision import PlannedTopic, Role, planned_topics
from streamer.kafka.security import aiokafka_settings


async def on_embedded(config: Config) -> bool:
    """Return whether the configured broker is an embedded one; a secured broker never is.

    Raises:
        BrokerError: nothing answers at the address.
    """
    kafka = config.kafka
    if kafka.security.protocol != "PLAINTEXT":
        return False
    if kafka.broker == "embedded":
        return True
    return await asyncio.to_thread(is_embedded, kafka.broker, kafka.connect_timeout_s)


async def ensure_topics(config: Config, role: Role | None = None) -> list[str]:
    """Create the topics that are missing, with the configured partitions and retention.

    Existing topics are not changed. An embedded broker creates each topic on first use.

    Args:
        config: where the broker is, and what its topics are like.
        role: the command whose topics are needed; None for all.

    Returns:
        The names of the created topics.

    Raises:
        BrokerError: the broker does not answer, or refuses to create a topic.
    """
    kafka = config.kafka
    plan = planned_topics(config, role)
    settings = aiokafka_settings(kafka)
    if await on_embedded(config):
        async with connected(lambda: AIOKafkaProducer(**settings), kafka) as producer:
            for planned in plan:
                await producer.partitions_for(planned.name)
        return []
    async with connected(lambda: AIOKafkaAdminClient(**settings), kafka) as admin:
        present = await _partitions(admin)
        missing = [planned for planned in plan if planned.name not in present]
        partitions = {planned.name: planned.partitions for planned in plan} | present
        if missing:
            new = [_new_topic(planned, partitions) for planned in missing]
            _check_created(await admin.create_topics(new))
        return [planned.name for planned in missing]


async def topics_on_broker(config: Config) -> dict[str, int]:
    """Return the number of partitions of each topic that this user may see.

    Raises:
        BrokerError: the broker does not answer.
    """
    settings = aiokafka_settings(config.kafka)
    async with connected(lambda: AIOKafkaAdminClient(**settings), config.kafka) as admin:
        return await _partitions(admin)


async def _partitions(admin: Any) -> dict[str, int]:
    return {
        topic["topic"]: len(topic["partitions"])
        for topic in await admin.describe_topics()
        if topic["error_code"] == 0
    }


def _new_topic(planned: PlannedTopic, partitions: Mapping[str, int]) -> Any:
    return NewTopic(
        name=planned.name,
        num_partitions=partitions[planned.input or planned.name],
        replication_factor=planned.replication,
        topic_configs=planned.settings,
    )


def _check_created(response: Any) -> None:
    for name, code, *messages in response.topic_errors:
        error = for_code(code)
        if issubclass(error, (TopicAuthorizationFailedError, ClusterAuthorizationFailedError)):
            raise BrokerError(
                f"The topic {name} is missing, or hidden from this user, who may not create it "
                f"({error.__name__}); an administrator makes all topics with `streamer topics "
                "create`, and docs/operating.md lists the rights of each command."
            )
        if error.errno not in (0, TopicAlreadyExistsError.errno):
            reason = next((text for text in messages if text), error.__name__)
            raise BrokerError(f"The broker does not create the topic {name}: {reason}")
