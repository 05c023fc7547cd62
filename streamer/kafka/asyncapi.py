"""The AsyncAPI document of the topics, `docs/schema/asyncapi.json`, for programs and generators.

What enters: the table of topics. What leaves: one AsyncAPI 3.0 document with a channel, a message
and a `receive` operation for each topic. Payloads refer to the JSON Schemas in the same folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from streamer.config import KafkaConfig
from streamer.kafka.topics import DEAD_LETTER, SESSION_INPUT, TOPICS, Topic

FILE = "asyncapi.json"
VERSION = "1"
_HEADERS = ("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_subject")
_LETTER_HEADERS = (
    "reason",
    "original_topic",
    "original_partition",
    "original_offset",
    "original_timestamp_ms",
)
_INTERNAL = "Internal, between workers of processing: each `Sentiment` again, by session."


def asyncapi() -> str:
    """Return the document as JSON; the topics have the default prefix."""
    prefix = KafkaConfig().topic_prefix
    document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "streamer",
            "version": VERSION,
            "description": "Sentiment of live and recorded meetings. Delivery is at least once: "
            "messages with the same ce_id are duplicates, and the highest revision counts.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {topic.kind: _channel(topic, prefix) for topic in TOPICS},
        "operations": {f"receive_{topic.kind}": _operation(topic) for topic in TOPICS},
        "components": {"messages": {topic.kind: _message(topic) for topic in TOPICS}},
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _channel(topic: Topic[Any], prefix: str) -> Mapping[str, Any]:
    return {
        "address": topic.full_name(prefix),
        "description": _first_line(topic),
        "messages": {topic.kind: {"$ref": f"#/components/messages/{topic.kind}"}},
    }


def _operation(topic: Topic[Any]) -> Mapping[str, Any]:
    channel = f"#/channels/{topic.kind}"
    return {
        "action": "receive",
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{topic.kind}"}],
    }


def _message(topic: Topic[Any]) -> Mapping[str, Any]:
    message: dict[str, Any] = {
        "name": topic.struct.__name__,
        "summary": _first_line(topic),
        "contentType": topic.codec.content_type,
        "headers": _headers(_LETTER_HEADERS if topic is DEAD_LETTER else _HEADERS),
        "bindings": {"kafka": {"key": _key(topic)}},
    }
    for same in TOPICS:
        if same.struct is topic.struct and same.schema_file is not None:
            message["payload"] = {"$ref": f"./{same.schema_file}"}
    return message


def _headers(names: tuple[str, ...]) -> Mapping[str, Any]:
    return {
        "type": "object",
        "required": list(names),
        "properties": {name: {"type": "string"} for name in names},
    }


def _key(topic: Topic[Any]) -> Mapping[str, Any]:
    return {"type": "string", "description": (topic.partition_key.__doc__ or "").strip()}


def _first_line(topic: Topic[Any]) -> str:
    if topic is SESSION_INPUT:
        return _INTERNAL
    return (topic.struct.__doc__ or "").strip().partition("\n")[0]
