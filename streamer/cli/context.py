"""What a command works with: the settings, the recording options, and values of options.

What enters: option values. What leaves: checked settings and values; a wrong one is a ConfigError.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from streamer import config as settings
from streamer.cli.logs import set_up_logging
from streamer.config import Config
from streamer.errors import ConfigError


@dataclass(frozen=True)
class Recorder:
    """What a command records; nothing without a folder."""

    folder: Path | None = None
    windows: bool = False
    media: bool = False

    def __post_init__(self) -> None:
        """Refuse options that have no effect."""
        if self.folder is None and (self.windows or self.media):
            raise ConfigError("--record-windows and --record-media require --record DIR.")


NO_RECORDER = Recorder()


@dataclass(frozen=True)
class Chosen:
    """The settings, and the options that give a worker process the same ones."""

    config: Config
    path: Path | None
    overrides: tuple[str, ...]

    def stage_arguments(self, broker: str) -> list[str]:
        """Return the command-line options of a worker on `broker`."""
        arguments = ["--config", str(self.path)] if self.path else []
        for override in (*self.overrides, f"kafka.broker={json.dumps(broker)}"):
            arguments += ["--set", override]
        return arguments


def choose(
    path: Path | None, sets: list[str] | None, broker: str | None = None, consent: str | None = None
) -> Chosen:
    """Load the settings and set up logging."""
    overrides = list(sets or [])
    if broker is not None:
        overrides.append(f"kafka.broker={json.dumps(broker)}")
    if consent is not None:
        overrides.append(f"session.consent={json.dumps(consent)}")
    config = settings.load(path, overrides)
    set_up_logging(config)
    return Chosen(config, path, tuple(overrides))


def checked_speed(speed: float) -> float:
    """Return the speed of a replay; raises ConfigError if it is out of range."""
    if not 0 <= speed < 1000:
        raise ConfigError(f"--speed {speed:g} must be from 0 (no waiting) to below 1000.")
    return speed


def beginning(text: str, option: str = "--from") -> Literal["earliest", "latest"] | datetime:
    """Return where to start reading: beginning, latest, or a time with its zone.

    Raises:
        ConfigError: it is none of these.
    """
    if text == "latest":
        return "latest"
    if text == "beginning":
        return "earliest"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ConfigError(
            f"{option} {text!r} is neither beginning nor latest nor a time with its zone, as in "
            "2026-01-31T09:00Z."
        )
    return moment


def session_start(text: str | None) -> datetime | None:
    """Return the stated wall clock at session time 0; None if none is stated.

    Raises:
        ConfigError: it is no time with its zone.
    """
    moment = None if text is None else beginning(text, "--start")
    if isinstance(moment, str):
        raise ConfigError("--start takes a time with its zone, as in 2026-01-31T09:00Z.")
    return moment


def needs_stages(config: Config, no_stages: bool) -> None:
    """Refuse --no-stages on the embedded broker: no stage that runs elsewhere could reach it."""
    if no_stages and config.kafka.broker == "embedded":
        raise ConfigError(
            "--no-stages needs a running broker that the other stages use too: pass --broker "
            "host:port, or leave --no-stages out."
        )


def needs_running_broker(config: Config, command: str) -> None:
    """Refuse the embedded broker for a single stage: no other stage could reach it."""
    if config.kafka.broker == "embedded":
        raise ConfigError(
            f"`streamer {command}` needs a running broker: start one with `streamer broker` and "
            "pass --broker host:port."
        )
