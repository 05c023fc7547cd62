"""A disk that cannot be written: reported at once, tried again, and never forgotten."""

import asyncio
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streamer.metrics import Metrics
from streamer.recording.recorded import RecordingError
from streamer.recording.recorder import Attempts
from streamer.recording.writer import Writer
from tests.made_records import sentiment

FULL = "Recording to standup failed: no space left on device."


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0)


async def test_a_full_disk_is_a_problem_until_records_are_safe_again() -> None:
    stage, stop, room = Metrics(), asyncio.Event(), asyncio.Event()
    attempts = Attempts(stage, retry_s=0.01)
    tries = 0

    async def record() -> None:
        nonlocal tries
        tries += 1
        if not room.is_set():
            raise RecordingError(FULL)
        attempts.succeeded()
        await stop.wait()

    task = asyncio.create_task(attempts.run(record, stop))
    await until(lambda: tries > 2)
    assert stage.problems() == [FULL]
    room.set()
    await until(lambda: attempts.failure is None)
    assert stage.problems() == []
    stop.set()
    await task


async def test_a_disk_that_stays_full_fails_at_the_stop_without_waiting() -> None:
    async def record() -> None:
        raise RecordingError(FULL)

    stop, attempts = asyncio.Event(), Attempts(Metrics(), retry_s=3600)
    task = asyncio.create_task(attempts.run(record, stop))
    await until(lambda: attempts.failure is not None)
    stop.set()
    with pytest.raises(RecordingError, match="no space left"):
        await asyncio.wait_for(task, 30)


@contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """Let no file grow beyond a size, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_flush_to_a_full_disk_keeps_the_records_for_the_next(tmp_path: Path) -> None:
    with Writer(tmp_path) as writer:
        writer.add(sentiment(0))
        with (
            largest_file(64),
            pytest.raises(RecordingError, match=r"^Recording to \S+ failed: File too large; what"),
        ):
            writer.flush()
        assert writer.pending == 1
        writer.flush()
        assert [record.window_index for record in writer.read("standup").sentiments] == [0]


def test_a_folder_that_was_removed_or_replaced_is_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    with Writer(folder) as writer:
        shutil.rmtree(folder)
        writer.add(sentiment(0))
        with pytest.raises(RecordingError, match=r"Recording to .* failed"):
            writer.flush()
        folder.mkdir()
    folder.joinpath("file").touch()
    with pytest.raises(RecordingError, match="Nothing can be recorded"):
        Writer(folder / "file")
