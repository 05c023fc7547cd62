"""Key presses and signals: pausing a replay, Ctrl-C.

The first Ctrl-C is answered at once and asks the work to end; while it ends, the terminal shows
what it waits for. The second one ends the process within END_NOW_S, even if a thread hangs.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from types import FrameType
from typing import Any, NoReturn, TypeVar

from streamer.cli.app import screen
from streamer.errors import ExitCode
from streamer.stopping import Stop

T = TypeVar("T")

END_NOW_S = 2.0
"""How long an orderly end may take once it must be at once."""
REPORT_S = 4.0
"""How often the terminal shows what a requested end waits for."""
STOPPING = "Stopping; Ctrl-C again ends at once."


@contextlib.contextmanager
def pausable(pace: Any) -> Iterator[None]:
    """Let the space bar and SIGUSR1 pause and resume a replay; needs a running event loop."""
    import termios
    import tty

    loop = asyncio.get_running_loop()

    def toggle() -> None:
        screen.print("Paused; press space to resume." if pace.toggle() else "Resumed.", style="dim")

    def pressed() -> None:
        for _ in range(os.read(keys, 64).count(b" ")):
            toggle()

    loop.add_signal_handler(signal.SIGUSR1, toggle)
    keys = sys.stdin.fileno() if sys.stdin.isatty() else -1
    try:
        ours = keys >= 0 and os.tcgetpgrp(keys) == os.getpgrp()
    except OSError:
        ours = False
    if ours:
        before = termios.tcgetattr(keys)
        restore = functools.partial(termios.tcsetattr, keys, termios.TCSANOW, before)
        _RESTORE.append(restore)
        tty.setcbreak(keys)
        loop.add_reader(keys, pressed)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGUSR1)
        if ours:
            loop.remove_reader(keys)
            termios.tcsetattr(keys, termios.TCSADRAIN, before)
            _RESTORE.remove(restore)


_RESTORE: list[Callable[[], None]] = []
"""What gives the terminal its settings back when the process ends without cleaning up."""


def end_within(seconds: float, exit_code: int = ExitCode.INTERRUPTED) -> None:
    """End the process after `seconds` in any case: a thread that hangs cannot hold it.

    The end is immediate and without cleaning up, but for the terminal's settings; child stages
    notice it by their pipe.
    """

    def end() -> NoReturn:
        time.sleep(seconds)
        for restore in _RESTORE:
            with contextlib.suppress(Exception):
                restore()
        if screen.is_terminal:
            os.write(2, b"\x1b[?25h")  # a live table hides the cursor
        os._exit(exit_code)

    threading.Thread(target=end, name="end", daemon=True).start()


def interruptible() -> None:
    """Let Ctrl-C raise KeyboardInterrupt and end the process within END_NOW_S.

    Where Ctrl-C is ignored, as under `nohup`, it stays so.
    """

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        end_within(END_NOW_S)
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)


def until_signal(
    work: Callable[[Stop], Coroutine[Any, Any, T]],
    run: Callable[[Coroutine[Any, Any, tuple[T, bool]]], tuple[T, bool]] = asyncio.run,
    report_s: float = REPORT_S,
) -> tuple[T, bool]:
    """Run `work`; SIGINT and SIGTERM set its event, a second one cancels it and ends the process.

    Args:
        work: a coroutine that ends soon after the event is set.
        run: runs a coroutine on a new event loop.
        report_s: how often to print what the end waits for.

    Returns:
        The result of `work`, and whether a signal came.
    """

    async def watched() -> tuple[T, bool]:
        stop = Stop()
        working = asyncio.create_task(work(stop))
        loop = asyncio.get_running_loop()
        asked = False

        def ask() -> None:
            screen.print(STOPPING, style="dim", highlight=False)
            stop.set()

        def signalled(number: int, frame: FrameType | None) -> None:
            nonlocal asked
            if asked:
                end_within(END_NOW_S)
                with contextlib.suppress(RuntimeError):  # the loop is closed: only threads are left
                    loop.call_soon_threadsafe(working.cancel)
            else:
                asked = True
                loop.call_soon_threadsafe(ask)

        # Not `add_signal_handler`, whose handlers wait for a loop that something blocks.
        before = {number: signal.signal(number, signalled) for number in _ENDING}
        reporting = asyncio.create_task(report(stop, report_s))
        try:
            return await working, stop.is_set()
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
        finally:
            reporting.cancel()
            if not asked:
                for number, handler in before.items():
                    signal.signal(number, handler)

    return run(watched())


_ENDING = (signal.SIGINT, signal.SIGTERM)


async def report(stop: Stop, every_s: float) -> NoReturn:
    """Once `stop` is set, print every `every_s` what its end waits for; until cancelled."""
    await stop.wait()
    while True:
        await asyncio.sleep(every_s)
        waits_for = stop.waits_for()
        waiting = f"Waiting for {waits_for}" if waits_for else "Still stopping"
        screen.print(f"{waiting}; Ctrl-C ends at once.", style="dim", highlight=False)
