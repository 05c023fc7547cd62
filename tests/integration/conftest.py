"""Recordings that several integration tests replay."""

from pathlib import Path

import pytest

from streamer.demo import meeting
from tests.integration.replaying import SHORT


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The demo's meeting, generated anew."""
    return meeting(tmp_path_factory.mktemp("meeting") / "made")


@pytest.fixture(scope="session")
def short(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The first SHORT seconds of the meeting."""
    return meeting(tmp_path_factory.mktemp("short") / "made", SHORT)
