"""`streamer sessions`, and what `replay` takes of a recording's people."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.cli.recordings import sessions
from streamer.cli.replaying import face_of
from streamer.errors import ConfigError


def test_a_file_is_no_folder_of_recordings(tmp_path: Path) -> None:
    path = tmp_path / "recordings"
    path.touch()
    with pytest.raises(ConfigError, match="recordings is a file; name the folder"):
        sessions(folder=path)


def test_a_face_is_a_name_and_a_place() -> None:
    assert face_of("Ana=Maria Berg = left") == ("Ana=Maria Berg", "left")
    for text in ("left", "=left"):
        with pytest.raises(ConfigError, match="as in 'Ana Berg=left'"):
            face_of(text)
