"""`demo` and `run`: all stages in one go, watched in the terminal and on the page."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.live import Live

from streamer.cli.absence import absence_announced
from streamer.cli.app import app, screen
from streamer.cli.context import (
    NO_RECORDER,
    Chosen,
    Recorder,
    choose,
    needs_stages,
)
from streamer.cli.options import (
    BrokerOption,
    ConfigOption,
    ConsentOption,
    JsonOption,
    KeepMediaOption,
    KeepVoicesOption,
    KeepWindowsOption,
    NoStagesOption,
    PageOption,
    ParticipantOption,
    RecordOption,
    SessionIdOption,
    SessionOption,
    SetOption,
    Split,
    VoiceConsentOption,
    VoiceOption,
)
from streamer.cli.output import print_json
from streamer.cli.terminal import pausable, until_signal
from streamer.cli.voices import VoiceOptions
from streamer.config import Config
from streamer.errors import ConfigError, ExitCode, StreamerError
from streamer.notices import PROCESS
from streamer.records import NS_PER_S, Sentiment, SessionSentiment
from streamer.stopping import Stop

if TYPE_CHECKING:
    from streamer.capture import ParticipantSpec
    from streamer.session.plan import Plan
    from streamer.speakers.enrolment import Vector
    from streamer.speakers.listening import LiveListener


@app.command()
def demo(
    config: ConfigOption = None,
    set_: SetOption = None,
    broker: BrokerOption = None,
    speed: Annotated[float, typer.Option(help="1 = real time, 0 = as fast as possible.")] = 1.0,
    session_id: SessionIdOption = None,
    page: PageOption = True,
    record: RecordOption = None,
    record_windows: KeepWindowsOption = False,
    record_media: KeepMediaOption = False,
    json_: JsonOption = False,
) -> None:
    """Play a generated meeting of two people through every stage."""
    from streamer.capture import ParticipantSpec
    from streamer.demo import meeting

    chosen = choose(config, set_, broker)
    with screen.status("Generating the meeting (speech, faces, subtitles) …"):
        recordings = meeting()
    play(
        chosen,
        [ParticipantSpec(name, (str(path),), begin_ns=0) for name, path in recordings.items()],
        session="demo" if session_id is None else None,
        session_id=session_id,
        speed=speed,
        as_json=json_,
        title="Demo meeting",
        page=page,
        open_page=True,
        recorder=Recorder(record, record_windows, record_media),
    )
    screen.print(
        f"Open a room that two browser tabs can join:\n    {room_command(sys.argv[0])}",
        highlight=False,
        soft_wrap=True,
    )


def room_command(called: str) -> str:
    """Return the command that opens a room, where this program was called as `called`."""
    own = called if os.path.basename(called) == "streamer" else "streamer"
    return f"{own} room --session standup"


@app.command()
def run(
    participant: ParticipantOption = None,
    consent: ConsentOption = None,
    split: Annotated[
        Split, typer.Option(help="`speakers`: a participant for each voice at one microphone.")
    ] = Split.none,
    voice: VoiceOption = None,
    voice_consent: VoiceConsentOption = None,
    keep_voices: KeepVoicesOption = None,
    session: SessionOption = None,
    session_id: SessionIdOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    broker: BrokerOption = None,
    no_stages: NoStagesOption = False,
    page: PageOption = True,
    record: RecordOption = None,
    record_windows: KeepWindowsOption = False,
    json_: JsonOption = False,
) -> None:
    """Capture and analyse a live session with all stages; Ctrl-C ends it."""
    from streamer.capture import parse_participant
    from streamer.session.plan import NO_CONSENT

    chosen = choose(config, set_, broker, consent)
    needs_stages(chosen.config, no_stages)
    if split not in (Split.none, Split.speakers):
        raise ConfigError("--split of a live session is `speakers` or `none`.")
    voices = VoiceOptions(voice or [], voice_consent, keep_voices)
    if voices.are_stated and not chosen.config.session.consent.strip():
        raise ConfigError(NO_CONSENT)  # that of the voices' people does not stand for everybody's
    chosen, known = voices.known(chosen, split)
    default = "room=mic:default" if split is Split.speakers else "me=webcam:0,mic:default"
    play(
        chosen,
        [parse_participant(text) for text in participant or [default]],
        by_voice=known if split is Split.speakers else None,
        session=session,
        session_id=session_id,
        speed=1.0,
        as_json=json_,
        start_stages=not no_stages,
        title="Live session",
        page=page,
        recorder=Recorder(record, record_windows),
    )


def play(
    chosen: Chosen,
    specs: Sequence[ParticipantSpec],
    *,
    session: str | None,
    session_id: str | None,
    speed: float,
    as_json: bool,
    title: str,
    start: datetime | None = None,
    start_stages: bool = True,
    page: bool = False,
    open_page: bool = False,
    recorder: Recorder = NO_RECORDER,
    by_voice: Mapping[str, Vector] | None = None,
) -> None:
    """Run all stages over `specs` and show the published records; with `page` in a browser too.

    With `by_voice`, known voices by name, the only one is a live source, and each voice in it is a
    participant.
    """
    from streamer.capture.pace import Pace
    from streamer.session.plan import make_plan
    from streamer.session.running import Capture

    plan = make_plan(
        specs, chosen.config, name=session, session_id=session_id, speed=speed, start=start
    )
    pace = None if plan.live else Pace(plan.speed)
    listener = None if by_voice is None else _listener(plan, chosen.config, by_voice)

    def source(config: Config) -> Any:
        if listener is not None:
            from streamer.session.microphone import MicrophoneCapture

            return lambda publisher, in_flight: MicrophoneCapture(
                plan, config, publisher, in_flight, listener
            )
        return lambda publisher, in_flight: Capture(plan, config, publisher, in_flight, pace)

    if plan.notice:
        screen.print(plan.notice, style="dim", highlight=False)
    for notice in plan.notices:
        PROCESS.give(notice)
    lengths = [
        info.duration_s and info.duration_s + plan.begins_ns.get(name, 0) / NS_PER_S
        for name, info in plan.sources.items()
    ]
    run_pipeline(
        chosen,
        (plan.session_id,),
        source,
        pace=pace,
        length_s=None if plan.live or None in lengths else max(filter(None, lengths), default=None),
        as_json=as_json,
        title=title,
        start_stages=start_stages,
        page=page,
        open_page=open_page,
        recorder=recorder,
    )


def _listener(plan: Plan, config: Config, known: Mapping[str, Vector]) -> LiveListener:
    """Load what tells the voices at a live session's microphone apart."""
    from streamer.session.microphone import check
    from streamer.speakers.listening import LiveListener, networks

    check(plan, config)
    return LiveListener(networks(), config.speech.max_speakers, known)


def run_pipeline(
    chosen: Chosen,
    sessions: tuple[str, ...],
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
    """Run a source through all stages; show and, where asked, record the published records.

    `sessions` are the ids under which the source sends. `source` makes, from settings with the
    broker's address, what `run.run_stages` takes; `pace` is of a replay, None for a live session,
    which no signal makes a failure; `length_s` is the session's length; `also` is called with every
    published record.
    """
    from streamer import metrics
    from streamer.cli import display
    from streamer.kafka.probe import answers
    from streamer.local.run import EMBEDDED_NOTICE, reachable_broker, run_stages

    if chosen.config.kafka.broker == "embedded":
        screen.print(EMBEDDED_NOTICE, style="dim", highlight=False)
    boards = display.Boards({each: display.Board(f"{title} {each}", length_s) for each in sessions})

    async def everything(stop: Stop) -> Any:
        async with contextlib.AsyncExitStack() as stack:
            config = await stack.enter_async_context(reachable_broker(chosen.config))
            await start_recorder(stack, recorder, config, sessions, stop)
            if page:
                await show_page(stack, config, sessions[0], open_page and not as_json)
            if not start_stages:
                await stack.enter_async_context(absence_announced(config))
            if pace is not None:
                stack.enter_context(pausable(pace))
            refresh = stack.enter_context(live_table(boards, as_json))
            printer = json_printer(config, as_json)
            work = run_stages(
                sessions,
                source(config),
                config,
                on_record=each_of(boards.add, also, printer, lambda _: refresh()),
                stage_arguments=chosen.stage_arguments(config.kafka.broker),
                start_stages=start_stages,
                stop=stop,
            )
            return await metrics.watched(config, "capture", work, answers)

    outcome, interrupted = until_signal(everything)
    if not as_json:
        screen.print(boards.summary())
    report_losses(outcome)
    if interrupted and pace is not None:
        raise typer.Exit(ExitCode.INTERRUPTED)


def each_of(*actions: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return a function that calls every action with a record, in order."""

    def act(record: Any) -> None:
        for action in actions:
            action(record)

    return act


def json_printer(config: Config, as_json: bool) -> Callable[[Any], None]:
    """Return a function that prints the records of the published kind with --json."""
    by_session = config.smoothing.publish == "session"
    printed = SessionSentiment if by_session else Sentiment

    def print_published(record: Any) -> None:
        if as_json and isinstance(record, printed):
            print_json(record)

    return print_published


async def start_recorder(
    stack: contextlib.AsyncExitStack,
    recorder: Recorder,
    config: Config,
    sessions: tuple[str, ...],
    stop: Stop,
) -> None:
    """Record the sessions until `stack` closes, if `recorder` has a folder."""
    from streamer.recording.recorder import record_sessions

    if recorder.folder is not None:
        keep = {"windows": recorder.windows, "media": recorder.media}
        await stack.enter_async_context(record_sessions(config, recorder.folder, sessions, **keep))
        stack.callback(stop.wait_for, "the recorder to write the last records")


async def show_page(
    stack: contextlib.AsyncExitStack, config: Config, session: str, open_it: bool
) -> None:
    """Serve the live page until `stack` closes; if that fails, the run continues without it."""
    from streamer import dashboard

    try:
        page = await stack.enter_async_context(dashboard.showing(config, any_port=True))
    except StreamerError as error:
        screen.print(f"No live page: {error}", style="yellow", highlight=False)
        return
    print_url(page.url(session), open_it)


def print_url(url: str, open_it: bool) -> None:
    """Print the page's address, and open it in this machine's browser if asked."""
    import webbrowser

    screen.print(f"Live page: {url}", highlight=False, soft_wrap=True)
    has_screen = sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    if open_it and has_screen and screen.is_terminal:
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()


@contextlib.contextmanager
def live_table(board: Any, as_json: bool) -> Iterator[Callable[[], None]]:
    """Show a live table on a terminal, one line per record elsewhere, nothing with --json."""
    if as_json:
        yield lambda: None
    elif screen.is_terminal:
        with Live(board.live(), console=screen, refresh_per_second=8) as live:
            yield lambda: live.update(board.live())
    else:
        with contextlib.ExitStack() as stack:
            stack.callback(lambda: screen.print(board.live()))
            yield lambda: _print_line(board.latest_line())


def _print_line(line: Any) -> None:
    if line:
        screen.print(line, soft_wrap=True)


NO_LOSS = ("windows", "notices")
"""Counters of a capture that count no loss; notices are logged when they occur."""


def report_losses(outcome: Any) -> None:
    """Print one line with the counts of dropped, late, damaged and dead-lettered data, if any."""
    counters = sorted(outcome.counters.items())
    lost = {name: count for name, count in counters if count and name not in NO_LOSS}
    if outcome.dead_letters:
        lost["dead_letters"] = outcome.dead_letters
    if lost:
        counts = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in lost.items())
        screen.print(f"Losses: {counts}.", style="yellow")
