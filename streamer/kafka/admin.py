"""What the system needs of a broker before it starts: which kind it is, and its topics."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from streamer.config import Config
from streamer.errors import BrokerError
from streamer.kafka.connection import connected
from streamer.kafka.embedded import is_embedded
from streamer.kafka.messages import ENVELOPE_BYTES
from streamer.kafka.security import aiokafka_settings
from streamer.kafka.topics import TOPICS, WINDOWS, Topic


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


async def ensure_topics(config: Config) -> None:
    """Create the topics that are missing, with the configured partitions and retention.

    Existing topics are not changed. An embedded broker creates each topic on first use.

    Raises:
        BrokerError: the broker does not answer, or refuses to create a topic.
    """
    kafka = config.kafka
    topics = {topic.full_name(kafka.topic_prefix): topic for topic in TOPICS}
    settings = aiokafka_settings(kafka)
    if await on_embedded(config):
        async with connected(lambda: AIOKafkaProducer(**settings), kafka) as producer:
            for name in topics:
                await producer.partitions_for(name)
        return
    async with connected(lambda: AIOKafkaAdminClient(**settings), kafka) as admin:
        present = set(await admin.list_topics())
        missing = [
            _new_topic(name, topic, config) for name, topic in topics.items() if name not in present
        ]
        if missing:
            _check_created(await admin.create_topics(missing))


def _new_topic(name: str, topic: Topic[Any], config: Config) -> Any:
    kafka = config.kafka
    retention_ms = kafka.windows_retention_ms if topic is WINDOWS else kafka.retention_ms
    return NewTopic(
        name=name,
        num_partitions=kafka.partitions,
        replication_factor=kafka.replication,
        topic_configs={
            "retention.ms": str(retention_ms),
            "max.message.bytes": str(kafka.max_message_bytes + ENVELOPE_BYTES),
            "message.timestamp.type": "CreateTime",
        },
    )


def _check_created(response: Any) -> None:
    for name, code, *messages in response.topic_errors:
        error = for_code(code)
        if error.errno not in (0, TopicAlreadyExistsError.errno):
            reason = next((text for text in messages if text), error.__name__)
            raise BrokerError(f"The broker does not create the topic {name}: {reason}")
