"""The plan of a session: its participants, their sources, its start and speed.

What enters: participants and settings. What leaves: a `Plan`, with every source probed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from streamer import capture
from streamer.capture.sources import ParticipantSpec
from streamer.config import Config
from streamer.errors import ConfigError
from streamer.records import (
    wall_clock,
)


@dataclass(frozen=True)
class Plan:
    """What is to be captured.

    Attributes:
        start_unix_ns: wall clock at session time 0.
        live: devices and streams that cannot wait; False for recordings.
        speed: of a replay: 1 as recorded, 4 four times as fast, 0 as fast as it goes.
    """

    session_id: str
    start_unix_ns: int
    live: bool
    speed: float
    participants: tuple[ParticipantSpec, ...]
    sources: dict[str, capture.SourceInfo]


def make_plan(
    participants: Sequence[ParticipantSpec],
    config: Config,
    *,
    session_id: str | None,
    speed: float,
) -> Plan:
    """Look at every source and decide the session's name and start.

    Raises:
        ConfigError: live without consent, no participant, a name used twice, no finite speed.
        SourceError: a source cannot be opened.
    """
    if not participants:
        raise ConfigError("Nobody to listen to: name at least one --participant or file.")
    names = [spec.participant_id for spec in participants]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ConfigError(f"The participant {twice[0]!r} is named twice; give each its own name.")
    if not 0 <= speed < 1000:
        raise ConfigError(f"The speed {speed:g} must lie between 0 (no waiting) and 1000.")
    sources = {spec.participant_id: capture.info(spec) for spec in participants}
    live = any(source.live for source in sources.values())
    if live and not config.session.consent.strip():
        raise ConfigError(
            "A live session needs the consent of those who are captured: state it with "
            '--consent "who agreed, and how" or session.consent in the configuration.'
        )
    starts = [info.start_unix_ns for info in sources.values() if info.start_unix_ns is not None]
    now_ns = time.time_ns()
    start = now_ns if live or not starts else min(starts)
    return Plan(
        session_id=session_id or f"live-{wall_clock(now_ns, 0):%Y%m%dT%H%M%SZ}",
        start_unix_ns=start,
        live=live,
        speed=1.0 if live else speed,
        participants=tuple(participants),
        sources=sources,
    )
