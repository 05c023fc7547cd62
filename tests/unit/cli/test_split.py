"""Options that tell people apart, given where they cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from streamer.cli import play, replaying
from streamer.cli.app import app
from streamer.cli.main import COMMANDS
from streamer.errors import ConfigError
from tests import media

RECORDING = "meeting.wav"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("run --split channels", "is `speakers` or `none`"),
        ("run --split speakers -p room=meeting.wav", "is of one microphone"),
        ("replay meeting.wav --voice ana=ana.wav", "--split speakers: add it"),
        ("replay meeting.wav --keep-voices v.json", "--split speakers: add it"),
        ("replay meeting.wav --split speakers --voice ana=ana.wav", "needs that person's consent"),
        ("run --consent all --voice ana=ana.wav", "--split speakers: add it"),
        ("run --split speakers --voice ana=ana.wav --voice-consent Ana", "needs the consent of"),
        ("run --split speakers --consent all --voice ana=ana.wav", "needs that person's consent"),
        (
            "replay meeting.wav --split speakers --voice ana=ana.wav --voice-consent Bo",
            "does not name ana",
        ),
    ],
)
def test_what_cannot_be_split_is_refused_in_one_sentence(
    command: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {play, replaying} <= set(COMMANDS)  # importing them has registered the commands
    monkeypatch.chdir(tmp_path)
    media.write(tmp_path / RECORDING, media.Audio(seconds=1.0))
    result = CliRunner().invoke(app, command.split())
    assert isinstance(result.exception, ConfigError)
    assert reason in str(result.exception)
