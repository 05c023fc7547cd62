"""Log lines on standard error: text or JSON."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from streamer.config import Config
from streamer.plain_text import printable, without_secrets
from streamer.records import wall_clock

log = logging.getLogger(__name__)


def set_up_logging(config: Config) -> None:
    """Logs on standard error, as text or as one JSON object per line."""
    handler = StandardError()
    handler.setFormatter(JsonFormatter() if config.log.format == "json" else TextFormatter())
    handler.addFilter(complete)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("streamer").setLevel(config.log.level.upper())


class StandardError(logging.StreamHandler[Any]):
    """Writes to what `sys.stderr` is at the time.

    While a live table is shown, Rich puts a stream there that prints lines above the table.
    """

    @property
    def stream(self) -> Any:
        """The stream of now."""
        return sys.stderr

    @stream.setter
    def stream(self, _: Any) -> None:
        """Ignore the stream that the base class sets."""


def complete(record: logging.LogRecord) -> bool:
    """Make a message that does not fit its arguments fit them; pass every record.

    aiokafka logs such records, and `logging` would print a traceback for each.
    """
    try:
        record.getMessage()
    except (TypeError, ValueError):
        record.msg, record.args = f"{record.msg} {record.args}", ()
    return True


class TextFormatter(logging.Formatter):
    """Formats a record as `HH:MM:SS LEVEL logger: message`, the time in this machine's zone."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line without secrets of addresses, its control characters escaped."""
        return printable(without_secrets(super().formatMessage(record)))

    def formatException(self, ei: Any) -> str:
        """Return the traceback without secrets of addresses."""
        return without_secrets(super().formatException(ei))


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time (UTC), level, logger, message."""

    def format(self, record: logging.LogRecord) -> str:
        """Encode one log record."""
        return json.dumps(
            {
                "time": wall_clock(int(record.created * 1e9), 0).isoformat(),
                "level": record.levelname.lower(),
                "logger": record.name,
                "message": without_secrets(record.getMessage()),
                **({"traceback": self._traceback(record.exc_info)} if record.exc_info else {}),
            }
        )

    def _traceback(self, raised: Any) -> str:
        return without_secrets(self.formatException(raised))
