"""The entry point: runs a command and turns its failures into a sentence and an exit code."""

from __future__ import annotations

import io
import os
import sys
from typing import NoReturn

from streamer.cli import (
    capacity,
    checks,
    letters,
    models,
    play,
    recordings,
    replaying,
    room,
    speakers,
    stages,
    topics,
    watch,
)
from streamer.cli.app import app
from streamer.cli.terminal import interruptible
from streamer.errors import ExitCode, StreamerError
from streamer.plain_text import without_secrets

COMMANDS = (
    *(play, room, replaying, stages, watch, recordings, speakers),
    *(checks, models, letters, topics, capacity),
)
"""The modules whose import registers their commands."""


def main() -> NoReturn:
    """Run a command; a failure is one sentence on standard error and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for a locale that lacks some letters
    try:
        interruptible()
        app(standalone_mode=True)
        sys.stdout.flush()
    except BaseException as error:
        end(error)
    sys.exit(ExitCode.SUCCESS)


def end(error: BaseException) -> NoReturn:
    """Exit as a failure demands; of several at once, as the first that a user can act on.

    Raises:
        SystemExit: always, except for an error that is a fault of this program, which is raised.
    """
    leaves = list(_leaves(error))
    for leaf in leaves:
        if isinstance(leaf, StreamerError):
            sys.stderr.write(f"streamer: {without_secrets(str(leaf))}\n")
            sys.exit(leaf.exit_code)
    for leaf in leaves:
        if isinstance(leaf, _client_errors()):
            sys.stderr.write(f"streamer: The Kafka broker failed ({leaf}); see to it, try again.\n")
            sys.exit(ExitCode.BROKER)
    if any(isinstance(leaf, BrokenPipeError) for leaf in leaves):
        # The reader of standard output has gone, as in `streamer subscribe | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.SUCCESS)
    if any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves):
        sys.exit(ExitCode.INTERRUPTED)
    raise error


def _client_errors() -> tuple[type[BaseException], ...]:
    """Return the Kafka client's errors if it was used; this package does not import it."""
    module = sys.modules.get("aiokafka.errors")
    return () if module is None else (module.KafkaError,)


def _leaves(error: BaseException) -> list[BaseException]:
    """Return the errors in a group, in order; of any other error, itself."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for part in error.exceptions for leaf in _leaves(part)]
    return [error]
