"""Lines of the log."""

from __future__ import annotations

import io
import logging
import re
import sys

import pytest
from rich.console import Console
from rich.live import Live
from rich.text import Text

from streamer.cli.logs import StandardError, TextFormatter, complete


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


def test_a_line_of_the_log_stands_above_a_live_table_and_not_in_it() -> None:
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, width=80)
    handler = StandardError()
    handler.setFormatter(TextFormatter())
    with Live(Text("the table"), console=console, auto_refresh=False) as live:
        live.refresh()
        handler.handle(logging.LogRecord("x", logging.INFO, "f", 1, "a line", (), None))
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    shown = re.split(r"[\r\n]+", plain)
    [place] = [at for at, line in enumerate(shown) if "a line" in line]
    assert "the table" not in shown[place]
    assert any("the table" in line for line in shown[place + 1 :])
