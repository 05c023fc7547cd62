"""The entry point: runs a command and turns its failures into a sentence and an exit code."""

from __future__ import annotations

import sys
from typing import NoReturn

from streamer.cli import checks, letters, models, play, recordings, stages, watch
from streamer.cli.app import app
from streamer.errors import ExitCode, StreamerError

COMMANDS = (play, stages, watch, recordings, checks, models, letters)
"""The modules whose import registers their commands."""


def main() -> NoReturn:
    """Run a command; a failure is one sentence on standard error and an exit code."""
    try:
        app(standalone_mode=True)
    except StreamerError as error:
        sys.stderr.write(f"streamer: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(ExitCode.SUCCESS)
    sys.exit(ExitCode.SUCCESS)
