"""From the topics to recorded sessions on disk: `streamer record`.

What enters: published records, and only when asked for windows (sound, faces, words) and the media
files of a replay. What leaves: Parquet files, and copies, through `recordings`. Knows neither what
a record means nor how a file looks.

Every FLUSH_S what came is made safe on the disk, and only then committed to Kafka. A recorder that
is killed loses nothing for good: what was not committed is read again when it starts again, and
what was on the disk already is recognised. Its place on the topics belongs to the folder: a copy
of the folder goes on where the original was, and an empty one begins at the beginning.
"""

from __future__ import annotations

import asyncio
import uuid
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from streamer import metrics
from streamer.config import Config
from streamer.kafka.admin import ensure_topics
from streamer.kafka.connection import wait_for_broker
from streamer.kafka.consumer import Consumer, Start
from streamer.kafka.messages import Received
from streamer.kafka.topics import ALERTS, SESSION_SMOOTHED, SESSIONS, SMOOTHED, WINDOWS, Topic
from streamer.recording.reader import Recordings
from streamer.recording.recorded import RecordingError
from streamer.recording.writer import Writer
from streamer.records import Session
from streamer.session_ids import EXACTLY, is_selected

__all__ = ["record_session", "run"]

FLUSH_S = 2.0
"""What a kill may cost, in seconds, when the topics forget it before the recorder is back."""
HELD_RECORDS = 5000
HELD_BYTES = 32 * 1024 * 1024
"""So much of one topic is held between two flushes; beyond it reading waits for the disk."""
BATCH = 500
POLL_MS = 200
LAST_RECORDS_S = 20.0
UNCOMMITTED = "what came is on the disk, but not committed, and is read again at the next start"
_NAME_FILE = ".recorder"


async def run(
    config: Config,
    folder: Path,
    stop: asyncio.Event,
    *,
    sessions: Collection[str] = (),
    windows: bool = False,
    media: bool = False,
    start: Start = "earliest",
) -> Counter[str]:
    """Record until `stop`; then flush, commit and merge.

    Args:
        config: where the broker is.
        folder: where sessions are kept; made when it is not there.
        stop: set by the caller's signal handler.
        sessions: only these, by id, or all sessions of a name; none means every session.
        windows: also sound, face crops and words, which the others do not hold.
        media: also copies of the media files of a replay.
        start: where to begin when this folder has not recorded from these topics before.

    Returns:
        `taken`, and of those `recorded` and `repeated` (there before); `contradicting`, repeated
        under the name of a session that said something else; `flushes`.

    Raises:
        RecordingError: the folder cannot be written; what was not safe is not committed.
        BrokerError: the broker cannot be reached, or did not answer at the stop.
    """
    counters: Counter[str] = Counter()
    recorded: list[Topic[Any]] = [SESSIONS, SMOOTHED, SESSION_SMOOTHED, ALERTS]
    if windows:
        recorded.append(WINDOWS)
    await ensure_topics(config)
    counters["topics"] = len(recorded)
    metrics.watch("recording", counters)
    writer = await asyncio.to_thread(Writer, folder)
    disk = asyncio.Lock()
    try:
        group = _group(folder, sessions)
        try:
            async with asyncio.TaskGroup() as tasks:
                for topic in recorded:
                    reader = Consumer[Any](
                        config, topic, group=f"{group}-{topic.kind}", start=start
                    )
                    lane = _Lane(reader, writer, disk, frozenset(sessions), media, counters)
                    tasks.create_task(
                        wait_for_broker(lane.run(stop), stop.is_set, config.kafka, UNCOMMITTED)
                    )
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
    finally:
        counters["repeated"], counters["contradicting"] = writer.repeated, writer.contradicting
        counters["recorded"] = counters["taken"] - writer.repeated
        await asyncio.to_thread(writer.close)
    return counters


@asynccontextmanager
async def record_session(
    config: Config, folder: Path, session_id: str, *, windows: bool = False, media: bool = False
) -> AsyncIterator[None]:
    """Record one session while the block runs, to its last record.

    At the end it waits up to LAST_RECORDS_S for what is still on its way.

    Raises:
        RecordingError: at the end, when the folder could not be written.
    """
    stop = asyncio.Event()
    exactly = f"{EXACTLY}{session_id}"
    work = run(config, folder, stop, sessions=[exactly], windows=windows, media=media)
    task = asyncio.create_task(work)
    try:
        yield
        done = asyncio.create_task(_completed(folder, session_id))
        await asyncio.wait(
            {task, done}, timeout=LAST_RECORDS_S, return_when=asyncio.FIRST_COMPLETED
        )
        done.cancel()
    finally:
        stop.set()
        await task


async def _completed(folder: Path, session_id: str) -> None:
    """Return when the index has the session's end."""
    while True:
        index = await asyncio.to_thread(Recordings(folder).index)
        if any(summary.session_id == session_id and summary.complete for summary in index):
            return
        await asyncio.sleep(FLUSH_S / 4)


class _Lane:
    """One topic on its way to the disk; the writer is shared, one thread in it at a time."""

    def __init__(
        self,
        reader: Consumer[Any],
        writer: Writer,
        disk: asyncio.Lock,
        sessions: frozenset[str],
        media: bool,
        counters: Counter[str],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._disk = disk
        self._sessions = sessions
        self._media = media
        self._counters = counters
        self._held: list[Received[Any]] = []
        self._bytes = 0
        self._flushed_s = asyncio.get_running_loop().time()

    async def run(self, stop: asyncio.Event) -> None:
        """Read, keep, commit, until `stop`."""
        async with self._reader:
            self._counters["joined"] += 1
            if self._counters["joined"] == self._counters["topics"]:
                metrics.ready()
            try:
                while not stop.is_set():
                    received = await self._reader.batch(BATCH, POLL_MS)
                    self._held += received
                    self._bytes += sum(len(message.value or b"") for message in received)
                    if self._due():
                        await self._flush()
                await self._flush()
            except asyncio.CancelledError:
                await self._save()
                raise

    def _due(self) -> bool:
        full = len(self._held) >= HELD_RECORDS or self._bytes >= HELD_BYTES
        return full or asyncio.get_running_loop().time() - self._flushed_s >= FLUSH_S

    async def _flush(self) -> None:
        self._flushed_s = asyncio.get_running_loop().time()
        if self._held:
            await self._save()
            await self._reader.commit()

    async def _save(self) -> None:
        async with self._disk:
            chosen = [message.record for message in self._held if self._wants(message.record)]
            self._held.clear()
            self._bytes = 0
            if chosen:
                writing = asyncio.create_task(asyncio.to_thread(self._keep, chosen))
                try:
                    await asyncio.shield(writing)
                finally:
                    await asyncio.wait([writing])  # a thread in the writer cannot be cancelled

    def _wants(self, record: Any) -> bool:
        return not self._sessions or any(
            is_selected(record.session_id, selector) for selector in self._sessions
        )

    def _keep(self, records: list[Any]) -> None:
        for record in records:
            self._writer.add(record)
        self._writer.flush()
        if self._media:
            for record in records:
                if isinstance(record, Session):
                    self._writer.keep_media(record)
        self._counters["taken"] += len(records)
        self._counters["flushes"] += 1


def _group(folder: Path, sessions: Collection[str]) -> str:
    """The consumer group of a folder; another choice of sessions is another place on the topics."""
    name = folder / _NAME_FILE
    try:
        if not name.exists():
            name.write_text(uuid.uuid4().hex[:16], "utf-8")
        own = name.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise RecordingError(f"Nothing can be recorded in {folder}: {error}.") from error
    chosen = zlib.crc32("\n".join(sorted(sessions)).encode()) if sessions else 0
    return f"sentiment-recorder-{own}-{chosen:08x}"
