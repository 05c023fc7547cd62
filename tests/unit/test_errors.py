"""The exit codes: README lists those of the code, and commands end with them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from streamer.errors import ExitCode, StreamerError

README = Path(__file__).resolve().parents[2] / "README.md"


def exit_codes_in(text: str) -> list[int]:
    """Return the first column of the table whose head is `exit code`."""
    table = text.partition("| exit code |")[2].partition("\n\n")[0]
    return [int(number) for number in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)]


def test_the_readme_lists_exactly_the_exit_codes() -> None:
    assert exit_codes_in(README.read_text("utf-8")) == [int(code) for code in ExitCode]


def test_a_failure_without_a_code_of_its_own_exits_with_1() -> None:
    assert StreamerError("It failed.").exit_code is ExitCode.FAILURE


@pytest.mark.slow
def test_a_wrong_setting_ends_a_command_with_its_code() -> None:
    process = subprocess.run(
        [sys.executable, "-m", "streamer", "config", "show", "--set", "windows.hop_s=no"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == ExitCode.SETTING
    assert process.stderr.startswith("streamer: The setting 'windows.hop_s' is wrong")
