"""The documentation of the records: `docs/records.md`, and in `docs/schema` what programs read.

All of it is generated from the table of topics and from the structs of `records` with their
docstrings. A field's meaning is in its struct's `Attributes:`, else in _OWN, else in COMMON, which
explains a field for every struct that has it.
"""

from __future__ import annotations

import inspect as python_inspect
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from streamer import records, valence
from streamer.conversation import (
    OVERLAP_MS,
    PAUSE_MS,
    SILENCE_MS,
    TURN_PAUSE_MS,
)
from streamer.kafka import asyncapi
from streamer.kafka.topics import DEAD_LETTER, PUBLISHED, TOPICS, WINDOWS
from streamer.records import (
    Alert,
    Consent,
    FaceCrop,
    Gate,
    Participant,
    Presence,
    Score,
    Sentiment,
    Session,
    SessionSentiment,
    Sharing,
    SpeechSpan,
    Spoken,
    SpokenWord,
    Word,
)
from streamer.session_ids import make_id

__all__ = ["document", "schema", "write_schemas"]

COMMON: Mapping[str, str] = {
    "schema_version": "1. A reader that does not know the version must not guess.",
    "session_id": "The session, as `name-start-random` (`standup-20261126T145400Z-3f9a`) or any "
    "other text that somebody chose; contains no `/` and no control characters.",
    "participant_id": "The participant within the session.",
    "window_id": "`session_id/participant_id/window_index`. Records with "
    "the same `window_id` and `revision` are duplicates.",
    "window_index": "*k*: the window ends at (k+1)·hop, the last one at the end of the stream.",
    "revision": "0; higher when the same window is published again: with late words, after "
    "it was judged again who spoke, or, for the meeting, with a participant's late or revised "
    "reports. The highest revision counts.",
    "event_time": "Wall clock at the end of the window, RFC 3339.",
    "session_start": "Wall clock at session time 0, RFC 3339.",
    "start_ms": "Start of the window in session time, milliseconds, inclusive.",
    "end_ms": "End of the window in session time, milliseconds, exclusive.",
    "start_ns": "Start in session time, nanoseconds, inclusive.",
    "end_ns": "End in session time, nanoseconds, exclusive.",
    "event_time_ns": "Session time, nanoseconds.",
    "valence": "From -3 (negative) to 3 (positive).",
    "uncertainty": "Standard deviation of `valence`, in valence units.",
    "label": "Name of the class that contains `valence`: "
    + ", ".join(records.CLASS_LABELS)
    + ". The class boundaries are -2.5, -1.5, -0.5, 0.5, 1.5 and 2.5; a boundary belongs to the "
    "class above it.",
    "polarity": "Negative below -0.5, positive from 0.5, else neutral.",
    "class_probabilities": "Probabilities of the seven classes, lowest first; they add up to "
    "1. In a Score they are the model's, otherwise smoothed like `valence`. Null without evidence.",
    "trend_per_min": "Slope of the smoothed valence, valence units per minute; null while there "
    "are too few values.",
    "gate": "Share of the result that came through the inter-modal branch. Null without evidence.",
    "presence": "Share of the window in which each modality has evidence.",
    "evidence": "The modalities that contributed; empty without evidence.",
    "text": "The words of the window, joined by spaces.",
    "latency_ms": "Milliseconds spent per stage: `capture` (live only), `queue`, `inference`, "
    "`smoothing` and `total`.",
    "model": "Name of the checkpoint that scored the window.",
    "skipped": "Number of windows directly before this one that were dropped under load.",
    "final": "True in the last record of its kind in the session.",
    "session_participants": "Number of participants in the session; 0 if unknown.",
    "identified_by": "How the participant is told from others: `source`, a source of their own; "
    "`transcript`, named in the transcript of a shared recording; `channel`, a channel of it; "
    "`diarization`, the voice.",
    "identity_confidence": "How sure that is in this window; null where it is not judged.",
    "spoken": "Speech and words that no earlier window carries. Null from a producer that does not "
    "have the field, where no single person may be published, and without audio and text.",
    "words": "The words that overlap the window, by start time.",
    "confidence": "The recogniser's confidence, 0 to 1; 1 for subtitles.",
    "jpeg": "The image, a JPEG.",
    "val": "In the valence head: 0 all within modalities, 1 all between them.",
    "cls": "In the class head: 0 all within modalities, 1 all between them.",
    "audio": "Share of the window that contains speech; silence is not evidence.",
    "vision": "Share of the expected face crops that were found.",
    "sample_rate_hz": "Always 16000.",
    "audio_codec": "Encoding of `audio`.",
    "alert_id": "The same for duplicates of one record; the raised and the cleared one differ.",
    "state": "`raised` or `started` at the beginning, `cleared` or `ended` at the end.",
    "message": "One sentence for people.",
    "name": "The session's name, for people: the part of `session_id` before the start; null in "
    "records of older versions.",
    "started_at": "Wall clock at session time 0, RFC 3339.",
    "live": "False for a replay.",
    "participants": "The participants.",
    "asr": "Source of the words.",
    "sources": "Devices, files or URLs, without user, password, query and fragment.",
    "windows": "Number of published windows; null until the end.",
}

_OWN: Mapping[type[msgspec.Struct], Mapping[str, str]] = {
    Sentiment: {"label": COMMON["label"] + " Null without evidence."},
    Presence: {"text": "Share of speech time that has words; 1 for words without audio."},
    Word: {"text": "The word."},
    SpeechSpan: {
        "start_ms": "Session time, milliseconds, inclusive.",
        "end_ms": "Session time, milliseconds, exclusive.",
    },
    SpokenWord: {
        "text": "The word.",
        "start_ms": "Session time, milliseconds, inclusive.",
        "end_ms": "Session time, milliseconds, exclusive.",
    },
    Alert: {
        "participant_id": "Null for the session as a whole.",
        "event_time": "Wall clock, RFC 3339.",
        "end_ms": "Session time, milliseconds.",
    },
    Score: {
        "valence": "The model's value for this window. Null without evidence.",
        "latency_ms": "Milliseconds spent so far: `capture` (live only), `queue`, `inference`.",
    },
}

_DESCRIBED = (*PUBLISHED, WINDOWS)
_PARTS = (
    Presence,
    Gate,
    Spoken,
    SpeechSpan,
    SpokenWord,
    Participant,
    Consent,
    Sharing,
    Word,
    FaceCrop,
)

_NINE = datetime(2026, 5, 3, 9, tzinfo=UTC)
_STANDUP = make_id("standup", _NINE, 0x3F9A)
_EXAMPLES: Mapping[type[msgspec.Struct], msgspec.Struct] = {
    Sentiment: Sentiment(
        session_id=_STANDUP,
        participant_id="ana",
        window_id=f"{_STANDUP}/ana/6",
        window_index=6,
        event_time=_NINE.replace(second=7),
        start_ms=2000,
        end_ms=7000,
        valence=0.82,
        valence_raw=1.1,
        uncertainty=0.41,
        label="weakly positive",
        polarity="positive",
        class_probabilities=(0.01, 0.02, 0.05, 0.2, 0.45, 0.22, 0.05),
        trend_per_min=2.4,
        gate=Gate(0.46, 0.52),
        presence=Presence(0.75, 1.0, 0.92),
        evidence=("audio", "text", "vision"),
        text="that went better than I thought",
        latency_ms={"inference": 31.2, "queue": 4.1, "smoothing": 6.5, "total": 41.8},
        model="default-1",
        session_participants=2,
        spoken=Spoken(
            (SpeechSpan(6020, 6900),),
            (SpokenWord("I", 6050, 6200, 0.98), SpokenWord("thought", 6200, 6800, 0.91)),
        ),
    ),
    SessionSentiment: SessionSentiment(
        session_id=_STANDUP,
        window_id=f"{_STANDUP}/*/6",
        window_index=6,
        event_time=_NINE.replace(second=7),
        start_ms=2000,
        end_ms=7000,
        valence=0.6,
        uncertainty=0.3,
        spread=0.35,
        label="weakly positive",
        polarity="positive",
        trend_per_min=1.2,
        participants=2,
        model="default-1",
    ),
    Alert: Alert(
        alert_id=f"{_STANDUP}/ana/sharp_drop/40000",
        session_id=_STANDUP,
        participant_id="ana",
        kind="sharp_drop",
        state="raised",
        event_time=_NINE.replace(second=40),
        end_ms=40000,
        valence=-1.2,
        threshold=1.5,
        message="ana fell by 1.60 within 15 s; valence is -1.20.",
    ),
    Session: Session(
        session_id=_STANDUP,
        state="ended",
        started_at=_NINE,
        live=True,
        consent="all four agreed, 3 May",
        modalities=("audio", "text", "vision"),
        participants=(Participant("ana", ("webcam:0", "mic:default"), 300),),
        asr="whisper",
        publish="participant",
        min_participants=1,
        counters={"dropped_windows": 0, "late_words": 1},
        name="standup",
    ),
}

_HEAD = """# Records

Every topic's records, field by field. `streamer schema docs/schema --describe docs/records.md`
generates this file from the code; the JSON Schemas and the AsyncAPI document in `docs/schema`
contain the same for programs.

Topics are named `<prefix>.<name>.v1`; the prefix is `sentiment` unless `kafka.topic_prefix` sets
another. Values are JSON, except windows, which are MessagePack with the same names. Every message
has [CloudEvents](https://cloudevents.io) headers in binary mode: `ce_id` (duplicates have the same
one), `ce_type`, `ce_source`, `ce_time`, `ce_subject`. Delivery is at least once.

A dead letter, on `{dead_letter}`, has no record of its own: its value is the original
message, and its headers contain the reason (`reason`) and the origin (`original_topic`,
`original_partition`, `original_offset`, `original_timestamp_ms`, `original_header_…`).
"""

_STATISTICS = f"""
## Statistics

Summary, report, list, page and `compare` compute each number in the same way.

| number | definition |
| --- | --- |
| mean valence of a participant | The mean of `valence` over the windows that have one. |
| mean valence of a meeting | The mean of `valence` of its `SessionSentiment` records over the \
windows that have one. `compare` shows the same number; its differences are over matched windows. |
| mean valence in a third | The same over the windows that end in the first, second or last third \
of the session's length. |
| change per meeting | Of the meetings of one name: the slope of the least-squares line through \
their mean valences in order of time. |
| divided | A meeting in which `spread` is at least {valence.DIVIDED_SPREAD:g}, `valence` - \
`spread` is negative and `valence` + `spread` is positive. Summary, page and report show this word \
instead of `label`. Its share of the time is that of the windows with a valence. |
| with evidence | Of a participant: the windows that have a valence. In the report: their share \
of the participant's windows. |
| spread of a participant | In the report: the standard deviation of `valence` over the windows \
that have one. The `spread` of a record is that between people. |
| share of a polarity | Of the windows that have a valence, those with this `polarity`. |
| windows, B−A, \\|B−A\\|, corr, same label, same polarity | Of `compare`, over the windows \
that have a valence in A and in B: how many these are, the means of the difference and of its \
size, Pearson's correlation, and the shares with the same `label` and `polarity`. |
| sure | On the page: one `uncertainty` more or less does not change the polarity of the valence; \
else *perhaps* and the polarities that it reaches. |
| rising, falling, steady | On the page: `trend_per_min` above 0.25, below -0.25, or between. In \
the report's first lines: the last third is 0.25 or more above or below the first. |
| time of a stage | On the page: median and 95th percentile of `latency_ms` of the newest \
120 records. |
| course | The mean valence of a meeting in each twelfth of its length, as in a third. |
| length of an alert | From the record with `raised` to the next one with `cleared` of the same \
kind, participant and rule; the session's end where there is none. |
| best and worst moments | The five highest values above 0 and the five lowest below 0 of windows \
with words, those of one participant at least 15 s apart. The report quotes \
the line of the transcript that fills most of the window. |
| stands out | On the page: at most two participants, and fewer than half, whose `valence` is 1.5 \
or more from the mean of the others'. |
| talk time | The length of a participant's speech (`spoken.speech`), with pauses up to \
{PAUSE_MS / 1000:g} s. |
| talk share | Talk time divided by the sum of all participants' talk times. |
| turn | Speech of one participant with pauses up to {TURN_PAUSE_MS / 1000:g} s. What lies within \
a turn of somebody else, such as a short "yes", is none. |
| interruption | A turn that begins at least {OVERLAP_MS / 1000:g} s before another participant's \
speech ends. |
| silence | A time of at least {SILENCE_MS / 1000:g} s in which no participant speaks. |
| longest silence of a participant | The longest time without speech of that participant, from \
the session's start to its end. |

In the JSON and CSV that `export`, `subscribe`, `sessions` and `compare` write, probabilities have
four decimals, latencies one, all other numbers three. Topics and Parquet files keep every digit.

Without audio, speech is the time of the words. Records of older versions and of sessions that
publish no single person carry no speech, so these numbers are absent.
"""


def document() -> str:
    """Return the whole of `docs/records.md`."""
    parts = [_HEAD.format(dead_letter=DEAD_LETTER.full_name("sentiment"))]
    for topic in _DESCRIBED:
        struct, key = topic.struct, topic.partition_key.__doc__
        parts.append(f"\n## {struct.__name__}: `{topic.full_name('sentiment')}`\n")
        parts.append(f"{_summary(struct)}\n\nKey: {key}\n")
        parts.append(_table(struct))
        if struct in _EXAMPLES:
            example = msgspec.json.format(msgspec.json.encode(_EXAMPLES[struct]), indent=2)
            parts.append(f"\n```json\n{example.decode()}\n```\n")
    parts.append("\n## Parts\n")
    for struct in _PARTS:
        parts.append(f"\n### {struct.__name__}\n\n{_summary(struct)}\n")
        parts.append(_table(struct))
    parts.append(_STATISTICS)
    return "\n".join(parts).replace("\n\n\n", "\n\n")


def schema(struct: type[msgspec.Struct]) -> str:
    """Return the JSON Schema (2020-12) of a struct; it allows only our `schema_version`."""
    tree = msgspec.json.schema(struct, ref_template="#/$defs/{name}")
    own = tree["$defs"][struct.__name__]
    own["properties"]["schema_version"] = {"const": records.SCHEMA_VERSION}
    own["required"] = sorted({*own["required"], "schema_version"})
    for part in tree["$defs"].values():
        part["description"] = python_inspect.cleandoc(part["description"])
    tree = {"$schema": "https://json-schema.org/draft/2020-12/schema", **tree}
    return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"


def write_schemas(directory: Path) -> list[Path]:
    """Write the JSON Schema of every JSON record, and the AsyncAPI document; return the files."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for topic in TOPICS:
        if topic.schema_file is None:
            continue
        path = directory / topic.schema_file
        path.write_text(schema(topic.struct), "utf-8")
        written.append(path)
    path = directory / asyncapi.FILE
    path.write_text(asyncapi.asyncapi(), "utf-8")
    return [*written, path]


def meanings(struct: type[msgspec.Struct]) -> dict[str, str]:
    """Return the meaning of each field of a struct; raise KeyError if one is not explained."""
    own = {**_attributes(struct), **_OWN.get(struct, {})}
    return {name: own.get(name) or COMMON[name] for name in struct.__struct_fields__}


def _summary(struct: type[msgspec.Struct]) -> str:
    text = python_inspect.cleandoc(struct.__doc__ or "")
    return text.partition("\n\nAttributes:")[0].replace("\n", " ").replace("  ", "\n\n")


def _attributes(struct: type[msgspec.Struct]) -> dict[str, str]:
    text = python_inspect.cleandoc(struct.__doc__ or "").partition("Attributes:\n")[2]
    attributes = {}
    for entry in re.split(r"\n(?=    \w)", text.rstrip()):
        name, colon, meaning = entry.strip().partition(":")
        if colon:
            meaning = " ".join(meaning.split())
            attributes[name] = meaning[0].upper() + meaning[1:]
    return attributes


def _table(struct: type[msgspec.Struct]) -> str:
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    rows = ["| field | type | meaning |", "| --- | --- | --- |"]
    for field in info.fields:
        meaning = meanings(struct)[field.name].replace("|", "\\|")
        rows.append(f"| `{field.name}` | {_type(field.type)} | {meaning} |")
    return "\n".join(rows) + "\n"


def _type(kind: inspect.Type) -> str:
    match kind:
        case inspect.UnionType():
            return ", or ".join(_type(part) for part in _null_last(kind.types))
        case inspect.NoneType():
            return "null"
        case inspect.IntType():
            return "integer" + _bounds(kind)
        case inspect.FloatType():
            return "number" + _bounds(kind)
        case inspect.BoolType():
            return "boolean"
        case inspect.StrType():
            return "string"
        case inspect.LiteralType():
            return "one of " + ", ".join(f"`{value}`" for value in kind.values)
        case inspect.BytesType():
            return "bytes"
        case inspect.DateTimeType():
            return "date-time"
        case inspect.TupleType():
            return f"array of {len(kind.item_types)}: {_type(kind.item_types[0])}"
        case inspect.VarTupleType():
            return f"array: {_type(kind.item_type)}"
        case inspect.DictType():
            return f"object of {_type(kind.value_type)}"
        case inspect.StructType():
            return f"[{kind.cls.__name__}](#{kind.cls.__name__.lower()})"
    raise TypeError(f"no description of {kind}")


def _bounds(kind: Any) -> str:
    if kind.ge is not None and kind.le is not None:
        return f" {kind.ge:g} to {kind.le:g}"
    return f" from {kind.ge:g}" if kind.ge is not None else ""


def _null_last(kinds: tuple[inspect.Type, ...]) -> Iterator[inspect.Type]:
    yield from (kind for kind in kinds if not isinstance(kind, inspect.NoneType))
    yield from (kind for kind in kinds if isinstance(kind, inspect.NoneType))
