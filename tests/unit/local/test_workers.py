"""Worker processes: started with a log, stopped in order, their death told in one sentence."""

import asyncio
from pathlib import Path

import pytest

from streamer.local import workers
from streamer.local.workers import Worker, WorkerDied


@pytest.mark.slow
async def test_a_worker_that_fails_is_named_with_its_last_words(tmp_path: Path) -> None:
    wrong = {"inference": ["infer", "--set", "no.such=1"]}
    async with workers.running(wrong, tmp_path) as (worker,):
        with pytest.raises(
            WorkerDied, match=r"inference stage ended with exit code 2: .*'no' is unknown"
        ):
            await worker.died()


@pytest.mark.slow
async def test_leaving_stops_what_still_runs(tmp_path: Path) -> None:
    async with workers.running({"broker": ["broker"]}, tmp_path) as (worker,):
        for _ in range(200):
            if "The broker listens" in worker.log_path.read_text():
                break
            await asyncio.sleep(0.1)
        assert "The broker listens" in worker.log_path.read_text()
        process = worker._process
        assert process.returncode is None
    assert process.returncode == 0


async def test_a_cancelled_stop_kills_a_worker_that_does_not_end(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", "trap '' TERM; echo up; exec sleep 600"), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"up\n"
    stopping = asyncio.create_task(Worker("stubborn", process, tmp_path / "log").stop())
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert process.returncode == -9
