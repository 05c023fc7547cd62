"""Session times as text."""


def clock(milliseconds: int) -> str:
    """Return a session time as `M:SS`, or `H:MM:SS` from one hour on; parts of a second are cut."""
    seconds = milliseconds // 1000
    if seconds >= 3600:
        return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{seconds // 60}:{seconds % 60:02d}"
