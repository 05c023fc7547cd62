"""`streamer replay` and its output: for the tests of replays."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from streamer.cli.app import app
from streamer.cli.main import end
from streamer.demo import LENGTH_S

WINDOWS = math.ceil(LENGTH_S)
"""Windows of the demo's meeting."""
SHORT = 14
"""Seconds, and so windows, of the meeting's beginning: enough for all but the bounds of memory."""


@dataclass(frozen=True)
class Finished:
    """What a finished `streamer` process said."""

    code: int
    lines: list[str]
    errors: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """Standard output, one JSON object per line and nothing else."""
        return [json.loads(line) for line in self.lines]


def streamer(*arguments: str, env: Mapping[str, str] | None = None, timeout: Any = 300) -> Finished:
    process = subprocess.run(
        [sys.executable, "-m", "streamer", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **(env or {})},
        check=False,
    )
    return Finished(process.returncode, process.stdout.splitlines(), process.stderr)


def replay(file: Path | str, *arguments: str, **options: Any) -> Finished:
    return streamer("replay", str(file), "--speed", "0", "--json", *arguments, **options)


def refused(capture: pytest.CaptureFixture[str], *arguments: str) -> Finished:
    """A command that ends before any stage starts, in this process: the two halves of `main`."""
    with pytest.raises(SystemExit) as ended:
        try:
            app(arguments)
        except Exception as error:
            end(error)
    assert isinstance(ended.value.code, int)
    output, errors = capture.readouterr()
    return Finished(ended.value.code, output.splitlines(), errors)


def in_order(records: Sequence[dict[str, Any]], count: int) -> None:
    """One sentiment per window, each once, in order, only the last one final."""
    assert [r["window_index"] for r in records] == list(range(count))
    assert [r["final"] for r in records] == [False] * (count - 1) + [True]
    for record in records:
        session, participant, index = record["window_id"].split("/")
        assert (session, participant) == (record["session_id"], record["participant_id"])
        assert int(index) == record["window_index"]
        assert record["valence"] is None or -3 <= record["valence"] <= 3


def without_times(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "latency_ms"}


def topic(broker: str, name: str, form: str) -> bytes:
    command = ["kcat", "-C", "-q", "-e", "-b", broker, "-t", name, "-f", form]
    return subprocess.run(command, capture_output=True, timeout=60, check=True).stdout


def lines(broker: str, name: str) -> list[str]:
    return topic(broker, name, "%s\n").decode().splitlines()
