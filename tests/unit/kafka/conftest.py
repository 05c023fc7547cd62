"""A machine whose programs the test chooses."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from streamer.kafka.java import cache_directory


@dataclass
class Machine:
    """An empty search path and an empty cache, both in `folder`."""

    folder: Path

    def install(self, name: str, script: str, folder: Path | None = None) -> None:
        """Put a shell script on the search path."""
        path = (folder or self.folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
        path.chmod(0o755)

    def install_jars(self) -> None:
        """Create the directory of Kafka's jars, without jars."""
        (cache_directory() / "jars").mkdir(parents=True)

    def install_kafka(self, script: str) -> None:
        """Create the jars and a Java 17 that runs `script` instead of them."""
        self.install_jars()
        version = 'case "$1" in -version) echo \'openjdk version "17.0.1"\' >&2; exit;; esac'
        self.install("java", f"PATH=/usr/bin:/bin\n{version}\n{script}")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return Machine(tmp_path)
