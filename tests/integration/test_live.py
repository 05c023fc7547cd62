"""Live sessions and stages apart: real processes, virtual devices, an embedded broker."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streamer.demo import meeting
from streamer.session_ids import name_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CAMERA = "lavfi:testsrc2=size=320x240:rate=10"
BLANK = "lavfi:color=gray:size=320x240:rate=10"  # in which nothing can be taken for a face
MICROPHONE = "lavfi:sine=frequency=440:sample_rate=16000"
WORDLESS = ("--set", "asr.engine=none")


@contextlib.contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A `streamer` process; SIGTERM at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "streamer", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=60)


def next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def rest_of(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What is left of a process's output; `communicate` would lose what `readline` read ahead."""
    assert process.stdout is not None and process.stderr is not None
    rest, errors = process.stdout.read(), process.stderr.read()
    process.wait(60)
    return rest, errors


def test_a_live_session_publishes_until_ctrl_c_and_records_consent(kafka_broker: str) -> None:
    with started(
        *("run", "--json", "--session", "live", "--participant", f"me={BLANK},{MICROPHONE}"),
        *("--consent", "everybody nodded", *WORDLESS),
        *("--broker", kafka_broker, "--set", "kafka.topic_prefix=live"),
    ) as process:
        early = [json.loads(next_line(process)) for _ in range(3)]
        process.send_signal(signal.SIGINT)
        rest, errors = rest_of(process)
        assert process.returncode == 0, errors
    records = early + [json.loads(line) for line in rest.splitlines()]
    indexes = [r["window_index"] for r in records]
    assert indexes == sorted(set(indexes))
    assert records[-1]["final"] is True
    assert all(r["valence"] is None and r["evidence"] == [] for r in records)
    sessions = subprocess.run(
        ["kcat", "-C", "-q", "-e", "-b", kafka_broker, "-t", "live.sessions.v1"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.splitlines()
    begun, ended = map(json.loads, sessions)
    assert (begun["consent"], begun["live"]) == ("everybody nodded", True)
    assert ended["participants"][0]["windows"] == len(records)
    dropped = ended["counters"].get("dropped_windows", 0)  # a busy machine may drop, and counts it
    assert indexes[-1] + 1 == len(records) + dropped


@pytest.mark.parametrize("command", ["run", "capture"])
def test_no_consent_no_live_session(command: str, embedded_broker: str) -> None:
    with started(
        *(command, "--participant", f"me={CAMERA}", "--broker", embedded_broker)
    ) as process:
        out, errors = process.communicate(timeout=60)
        assert process.returncode == 2
        assert "--consent" in errors
        assert "Traceback" not in errors
        assert out == ""


def test_every_stage_runs_as_a_process_of_its_own(tmp_path: Path) -> None:
    """broker, infer, process, capture, subscribe: five processes, one path."""
    recording = meeting(tmp_path / "made", 8)["ana"]
    with started("broker") as broker:
        address = next_line(broker).strip()
        with started("infer", "--broker", address), started("process", "--broker", address):
            with started(
                *("subscribe", "--broker", address, "--from", "beginning", "--json"),
                *("--participant", "ana"),
            ) as subscriber:
                ids = []
                for _ in range(2):  # the same name twice: two sessions
                    with started(
                        *("capture", "--broker", address, "--speed", "0", "--session", "apart"),
                        *("--participant", f"ana={recording}"),
                    ) as capture:
                        _, said = capture.communicate(timeout=120)
                        assert capture.returncode == 0, said
                        assert "8 windows published" in said
                    records = [json.loads(next_line(subscriber)) for _ in range(8)]
                    ids.append(records[0]["session_id"])
                    expected = [f"{ids[-1]}/ana/{k}" for k in range(8)]
                    assert [r["window_id"] for r in records] == expected
                assert ids[0] != ids[1]
                assert [name_of(session_id) for session_id in ids] == ["apart", "apart"]
                subscriber.send_signal(signal.SIGINT)
                rest, errors = rest_of(subscriber)
                assert subscriber.returncode == 0, errors
                assert rest == ""


def test_a_stage_ends_with_the_parent_that_started_it(tmp_path: Path) -> None:
    """SIGKILL of `streamer run` leaves no worker behind."""
    with started(
        *("run", "--json", "--participant", f"me={CAMERA}", "--consent", "yes", *WORDLESS),
        *("--set", "kafka.connect_timeout_s=2"),
    ) as process:
        json.loads(next_line(process))
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(process.pid)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        assert len(children) == 2
        process.kill()
        until(lambda: not any(map(alive, children)))


def test_every_stage_ends_at_ctrl_c_although_the_broker_is_gone(tmp_path: Path) -> None:
    """What cannot be said to the broker is told in a sentence; nothing waits for ever."""
    soon = ("--set", "kafka.connect_timeout_s=2")
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(started("broker"))
        there = ("--broker", next_line(broker).strip(), *soon)
        subscriber = stack.enter_context(started("subscribe", "--json", *there))
        recorder = stack.enter_context(started("record", "--dir", str(tmp_path), *there))
        infer = stack.enter_context(started("infer", *there))
        process = stack.enter_context(started("process", *there))
        capture = stack.enter_context(
            started(
                "capture", "--participant", f"me={CAMERA}", "--consent", "yes", *WORDLESS, *there
            )
        )
        next_line(subscriber)
        until(lambda: any(tmp_path.rglob("*.parquet")))  # the recorder commits from now on
        broker.kill()
        broker.wait(60)
        stages = {"record": recorder, "infer": infer, "process": process, "capture": capture}
        for stage in stages.values():
            stage.send_signal(signal.SIGINT)
        said = {name: stage.communicate(timeout=60)[1] for name, stage in stages.items()}
    codes = {name: stage.returncode for name, stage in stages.items()}
    assert codes.pop("capture") == 4
    assert set(codes.values()) <= {0, 4}, codes  # 4 when something was in hand
    assert "did not answer for" in said["capture"]
    assert not any("Traceback" in text for text in said.values()), said


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, for at most a minute."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def alive(pid: str) -> bool:
    state = subprocess.run(
        ["ps", "-o", "state=", "-p", pid], capture_output=True, text=True, check=False
    ).stdout.strip()
    return state not in ("", "Z")


def test_stages_that_need_a_broker_say_so() -> None:
    commands = ("infer", "process", "subscribe")
    with contextlib.ExitStack() as stack:
        for process in [stack.enter_context(started(command)) for command in commands]:
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 2
            assert "streamer broker" in errors
            assert "Traceback" not in errors
