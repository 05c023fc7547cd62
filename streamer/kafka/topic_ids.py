"""Which topics exist, with the ids that Kafka gives them.

What enters: names. What leaves: whether a topic exists, its id and its number of partitions. A
topic that is deleted and made again has another id. aiokafka's metadata contain no ids, so this
module has a request of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from uuid import UUID

from aiokafka.errors import KafkaError, NodeNotReadyError, UnknownTopicOrPartitionError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.metadata import MetadataRequest_v5
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic that exists.

    Attributes:
        id: a new topic of the same name has another one; empty before Kafka 2.8.
        partitions: how many it has.
    """

    id: str
    partitions: int


async def topic_states(client: Any, names: Collection[str]) -> dict[str, TopicState | None]:
    """Return the state of each topic, None if it does not exist; asking creates none.

    A topic that the broker cannot describe at the moment is left out.

    Args:
        client: aiokafka's connections, of a started client.
        names: full names of topics.

    Raises:
        KafkaError: the broker does not answer.
    """
    node = client.get_random_node()
    if node is None:
        raise NodeNotReadyError
    response = await client.send(node, _TopicsRequest(names))
    states: dict[str, TopicState | None] = {}
    for topic in response.to_object()["topics"]:
        if topic["error_code"] == UnknownTopicOrPartitionError.errno:
            states[topic["topic"]] = None
        elif topic["error_code"] == 0:
            identity = topic.get("topic_id", _NO_ID)
            name = "" if identity == _NO_ID else str(identity)
            states[topic["topic"]] = TopicState(name, len(topic["partitions"]))
    return states


def is_known(client: Any, topic: str) -> bool:
    """Return whether a client knows that the topic exists, or that its user may not use it."""
    cluster = client.cluster
    return bool(cluster.partitions_for_topic(topic)) or topic in cluster.unauthorized_topics


async def exists(client: Any, topic: str) -> bool | None:
    """Ask for a topic, for up to LOOK_S; an embedded broker then creates it.

    Returns:
        As `is_known`; None if the broker does not tell.
    """
    with suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(LOOK_S):
            client.add_topic(topic)
            await client.force_metadata_update()
            if is_known(client, topic):
                return True
            states = await topic_states(client, [topic])
            return False if topic in states and states[topic] is None else None
    return None


LOOK_S = 5.0
_NO_ID = UUID(int=0)


class _Uuid(AbstractType):  # type: ignore[misc]
    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> UUID:
        return UUID(bytes=data.read(16))


class _Response(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class _RequestWithIds(RequestStruct):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = _Response
    FLEXIBLE_VERSION = True
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic_id", _Uuid), ("topic", CompactString("utf-8")), ("tags", TaggedFields)
            ),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _TopicsRequest(Request[MetadataRequest_v5 | _RequestWithIds]):  # type: ignore[misc]
    """Asks for topics by name, with ids where the broker has them."""

    API_KEY = 3

    def __init__(self, names: Collection[str]) -> None:
        self._names = names

    def build(self, version: Any) -> Any:
        if version is MetadataRequest_v5:
            return MetadataRequest_v5(list(self._names), False)
        topics: list[Any] = [(_NO_ID, name, {}) for name in self._names]
        return version(topics, False, False, False, {})
