"""Which stages have workers: the members of their consumer groups, as the broker lists them.

A worker announces itself by joining its stage's group, and is gone once it has left or has sent no
heartbeat for the group's session timeout. The embedded broker lists no members.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, get_args

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError

from streamer.config import Config
from streamer.kafka.connection import connected
from streamer.kafka.groups import Stage, consumer_group
from streamer.kafka.security import RETRY_S, aiokafka_settings

STAGES: tuple[Stage, ...] = get_args(Stage)
COMMANDS: Mapping[Stage, str] = {"inference": "infer", "smoothing": "process"}
"""The command of `streamer` that starts a worker of the stage."""
PATIENCE_S = 5.0
"""How long a broker that lists no members now, for example because it starts, is asked again."""
GROUP_ID_NOT_FOUND = 69


async def absent_stages(config: Config) -> list[Stage]:
    """Return the stages that have no worker; see `worker_counts`."""
    return [stage for stage, count in (await worker_counts(config)).items() if count == 0]


async def worker_counts(config: Config, patience_s: float = PATIENCE_S) -> dict[Stage, int | None]:
    """Return how many workers each stage has, none at all if the broker never lists them.

    A count is None if the broker does not list the stage's members within `patience_s`.

    Raises:
        BrokerError: the broker does not answer.
    """
    workers: dict[Stage, int | None] = {}
    async with admin_client(config) as admin:
        with contextlib.suppress(IncompatibleBrokerVersion, TimeoutError):
            async with asyncio.timeout(patience_s):
                while True:
                    workers = await count_workers(admin, config)
                    if None not in workers.values():
                        break
                    await asyncio.sleep(RETRY_S)
    return workers


def admin_client(config: Config) -> Any:
    """Return a context that connects `count_workers`'s client; it raises BrokerError."""
    settings = aiokafka_settings(config.kafka)
    return connected(lambda: AIOKafkaAdminClient(**settings), config.kafka)


async def count_workers(admin: Any, config: Config) -> dict[Stage, int | None]:
    """Return how many workers each stage has; None where the broker does not list them now.

    Raises:
        IncompatibleBrokerVersion: the broker never lists members.
    """
    return {stage: await _count_members(admin, consumer_group(config, stage)) for stage in STAGES}


async def _count_members(admin: Any, group: str) -> int | None:
    try:
        (response,) = await admin.describe_consumer_groups([group])
    except IncompatibleBrokerVersion:
        raise
    except (KafkaError, OSError):  # for example while the broker starts its group coordinator
        return None
    error_code, _, _, _, _, members, *_ = response.groups[0]
    if error_code == GROUP_ID_NOT_FOUND:
        return 0
    return None if error_code else len(members)
