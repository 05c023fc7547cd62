"""A recorded session as one file for others: CSV, JSON, Parquet, WebVTT, HTML.

What enters: a `Recording`. What leaves: bytes. Pure: no clock, no disk, no Kafka; the same
recording gives the same bytes. The HTML report is made in `report`.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, tzinfo
from typing import Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from streamer.plain_text import csv_cell, printable
from streamer.recording.recorded import Recording
from streamer.recording.report import html
from streamer.recording.transcript import transcript
from streamer.records import MODALITIES, Sentiment
from streamer.rounding import rounded
from streamer.shown_names import shown
from streamer.unsure import Part

__all__ = ["CSV_COLUMNS", "FORMATS", "Format", "cue_time", "export"]

Format = Literal["csv", "parquet", "json", "vtt", "html"]

CAPTION_WORDS = 12
"""Most words in one caption."""
_PLAIN = (
    "event_time", "session_id", "participant_id", "window_id", "window_index", "revision",
    "start_ms", "end_ms", "valence", "valence_raw", "uncertainty", "label", "polarity",
    "trend_per_min",
)  # fmt: skip
_AS_THEY_ARE = ("evidence", "text", "model", "final", "identified_by", "identity_confidence")
CSV_COLUMNS: tuple[str, ...] = (
    *_PLAIN,
    *(f"class_{number}" for number in range(7)),
    "gate_val",
    "gate_cls",
    *(f"presence_{name}" for name in MODALITIES),
    "evidence",
    "text",
    "latency_total_ms",
    "model",
    "final",
    "identified_by",
    "identity_confidence",
    "participant_name",
)
"""Columns of CSV and Parquet: one row per participant and window, empty without evidence.

`participant_name` is the name that people see: the id where nobody stated one.
"""


def export(recording: Recording, to: Format, zone: tzinfo | None = UTC) -> bytes:
    """Return the recording in a format; the module's functions describe each.

    The report's wall-clock times are in `zone`; None for this machine's.
    """
    return html(recording, zone).encode() if to == "html" else FORMATS[to](recording)


def to_csv(recording: Recording) -> bytes:
    """One line per sentiment, CSV_COLUMNS first, UTF-8, quoted where needed (RFC 4180).

    Text that a spreadsheet would take for a formula begins with an apostrophe. Numbers are
    rounded to what they mean.
    """
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, CSV_COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    for sentiment in recording.sentiments:
        row = _flat(sentiment, recording.names)
        row |= {name: _number(name, value) for name, value in row.items()}
        row["event_time"] = row["event_time"].isoformat().replace("+00:00", "Z")
        row["evidence"] = " ".join(row["evidence"])
        row |= {name: csv_cell(value) for name, value in row.items() if isinstance(value, str)}
        row["final"] = str(row["final"]).lower()
        writer.writerow(row)
    return buffer.getvalue().encode()


def to_parquet(recording: Recording) -> bytes:
    """One table of all sentiments, flat; the session's index entry in the file's metadata."""
    kinds = {
        **dict.fromkeys(CSV_COLUMNS, pa.float64()),
        **dict.fromkeys(("window_index", "revision", "start_ms", "end_ms"), pa.int64()),
        **dict.fromkeys(
            ("session_id", "participant_id", "window_id", "label", "polarity", "text", "model"),
            pa.string(),
        ),
        "identified_by": pa.string(),
        "participant_name": pa.string(),
        "event_time": pa.timestamp("us", tz="UTC"),
        "evidence": pa.list_(pa.string()),
        "final": pa.bool_(),
    }
    about = {"streamer.session": msgspec.json.encode(recording.summary)}
    schema = pa.schema([(name, kinds[name]) for name in CSV_COLUMNS], metadata=about)
    rows = [_flat(sentiment, recording.names) for sentiment in recording.sentiments]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink, compression="zstd")
    return sink.getvalue()


def to_json(recording: Recording) -> bytes:
    """One object: the published records, their numbers rounded, and what follows from them.

    These are `summary`, `session`, `conversation` (talk times, turns, interruptions, silences) and
    `transcript`.
    """
    whole = {
        "summary": recording.summary,
        "conversation": recording.conversation,
        "transcript": transcript(recording.sentiments),
        "session": recording.session,
        "sentiments": recording.sentiments,
        "session_sentiments": recording.session_sentiments,
        "alerts": recording.alerts,
    }
    return msgspec.json.format(msgspec.json.encode(rounded(whole)), indent=1) + b"\n"


def to_vtt(recording: Recording) -> bytes:
    """Captions for any player: everyone's words, and above them everyone's valence and label.

    A cue with words shows while they are spoken, in at most CAPTION_WORDS; words of which the
    recogniser is unsure are in italics, and profanity among them is hidden. A cue with moods, at
    the top, tells from one window's end to the next what was smoothed at its end. Who gives no
    evidence has no line in it; where nobody does, there is no such cue. Times at which the host
    did not record have a comment at the beginning, and no cue.
    """
    cues = sorted([*_mood_cues(recording), *_word_cues(recording)])
    untold = [
        f"NOTE not recorded: {cue_time(low)} to {cue_time(high)}\n"
        for low, high in recording.unrecorded
    ]
    return "\n".join(["WEBVTT\n", *untold, *(text for _, text in cues)]).encode()


def _mood_cues(recording: Recording) -> Iterator[tuple[int, str]]:
    """The start of each cue of moods, and its text."""
    ends: dict[int, list[Sentiment]] = defaultdict(list)
    for sentiment in recording.sentiments:
        ends[sentiment.end_ms].append(sentiment)
    before_ms = 0
    for end_ms in sorted(ends):
        recorded_from = (high for _, high in recording.unrecorded if high <= end_ms)
        before_ms = max(before_ms, max(recorded_from, default=0))
        lines = [
            _spoken_by(
                shown(recording.names, s.participant_id), _caption(f"{s.valence:+z.1f} {s.label}")
            )
            for s in ends[end_ms]
            if s.valence is not None
        ]
        if lines:
            yield before_ms, _cue(before_ms, end_ms, lines, " line:0")
        before_ms = end_ms


def _word_cues(recording: Recording) -> Iterator[tuple[int, str]]:
    """The start of each cue of words, and its text."""
    for line in transcript(recording.sentiments, CAPTION_WORDS):
        end_ms = max(line.end_ms, line.start_ms + 1)
        said = " ".join(map(_marked, line.parts))
        text = _spoken_by(shown(recording.names, line.participant_id), said)
        yield line.start_ms, _cue(line.start_ms, end_ms, [text])


def _cue(start_ms: int, end_ms: int, lines: Sequence[str], place: str = "") -> str:
    return f"{cue_time(start_ms)} --> {cue_time(end_ms)}{place}\n" + "\n".join(lines) + "\n"


def _spoken_by(name: str, said: str) -> str:
    return f"<v {_caption(name)}>{_caption(name)}: {said}</v>"


def _marked(part: Part) -> str:
    """Return words as a caption's data, in italics where the recogniser is unsure of them."""
    return f"<i>{_caption(part.text)}</i>" if part.unsure else _caption(part.text)


def cue_time(milliseconds: int) -> str:
    """Return a session time as WebVTT writes it: `HH:MM:SS.mmm`."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:03d}"


def _number(column: str, value: Any) -> Any:
    """Return a cell; a number has the decimals of its field."""
    field = "class_probabilities" if column.startswith("class_") else column
    return rounded({"latency_ms" if column.startswith("latency") else field: value}).popitem()[1]


def _caption(text: str) -> str:
    """Return text as a caption's data: no markup, no line break, no control character."""
    return printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _flat(sentiment: Sentiment, names: Mapping[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(sentiment, name) for name in _PLAIN}
    probabilities: Sequence[float | None] = sentiment.class_probabilities or (None,) * 7
    row |= {f"class_{number}": value for number, value in enumerate(probabilities)}
    gate = sentiment.gate
    row |= {"gate_val": gate.val if gate else None, "gate_cls": gate.cls if gate else None}
    row |= {f"presence_{name}": getattr(sentiment.presence, name) for name in MODALITIES}
    row |= {name: getattr(sentiment, name) for name in _AS_THEY_ARE}
    row["latency_total_ms"] = sentiment.latency_ms.get("total")
    row["participant_name"] = shown(names, sentiment.participant_id)
    return row


FORMATS: Mapping[Format, Callable[[Recording], bytes]] = {
    "csv": to_csv,
    "parquet": to_parquet,
    "json": to_json,
    "vtt": to_vtt,
    "html": lambda recording: html(recording).encode(),
}
