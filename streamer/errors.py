"""Failures that a user can cause, each one sentence.

StreamerError
├── ConfigError       a setting is wrong, unknown or contradicts another one
├── SourceError       a device, file or URL cannot be opened or read
├── ModelError        a checkpoint or recogniser cannot be loaded
├── BrokerError       the broker cannot be reached, started or written to
└── UnreadableRecord  bytes on a topic are not the record that they should be

The command line prints the message and exits with the class's exit code; no traceback.
"""

from typing import ClassVar


class StreamerError(Exception):
    """A failure whose message is one sentence that names the thing and the fix."""

    exit_code: ClassVar[int] = 1


class ConfigError(StreamerError):
    """A setting is wrong, unknown, or cannot go together with another one."""

    exit_code = 2


class SourceError(StreamerError):
    """A camera, microphone, media file or URL cannot be opened or read."""

    exit_code = 3


class BrokerError(StreamerError):
    """The Kafka broker cannot be reached, started or written to."""

    exit_code = 4


class BrokerGone(BrokerError):
    """The broker did not answer in the time that a stop leaves; waiting again is in vain."""


class ModelError(StreamerError):
    """A checkpoint, encoder or speech recogniser cannot be loaded."""

    exit_code = 5


class UnreadableRecord(StreamerError):
    """Bytes on a topic cannot be decoded; `reason` goes to the dead-letter headers."""

    exit_code = 6

    def __init__(self, reason: str) -> None:
        """Keep `reason`, a short sentence without the payload."""
        super().__init__(reason)
        self.reason = reason
