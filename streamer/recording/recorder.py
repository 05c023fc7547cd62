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
import logging
import uuid
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from streamer import metrics
from streamer.config import Config
from streamer.kafka.admin import ensure_topics
from streamer.kafka.connection import wait_for_broker
from streamer.kafka.consumer import Consumer, Start
from streamer.kafka.messages import Received
from streamer.kafka.policies import Policies, SessionPolicies
from streamer.kafka.topics import ALERTS, SESSION_SMOOTHED, SESSIONS, SMOOTHED, WINDOWS, Topic
from streamer.policy import refusal
from streamer.recorded_times import stored
from streamer.recording.reader import Recordings
from streamer.recording.recorded import RecordingError
from streamer.recording.writer import Writer
from streamer.records import Sentiment, Session, SessionSentiment
from streamer.session_ids import EXACTLY, is_selected

__all__ = ["Attempts", "record_sessions", "run"]

log = logging.getLogger(__name__)

FLUSH_S = 2.0
"""What a kill may cost, in seconds, when the topics forget it before the recorder is back."""
HELD_RECORDS = 5000
HELD_BYTES = 32 * 1024 * 1024
"""So much of one topic is held between two flushes; beyond it reading waits for the disk."""
BATCH = 500
POLL_MS = 200
LAST_RECORDS_S = 20.0
RETRY_S = 10.0
"""How long after a failure of the disk recording is tried again."""
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
    on_flush: Callable[[], None] = lambda: None,
    on_unrecorded: Callable[[str], None] = lambda session_id: None,
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
        on_flush: called, from a thread, whenever records were made safe on the disk.
        on_unrecorded: called with the id of a session that has ended and was never recorded.

    Returns:
        `taken`, and of those `recorded` and `repeated` (there before); `contradicting`, repeated
        under the name of a session that said something else; `withheld`, which their session's
        record does not allow to be stored; `unrecorded`, of a time at which the host did not
        record; `flushes`.

    Raises:
        RecordingError: the folder cannot be written; what was not safe is not committed.
        BrokerError: the broker cannot be reached, or did not answer at the stop.
    """
    counters: Counter[str] = Counter()
    recorded: list[Topic[Any]] = [SESSIONS, SMOOTHED, SESSION_SMOOTHED, ALERTS]
    if windows:
        recorded.append(WINDOWS)
    await ensure_topics(config, "record --windows" if windows else "record")
    counters["topics"] = len(recorded)
    metrics.watch("recording", counters)
    with ThreadPoolExecutor(1, "recorder") as disk:
        on_disk = partial(asyncio.get_running_loop().run_in_executor, disk)
        writer: Writer = await on_disk(Writer, folder)
        try:
            group = _group(folder, sessions)
            async with SessionPolicies(config) as policies, asyncio.TaskGroup() as tasks:
                for topic in recorded:
                    reader = Consumer[Any](
                        config, topic, group=f"{group}-{topic.kind}", start=start
                    )
                    lane = _Lane(
                        reader,
                        writer,
                        disk,
                        policies,
                        frozenset(sessions),
                        media,
                        counters,
                        on_flush,
                        on_unrecorded,
                    )
                    tasks.create_task(
                        wait_for_broker(lane.run(stop), stop.is_set, config.kafka, UNCOMMITTED)
                    )
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            counters["repeated"], counters["contradicting"] = writer.repeated, writer.contradicting
            counters["recorded"] = counters["taken"] - writer.repeated
            await on_disk(writer.close)
    return counters


@asynccontextmanager
async def record_sessions(
    config: Config,
    folder: Path,
    session_ids: tuple[str, ...],
    *,
    windows: bool = False,
    media: bool = False,
) -> AsyncIterator[None]:
    """Record sessions while the block runs, to their last records.

    A disk that cannot be written is reported at once (`Attempts`), and the block continues. At the
    end it waits up to LAST_RECORDS_S for what is still on its way.

    Raises:
        RecordingError: before the block, when nothing can be recorded in the folder; at the end,
            when the folder could not be written any more.
    """
    exactly = [f"{EXACTLY}{session_id}" for session_id in session_ids]
    await asyncio.to_thread(_check, folder, exactly)
    attempts = Attempts()
    unrecorded: set[str] = set()
    stop = asyncio.Event()

    def record() -> Coroutine[Any, Any, object]:
        return run(
            config,
            folder,
            stop,
            sessions=exactly,
            windows=windows,
            media=media,
            on_flush=attempts.succeeded,
            on_unrecorded=unrecorded.add,
        )

    task = asyncio.create_task(attempts.run(record, stop))
    try:
        yield
        if attempts.failure is None:
            done = asyncio.create_task(_completed(folder, session_ids, unrecorded))
            await asyncio.wait(
                {task, done}, timeout=LAST_RECORDS_S, return_when=asyncio.FIRST_COMPLETED
            )
            done.cancel()
    finally:
        stop.set()
        await task


def _check(folder: Path, selectors: Collection[str]) -> None:
    """Raise RecordingError if nothing can be recorded in the folder now."""
    Writer(folder).close()
    _group(folder, selectors)


class Attempts:
    """Recording that begins again after a disk could not be written.

    A failure is reported at once: in the log, and as a problem that the page and `/readyz` show.
    The records that were not safe are read again from the broker, as far as it still has them.

    Attributes:
        failure: the last attempt's, until records are safe on the disk again.
    """

    def __init__(self, stage: metrics.Metrics = metrics.PROCESS, retry_s: float = RETRY_S) -> None:
        """Create it; `stage` is told of problems, attempts follow each other after `retry_s`."""
        self.failure: RecordingError | None = None
        self._stage = stage
        self._retry_s = retry_s

    def succeeded(self) -> None:
        """Records are safe on the disk: a failure is over. Callable from any thread."""
        if self.failure is not None:
            log.warning("Recording again.")
        self.failure = None
        self._stage.problem("recording", "")

    async def run(self, record: Callable[[], Awaitable[object]], stop: asyncio.Event) -> None:
        """Call `record` until it returns, or raise its failure once `stop` is set.

        Raises:
            RecordingError: the last attempt's.
        """
        while True:
            try:
                await record()
                return
            except RecordingError as error:
                failed = error
            if stop.is_set():
                raise failed
            if str(failed) != str(self.failure):
                log.error("%s It is tried again every %g s.", failed, self._retry_s)
            self.failure = failed
            self._stage.problem("recording", str(failed))
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._retry_s)
            if stop.is_set():
                raise failed


async def _completed(
    folder: Path, session_ids: tuple[str, ...], unrecorded: Collection[str]
) -> None:
    """Return when the index has the end of each session, but for those that were not recorded."""
    while True:
        index = await asyncio.to_thread(Recordings(folder).index)
        if set(session_ids) <= {each.session_id for each in index if each.complete} | {*unrecorded}:
            return
        await asyncio.sleep(FLUSH_S / 4)


class _Lane:
    """One topic on its way to the disk.

    The writer is shared, and called in the one thread of `disk` alone. Each thread of a larger
    pool would keep memory of its own for what it has written once.
    """

    def __init__(
        self,
        reader: Consumer[Any],
        writer: Writer,
        disk: Executor,
        policies: Policies,
        sessions: frozenset[str],
        media: bool,
        counters: Counter[str],
        on_flush: Callable[[], None] = lambda: None,
        on_unrecorded: Callable[[str], None] = lambda session_id: None,
    ) -> None:
        self._on_flush = on_flush
        self._on_unrecorded = on_unrecorded
        self._reader = reader
        self._writer = writer
        self._disk = disk
        self._policies = policies
        self._sessions = sessions
        self._media = media
        self._counters = counters
        self._held: list[Any] = []
        self._passed: list[Sentiment | SessionSentiment] = []
        self._with_media: list[Session] = []
        self._bytes = 0
        self._uncommitted = False
        self._flushed_s = asyncio.get_running_loop().time()

    async def run(self, stop: asyncio.Event) -> None:
        """Read, keep, commit, until `stop`."""
        async with self._reader:
            self._counters["joined"] += 1
            if self._counters["joined"] == self._counters["topics"]:
                metrics.ready()
            try:
                while not stop.is_set():
                    renewed = False
                    for message in await self._reader.batch(BATCH, POLL_MS):
                        renewed = await self._hold(message, renewed=renewed)
                    if self._due():
                        await self._flush()
                await self._flush()
            except asyncio.CancelledError:
                await self._save()
                raise

    async def _hold(self, message: Received[Any], *, renewed: bool) -> bool:
        """Hold a record until the next flush, if it is selected and its session allows it.

        Where a host starts and stops recording, the session's record is read to its end after the
        record has come: it was there before any record of a later time.

        Args:
            message: the record.
            renewed: whether that was done after the record had come.

        Returns:
            Whether it is done now.
        """
        self._uncommitted = True
        record = message.record
        if self._sessions and not any(
            is_selected(record.session_id, selector) for selector in self._sessions
        ):
            return renewed
        policy = await self._policies.policy(record.session_id)
        if policy is not None and policy.recorded_times is not None and not renewed:
            policy, renewed = await self._policies.renewed(record.session_id), True
        if refusal(policy, record):
            self._counters["withheld"] += 1
            return renewed
        kept = stored(None if policy is None else policy.recorded_times, record)
        if kept is None:
            self._pass_over(record)
            return renewed
        self._held.append(kept)
        self._bytes += len(message.value or b"")
        if self._media and isinstance(kept, Session) and policy is not None and policy.persons:
            self._with_media.append(kept)
        return renewed

    def _pass_over(self, record: Any) -> None:
        self._counters["unrecorded"] += 1
        if isinstance(record, Sentiment | SessionSentiment) and record.final:
            self._passed.append(record)
        if isinstance(record, Session) and record.state == "ended":
            self._on_unrecorded(record.session_id)

    def _due(self) -> bool:
        full = len(self._held) >= HELD_RECORDS or self._bytes >= HELD_BYTES
        return full or asyncio.get_running_loop().time() - self._flushed_s >= FLUSH_S

    async def _flush(self) -> None:
        self._flushed_s = asyncio.get_running_loop().time()
        if self._uncommitted:
            self._uncommitted = False
            await self._save()
            await self._reader.commit()

    async def _save(self) -> None:
        chosen, passed, media = self._held, self._passed, self._with_media
        self._held, self._passed, self._with_media, self._bytes = [], [], [], 0
        if chosen or passed:
            loop = asyncio.get_running_loop()
            writing = loop.run_in_executor(self._disk, self._keep, chosen, passed, media)
            try:
                await asyncio.shield(writing)
            finally:
                await asyncio.wait([writing])  # a thread in the writer cannot be cancelled

    def _keep(
        self,
        records: list[Any],
        passed: list[Sentiment | SessionSentiment],
        media: list[Session],
    ) -> None:
        try:
            for record in records:
                self._writer.add(record)
            for last in passed:
                self._writer.pass_over(last)
        except OSError as error:
            raise RecordingError(f"The recording cannot be read: {error}.") from error
        self._writer.flush()
        for session in media:
            self._writer.keep_media(session)
        self._counters["taken"] += len(records)
        self._counters["flushes"] += 1
        self._on_flush()


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
