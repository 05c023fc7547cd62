"""The recorder as a process of its own on both brokers: killed, started again, and read back."""

import asyncio
import json
import os
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from streamer import metrics
from streamer.config import Config, build
from streamer.kafka.admin import ensure_topics
from streamer.kafka.producer import Producer
from streamer.recording.reader import Recordings
from streamer.recording.recorded import Recording, RecordingError
from streamer.recording.recorder import LAST_RECORDS_S, record_sessions
from streamer.records import RecordedTime, Sentiment
from tests.made_records import (
    recorded,
    sentiment,
    session,
    session_sentiment,
    window,
    with_sessions,
)

ROOT = Path(__file__).parents[2]
DEADLINE_S = 120.0
PEOPLE = ("ana", "bo")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
async def config(request: pytest.FixtureRequest) -> Config:
    """Settings for a fresh set of topics on each of the two brokers."""
    address = request.getfixturevalue(f"{request.param}_broker")
    chosen = build({"kafka": {"broker": address, "topic_prefix": f"t{uuid.uuid4().hex[:12]}"}})
    await ensure_topics(chosen)
    return chosen


@asynccontextmanager
async def recorder(
    config: Config, folder: Path, *options: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "streamer", "record", "--dir", str(folder)),
        *("--broker", config.kafka.broker),
        *("--set", f"kafka.topic_prefix={config.kafka.topic_prefix}"),
        *options,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def stopped(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 60) == 0


async def on_disk(
    folder: Path, count: int, process: asyncio.subprocess.Process, **others: int
) -> Recording:
    """The recording once it has so many sentiments, and so many of `others`.

    Each kind of record is on a topic of its own, so one can come later than another. Every file
    must open meanwhile.
    """
    deadline = time.monotonic() + DEADLINE_S
    written = 0
    while time.monotonic() < deadline:
        assert process.returncode is None
        try:
            recording = Recordings(folder).read("standup")
            written = len(recording.sentiments)
            counts = recording.summary.counts
            if written >= count and all(counts.get(kind, 0) >= n for kind, n in others.items()):
                return recording
        except RecordingError:
            pass
        await asyncio.sleep(0.2)
    raise AssertionError(f"only {written} of {count} are on the disk")


def files(folder: Path, pattern: str) -> list[Path]:
    return list(folder.glob(pattern))


def steps(first: int, last: int) -> list[Sentiment]:
    return [
        sentiment(k, participant_id=who, text=f"word {k}", final=k == 599)
        for k in range(first, last)
        for who in PEOPLE
    ]


async def publish(publisher: Producer, records: Any) -> None:
    await asyncio.gather(*[await publisher.publish_soon(record) for record in records])


async def test_a_recorder_killed_in_the_middle_loses_nothing_and_spoils_no_file(
    config: Config, tmp_path: Path
) -> None:
    async with Producer(config) as publisher:
        await publish(publisher, [session(), *steps(0, 50)])
        async with recorder(config, tmp_path) as first:
            await on_disk(tmp_path, 100, first)
            feeding = asyncio.create_task(trickle(publisher, 50, 300))
            await on_disk(tmp_path, 300, first)
            first.kill()
            await first.wait()
        survived = Recordings(tmp_path).read("standup")
        for part in files(tmp_path, "standup/*.parquet"):
            assert pq.read_table(part).num_rows > 0
        assert len(survived.sentiments) >= 300
        await feeding
        await publish(publisher, steps(300, 500))
        async with recorder(config, tmp_path) as second:
            await on_disk(tmp_path, 1000, second)
            await publish(publisher, [session_sentiment(499), *steps(500, 600), session("ended")])
            await on_disk(tmp_path, 1200, second, sessions=2, session_smoothed=1)
            await stopped(second)
    recording = Recordings(tmp_path).read("standup")
    expected = {record.window_id: record for record in steps(0, 600)}
    assert {record.window_id: record for record in recording.sentiments} == expected
    assert len(list(Recordings(tmp_path).records("standup", Sentiment))) == 1200
    assert recording.summary.complete
    (entry,) = Recordings(tmp_path).index()
    assert entry.counts == {"session_smoothed": 1, "sessions": 2, "smoothed": 1200}


async def trickle(publisher: Producer, first: int, last: int) -> None:
    for k in range(first, last):
        await publish(publisher, steps(k, k + 1))
        await asyncio.sleep(0.01)


async def test_only_what_is_asked_for_is_recorded(config: Config, tmp_path: Path) -> None:
    other = sentiment(0, session_id="secret")
    async with Producer(config) as publisher:
        await publish(publisher, with_sessions(sentiment(0), other, window(0)))
    async with recorder(config, tmp_path / "plain", "--session", "standup") as process:
        await on_disk(tmp_path / "plain", 1, process)
        await stopped(process)
    assert [entry.session_id for entry in Recordings(tmp_path / "plain").index()] == ["standup"]
    assert not files(tmp_path, "plain/*/windows*")

    async with recorder(config, tmp_path / "all", "--windows") as process:
        await on_disk(tmp_path / "all", 1, process)
        async with asyncio.timeout(DEADLINE_S):
            while not files(tmp_path, "all/standup/windows*.parquet"):  # noqa: ASYNC110 - a file
                await asyncio.sleep(0.2)
        await stopped(process)
    assert list(Recordings(tmp_path / "all").windows("standup")) == [window(0)]
    assert Recordings(tmp_path / "all").read("secret").sentiments == [other]


async def test_a_second_recorder_in_the_same_folder_is_refused(
    embedded_broker: str, tmp_path: Path
) -> None:
    config = build({"kafka": {"broker": embedded_broker}})
    async with Producer(config) as publisher:
        await publish(publisher, with_sessions(sentiment(0)))
    async with recorder(config, tmp_path) as first:
        await on_disk(tmp_path, 1, first)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "streamer", "record", "--dir", str(tmp_path)),
            *("--broker", embedded_broker),
            cwd=ROOT,
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 1
        assert b"Another recorder writes to" in said
        assert b"Traceback" not in said


async def test_the_command_line_lists_exports_and_compares(tmp_path: Path) -> None:
    recorded(tmp_path, session(), sentiment(0, text="fine"), sentiment(1, final=True))
    again = [sentiment(k, valence, session_id="again") for k, valence in enumerate((0.5, -1.0))]
    recorded(tmp_path, *again, session_id="again")

    async def streamer(*arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "streamer", *arguments, "--dir", str(tmp_path)),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await process.communicate()
        assert process.returncode == 0
        return said.decode()

    listed = [json.loads(line) for line in (await streamer("sessions", "--json")).splitlines()]
    assert {entry["session_id"] for entry in listed} == {"standup", "again"}
    assert "complete" in await streamer("sessions")
    assert await streamer("export", "standup", "--to", "html") == "standup.html\n"
    assert "<svg" in (tmp_path / "standup.html").read_text("utf-8")
    assert (await streamer("export", "standup", "--to", "csv", "--out", "-")).count("\n") == 3
    result = json.loads(await streamer("compare", "standup", "again", "--json"))
    assert result["agreement"][-1]["windows"] == 2
    assert "Where they differ most" in await streamer("compare", "standup", "again")


async def test_a_folder_that_cannot_be_written_ends_the_recorder_and_loses_nothing(
    embedded_broker: str, tmp_path: Path
) -> None:
    config = build({"kafka": {"broker": embedded_broker}})
    in_the_way = tmp_path / "standup"
    in_the_way.write_text("a file", "utf-8")
    async with Producer(config) as publisher:
        await publish(publisher, with_sessions(sentiment(0), sentiment(1)))
    async with recorder(config, tmp_path) as first:
        assert await asyncio.wait_for(first.wait(), 60) == 1
    in_the_way.unlink()
    async with recorder(config, tmp_path) as second:
        assert len((await on_disk(tmp_path, 2, second)).sentiments) == 2
        await stopped(second)


async def test_a_running_session_reports_at_once_that_its_recording_fails(
    embedded_broker: str, tmp_path: Path
) -> None:
    config = build({"kafka": {"broker": embedded_broker}})
    (tmp_path / "standup").write_text("a file", "utf-8")
    with pytest.raises(RecordingError, match=r"Recording to .*standup failed"):
        async with record_sessions(config, tmp_path, ("standup",)), Producer(config) as publisher:
            await publish(publisher, [session(), sentiment(0)])
            async with asyncio.timeout(60):
                while not metrics.PROCESS.problems():  # noqa: ASYNC110 - it has no event
                    await asyncio.sleep(0.1)
    metrics.problem("recording", "")


@pytest.mark.parametrize(
    ("times", "kept"),
    [((), []), ((RecordedTime(0, 6_000), RecordedTime(20_000, 30_000)), [0, 1, 2, 3, 4, 5])],
    ids=["never", "not to its end"],
)
async def test_a_session_that_its_host_did_not_record_to_the_end_is_not_waited_for(
    embedded_broker: str, tmp_path: Path, times: tuple[RecordedTime, ...], kept: list[int]
) -> None:
    kafka = {"broker": embedded_broker, "topic_prefix": f"t{uuid.uuid4().hex[:12]}"}
    config = build({"kafka": kafka})
    values = [sentiment(k, participant_id=who, final=k == 19) for k in range(20) for who in PEOPLE]
    async with asyncio.timeout(None) as deadline:
        async with record_sessions(config, tmp_path, ("standup",)), Producer(config) as publisher:
            await publisher.publish(session(recorded_times=times))
            await publish(publisher, [*values, session_sentiment(19, final=True)])
            await publisher.publish(session("ended", recorded_times=times))
            deadline.reschedule(asyncio.get_running_loop().time() + LAST_RECORDS_S)
    index = Recordings(tmp_path).index()
    assert [entry.complete for entry in index] == [True] * bool(times)
    read = [
        each for entry in index for each in Recordings(tmp_path).read(entry.session_id).of("bo")
    ]
    assert [each.window_index for each in read] == kept
