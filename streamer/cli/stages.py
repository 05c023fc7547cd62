"""`capture`, `infer`, `process` and `broker`: one stage, or a broker, per process."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamer.cli.absence import absence_announced
from streamer.cli.app import app, screen
from streamer.cli.context import choose, needs_running_broker, session_start
from streamer.cli.options import (
    BrokerOption,
    ConfigOption,
    ConsentOption,
    ParticipantOption,
    SessionIdOption,
    SessionOption,
    SetOption,
    StartOption,
)
from streamer.cli.output import print_line
from streamer.cli.terminal import until_signal
from streamer.counted import counted
from streamer.errors import ExitCode
from streamer.notices import PROCESS
from streamer.stopping import Stop

if TYPE_CHECKING:
    from streamer.kafka.apache import KafkaBroker


@app.command()
def capture(
    participant: ParticipantOption = None,
    consent: ConsentOption = None,
    session: SessionOption = None,
    session_id: SessionIdOption = None,
    speed: Annotated[
        float, typer.Option(help="For recordings: 1 = real time, 0 = as fast as possible.")
    ] = 1.0,
    start: StartOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    broker: BrokerOption = None,
) -> None:
    """Capture participants and publish their windows."""
    from streamer import metrics
    from streamer.capture import parse_participant
    from streamer.kafka.admin import ensure_topics
    from streamer.kafka.probe import answers
    from streamer.local.run import capture_only
    from streamer.session.plan import make_plan
    from streamer.session.running import Capture

    chosen = choose(config, set_, broker, consent)
    needs_running_broker(chosen.config, "capture")
    specs = [parse_participant(text) for text in participant or []]
    begun = session_start(start)
    plan = make_plan(
        specs, chosen.config, name=session, session_id=session_id, speed=speed, start=begun
    )
    if plan.notice:
        screen.print(plan.notice, style="dim", highlight=False)
    for notice in plan.notices:
        PROCESS.give(notice)

    def source(publisher: Any, in_flight: Any) -> Any:
        return Capture(plan, chosen.config, publisher, in_flight)

    async def everything(stop: Stop) -> Any:
        await ensure_topics(chosen.config, "capture")
        work = capture_only(plan.session_id, source, chosen.config, stop)
        async with absence_announced(chosen.config):
            return await metrics.watched(chosen.config, "capture", work, answers)

    work, interrupted = until_signal(everything)
    windows = counted(sum(work.published.values()), "window")
    screen.print(f"{plan.session_id}: {windows} published.")
    if interrupted and not plan.live:
        raise typer.Exit(ExitCode.INTERRUPTED)


@app.command()
def infer(config: ConfigOption = None, set_: SetOption = None, broker: BrokerOption = None) -> None:
    """Score windows with Semi-IIN: one worker with one model on one device."""
    from streamer import metrics
    from streamer.inference import worker
    from streamer.kafka.admin import ensure_topics
    from streamer.kafka.probe import answers
    from streamer.local.workers import end_with_parent

    chosen = choose(config, set_, broker)
    needs_running_broker(chosen.config, "infer")
    end_with_parent()

    async def everything(stop: Stop) -> None:
        await ensure_topics(chosen.config, "infer")
        work = worker.run(chosen.config, stop)
        await metrics.watched(chosen.config, "inference", work, answers)

    until_signal(everything)


@app.command()
def process(
    config: ConfigOption = None, set_: SetOption = None, broker: BrokerOption = None
) -> None:
    """Smooth scores and publish sentiment: one Faust worker."""
    from streamer import metrics
    from streamer.kafka.probe import answers
    from streamer.local.workers import end_with_parent
    from streamer.processing import worker

    chosen = choose(config, set_, broker)
    needs_running_broker(chosen.config, "process")
    end_with_parent()

    async def everything(stop: Stop) -> None:
        work = worker.run(chosen.config, stop)
        await metrics.watched(chosen.config, "processing", work, answers)

    until_signal(everything, worker.on_own_loop)


@app.command()
def broker(
    kafka: Annotated[
        bool, typer.Option("--kafka", help="Run Apache Kafka with data on disk.")
    ] = False,
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port of Apache Kafka on 127.0.0.1.")
    ] = 9092,
    data_dir: Annotated[
        Path | None, typer.Option(help="Kafka's data directory.", show_default=False)
    ] = None,
    config: ConfigOption = None,
    set_: SetOption = None,
) -> None:
    """Run a broker until Ctrl-C: the embedded one, or single-node Apache Kafka.

    If Kafka ends by itself, the command ends with its last error and exit code 4.
    """
    from streamer.kafka.admin import ensure_topics
    from streamer.kafka.apache import KafkaBroker
    from streamer.kafka.embedded import EmbeddedBroker
    from streamer.local.workers import end_with_parent

    chosen = choose(config, set_)
    end_with_parent()

    async def everything(stop: Stop) -> None:
        async with contextlib.AsyncExitStack() as stack:
            started: EmbeddedBroker | KafkaBroker
            if kafka:
                started = KafkaBroker(data_dir=data_dir, port=port)
                stop.wait_for("Apache Kafka to start and stop")
                stack.push_async_callback(asyncio.to_thread, started.stop)
                with screen.status("Starting Apache Kafka (the first start downloads its jars) …"):
                    await asyncio.to_thread(started.start)
                stop.wait_for("Apache Kafka to stop")
            else:
                started = stack.enter_context(EmbeddedBroker())
            address = chosen.config.kafka.model_copy(update={"broker": started.address})
            await ensure_topics(chosen.config.model_copy(update={"kafka": address}))
            print_line(started.address)
            screen.print(f"The broker listens: --broker {started.address}. Ctrl-C stops it.")
            if isinstance(started, KafkaBroker):
                await until_ended(started, stop)
            else:
                await stop.wait()

    until_signal(everything)


async def until_ended(kafka: KafkaBroker, stop: asyncio.Event) -> None:
    """Wait for `stop`; raise BrokerError if Kafka ends by itself before it."""
    stopping = asyncio.create_task(stop.wait())
    ending = asyncio.create_task(asyncio.to_thread(kafka.wait))
    await asyncio.wait({stopping, ending}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if ending.done():
        ending.result()
    # Otherwise the thread ends when the caller stops Kafka.
