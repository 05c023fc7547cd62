"""The command line: wiring only, in the order of the data path.

    capture → windows → inference (infer) → smoothing (process) → subscribe

`run`, `replay` and `demo` are those stages in one go. Exit codes: 0 done; 1 another failure;
2 a wrong setting or argument; 3 a source cannot be read; 4 the broker; 5 the model; 7 a stage
died or stopped answering; 130 interrupted before the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from streamer import config as settings
from streamer.config import Config
from streamer.errors import ConfigError, StreamerError
from streamer.records import Sentiment, SessionSentiment, wall_clock

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Live multimodal sentiment: camera, microphone and words in, sentiment on Kafka out.",
)
config_app = typer.Typer(no_args_is_help=True, help="Look at the settings.")
app.add_typer(config_app, name="config")
dead_letter_app = typer.Typer(no_args_is_help=True, help="Look after what could not be read.")
app.add_typer(dead_letter_app, name="dead-letter")

T = TypeVar("T")
screen = Console(stderr=True)


class OutputFormat(StrEnum):
    """How records are printed."""

    table = "table"
    json = "json"
    csv = "csv"


ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="TOML file with settings.", show_default=False)
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="One setting, as in windows.hop_s=2. May be repeated."),
]
BrokerOption = Annotated[
    str | None,
    typer.Option("--broker", "-b", help="`embedded`, or host:port of a running Kafka broker."),
]
ParticipantOption = Annotated[
    list[str] | None,
    typer.Option("--participant", "-p", help="name=source[,source]; see `streamer devices`."),
]
SessionOption = Annotated[str | None, typer.Option("--session", help="Name of the session.")]
ConsentOption = Annotated[
    str | None, typer.Option("--consent", help="Who agreed to be captured, and how.")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="One JSON record per line on standard output, nothing else.")
]
NoStagesOption = Annotated[
    bool, typer.Option("--no-stages", help="Inference and processing already run elsewhere.")
]
PageOption = Annotated[
    bool, typer.Option("--page/--no-page", help="Serve the live page on this machine meanwhile.")
]


RecordOption = Annotated[
    Path | None,
    typer.Option("--record", help="Record into this folder as well.", show_default=False),
]
KeepWindowsOption = Annotated[
    bool, typer.Option("--record-windows", help="With --record: sound, faces and words too.")
]
KeepMediaOption = Annotated[
    bool, typer.Option("--record-media", help="With --record: copies of the media files too.")
]
DirOption = Annotated[Path, typer.Option("--dir", "-d", help="Folder of the recorded sessions.")]
RECORDINGS = Path("recordings")


@dataclass(frozen=True)
class Recorder:
    """What is recorded beside showing it; nothing without a folder."""

    folder: Path | None = None
    windows: bool = False
    media: bool = False

    def __post_init__(self) -> None:
        """Refuse a choice without effect."""
        if self.folder is None and (self.windows or self.media):
            raise ConfigError("Say with --record where to record.")


NO_RECORDER = Recorder()


@dataclass(frozen=True)
class Chosen:
    """The settings and the options that make a worker process choose the same."""

    config: Config
    path: Path | None
    overrides: tuple[str, ...]

    def stage_arguments(self, broker: str) -> list[str]:
        """Command-line options for a worker against `broker`."""
        arguments = ["--config", str(self.path)] if self.path else []
        for override in (*self.overrides, f"kafka.broker={json.dumps(broker)}"):
            arguments += ["--set", override]
        return arguments


def choose(
    path: Path | None, sets: list[str] | None, broker: str | None = None, consent: str | None = None
) -> Chosen:
    """Load the settings and set up logging."""
    overrides = list(sets or [])
    if broker is not None:
        overrides.append(f"kafka.broker={json.dumps(broker)}")
    if consent is not None:
        overrides.append(f"session.consent={json.dumps(consent)}")
    config = settings.load(path, overrides)
    set_up_logging(config)
    return Chosen(config, path, tuple(overrides))


# --- everything in one go -----------------------------------------------------------------------


@app.command()
def demo(
    config: ConfigOption = None,
    set_: SetOption = None,
    broker: BrokerOption = None,
    speed: Annotated[float, typer.Option(help="1 real speed, 0 as fast as it goes.")] = 1.0,
    page: PageOption = True,
    record: RecordOption = None,
    record_windows: KeepWindowsOption = False,
    record_media: KeepMediaOption = False,
    json_: JsonOption = False,
) -> None:
    """Play a generated meeting of two through the whole system and watch it."""
    from streamer.demo import meeting

    chosen = choose(config, set_, broker)
    with screen.status("Making the meeting (speech, faces, subtitles) …"):
        recordings = meeting()
    specs = [f"{name}={path}" for name, path in recordings.items()]
    play(
        chosen,
        specs,
        session="demo",
        speed=speed,
        as_json=json_,
        title="Demo meeting",
        page=page,
        open_page=True,
        recorder=Recorder(record, record_windows, record_media),
    )


@app.command()
def run(
    participant: ParticipantOption = None,
    consent: ConsentOption = None,
    session: SessionOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    broker: BrokerOption = None,
    no_stages: NoStagesOption = False,
    page: PageOption = True,
    record: RecordOption = None,
    record_windows: KeepWindowsOption = False,
    json_: JsonOption = False,
) -> None:
    """Watch a live session, all stages in one go; Ctrl-C ends it cleanly."""
    chosen = choose(config, set_, broker, consent)
    play(
        chosen,
        participant or ["me=webcam:0,mic:default"],
        session=session,
        speed=1.0,
        as_json=json_,
        start_stages=not no_stages,
        title="Live session",
        page=page,
        recorder=Recorder(record, record_windows),
    )


@app.command()
def replay(
    files: Annotated[
        list[str] | None,
        typer.Argument(help="Media files or folders; each is one participant.", show_default=False),
    ] = None,
    participant: ParticipantOption = None,
    session: SessionOption = None,
    speed: Annotated[float, typer.Option(help="1 real speed, 4 four times, 0 full speed.")] = 1.0,
    config: ConfigOption = None,
    set_: SetOption = None,
    broker: BrokerOption = None,
    no_stages: NoStagesOption = False,
    record: RecordOption = None,
    record_windows: KeepWindowsOption = False,
    record_media: KeepMediaOption = False,
    recorded: Annotated[
        str | None,
        typer.Option(help="Score this session's recorded windows again.", show_default=False),
    ] = None,
    folder: DirOption = RECORDINGS,
    topic: Annotated[
        str | None,
        typer.Option(help="Score a topic's windows again, as sentiment.windows.v1."),
    ] = None,
    from_: Annotated[
        str, typer.Option("--from", help="Of the topic: beginning, or a time.")
    ] = "beginning",
    to: Annotated[
        str | None, typer.Option(help="Of the topic: up to this time.", show_default=False)
    ] = None,
    page: PageOption = False,
    json_: JsonOption = False,
) -> None:
    """Play recordings through the same path as a live session; space pauses.

    With --recorded or --topic, old windows are scored again, beside the old result: choose the
    model with --set inference.checkpoint=…
    """
    chosen = choose(config, set_, broker)
    recorder = Recorder(record, record_windows, record_media)
    specs = [*(f"{participant_name(file)}={file}" for file in files or []), *(participant or [])]
    if recorded is None and topic is None:
        play(
            chosen,
            specs,
            session=session or replay_name(specs, chosen.config),
            speed=speed,
            as_json=json_,
            start_stages=not no_stages,
            title="Replay",
            page=page,
            recorder=recorder,
        )
        return
    if specs:
        raise ConfigError("Replay either media files or old windows (--recorded, --topic).")
    with tempfile.TemporaryDirectory(prefix="streamer-") as spool:
        if topic is not None:
            end = None if to is None else beginning(to, "--to")
            folder, chosen = Path(spool), windows_of(chosen, topic, from_, end, Path(spool))
        again(chosen, folder, recorded, session, speed, not no_stages, recorder, json_)


def windows_of(chosen: Chosen, topic: str, start: str, end: Any, spool: Path) -> Chosen:
    """Gather a topic's windows into `spool`; gives the settings to score them with.

    These are of an embedded broker: on the topic's own one, the workers that are at work there
    would take the windows too.
    """
    from streamer.session import rescore

    needs_running_broker(chosen.config, "replay --topic")
    prefix = topic.removesuffix(".windows.v1")
    first = beginning(start)
    if prefix == topic or first == "latest" or isinstance(end, str):
        raise ConfigError(
            "--topic takes the name of a windows topic, as sentiment.windows.v1, --from beginning "
            "or a time, --to a time."
        )
    kafka = chosen.config.kafka.model_copy(update={"topic_prefix": prefix})
    source = chosen.config.model_copy(update={"kafka": kafka})
    with screen.status(f"Reading {topic} …"):
        asyncio.run(rescore.gather(source, spool, first, end))
    overrides = (*chosen.overrides, "kafka.broker=embedded", "kafka.security.protocol=PLAINTEXT")
    return Chosen(settings.load(chosen.path, overrides), chosen.path, overrides)


def again(
    chosen: Chosen,
    folder: Path,
    recorded: str | None,
    session: str | None,
    speed: float,
    start_stages: bool,
    recorder: Recorder,
    as_json: bool,
) -> None:
    """Score a session's windows again and show the old result beside the new one."""
    from streamer.capture.pace import Pace
    from streamer.cli import display
    from streamer.recording.comparison import compare as compared
    from streamer.recording.store import Recordings, recording_of
    from streamer.session import rescore

    found = Recordings(folder)
    old = rescore.choose_session(found, recorded)
    before = found.read(old)
    new = session or replay_name([f"{old}-again="], chosen.config) or old
    pace = Pace(checked_speed(speed))
    seen: list[Any] = []

    def source(config: Config) -> Any:
        return lambda publisher, in_flight: rescore.Rescoring(
            found, old, new, pace, publisher, in_flight
        )

    carry(
        chosen,
        new,
        source,
        pace=pace,
        as_json=as_json,
        title="Again",
        start_stages=start_stages,
        recorder=recorder,
        also=seen.append,
    )
    if before.sentiments and seen:
        screen.print(display.comparison(compared(before, recording_of(new, seen))))


def participant_name(file: str) -> str:
    """The participant that a bare file stands for: its name without folder and ending."""
    return Path(file.rstrip("/")).stem.replace("=", "-") or "participant"


def replay_name(specs: list[str], config: Config) -> str | None:
    """Session name of a replay.

    The first participant's name on a broker that lives only for this replay, so that replays
    are the same to the byte; with the time added on a running broker, where an old session of
    the same name would make the new one look like duplicates.
    """
    if not specs:
        return None
    name = specs[0].partition("=")[0]
    if config.kafka.broker == "embedded":
        return name
    return f"{name}-{wall_clock(time.time_ns(), 0):%Y%m%dT%H%M%SZ}"


def play(
    chosen: Chosen,
    specs: list[str],
    *,
    session: str | None,
    speed: float,
    as_json: bool,
    title: str,
    start_stages: bool = True,
    page: bool = False,
    open_page: bool = False,
    recorder: Recorder = NO_RECORDER,
) -> None:
    """Run all stages over `specs` and show what is published, with `page` in a browser too."""
    from streamer.capture import sources
    from streamer.capture.pace import Pace
    from streamer.session.plan import make_plan
    from streamer.session.running import Capture

    participants = [sources.parse_participant(spec) for spec in specs]
    plan = make_plan(participants, chosen.config, session_id=session, speed=speed)
    pace = None if plan.live else Pace(plan.speed)

    def source(config: Config) -> Any:
        return lambda publisher, in_flight: Capture(plan, config, publisher, in_flight, pace)

    lengths = [info.duration_s for info in plan.sources.values()]
    carry(
        chosen,
        plan.session_id,
        source,
        pace=pace,
        length_s=None if plan.live or None in lengths else sum(filter(None, lengths)),
        as_json=as_json,
        title=title,
        start_stages=start_stages,
        page=page,
        open_page=open_page,
        recorder=recorder,
    )


def carry(
    chosen: Chosen,
    session: str,
    source: Callable[[Config], Any],
    *,
    pace: Any,
    as_json: bool,
    title: str,
    start_stages: bool,
    length_s: float | None = None,
    page: bool = False,
    open_page: bool = False,
    recorder: Recorder = NO_RECORDER,
    also: Callable[[Any], None] = lambda record: None,
) -> None:
    """Take a source through all stages; show, and record where asked, what is published.

    `source` makes, from settings with the broker's address, what `run.run_stages` takes; `pace` is
    of a replay, None for a live session, which no signal makes a failure; `length_s` is the length
    of all recordings together; `also` is called with every published record.
    """
    from streamer import metrics
    from streamer.cli import display
    from streamer.kafka.probe import answers
    from streamer.local.follower import Published
    from streamer.local.run import EMBEDDED_NOTICE, reachable_broker, run_stages
    from streamer.recording.recorder import record_session

    if chosen.config.kafka.broker == "embedded":
        screen.print(EMBEDDED_NOTICE, style="dim", highlight=False)
    board = display.Board(f"{title} [{session}]", length_s)
    by_session = chosen.config.smoothing.publish == "session"
    printed = SessionSentiment if by_session else Sentiment

    async def everything(stop: asyncio.Event) -> Any:
        async with contextlib.AsyncExitStack() as stack:
            config = await stack.enter_async_context(reachable_broker(chosen.config))
            if recorder.folder is not None:
                keep = {"windows": recorder.windows, "media": recorder.media}
                await stack.enter_async_context(
                    record_session(config, recorder.folder, session, **keep)
                )
            if page:
                await show_page(stack, config, session, open_page and not as_json)
            if pace is not None:
                stack.enter_context(pausable(pace))
            with shown(board, as_json) as refresh:

                def on_record(record: Published) -> None:
                    board.add(record)
                    also(record)
                    if as_json and isinstance(record, printed):
                        print_json(record)
                    refresh()

                work = run_stages(
                    session,
                    source(config),
                    config,
                    on_record=on_record,
                    stage_arguments=chosen.stage_arguments(config.kafka.broker),
                    start_stages=start_stages,
                    stop=stop,
                )
                return await metrics.watched(config, "capture", work, answers)

    outcome, interrupted = until_signal(everything)
    if not as_json:
        screen.print(board.summary())
    say_what_was_lost(outcome)
    if interrupted and pace is not None:
        raise typer.Exit(130)


def checked_speed(speed: float) -> float:
    """The speed of a replay; raises ConfigError when it is none."""
    if not 0 <= speed < 1000:
        raise ConfigError(f"The speed {speed:g} must lie between 0 (no waiting) and 1000.")
    return speed


@contextlib.contextmanager
def pausable(pace: Any) -> Iterator[None]:
    """Space on the terminal, or SIGUSR1, pauses a replay and lets it go on. Inside a loop."""
    import termios
    import tty

    loop = asyncio.get_running_loop()

    def toggle() -> None:
        screen.print("Paused; space goes on." if pace.toggle() else "Going on.", style="dim")

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


async def show_page(
    stack: contextlib.AsyncExitStack, config: Config, session: str, open_it: bool
) -> None:
    """Serve the live page until `stack` closes; the run goes on without it where that fails."""
    from streamer import dashboard

    try:
        page = await stack.enter_async_context(dashboard.showing(config, any_port=True))
    except StreamerError as error:
        screen.print(f"No live page: {error}", style="yellow", highlight=False)
        return
    say_url(page.url(session), open_it)


def say_url(url: str, open_it: bool) -> None:
    """Print where the page is; open it in the browser of the person who sits at this screen."""
    import webbrowser

    screen.print(f"Live page: {url}", highlight=False, soft_wrap=True)
    has_screen = sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    if open_it and has_screen and screen.is_terminal:
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()


@contextlib.contextmanager
def shown(board: Any, as_json: bool) -> Iterator[Callable[[], None]]:
    """Show the board live on a terminal, one line per record elsewhere; silent with --json."""
    if as_json:
        yield lambda: None
    elif screen.is_terminal:
        with Live(board.live(), console=screen, refresh_per_second=8) as live:
            yield lambda: live.update(board.live())
    else:
        with contextlib.ExitStack() as stack:
            stack.callback(lambda: screen.print(board.live()))
            yield lambda: screen.print(board.latest_line(), soft_wrap=True)


def say_what_was_lost(outcome: Any) -> None:
    """One line for everything dropped, late, damaged or dead-lettered; nothing when all is well."""
    lost = {n: count for n, count in sorted(outcome.counters.items()) if count and n != "windows"}
    if outcome.dead_letters:
        lost["dead_letters"] = outcome.dead_letters
    if lost:
        told = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in lost.items())
        screen.print(f"Not everything went through: {told}.", style="yellow")


# --- the stages one by one ----------------------------------------------------------------------


@app.command()
def capture(
    participant: ParticipantOption = None,
    consent: ConsentOption = None,
    session: SessionOption = None,
    speed: Annotated[float, typer.Option(help="Of recordings: 1 real speed, 0 full.")] = 1.0,
    config: ConfigOption = None,
    set_: SetOption = None,
    broker: BrokerOption = None,
) -> None:
    """Capture participants into windows on the topic, and nothing else."""
    from streamer import metrics
    from streamer.capture import sources
    from streamer.kafka.admin import ensure_topics
    from streamer.kafka.probe import answers
    from streamer.local.run import capture_only
    from streamer.session.plan import make_plan
    from streamer.session.running import Capture

    chosen = choose(config, set_, broker, consent)
    needs_running_broker(chosen.config, "capture")
    specs = [sources.parse_participant(spec) for spec in participant or []]
    name = session or replay_name(participant or [], chosen.config)
    plan = make_plan(specs, chosen.config, session_id=name, speed=speed)

    def source(publisher: Any, in_flight: Any) -> Any:
        return Capture(plan, chosen.config, publisher, in_flight)

    async def everything(stop: asyncio.Event) -> Any:
        await ensure_topics(chosen.config)
        work = capture_only(plan.session_id, source, chosen.config, stop)
        return await metrics.watched(chosen.config, "capture", work, answers)

    work, interrupted = until_signal(everything)
    screen.print(f"{plan.session_id}: {sum(work.published.values())} windows published.")
    if interrupted and not plan.live:
        raise typer.Exit(130)


@app.command()
def infer(config: ConfigOption = None, set_: SetOption = None, broker: BrokerOption = None) -> None:
    """Score windows with Semi-IIN: one worker, one model, one device."""
    from streamer import metrics
    from streamer.inference import worker
    from streamer.kafka.admin import ensure_topics
    from streamer.kafka.probe import answers
    from streamer.local.workers import end_with_parent

    chosen = choose(config, set_, broker)
    needs_running_broker(chosen.config, "infer")
    end_with_parent()

    async def everything(stop: asyncio.Event) -> None:
        await ensure_topics(chosen.config)
        work = worker.run(chosen.config, stop)
        await metrics.watched(chosen.config, "inference", work, answers)

    until_signal(everything)


@app.command()
def process(
    config: ConfigOption = None, set_: SetOption = None, broker: BrokerOption = None
) -> None:
    """Smooth scores into sentiment: one Faust worker."""
    from streamer.local.workers import end_with_parent
    from streamer.processing import worker

    chosen = choose(config, set_, broker)
    needs_running_broker(chosen.config, "process")
    end_with_parent()
    worker.run(chosen.config)


@app.command()
def subscribe(
    session: SessionOption = None,
    participant: Annotated[str | None, typer.Option(help="Only this participant.")] = None,
    from_: Annotated[
        str, typer.Option("--from", help="beginning, latest, or a time such as 2026-01-31T09:00Z.")
    ] = "latest",
    format_: Annotated[
        OutputFormat, typer.Option("--format", help="A live table, or lines for pipes.")
    ] = OutputFormat.table,
    config: ConfigOption = None,
    set_: SetOption = None,
    broker: BrokerOption = None,
    json_: JsonOption = False,
) -> None:
    """Follow the published sentiment until Ctrl-C."""
    from streamer.cli import display
    from streamer.client import subscribe as follow

    chosen = choose(config, set_, broker)
    needs_running_broker(chosen.config, "subscribe")
    output = OutputFormat.json if json_ else format_
    start = beginning(from_)
    board = display.Board(f"{chosen.config.kafka.broker} {session or 'all sessions'}")

    async def everything(stop: asyncio.Event) -> None:
        stopping = asyncio.create_task(stop.wait())
        records = follow(
            chosen.config.kafka.broker,
            session=session,
            participant=participant,
            start=start,
            config=chosen.config,
        )
        with shown(board, output is not OutputFormat.table) as refresh:
            reading = asyncio.create_task(show_each(records, board, output, refresh))
            done, pending = await asyncio.wait(
                {reading, stopping}, return_when=asyncio.FIRST_COMPLETED
            )
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
            if reading in done:
                reading.result()

    until_signal(everything)


@app.command()
def dashboard(
    session: Annotated[str | None, typer.Option(help="Open this session at once.")] = None,
    host: Annotated[
        str, typer.Option(help="Address to serve at; any but loopback demands the token.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(help="Port; without it 8710, or any free one.", show_default=False),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="STREAMER_DASHBOARD_TOKEN",
            help="What a visitor must show; made anew where needed and not given.",
        ),
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser here.")] = False,
    folder: DirOption = RECORDINGS,
    media: Annotated[
        Path | None,
        typer.Option(
            help="Folder with the recordings' media files, when they are not where they were.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    broker: BrokerOption = None,
) -> None:
    """Serve the live page until Ctrl-C: a broker's topics, and the recorded sessions.

    Without --broker, the recorded sessions alone.
    """
    from streamer import dashboard as pages

    chosen = choose(config, set_, broker)
    until_signal(
        lambda stop: pages.serve(
            chosen.config,
            host,
            pages.PORT if port is None else port,
            token,
            stop=stop,
            on_url=lambda url: say_url(url, open_),
            session_id=session,
            any_port=port is None,
            recordings=folder,
            media_dir=media,
        )
    )


# --- recordings ---------------------------------------------------------------------------------


class ExportFormat(StrEnum):
    """What a recorded session can be turned into."""

    csv = "csv"
    parquet = "parquet"
    json = "json"
    vtt = "vtt"
    html = "html"


@app.command()
def record(
    folder: DirOption = RECORDINGS,
    session: Annotated[
        list[str] | None, typer.Option("--session", help="Only this session. May be repeated.")
    ] = None,
    windows: Annotated[
        bool, typer.Option("--windows", help="Keep sound, face crops and words too.")
    ] = False,
    media: Annotated[
        bool, typer.Option("--media", help="Keep copies of a replay's media files too.")
    ] = False,
    from_: Annotated[
        str,
        typer.Option("--from", help="Where a new folder begins: beginning, latest, or a time."),
    ] = "beginning",
    config: ConfigOption = None,
    set_: SetOption = None,
    broker: BrokerOption = None,
) -> None:
    """Record what is published to Parquet files until Ctrl-C; goes on where it was."""
    from streamer import metrics
    from streamer.kafka.probe import answers
    from streamer.local.workers import end_with_parent
    from streamer.recording import recorder

    chosen = choose(config, set_, broker)
    needs_running_broker(chosen.config, "record")
    start = beginning(from_)
    end_with_parent()
    extras = [name for name, on in (("sound and faces", windows), ("media files", media)) if on]
    screen.print(f"Recording to {folder}{', with ' if extras else ''}{' and '.join(extras)}.")
    counters, _ = until_signal(
        lambda stop: metrics.watched(
            chosen.config,
            "recording",
            recorder.run(
                chosen.config,
                folder,
                stop,
                sessions=session or (),
                windows=windows,
                media=media,
                start=start,
            ),
            answers,
        )
    )
    screen.print(f"{counters['recorded']} records recorded.")


@app.command()
def sessions(folder: DirOption = RECORDINGS, json_: JsonOption = False) -> None:
    """List the recorded sessions, newest first."""
    from streamer.recording.store import Recordings

    found = Recordings(folder).index()
    if json_:
        for one in found:
            print_json(one)
        return
    table = Table("session", "started", "length", "who", "mean", "alerts", "")
    for one in found:
        table.add_row(
            escape(one.session_id),
            f"{one.started_at:%Y-%m-%d %H:%M}" if one.started_at else "",
            f"{one.duration_ms // 60_000}:{one.duration_ms // 1000 % 60:02d}",
            escape(", ".join(person.participant_id for person in one.participants)),
            "" if one.mean_valence is None else f"{one.mean_valence:+z.2f}",
            str(one.alerts),
            "" if one.complete else "not complete",
        )
    Console().print(table if found else f"Nothing is recorded in {folder}.")


@app.command()
def export(
    session: Annotated[str, typer.Argument(help="As `streamer sessions` names it.")],
    to: Annotated[ExportFormat, typer.Option("--to", help="html is a report of one file.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="- for standard output.", show_default=False)
    ] = None,
    folder: DirOption = RECORDINGS,
) -> None:
    """Turn a recorded session into one file."""
    from streamer.recording.export import export as exported
    from streamer.recording.store import Recordings, folder_name

    data = exported(Recordings(folder).read(session), to.value)
    if out == Path("-"):
        sys.stdout.buffer.write(data)
        return
    path = out or Path(f"{folder_name(session)}.{to.value}")
    try:
        path.write_bytes(data)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}; choose --out.") from None
    print_line(str(path))


@app.command()
def compare(
    session_a: Annotated[str, typer.Argument(help="A recorded session.")],
    session_b: Annotated[str, typer.Argument(help="Another one, of the same source.")],
    folder: DirOption = RECORDINGS,
    json_: JsonOption = False,
) -> None:
    """Compare two models or two settings on the same recording, window by window."""
    from streamer.cli.display import comparison
    from streamer.recording.comparison import compare as compared
    from streamer.recording.store import Recordings

    found = Recordings(folder)
    result = compared(found.read(session_a), found.read(session_b))
    if json_:
        print_json(result)
    else:
        Console().print(comparison(result))


def beginning(text: str, option: str = "--from") -> Literal["earliest", "latest"] | datetime:
    """Where to start reading: beginning, latest, or a time with its zone.

    Raises:
        ConfigError: it is none of these.
    """
    if text == "latest":
        return "latest"
    if text == "beginning":
        return "earliest"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ConfigError(
            f"{option} {text!r} is neither beginning nor latest nor a time with its zone, as in "
            "2026-01-31T09:00Z."
        )
    return moment


async def show_each(
    records: Any, board: Any, output: OutputFormat, refresh: Callable[[], None]
) -> None:
    """Print or show every record of a subscription."""
    if output is OutputFormat.csv:
        print_line(",".join(CSV_COLUMNS))
    async for record in records:
        if output is OutputFormat.json:
            print_json(record)
        elif output is OutputFormat.csv:
            print_line(csv_line(record))
        else:
            board.add(record)
            refresh()


def needs_running_broker(config: Config, command: str) -> None:
    """A stage on its own has nobody to talk to on a broker of its own."""
    if config.kafka.broker == "embedded":
        raise ConfigError(
            f"`streamer {command}` needs a running broker: start one with `streamer broker` and "
            "pass --broker host:port."
        )


# --- around it ----------------------------------------------------------------------------------


@app.command()
def broker(
    kafka: Annotated[bool, typer.Option("--kafka", help="A real Apache Kafka, on disk.")] = False,
    port: Annotated[int, typer.Option(help="Port of the real Kafka on 127.0.0.1.")] = 9092,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where Kafka keeps its data.", show_default=False)
    ] = None,
    config: ConfigOption = None,
    set_: SetOption = None,
) -> None:
    """Start a broker and keep it until Ctrl-C: embedded, or a real single-node Kafka."""
    from streamer.kafka.admin import ensure_topics
    from streamer.kafka.apache import KafkaBroker
    from streamer.kafka.embedded import EmbeddedBroker
    from streamer.local.workers import end_with_parent

    chosen = choose(config, set_)
    end_with_parent()

    async def everything(stop: asyncio.Event) -> None:
        with contextlib.ExitStack() as stack:
            started: EmbeddedBroker | KafkaBroker
            if kafka:
                with screen.status("Starting Apache Kafka (the first time fetches its jars) …"):
                    started = await asyncio.to_thread(
                        stack.enter_context, KafkaBroker(data_dir=data_dir, port=port)
                    )
            else:
                started = stack.enter_context(EmbeddedBroker())
            address = chosen.config.kafka.model_copy(update={"broker": started.address})
            await ensure_topics(chosen.config.model_copy(update={"kafka": address}))
            print_line(started.address)
            screen.print(f"Listening; use it with --broker {started.address}. Ctrl-C stops it.")
            await stop.wait()

    until_signal(everything)


@app.command()
def devices(json_: JsonOption = False) -> None:
    """List cameras and microphones with the names to type."""
    from streamer.capture.sources import devices as found

    listed = found()
    if json_:
        for device in listed:
            print_line(msgspec.json.encode(device).decode())
        return
    table = Table("type this", "kind", "device")
    for device in listed:
        table.add_row(device.name_to_type, device.kind, device.description)
    Console().print(table if listed else "No camera and no microphone was found.")


@app.command()
def doctor(
    config: ConfigOption = None,
    set_: SetOption = None,
    broker: BrokerOption = None,
    json_: JsonOption = False,
) -> None:
    """Check devices, broker, model, libraries and GPU; say the mend for each."""
    from streamer.cli.doctor import examine

    chosen = choose(config, set_, broker)
    findings = asyncio.run(examine(chosen.config))
    if json_:
        for finding in findings:
            print_line(msgspec.json.encode(finding).decode())
    else:
        table = Table("", "what", "found", "mend")
        marks = {"ok": "[green]✓", "missing": "[yellow]–", "broken": "[red]✗"}
        for finding in findings:
            table.add_row(marks[finding.state], finding.what, finding.found, finding.mend)
        Console().print(table)
    if any(finding.state == "broken" for finding in findings):
        raise typer.Exit(1)


@app.command()
def schema(
    folder: Annotated[Path, typer.Argument(help="Where to write.")],
    describe: Annotated[
        Path | None, typer.Option(help="Also explain every field, in Markdown, in this file.")
    ] = None,
) -> None:
    """Write the JSON Schemas of the published records."""
    from streamer.kafka.documentation import document, write_schemas

    written = write_schemas(folder)
    if describe is not None:
        describe.write_text(document(), "utf-8")
        written.append(describe)
    for path in written:
        print_line(str(path))


ReasonOption = Annotated[str, typer.Option("--reason", help="Only those whose reason has this.")]


@dead_letter_app.command("list")
def dead_letter_list(
    reason: ReasonOption = "",
    config: ConfigOption = None,
    set_: SetOption = None,
    broker: BrokerOption = None,
    json_: JsonOption = False,
) -> None:
    """List what could not be read: its id, when it was written, its size, the reason."""
    from streamer.kafka import dead_letters

    chosen = choose(config, set_, broker)
    needs_running_broker(chosen.config, "dead-letter")
    table = Table("id", "written", "bytes", "reason")

    async def everything() -> None:
        async for letter in dead_letters.letters(chosen.config, reason):
            row = (letter.letter_id, f"{letter.written_at:%Y-%m-%d %H:%M:%S}", letter.full_bytes)
            if json_:
                names = ("id", "written", "bytes", "reason")
                print_line(json.dumps(dict(zip(names, (*row, letter.reason), strict=True))))
            else:
                table.add_row(*map(escape, (*map(str, row), letter.reason)))

    asyncio.run(everything())
    if not json_:
        Console().print(table if table.rows else "There is no dead letter.")


@dead_letter_app.command("show")
def dead_letter_show(
    letter_id: Annotated[str, typer.Argument(help="topic/partition/offset, as `list` prints it.")],
    out: Annotated[Path | None, typer.Option(help="Write the original bytes here.")] = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    broker: BrokerOption = None,
) -> None:
    """Show one: reason, key, headers, and the beginning of its bytes."""
    from streamer.kafka import dead_letters

    chosen = choose(config, set_, broker)
    needs_running_broker(chosen.config, "dead-letter")
    letter = asyncio.run(dead_letters.find(chosen.config, letter_id))
    lines = {"reason": letter.reason, "written": letter.written_at.isoformat()}
    lines["key"] = repr(letter.original.key)
    lines |= {name: repr(value) for name, value in letter.original.headers.items()}
    lines["bytes"] = f"{letter.full_bytes}" + ("" if letter.complete else ", cut: not all kept")
    for name, text in lines.items():
        print_line(f"{name + ':':<18} {text}")
    print_line(letter.preview())
    if out is not None:
        out.write_bytes(letter.original.value or b"")


@dead_letter_app.command("retry")
def dead_letter_retry(
    letter_ids: Annotated[
        list[str] | None, typer.Argument(help="Ids as `list` prints them.", show_default=False)
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every one that `list` shows.")] = False,
    reason: ReasonOption = "",
    config: ConfigOption = None,
    set_: SetOption = None,
    broker: BrokerOption = None,
) -> None:
    """Put messages back on the topics that they came from."""
    from streamer.kafka import dead_letters

    if bool(letter_ids) == all_:
        raise ConfigError("Name the dead letters to send again, or give --all.")
    chosen = choose(config, set_, broker)
    needs_running_broker(chosen.config, "dead-letter")
    for sent in asyncio.run(dead_letters.retry(chosen.config, letter_ids or None, reason)):
        print_line(sent)


@config_app.command("show")
def config_show(
    config: ConfigOption = None,
    set_: SetOption = None,
    broker: BrokerOption = None,
    json_: JsonOption = False,
) -> None:
    """Print the settings in force, as TOML, secrets masked."""
    chosen = choose(config, set_, broker)
    shown_config = settings.dump(chosen.config)
    print_line(json.dumps(shown_config) if json_ else settings.as_toml(chosen.config).rstrip())


# --- plumbing -----------------------------------------------------------------------------------

CSV_COLUMNS = (
    "event_time",
    "session_id",
    "participant_id",
    "window_id",
    "valence",
    "valence_raw",
    "uncertainty",
    "label",
    "trend_per_min",
    "text",
)


def csv_line(record: Sentiment) -> str:
    """One line of CSV_COLUMNS, quoted where needed; empty where there is no evidence."""
    import csv
    import io

    plain = msgspec.to_builtins(record)
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(plain[name] for name in CSV_COLUMNS)
    return buffer.getvalue()


def print_line(text: str) -> None:
    """A line on standard output, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_json(record: Any) -> None:
    """A record as one JSON line on standard output."""
    print_line(msgspec.json.encode(record).decode())


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


def set_up_logging(config: Config) -> None:
    """Logs on standard error, as text or as one JSON object per line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if config.log.format == "json" else TextFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("streamer").setLevel(config.log.level.upper())


class TextFormatter(logging.Formatter):
    """`HH:MM:SS level room: message`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S")


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message."""

    def format(self, record: logging.LogRecord) -> str:
        """Encode one log record."""
        return json.dumps(
            {
                "time": wall_clock(int(record.created * 1e9), 0).isoformat(),
                "level": record.levelname.lower(),
                "logger": record.name,
                "message": record.getMessage(),
                **({"traceback": self.formatException(record.exc_info)} if record.exc_info else {}),
            }
        )


def main() -> NoReturn:
    """Entry point: a failure is one sentence on standard error and an exit code."""
    try:
        app(standalone_mode=True)
    except StreamerError as error:
        sys.stderr.write(f"streamer: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    sys.exit(0)
