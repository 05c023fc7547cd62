"""The stages as processes of their own: started, watched and stopped by one that needs them.

A worker is `streamer infer` or `streamer process` in a child process. It ends with its parent,
even if the parent is killed: it holds one end of a pipe and stops when the other end closes.
Knows nothing of what a stage does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from streamer.errors import ExitCode, StreamerError

PARENT_PIPE = "STREAMER_PARENT_PIPE"
STOP_TIMEOUT_S = 20.0
LAST_LINES = 12


class WorkerDied(StreamerError):
    """A stage's process ended although nobody asked it to."""

    exit_code = ExitCode.STAGE


class Worker:
    """One child process and its log file."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log_path: Path) -> None:
        """Made by `running`."""
        self.name = name
        self.log_path = log_path
        self._process = process

    async def died(self) -> NoReturn:
        """Wait for the process to end, then raise WorkerDied with the end of its log."""
        code = await self._process.wait()
        lines = self.log_path.read_text("utf-8", "replace").strip().splitlines()[-LAST_LINES:]
        last_line = lines[-1] if lines else "it logged nothing"
        raise WorkerDied(
            f"The {self.name} stage ended with exit code {code}: {last_line} "
            f"(log: {self.log_path})."
        )

    async def stop(self) -> None:
        """SIGTERM, which flushes and commits; SIGKILL after STOP_TIMEOUT_S, or when cancelled."""
        if self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_TIMEOUT_S)
        except (TimeoutError, asyncio.CancelledError) as error:
            self.kill()
            await self._process.wait()
            if isinstance(error, asyncio.CancelledError):
                raise

    def kill(self) -> None:
        """SIGKILL, if it still runs; a stage that is killed loses nothing that it had published."""
        if self._process.returncode is None:
            self._process.kill()


@contextlib.asynccontextmanager
async def running(
    commands: Mapping[str, Sequence[str]], log_dir: Path | None = None
) -> AsyncIterator[list[Worker]]:
    """Start `streamer ARGUMENTS` for each name; stop them all at the end, kill them if cancelled.

    Logs go to `log_dir` (default: a new temporary folder), one file per worker.
    """
    folder = log_dir or Path(tempfile.mkdtemp(prefix="streamer-"))
    folder.mkdir(parents=True, exist_ok=True)
    read_end, write_end = os.pipe()
    workers: list[Worker] = []
    try:
        for name, arguments in commands.items():
            workers.append(await _start(name, arguments, folder / f"{name}.log", read_end))
        os.close(read_end)
        yield workers
    except asyncio.CancelledError:
        for worker in workers:
            worker.kill()
        raise
    finally:
        await asyncio.gather(*(worker.stop() for worker in reversed(workers)))
        os.close(write_end)


async def _start(name: str, arguments: Sequence[str], log_path: Path, read_end: int) -> Worker:
    with log_path.open("wb") as log_file:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # no module of the working directory is imported
            "-m",
            "streamer",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log_file,
            stderr=log_file,
            pass_fds=(read_end,),
            env={**os.environ, PARENT_PIPE: str(read_end)},
            start_new_session=True,
        )
    return Worker(name, process, log_path)


def end_with_parent() -> None:
    """In a worker: send this process SIGTERM when the parent is gone; elsewhere do nothing.

    What has not ended STOP_TIMEOUT_S later is killed.
    """
    pipe = os.environ.pop(PARENT_PIPE, "")
    if not pipe:
        return

    def wait() -> None:
        with contextlib.suppress(OSError):
            os.read(int(pipe), 1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(STOP_TIMEOUT_S)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, name="parent-watch", daemon=True).start()
