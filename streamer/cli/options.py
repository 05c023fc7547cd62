"""Options of the commands, and formats that they share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class OutputFormat(StrEnum):
    """Formats of printed records."""

    table = "table"
    json = "json"
    csv = "csv"


ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="TOML file with settings.", show_default=False)
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="A setting, such as windows.hop_s=2; repeatable."),
]
BrokerOption = Annotated[
    str | None,
    typer.Option("--broker", "-b", help="`embedded`, or host[:9092] of a Kafka broker."),
]
ParticipantOption = Annotated[
    list[str] | None,
    typer.Option(
        "--participant", "-p", help="name=source[,source][@+20s]; `streamer devices` lists devices."
    ),
]
SessionOption = Annotated[str | None, typer.Option("--session", help="The session's name.")]
SessionIdOption = Annotated[
    str | None,
    typer.Option(
        "--session-id",
        help="The session's id; by default a new one of name, start and a random part.",
        show_default=False,
    ),
]
SelectorOption = Annotated[
    str | None,
    typer.Option("--session", help="Only this session: its id, or a name for the newest of it."),
]
ConsentOption = Annotated[
    str | None,
    typer.Option("--consent", help="Statement of who consented to the capture, and how."),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print records only, one JSON object per line.")
]
NoStagesOption = Annotated[
    bool, typer.Option("--no-stages", help="Start no inference and processing: they run elsewhere.")
]
PageOption = Annotated[
    bool, typer.Option("--page/--no-page", help="Serve the live page on this machine.")
]
RecordOption = Annotated[
    Path | None,
    typer.Option("--record", help="Also record into this folder.", show_default=False),
]
KeepWindowsOption = Annotated[
    bool, typer.Option("--record-windows", help="With --record: store audio, faces and words too.")
]
KeepMediaOption = Annotated[
    bool, typer.Option("--record-media", help="With --record: store copies of the media files too.")
]
DirOption = Annotated[Path, typer.Option("--dir", "-d", help="Folder of the recordings.")]
RECORDINGS = Path("recordings")


class ExportFormat(StrEnum):
    """File formats of an exported session."""

    csv = "csv"
    parquet = "parquet"
    json = "json"
    vtt = "vtt"
    html = "html"


ReasonOption = Annotated[
    str, typer.Option("--reason", help="Only dead letters whose reason contains this text.")
]

FilesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        help="Media files or folders, one participant each; ana.mp4@+20s begins 20 s later.",
        show_default=False,
    ),
]
ReplaySpeedOption = Annotated[
    float, typer.Option(help="1 = real time, 4 = four times as fast, 0 = as fast as possible.")
]
StartOption = Annotated[
    str | None,
    typer.Option(
        "--start",
        help="When the recorded session began, as 2026-01-31T09:00Z; else the files tell.",
        show_default=False,
    ),
]
RecordedOption = Annotated[
    str | None,
    typer.Option(
        help="Score the recorded windows of this session again; a name means the newest of it.",
        show_default=False,
    ),
]
TopicOption = Annotated[
    str | None,
    typer.Option(help="Score the windows of this topic again, such as sentiment.windows.v1."),
]
TopicFromOption = Annotated[
    str, typer.Option("--from", help="With --topic: beginning, or a start time.")
]
TopicToOption = Annotated[
    str | None, typer.Option(help="With --topic: the end time.", show_default=False)
]


class Split(StrEnum):
    """What makes participants of one recording."""

    transcript = "transcript"
    channels = "channels"
    speakers = "speakers"
    none = "none"


SplitOption = Annotated[
    Split,
    typer.Option(
        help="A participant for each person in the transcript, each channel or each voice, or one."
    ),
]
VoiceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--voice",
        help="ana=ana.wav: with --split speakers, the voice in this recording is ana's; "
        "repeatable. Needs --voice-consent.",
        show_default=False,
    ),
]
VoiceConsentOption = Annotated[
    str | None,
    typer.Option(
        help="Statement, by name, of who agreed to be recognised by the voice.",
        show_default=False,
    ),
]
KeepVoicesOption = Annotated[
    Path | None,
    typer.Option(
        help="Keep the voices of --voice in this file, and recognise those that it contains.",
        show_default=False,
    ),
]
TranscriptOption = Annotated[
    Path | None,
    typer.Option(
        help="The recording's transcript: WebVTT, SRT, Teams, Zoom, Meet, Otter, WhisperX, RTTM.",
        show_default=False,
    ),
]
TranscriptOffsetOption = Annotated[
    float, typer.Option(help="Seconds to add to the transcript's times, such as -2.5.")
]

FaceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--face",
        help="Whose face is where in the image, as in 'Ana Berg=left': left, right, 2 (from the "
        "left) or largest; repeatable.",
        show_default=False,
    ),
]

HostOption = Annotated[
    str,
    typer.Option(help="Address to listen on; any but the loopback address requires the token."),
]
PagePortOption = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65535,
        help="Port, 0 for any; by default 8710, or a free one.",
        show_default=False,
    ),
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        envvar="STREAMER_DASHBOARD_TOKEN",
        help="Token that visitors need; generated if it is required and not given.",
    ),
]
OpenOption = Annotated[
    bool, typer.Option("--open", help="Open the page in this machine's browser.")
]
MediaFolderOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder with the recordings' media files, if they have moved.",
        show_default=False,
    ),
]
