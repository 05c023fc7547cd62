"""Streaming multimodal sentiment, from devices to Kafka topics.

The way of the data, one line per stage:

    capture          devices, files, URLs   → AudioChunk, VideoFrame
    speech, faces    chunks                 → Word, FaceCrop
    windows          chunks, words, crops   → Window      (topic windows)
    inference        Window                 → Score       (topic scores)
    smoothing        Score                  → Sentiment   (topics smoothed, alerts, …)
    client           Sentiment              → your program

`records` defines what flows, `config` the settings, `kafka` the topics and brokers. `session`,
`processing` and `local` run the stages; `cli` is the command line.

    async for sentiment in streamer.subscribe("localhost:9092", session="standup"): ...
    for sentiment in streamer.subscribe_sync("localhost:9092", session="standup"): ...
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamer.client import subscribe, subscribe_sync

__all__ = ["subscribe", "subscribe_sync"]


def __getattr__(name: str) -> Any:
    """Import the client when it is asked for: `import streamer` alone stays cheap."""
    if name in __all__:
        return getattr(import_module("streamer.client"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
