"""Text of others, made safe for a terminal, a log, and a spreadsheet. Pure functions."""

from __future__ import annotations

import re

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_HIGH_CONTROLS = re.compile(r"[\x7f-\x9f\u2028\u2029]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def printable(text: str) -> str:
    """Return the text with its control characters escaped, on one line.

    A terminal then runs no command from it, and a log line cannot look like two.
    """
    return _CONTROLS.sub(_escape, text)


def json_line(text: str) -> str:
    """Return JSON with the control characters escaped that JSON allows as they are."""
    return _HIGH_CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def csv_cell(text: str) -> str:
    """Return a text cell that no spreadsheet takes for a formula: an apostrophe precedes it.

    Only for text; a negative number keeps its minus.
    """
    return f"'{text}" if text.startswith(_FORMULA) else text


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
