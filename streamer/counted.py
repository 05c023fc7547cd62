"""Counts and shares as people read them. Pure."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: `1 alert`, `2 alerts`, `12,345 alerts`; `no alerts` for 0."""
    if count == 0:
        return f"no {noun}s"
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def percent(share: float) -> str:
    """Return a share from 0 to 1 as a whole percentage; `under 1%` where that would be `0%`."""
    text = f"{share:.0%}"
    return "under 1%" if share > 0 and text == "0%" else text
