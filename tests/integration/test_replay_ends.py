"""Replays that end early: wrong arguments, files, brokers and checkpoints, and Ctrl-C."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.replaying import WINDOWS, refused, replay

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["absent.mp4"], 3, "absent.mp4"),
        (["notes.txt"], 3, "notes.txt"),
        (["empty.wav"], 3, "empty.wav"),
        (["notes.txt", "--set", "windows.lenght_s=3"], 2, "did you mean 'windows.length_s'"),
        (["notes.txt", "--speed", "-1"], 2, "speed"),
        ([], 2, "Nobody to listen to"),
    ],
)
def test_bad_input_is_one_sentence_and_a_code(
    arguments: Any,
    code: int,
    sentence: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "notes.txt").write_text("no media here")
    (tmp_path / "empty.wav").write_bytes(b"")
    paths = [str(tmp_path / a) if a.endswith((".mp4", ".txt", ".wav")) else a for a in arguments]
    said = refused(capsys, "replay", "--json", *paths)
    assert said.code == code, said.errors
    assert sentence in said.errors
    assert "Traceback" not in said.errors
    assert said.lines == []


def test_an_unreachable_broker_is_one_sentence(short: dict[str, Path]) -> None:
    said = replay(
        short["ana"],
        *("--broker", "localhost:1", "--set", "kafka.connect_timeout_s=3"),
    )
    assert said.code == 4
    assert "localhost:1" in said.errors
    assert "Traceback" not in said.errors
    assert said.lines == []


def test_a_wrong_checkpoint_is_told_by_the_stage_that_met_it(
    short: dict[str, Path], tmp_path: Path
) -> None:
    said = replay(short["ana"], "--set", f"inference.checkpoint={tmp_path / 'none'}")
    assert said.code == 7
    assert "inference stage" in said.errors
    assert str(tmp_path / "none") in said.errors
    assert "Traceback" not in said.errors


def test_what_to_record_without_a_place_for_it_is_refused(short: dict[str, Path]) -> None:
    said = replay(short["ana"], "--record-windows")
    assert said.code == 2
    assert "--record-windows and --record-media require --record DIR." in said.errors


def test_ctrl_c_ends_a_replay_cleanly(recordings: dict[str, Path]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "streamer", "replay", str(recordings["ana"]), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        first = [json.loads(process.stdout.readline()) for _ in range(2)]
        assert [record["window_index"] for record in first] == [0, 1]
        process.send_signal(signal.SIGINT)
        rest, errors = process.stdout.read(), process.stderr.read()
    assert process.returncode == 130, errors
    records = [json.loads(line) for line in rest.splitlines()]
    assert records[-1]["final"] is True
    assert [r["window_index"] for r in records] == list(range(2, len(records) + 2))
    assert len(records) < WINDOWS - 10
    assert "Traceback" not in errors
