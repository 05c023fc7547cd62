"""Directories and file locks."""

import subprocess
import sys
from pathlib import Path

import pytest

from streamer import directories


@pytest.mark.skipif(sys.platform != "linux", reason="hardware: XDG is Linux's convention")
def test_directories_follow_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert directories.cache_dir() == tmp_path / "cache" / "streamer"
    assert directories.data_dir() == tmp_path / "data" / "streamer"


def test_a_lock_is_refused_to_another_process_until_it_is_released(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lock"
    code = (
        "import sys, pathlib; from streamer.directories import lock; "
        "print(lock(pathlib.Path(sys.argv[1])) is not None)"
    )

    def other_process_gets_it() -> bool:
        process = subprocess.run(
            [sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True
        )
        return process.stdout.strip() == "True"

    held = directories.lock(path)
    assert held is not None
    assert not other_process_gets_it()
    held.release()
    assert other_process_gets_it()


def test_a_lock_is_freed_when_its_process_ends(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import os, sys, pathlib; from streamer.directories import lock; "
        "assert lock(pathlib.Path(sys.argv[1])); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    held = directories.lock(path)
    assert held is not None
    held.release()
