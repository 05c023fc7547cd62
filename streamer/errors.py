"""Failures that a user can cause, each one sentence.

StreamerError
├── ConfigError       a setting is wrong, unknown or contradicts another one
├── SourceError       a device, file or URL cannot be opened or read
├── ModelError        a checkpoint or recogniser cannot be loaded
├── BrokerError       the broker cannot be reached, started or written to
├── TopicChanged      a topic was changed under a running stage, which cannot go on
└── UnreadableRecord  bytes on a topic are not the record that they should be

The command line prints the message and exits with the class's exit code; no traceback.
"""

import difflib
from collections.abc import Iterable
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """How a command ended. Scripts test these numbers: never change the meaning of one."""

    SUCCESS = 0
    FAILURE = 1
    """A failure without a code of its own."""
    SETTING = 2
    """A setting or an argument is wrong."""
    SOURCE = 3
    """A device, file or URL cannot be read."""
    BROKER = 4
    """The broker cannot be reached, started or written to."""
    MODEL = 5
    """A checkpoint, encoder or speech recogniser cannot be loaded."""
    RECORD = 6
    """A record contradicts itself and could not be sent."""
    STAGE = 7
    """A stage ended by itself or stopped making progress."""
    TOPIC = 8
    """A topic was changed under a running stage, which cannot go on."""
    INTERRUPTED = 130
    """Ctrl-C ended work that was not complete."""


class StreamerError(Exception):
    """A failure whose message is one sentence that names the thing and the fix."""

    exit_code: ClassVar[ExitCode] = ExitCode.FAILURE


class ConfigError(StreamerError):
    """A setting is wrong, unknown, or cannot go together with another one."""

    exit_code = ExitCode.SETTING


class SourceError(StreamerError):
    """A camera, microphone, media file or URL cannot be opened or read."""

    exit_code = ExitCode.SOURCE


class BrokerError(StreamerError):
    """The Kafka broker cannot be reached, started or written to."""

    exit_code = ExitCode.BROKER


class BrokerGone(BrokerError):
    """The broker did not answer in the time that a stop leaves; do not wait again."""


class TopicChanged(StreamerError):
    """A topic was changed from outside in a way that a running stage cannot follow."""

    exit_code = ExitCode.TOPIC


class ModelError(StreamerError):
    """A checkpoint, encoder or speech recogniser cannot be loaded."""

    exit_code = ExitCode.MODEL


class UnreadableRecord(StreamerError):
    """Bytes on a topic cannot be decoded; `reason` goes to the dead-letter headers."""

    exit_code = ExitCode.RECORD

    def __init__(self, reason: str) -> None:
        """Keep `reason`, a short sentence without the payload."""
        super().__init__(reason)
        self.reason = reason


def did_you_mean(name: str, known: Iterable[str], otherwise: str) -> str:
    """Return the end of an error's sentence: the known name most like `name`, or `otherwise`."""
    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"did you mean {nearest[0]!r}?" if nearest else otherwise
