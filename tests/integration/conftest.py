"""Recordings that several integration tests replay, made once for all workers of a run."""

import os
from pathlib import Path

import pytest
from filelock import FileLock

from streamer.demo import LENGTH_S, meeting
from tests.integration.replaying import SHORT


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new folder for this run, the same one for each worker of pytest-xdist."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def made_once(folder: Path, length_s: float) -> dict[str, Path]:
    """The meeting's beginning, from the worker that is first to need it."""
    with FileLock(folder / f"meeting-{length_s:g}.lock"):
        return meeting(folder / f"meeting-{length_s:g}", length_s)


@pytest.fixture(scope="session")
def recordings(shared_folder: Path) -> dict[str, Path]:
    """The demo's meeting, generated anew."""
    return made_once(shared_folder, LENGTH_S)


@pytest.fixture(scope="session")
def short(shared_folder: Path) -> dict[str, Path]:
    """The first SHORT seconds of the meeting."""
    return made_once(shared_folder, SHORT)
