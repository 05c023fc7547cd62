"""Lines of the log."""

from __future__ import annotations

import logging
import sys

import pytest

from streamer.cli.logs import TextFormatter, complete


def test_a_message_that_does_not_fit_its_arguments_is_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextFormatter())
    handler.addFilter(complete)
    for text, arguments in [("fetch from %s: %s", (1,)), ("%d of %s", ("a", "b")), ("ok %s", (1,))]:
        handler.handle(logging.LogRecord("kafka", logging.ERROR, "f", 1, text, arguments, None))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ", 1)[1] for line in lines] == [
        "fetch from %s: %s (1,)",
        "%d of %s ('a', 'b')",
        "ok 1",
    ]
