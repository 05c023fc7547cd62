"""The ids of topics, from the broker's answer as it comes over the wire."""

import uuid
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import NodeNotReadyError

from streamer.kafka.topic_ids import TopicState, topic_states

ID = uuid.UUID("2a195f63-289b-4459-8bbe-2e568a686585")
NONE = uuid.UUID(int=0)
PARTITION: Any = (0, 0, 1, 5, [1], [1], [], {})


class Broker:
    """Answers in the version that it has, through the bytes of request and answer."""

    def __init__(self, version: int, topics: list[Any]) -> None:
        self.version = version
        self.topics = topics
        self.asked: Any = None

    def get_random_node(self) -> int | None:
        return 1

    async def send(self, node: int, request: Any) -> Any:
        self.asked = request.prepare({3: (0, self.version)})
        answer = self.asked.RESPONSE_TYPE
        fields: Any = (0, [], "cluster", 1, self.topics)
        tail: Any = (0, {}) if answer.API_VERSION == 10 else ()
        self.asked.encode()
        return answer.decode(answer(*fields, *tail).encode())


async def test_a_topic_has_an_id_and_partitions_and_a_missing_one_is_none() -> None:
    broker = Broker(
        13,
        [
            (0, "scores", ID, False, [PARTITION, PARTITION], 0, {}),
            (0, "of an old cluster", NONE, False, [PARTITION], 0, {}),
            (3, "gone", NONE, False, [], 0, {}),
            (5, "without a leader", ID, False, [], 0, {}),
        ],
    )
    states = await topic_states(broker, ["scores", "of an old cluster", "gone"])
    assert states == {
        "scores": TopicState(str(ID), 2),
        "of an old cluster": TopicState("", 1),
        "gone": None,
    }
    assert broker.asked.allow_auto_topic_creation is False


async def test_a_broker_of_before_topic_ids_is_asked_in_its_version() -> None:
    broker = Broker(9, [(0, "scores", False, [(0, 0, 1, [1], [1], [])]), (3, "gone", False, [])])
    assert await topic_states(broker, ["scores", "gone"]) == {
        "scores": TopicState("", 1),
        "gone": None,
    }
    assert broker.asked.allow_auto_topic_creation is False


async def test_no_known_broker_is_an_error_of_the_client() -> None:
    with pytest.raises(NodeNotReadyError):
        await topic_states(SimpleNamespace(get_random_node=lambda: None), ["scores"])
