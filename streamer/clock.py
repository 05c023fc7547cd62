"""Times as text for people: session times, and wall-clock times in a zone that they name."""

from __future__ import annotations

from datetime import datetime, tzinfo


def clock(milliseconds: int) -> str:
    """Return a session time as `M:SS`, or `H:MM:SS` from one hour on; parts of a second are cut."""
    seconds = milliseconds // 1000
    if seconds >= 3600:
        return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{seconds // 60}:{seconds % 60:02d}"


def date_and_time(moment: datetime, zone: tzinfo | None = None, *, seconds: bool = False) -> str:
    """Return a wall-clock time as `2026-05-03 11:00 CEST`, with the zone's name or offset.

    Args:
        moment: a time with its zone.
        zone: the zone to show it in; None for this machine's. What is the same on every machine,
            such as an exported report, takes UTC.
        seconds: also show the seconds.
    """
    local = moment.astimezone(zone)
    clock_format = "%H:%M:%S" if seconds else "%H:%M"
    name = local.tzname() or ""
    if not name.isascii() or not name.isalpha() or len(name) > 5:  # "+03", or a name in words
        name = f"UTC{local.isoformat()[-6:]}" if local.utcoffset() else "UTC"
    return f"{local:%Y-%m-%d} {local.strftime(clock_format)} {name}"
