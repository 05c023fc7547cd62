"""The plan of a session: its participants, their sources, its start and speed.

What enters: participants and settings. What leaves: a `Plan`, with every source probed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from streamer import capture
from streamer.capture.sources import ParticipantSpec
from streamer.config import Config
from streamer.errors import ConfigError
from streamer.records import wall_clock
from streamer.session.beginnings import beginnings


@dataclass(frozen=True)
class Plan:
    """What is to be captured.

    Attributes:
        start_unix_ns: wall clock at session time 0.
        live: devices and streams that cannot wait; False for recordings.
        begins_ns: session time at which a participant's recordings begin; 0 where it is missing.
        notice: a sentence for people on what was guessed; may be empty.
        speed: of a replay: 1 as recorded, 4 four times as fast, 0 as fast as it goes.
    """

    session_id: str
    start_unix_ns: int
    live: bool
    speed: float
    participants: tuple[ParticipantSpec, ...]
    sources: dict[str, capture.SourceInfo]
    begins_ns: Mapping[str, int] = field(default_factory=dict)
    notice: str = ""


def make_plan(
    participants: Sequence[ParticipantSpec],
    config: Config,
    *,
    session_id: str | None,
    speed: float,
    start: datetime | None = None,
) -> Plan:
    """Look at every source and decide the session's name and start, and when each one begins.

    Args:
        participants: who is captured.
        config: all settings.
        session_id: the session's name; None for one of the time.
        speed: of a replay.
        start: wall clock at session time 0 of recordings; None for what they tell of it.

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
    if live and start is not None:
        raise ConfigError("A start can be stated for recordings only; a live session starts now.")
    begin = beginnings(participants, sources)
    now_ns = time.time_ns()
    if start is not None:
        start_ns = round(start.timestamp() * 1e6) * 1000
    elif live:
        start_ns = now_ns
    else:
        start_ns = min(_session_starts(sources, begin.at_ns), default=now_ns)
    return Plan(
        session_id=session_id or f"live-{wall_clock(now_ns, 0):%Y%m%dT%H%M%SZ}",
        start_unix_ns=start_ns,
        live=live,
        speed=1.0 if live else speed,
        participants=tuple(participants),
        sources=sources,
        begins_ns=begin.at_ns,
        notice=begin.notice,
    )


def _session_starts(
    sources: Mapping[str, capture.SourceInfo], begins_ns: Mapping[str, int]
) -> list[int]:
    """Return the wall clock at session time 0 by each recording that knows its own start."""
    return [
        max(info.start_unix_ns - begins_ns[name], 0)
        for name, info in sources.items()
        if info.start_unix_ns is not None
    ]
