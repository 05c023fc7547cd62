"""`record`, `sessions`, `export`, `compare` and `forget`: sessions on disk."""

from __future__ import annotations

import sys
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console

from streamer.cli.app import app, screen
from streamer.cli.context import beginning, choose, needs_running_broker
from streamer.cli.options import (
    RECORDINGS,
    BrokerOption,
    ConfigOption,
    DirOption,
    ExportFormat,
    JsonOption,
    SetOption,
)
from streamer.cli.output import print_json, print_line
from streamer.cli.terminal import until_signal
from streamer.counted import counted
from streamer.errors import ConfigError

if TYPE_CHECKING:
    from streamer.recording.forgetting import Erased


@app.command()
def record(
    folder: DirOption = RECORDINGS,
    session: Annotated[
        list[str] | None,
        typer.Option("--session", help="This id, or all of this name; repeatable."),
    ] = None,
    windows: Annotated[
        bool, typer.Option("--windows", help="Store audio, face crops and words too.")
    ] = False,
    media: Annotated[
        bool, typer.Option("--media", help="Store copies of a replay's media files too.")
    ] = False,
    from_: Annotated[
        str,
        typer.Option("--from", help="Start of a new folder: beginning, latest, or a time."),
    ] = "beginning",
    config: ConfigOption = None,
    set_: SetOption = None,
    broker: BrokerOption = None,
) -> None:
    """Record published records as Parquet until Ctrl-C; resumes where it stopped."""
    from streamer import metrics
    from streamer.kafka.probe import answers
    from streamer.local.workers import end_with_parent
    from streamer.recording import recorder

    chosen = choose(config, set_, broker)
    needs_running_broker(chosen.config, "record")
    start = beginning(from_)
    end_with_parent()
    extras = [name for name, on in (("audio and faces", windows), ("media files", media)) if on]
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
    screen.print(f"Recorded {counted(counters['recorded'], 'record')}.")
    if withheld := counters["withheld"]:
        left_out = counted(withheld, "record")
        screen.print(f"Left out {left_out} that may not be kept, as the session's record says.")


@app.command()
def sessions(
    text: Annotated[
        str, typer.Argument(help="Only sessions whose id, name or people contain this text.")
    ] = "",
    folder: DirOption = RECORDINGS,
    json_: JsonOption = False,
) -> None:
    """List the recorded sessions, newest first."""
    from streamer.cli.session_list import matching, session_list
    from streamer.recording.reader import Recordings

    if folder.is_file():
        raise ConfigError(f"{folder} is a file; name the folder of the recordings with --dir.")
    everything = Recordings(folder).index()
    summaries = matching(everything, text)
    if json_:
        for summary in summaries:
            print_json(summary)
        return
    if summaries:
        Console().print(session_list(summaries))
    elif everything:
        print_line(f"No recording in {folder} contains {text!r}.")
    else:
        print_line(f"{folder} contains no recordings; `streamer record` or --record DIR makes one.")


@app.command()
def export(
    session: Annotated[
        str, typer.Argument(help="Id of the session, or a name for the newest of it.")
    ],
    to: Annotated[ExportFormat, typer.Option("--to", help="html writes a report in one file.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="- for standard output.", show_default=False)
    ] = None,
    folder: DirOption = RECORDINGS,
    zone: Annotated[
        str | None,
        typer.Option(
            help="Time zone of the report, as Europe/Berlin; default: this machine's.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Export a recorded session as one file."""
    from streamer.recording.export import export as exported
    from streamer.recording.reader import Recordings
    from streamer.recording.recorded import folder_name

    recordings = Recordings(folder)
    session_id = recordings.find(session)
    data = exported(recordings.read(session_id), to.value, _zone(zone))
    if out == Path("-"):
        sys.stdout.buffer.write(data)
        return
    path = out or Path(f"{folder_name(session_id)}.{to.value}")
    try:
        path.write_bytes(data)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}; choose --out.") from None
    print_line(str(path))


def _zone(name: str | None) -> tzinfo | None:
    """Return a time zone by its name; None for this machine's own."""
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (OSError, ValueError):
        raise ConfigError(
            f"There is no time zone {name!r}; take a name such as Europe/Berlin or UTC."
        ) from None


@app.command()
def compare(
    session_a: Annotated[str, typer.Argument(help="Id or name of a recorded session.")],
    session_b: Annotated[str, typer.Argument(help="Another recording of the same source.")],
    folder: DirOption = RECORDINGS,
    json_: JsonOption = False,
) -> None:
    """Compare two models or settings on the same recording, window by window."""
    from streamer.cli.comparing import comparison
    from streamer.recording.comparison import compare as compared
    from streamer.recording.reader import Recordings

    recordings = Recordings(folder)
    a, b = (recordings.read(recordings.find(session)) for session in (session_a, session_b))
    result = compared(a, b)
    if json_:
        print_json(result)
    else:
        Console().print(comparison(result))


@app.command()
def forget(
    session: Annotated[
        str, typer.Argument(help="Id of the session, or a name for the newest of it.")
    ],
    name: Annotated[str, typer.Argument(help="The participant, as the session names them.")],
    folder: DirOption = RECORDINGS,
) -> None:
    """Delete what a recording holds of one person; values of the meeting as a whole stay."""
    from streamer.recording import forgetting

    erased = forgetting.forget(folder, session, name)
    print_line(what_is_deleted(erased, name))
    warn_of_damaged(erased, name)


def what_is_deleted(erased: Erased, name: str) -> str:
    """Return one line on what was deleted of a person."""
    labels = {"smoothed": "value", "windows": "window", "alerts": "alert"}
    counts = [counted(count, labels[kind]) for kind, count in erased.records.items() if count]
    media = [counted(len(erased.media), "media file")] if erased.media else []
    what = ", ".join([*counts, *media]) or "nothing but the name"
    return f"Deleted of {name} from {erased.session_id}: {what}. Values of the meeting stay."


def warn_of_damaged(erased: Erased, name: str) -> None:
    """Name the files that cannot be read, in which something of the person may be left."""
    for path in erased.damaged:
        screen.print(
            f"{path} is damaged and may hold something of {name}; delete it if so.",
            style="yellow",
            highlight=False,
        )
