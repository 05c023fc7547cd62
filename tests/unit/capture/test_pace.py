"""The clock of a replay: speed, pause, stop."""

import math
import os
import pty
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from streamer.capture.pace import Pace
from streamer.records import NS_PER_S


def test_a_replay_without_a_speed_never_waits_except_in_a_pause() -> None:
    pace, stop = Pace(0), threading.Event()
    pace.wait(10_000 * NS_PER_S, stop)
    assert pace.toggle() and pace.paused
    assert pace.remaining_s(0) == math.inf
    assert not pace.toggle()
    pace.wait(10_000 * NS_PER_S, stop)


def test_event_time_passes_at_the_speed_and_not_in_a_pause() -> None:
    now_s = 100.0
    pace = Pace(2, lambda: now_s)
    assert pace.remaining_s(0) == 0  # the clock starts
    assert pace.remaining_s(10 * NS_PER_S) == 5
    now_s += 4
    pace.toggle()
    now_s += 1000
    assert pace.remaining_s(0) == math.inf
    pace.toggle()
    assert pace.remaining_s(10 * NS_PER_S) == 1
    now_s += 1
    assert pace.remaining_s(10 * NS_PER_S) == 0


def test_a_replay_that_cannot_keep_its_speed_is_reported_once() -> None:
    now_s = 100.0
    pace = Pace(1, lambda: now_s)
    assert pace.slow_speed(0) is None  # the clock starts
    now_s += 19.9
    assert pace.slow_speed(10 * NS_PER_S) is None
    pace.toggle()
    now_s += 1000
    assert pace.slow_speed(10 * NS_PER_S) is None
    pace.toggle()
    now_s += 5.1
    assert pace.slow_speed(10 * NS_PER_S) == pytest.approx(0.4)
    assert pace.slow_speed(10 * NS_PER_S) is None
    free = Pace(0, lambda: now_s)
    now_s += 1000
    assert free.slow_speed(0) is None


def test_resuming_and_stopping_end_a_wait() -> None:
    for end in ("resume", "stop"):
        pace, stop = Pace(1, lambda: 0.0), threading.Event()
        pace.toggle()
        waiting = threading.Thread(target=pace.wait, args=(0, stop), daemon=True)
        waiting.start()
        if end == "resume":
            pace.toggle()
        else:
            stop.set()
        waiting.join(10)
        assert not waiting.is_alive()


ON_A_TERMINAL = """
import asyncio, fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from streamer.cli import terminal
from streamer.capture.pace import Pace

async def main():
    pace = Pace(1)
    with terminal.pausable(pace):
        os.kill(os.getpid(), signal.SIGUSR1)
        while not pace.paused:
            await asyncio.sleep(0.01)
        print("press", flush=True)
        while pace.paused:
            await asyncio.sleep(0.01)
    print("echo", bool(termios.tcgetattr(0)[3] & termios.ECHO), flush=True)

asyncio.run(main())
"""


@pytest.mark.slow
def test_a_signal_pauses_and_the_space_key_resumes() -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", ON_A_TERMINAL],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        cwd=Path(__file__).parents[3],
    )
    os.close(theirs)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"press\n"
        os.write(ours, b"x")  # any other key does nothing
        os.write(ours, b" ")
        output, messages = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert output == b"echo True\n"
    assert messages.split(b"\n")[:2] == [b"Paused; press space to resume.", b"Resumed."]
