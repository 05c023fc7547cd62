"""A replay's clock: speed, pause, stop."""

import os
import pty
import subprocess
import sys
import threading
from pathlib import Path

from streamer.capture.pace import Pace
from streamer.records import NS_PER_S


def waiting(pace: Pace, event_time_ns: int, stop: threading.Event) -> threading.Thread:
    thread = threading.Thread(target=pace.wait, args=(event_time_ns, stop), daemon=True)
    thread.start()
    return thread


def test_without_a_speed_nothing_waits_but_for_a_pause():
    pace, stop = Pace(0), threading.Event()
    pace.wait(10_000 * NS_PER_S, stop)
    assert pace.toggle() and pace.paused
    thread = waiting(pace, 0, stop)
    thread.join(0.3)
    assert thread.is_alive()
    assert not pace.toggle()
    thread.join(10)
    assert not thread.is_alive()


def test_event_time_passes_at_the_speed_and_not_while_paused(monkeypatch):
    now_s = [100.0]
    monkeypatch.setattr("streamer.capture.pace.time.monotonic", lambda: now_s[0])
    pace = Pace(2)
    assert pace._left_s(0) == 0  # the clock starts
    assert pace._left_s(10 * NS_PER_S) == 5
    now_s[0] += 4
    pace.toggle()
    now_s[0] += 1000
    pace.toggle()
    assert pace._left_s(10 * NS_PER_S) == 1
    now_s[0] += 1
    assert pace._left_s(10 * NS_PER_S) == 0


def test_a_stop_ends_the_wait_even_when_paused():
    pace, stop = Pace(1), threading.Event()
    pace.toggle()
    thread = waiting(pace, 3600 * NS_PER_S, stop)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()


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


def test_a_signal_pauses_and_space_on_the_terminal_goes_on():
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
        told, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert told == b"echo True\n"
    assert said.split(b"\n")[:2] == [b"Paused; press space to resume.", b"Resumed."]
