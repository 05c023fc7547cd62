"""What several integration tests use: recordings, made once for a run, and a browser."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from streamer.demo import LENGTH_S, meeting
from tests.browser import Browser, Served, chromium, is_there
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


@pytest.fixture(scope="module")
def one_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser for all tests of a file; it writes screenshots to the folder `page-states`."""
    if not is_there():
        pytest.skip("chromium and chromedriver are not installed")
    with chromium(tmp_path_factory.mktemp("page-states")) as browser:
        yield browser


@pytest.fixture
def browser(one_browser: Browser) -> Iterator[Browser]:
    """The browser; afterwards nothing may have been refused or thrown."""
    one_browser.complaints()
    yield one_browser
    complaints = one_browser.complaints()
    one_browser.open("about:blank")
    one_browser.as_it_began()
    assert complaints == []


@pytest.fixture
def served() -> Iterator[Served]:
    """A page over a feed of its own."""
    server = Served()
    yield server
    server.close()
