"""The processing worker: runs the app until a signal, and restarts it after errors.

What enters: the settings. What leaves: an exit. The folder's lock keeps a second worker out of it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import shutil
import time
from collections import deque
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from filelock import FileLock

from streamer import metrics
from streamer.config import Config, KafkaConfig
from streamer.directories import lock
from streamer.errors import BrokerError, ConfigError
from streamer.kafka.admin import ensure_topics, on_embedded
from streamer.kafka.connection import connected
from streamer.kafka.groups import consumer_group
from streamer.kafka.policies import SessionPolicies
from streamer.kafka.producer import Producer
from streamer.kafka.provision import changelogs
from streamer.kafka.security import aiokafka_settings
from streamer.kafka.topics import (
    SCORES,
    SESSION_INPUT,
)
from streamer.processing.app import Processor, build_app
from streamer.processing.faust_app import STOP_S
from streamer.processing.inputs import Inputs, watch
from streamer.processing.webhook import announcing

log = logging.getLogger(__name__)

T = TypeVar("T")

GATHER_MS = 5
"""How long outputs are gathered for a request: each takes as much CPU as a record or two."""
GATHER_EMBEDDED_MS = 20
"""The embedded broker answers a fetch with one batch of a partition, so batches must be larger
there than one record: else a session's values, which share a partition, fall behind."""
LET_GO_S = 3.0
RESTARTS, RESTARTS_WITHIN_S = 5, 120.0
"""How often the app may start over within this time before the worker gives up."""


def on_own_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` on a new event loop, and leave behind what does not end when it has.

    `asyncio.run` would wait for tasks of Faust that wait for a broker that is gone.
    """
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        _let_go(loop)


def _let_go(loop: asyncio.AbstractEventLoop) -> None:
    """Close the loop within LET_GO_S, although tasks may wait for ever."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=LET_GO_S))
    loop.set_exception_handler(lambda *_: None)
    loop.close()


async def run(config: Config, stop: asyncio.Event) -> None:
    """Smooth until `stop` is set; then finish open messages, commit and leave the group.

    An outage of the broker is waited for, except at the start. Run it by `on_own_loop`.

    Raises:
        BrokerError: no broker answers at the start, or Faust gives it up later.
        ConfigError: a setting does not fit.
    """
    _quieten(config)
    embedded = await on_embedded(config)
    await ensure_topics(config, "process")
    names = [topic.full_name(config.kafka.topic_prefix) for topic in (SCORES, SESSION_INPUT)]
    touched = [*names, *(changelogs(config) if embedded else ())]
    partitions = await _partitions(config.kafka, touched)
    inputs = None  # an embedded broker's topics never change
    if not embedded:
        inputs = Inputs({name: partitions[name] for name in names})
    known_gaps: set[tuple[Any, int]] = set()
    starts: deque[float] = deque(maxlen=RESTARTS)
    why = ""
    with tables_folder(config, embedded=embedded) as folder:
        async with (
            Producer(config, GATHER_EMBEDDED_MS if embedded else GATHER_MS) as producer,
            SessionPolicies(config) as policies,
            announcing(config.alerts.webhook) as announce,
        ):
            while not stop.is_set():
                if len(starts) == RESTARTS and time.monotonic() - starts[0] < RESTARTS_WITHIN_S:
                    raise BrokerError(
                        f"The stream processor started over {RESTARTS} times within "
                        f"{RESTARTS_WITHIN_S:g} s, last because {why}; nothing is lost, see to the "
                        "broker and start it again."
                    )
                starts.append(time.monotonic())
                processor = build_app(
                    config,
                    producer,
                    policies,
                    partitions,
                    embedded=embedded,
                    folder=folder,
                    known_gaps=known_gaps,
                    announce=announce,
                )
                why = await _work(processor, stop, config.kafka, inputs)
                log.info("Stream processor stopped: %s", json.dumps(processor.counters))
                if not stop.is_set():
                    log.warning("Starting over: %s.", why)
                    await _answers(config.kafka, stop)


async def _work(
    processor: Processor, stop: asyncio.Event, kafka: KafkaConfig, inputs: Inputs | None
) -> str:
    """Start the app and run its stages until `stop` is set; else return why the app ended.

    Raises:
        TopicChanged: an input topic has got more partitions.
        BrokerError: there is no use in starting over.
        Exception: a fault of ours, in a stage.
    """
    app = processor.app

    async def live() -> str:
        try:
            await app.start()
            log.info("Stream processor ready.")
            metrics.ready()
            await app.wait_until_stopped()
        except (KafkaError, OSError) as error:
            return repr(error)
        return repr(app.crash_reason)

    stopping = asyncio.create_task(stop.wait())
    living = asyncio.create_task(live())
    stages: list[asyncio.Task[Any]] = [
        asyncio.create_task(work)
        for stage in processor.stages
        for work in (stage.commit_loop(), stage.maintenance_loop())
    ]
    stages.append(asyncio.create_task(app.keep_lease()))
    stages.append(asyncio.create_task(app.watch_takeover()))
    if inputs is not None:
        stages.append(asyncio.create_task(watch(kafka, inputs, app.topic_ids)))
    waited = [app.ended, living, stopping, *stages]
    await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    cause = next(each for each in (app.ended, *stages, *waited) if each.done())
    app.conf.stream_wait_empty = cause is stopping
    living.cancel()
    if cause is app.ended:  # what is not stored yet is read again
        for each in stages:
            each.cancel()
    ending = asyncio.create_task(app.stop())
    ended, _ = await asyncio.wait({ending}, timeout=STOP_S)
    if not ended:  # a cancellation would be swallowed, so what hangs is left behind
        log.warning("Stopping took over %g s and was cut short; nothing is lost.", STOP_S)
        logging.getLogger("faust").setLevel(logging.CRITICAL)
    for each in waited:
        each.cancel()
    await asyncio.wait(waited, timeout=LET_GO_S)
    for each in stages:  # what failed because the app ended is no fault of its own
        if each.done() and not each.cancelled():
            each.exception()
    for each in ended:
        each.result()
    try:
        return str(cause.result())
    except KafkaError as error:
        return repr(error)


@contextmanager
def tables_folder(config: Config, *, embedded: bool) -> Iterator[Path | None]:
    """Lock a folder for RocksDB that no other worker of this machine uses, while the block runs.

    It is the free folder with the smallest number, so that a worker which starts again finds its
    tables. The embedded broker's changelog ends with the broker, so its tables are deleted first.

    Yields:
        The folder of the tables; None where they are in memory.

    Raises:
        ConfigError: `smoothing.data_dir` cannot be used.
    """
    if config.smoothing.store == "memory":
        yield None
        return
    base = Path(config.smoothing.data_dir).expanduser() / consumer_group(config, "smoothing")
    folder, worker_lock = _first_free(base)
    try:
        if embedded:
            shutil.rmtree(folder / "tables", ignore_errors=True)
        yield folder / "tables"
    finally:
        worker_lock.release()


def _first_free(base: Path) -> tuple[Path, FileLock]:
    """Return the first folder of a worker that no process holds, and its lock."""
    numbers = itertools.count()
    while True:
        folder = base / f"worker-{next(numbers)}"
        try:
            worker_lock = lock(folder / "lock")
        except OSError as error:
            raise ConfigError(
                f"The folder {folder} cannot be used ({error.strerror}); set smoothing.data_dir."
            ) from error
        if worker_lock is not None:
            return folder, worker_lock


async def _answers(kafka: KafkaConfig, stop: asyncio.Event) -> None:
    """Wait until the broker answers again, or `stop` is set."""
    while not stop.is_set():
        try:
            async with asyncio.timeout(kafka.connect_timeout_s):
                await _partitions(kafka, ())
            return
        except (BrokerError, TimeoutError):
            await asyncio.sleep(1.0)


async def _partitions(kafka: KafkaConfig, names: Iterable[str]) -> dict[str, int]:
    """How many partitions topics have; the embedded broker makes them by this.

    Raises:
        BrokerError: the broker does not answer.
    """
    async with connected(lambda: AIOKafkaProducer(**aiokafka_settings(kafka)), kafka) as producer:
        return {name: len(await producer.partitions_for(name)) for name in names}


def _quieten(config: Config) -> None:
    """Limit Faust's own log lines to the debug level."""
    if config.log.level != "debug":
        for name in ("faust", "mode", "aiokafka"):
            logging.getLogger(name).setLevel(logging.ERROR)
