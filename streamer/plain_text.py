"""Text made safe for a terminal, a log, a spreadsheet, and for other people. Pure functions."""

from __future__ import annotations

import re

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_HIGH_CONTROLS = re.compile(r"[\x7f-\x9f\u2028\u2029]")
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{1,30}\\*:(?:\\*/)+)(\S*)")
_HOST = re.compile(r"(\[[^\[\]@]*\]|[^\[\]:@]*)(\\*:\d*)?")
_AFTER_ADDRESS = ".,;:!?)}'\""
_HIDDEN = "…"
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


def without_secrets(text: str) -> str:
    """Return the text with user, password, query and fragment removed from every address in it.

    An address ends at a space. One that cannot be taken apart safely, as with an unescaped `/` in
    its password, keeps its scheme only.
    """
    return _ADDRESS.sub(_public_in_text, text)


def public_address(source: str) -> str:
    """Return a source without secrets: as `without_secrets`, but an address may contain spaces."""
    match = _ADDRESS.match(source)
    if match is None:
        return without_secrets(source)
    return match[1] + _public_part(source[match.end(1) :])


def _public_in_text(match: re.Match[str]) -> str:
    rest = match[2].rstrip(_AFTER_ADDRESS)
    return match[1] + _public_part(rest) + match[2][len(rest) :]


def _public_part(rest: str) -> str:
    """The host, port and path of what follows `scheme://`."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    user, _, host = authority.rpartition("@")
    after = rest[len(authority) :]
    if not _HOST.fullmatch(host) or (user and "@" in after):
        return _HIDDEN
    return host + re.split(r"[?#]", after, maxsplit=1)[0]


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
