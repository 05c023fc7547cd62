"""A broker with access control: an administrator makes the topics, and processing gets its rights.

The rights are those of the table in docs/operating.md, and no right to create anything.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from streamer.config import Config, build
from streamer.errors import BrokerError
from streamer.kafka.admin import ensure_topics
from streamer.kafka.apache import KafkaBroker
from streamer.kafka.consumer import Consumer
from streamer.kafka.groups import consumer_group
from streamer.kafka.producer import Producer
from streamer.kafka.provision import Role, planned_topics
from streamer.kafka.topics import SESSION_SMOOTHED, SMOOTHED
from streamer.processing import worker
from tests.made_records import score, session
from tests.running_kafka import running

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.kafka,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Setting new value for configuration key"),
]


class GuardedKafka(KafkaBroker):
    """Apache Kafka whose users may do only what an access control list grants."""

    def _sasl_settings(self) -> dict[str, str]:
        return {
            **super()._sasl_settings(),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS;User:admin",  # anonymous: the broker itself
        }


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    users = {"admin": "admin-secret", "stage": "stage-secret"}
    yield from running(GuardedKafka(tmp_path / "kafka", port=0, users=users))


def as_user(address: str, name: str) -> Config:
    security = {"protocol": "SASL_PLAINTEXT", "username": name, "password": f"{name}-secret"}
    return build({"kafka": {"broker": address, "partitions": 2, "security": security}})


def grant(address: str, role: Role, config: Config, group: str) -> None:
    """Give the user `stage` the rights of a command."""

    def binding(kind: ResourceType, name: str, operation: AclOperation) -> Any:
        pattern, allow = ResourcePatternType.LITERAL, AclPermissionType.ALLOW
        return AclBinding(kind, name, pattern, "User:stage", "*", operation, allow)

    operations = [
        (planned.name, operation)
        for planned in planned_topics(config, role)
        for users, operation in (
            (planned.readers, AclOperation.READ),
            (planned.writers, AclOperation.WRITE),
        )
        if role in users
    ]
    admin = AdminClient(
        {
            "bootstrap.servers": address,
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.username": "admin",
            "sasl.password": "admin-secret",
        }
    )
    bindings = [binding(ResourceType.TOPIC, name, operation) for name, operation in operations]
    bindings.append(binding(ResourceType.GROUP, group, AclOperation.READ))
    for granted in admin.create_acls(bindings).values():
        granted.result(10)


async def test_processing_needs_only_the_rights_of_its_row(address: str) -> None:
    admin, stage = as_user(address, "admin"), as_user(address, "stage")
    with pytest.raises(BrokerError, match="with `streamer topics create`"):
        await ensure_topics(stage, "process")
    await ensure_topics(admin)
    grant(address, "process", stage, consumer_group(stage, "smoothing"))
    async with Producer(admin) as producer:
        await producer.publish(session())
        await producer.publish(score(0, participant_id="bo", final=True))
        for index in range(4):
            await producer.publish(score(index, final=index == 3))
    stop = asyncio.Event()
    async with Consumer(admin, SMOOTHED) as smoothed, Consumer(admin, SESSION_SMOOTHED) as meeting:
        working = asyncio.create_task(worker.run(stage, stop))
        windows: set[str] = set()
        async with asyncio.timeout(60):
            while len(windows) < 5 and not working.done():
                windows |= {item.record.window_id for item in await smoothed.batch(10, 200)}
            while not working.done() and not await meeting.batch(10, 200):
                pass
        stop.set()
        await working
    assert len(windows) == 5
    # No right to read: the sentence names the topic.
    with pytest.raises(BrokerError, match="windows"):
        await ensure_topics(stage, "infer")
