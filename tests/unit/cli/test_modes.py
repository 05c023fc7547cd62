"""The modes of a room as settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.cli.modes import Mode, settings_of
from streamer.config import Config, load


def chosen(mode: Mode | None, *sets: str, path: Path | None = None) -> Config:
    return load(path, [*sets, *settings_of(mode, path, list(sets))])


def test_words_uses_speech_as_text_alone() -> None:
    assert chosen(Mode.words).session.modalities == ("text",)


@pytest.mark.parametrize(("own", "least"), [(1, 2), (2, 2), (5, 5)])
def test_meeting_only_publishes_no_person_and_keeps_a_higher_least_number(
    own: int, least: int
) -> None:
    smoothing = chosen(Mode.meeting_only, f"smoothing.session_min_participants={own}").smoothing
    assert (smoothing.publish, smoothing.session_min_participants) == ("session", least)


def test_all_wins_over_the_settings_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('[session]\nmodalities = ["text"]\n')
    assert chosen(Mode.all, path=path).session.modalities == ("audio", "text", "vision")
    assert chosen(Mode.all, path=path).smoothing.publish == "participant"


def test_without_a_mode_the_settings_are_as_they_were() -> None:
    assert settings_of(None, None, None) == []
    assert chosen(None) == load()
