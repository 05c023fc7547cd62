"""The modes of a room: what a session uses of its people and publishes, as one word.

What enters: a mode, and the settings that were chosen besides. What leaves: the settings that it
stands for, which win over those.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from streamer import config as settings


class Mode(StrEnum):
    """`words`: speech as text alone. `meeting-only`: of the meeting, of no person. `all`: all."""

    words = "words"
    meeting_only = "meeting-only"
    all = "all"


def settings_of(mode: Mode | None, path: Path | None, sets: list[str] | None) -> list[str]:
    """Return the settings of a mode; none without one.

    Args:
        mode: which.
        path: the TOML file of the other settings.
        sets: other settings of the command line.

    Raises:
        ConfigError: the other settings are wrong.
    """
    match mode:
        case Mode.words:
            return ['session.modalities=["text"]']
        case Mode.meeting_only:
            chosen = settings.load(path, sets or []).smoothing.session_min_participants
            least = f"smoothing.session_min_participants={max(2, chosen)}"
            return ['smoothing.publish="session"', least]
        case Mode.all:
            modalities = 'session.modalities=["audio", "text", "vision"]'
            return [modalities, 'smoothing.publish="participant"']
        case None:
            return []
