"""Key presses and signals: pausing a replay, Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from streamer.cli.app import screen

T = TypeVar("T")


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
        tty.setcbreak(keys)
        loop.add_reader(keys, pressed)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGUSR1)
        if ours:
            loop.remove_reader(keys)
            termios.tcsetattr(keys, termios.TCSADRAIN, before)


def until_signal(work: Callable[[asyncio.Event], Coroutine[Any, Any, T]]) -> tuple[T, bool]:
    """Run `work`; SIGINT and SIGTERM set its event, a second one cancels it.

    Returns:
        Its result, and whether a signal came.
    """

    async def watched() -> tuple[T, bool]:
        stop = asyncio.Event()
        working = asyncio.create_task(work(stop))

        def asked() -> None:
            if stop.is_set():
                working.cancel()
            stop.set()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, asked)
        try:
            return await working, stop.is_set()
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None

    return asyncio.run(watched())
