"""The consumer group of each stage. Every other module gets the name here."""

from __future__ import annotations

from typing import Literal

from streamer.config import Config

Stage = Literal["inference", "smoothing"]


def consumer_group(config: Config, stage: Stage) -> str:
    """Return the consumer group of a stage.

    Processing also uses its group as the beginning of its changelogs' names, so that group always
    contains the topic prefix: two systems on one cluster never share a changelog.
    """
    if stage == "inference":
        return config.inference.consumer_group
    prefix, group = config.kafka.topic_prefix, config.smoothing.consumer_group
    return group if group.startswith(prefix) else f"{prefix}-{group}"
