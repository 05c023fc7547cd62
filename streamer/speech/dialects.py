"""The shapes in which transcripts come: one table of dialects, each text → cues with speakers.

Zoom, Teams, Google Meet, Otter, WhisperX, RTTM, and subtitles with names. The first dialect that
knows a text as its own reads it. Times that are a wall clock are counted from the first of them.
Input and output are text and cues; knows no file and no session.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple

from streamer.records import NS_PER_S, Word
from streamer.speech.cues import CLOCK, Cue, nanoseconds, read_cues
from streamer.speech.speaker_names import as_name, by_speaker

DAY_NS = 24 * 3600 * NS_PER_S
FROM_FIRST = "its times are a clock's, and are counted from the first one"
ONLY_STARTS = "only starts are given; ends are guessed by the length of the text"

_TIMES = re.compile(rf"^\s*{CLOCK}\s*-->\s*{CLOCK}\s*$")
_UNPADDED = re.compile(r"^\s*\d+:\d{1,2}:\d{1,2}\.\d+\s*-->")
_BARE_CLOCK = re.compile(rf"^\s*{CLOCK}\s*$")
_HEADING = re.compile(rf"^(?P<who>\S.{{0,79}}?)(?:\s{{2,}}|\t\s*){CLOCK}\s*$")
_BRACKETED = re.compile(rf"^\s*\[(?P<who>[^\[\]]+)\]\s+{CLOCK}\s*:?\s*(?P<text>.*)$")
_CLOCK_FIRST = re.compile(rf"^\s*\[{CLOCK}\]\s*(?P<who>[^:\[\]]+):\s+(?P<text>.*)$")
_MEETING_END = re.compile(rf"^\s*Meeting ended after {CLOCK}")
_OTTER_END = re.compile(r"^\s*Transcribed by https://otter\.ai\s*$")


class Dialect(NamedTuple):
    """One shape: whether a text has it, and what reads it.

    `read` takes the text, its name for notices, and the list that gets the notices.
    """

    name: str
    has: Callable[[str], bool]
    read: Callable[[str, str, list[str]], Sequence[Cue]]


def dialect_of(text: str) -> Dialect:
    """Return the dialect of a text: that of subtitles when no other one knows it."""
    return next(dialect for dialect in DIALECTS if dialect.has(text))


def _lines(text: str) -> list[str]:
    return [line.strip() for line in re.split(r"\r\n|\r|\n", text)]


# --- subtitles ----------------------------------------------------------------------------------


def _subtitles(text: str, name: str, notices: list[str]) -> Sequence[Cue]:
    """WebVTT and SRT: Zoom's with `Name:`, Teams' with voice tags or metadata, and any other."""
    cues = list(read_cues(text, name, notices))
    metadata = [_metadata(cue) for cue in cues]
    if cues and all(metadata):
        return [cue for cue in metadata if cue is not None]
    return by_speaker(cues)


def _metadata(cue: Cue) -> Cue | None:
    """Return the cue that a Teams metadata cue describes; None if it is another kind."""
    try:
        data = json.loads("\n".join(cue.lines))
        lines = tuple(str(data["spokenText"]).split("\n"))
        return replace(cue, lines=lines, speaker=as_name(str(data.get("speakerName") or "")))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _teams_document(text: str, name: str, notices: list[str]) -> Sequence[Cue]:
    """Times, a line with the name, and lines of text."""
    cues: list[Cue] = []
    body: list[str] = []
    for line in _lines(text):
        times = _TIMES.match(line)
        if times is None:
            body.append(line)
            continue
        _finish(cues, body)
        start_ns, end_ns = nanoseconds(times.groups()[:4]), nanoseconds(times.groups()[4:])
        if start_ns is None or end_ns is None or end_ns <= start_ns:
            notices.append(f"{name}: {line!r} are no times that follow each other")
        else:
            cues.append(Cue(start_ns, end_ns, ()))
        body = []
    _finish(cues, body)
    return cues


def _finish(cues: list[Cue], body: list[str]) -> None:
    """Give the newest cue its name and lines, unless it has them."""
    body = [line for line in body if line]
    if cues and body and not cues[-1].lines:
        cues[-1] = replace(cues[-1], speaker=as_name(body[0]), lines=tuple(body[1:]) or ("",))


def _has_teams_document(text: str) -> bool:
    if text.startswith("WEBVTT"):
        return False
    lines = [line for line in _lines(text) if line]
    times = [index for index, line in enumerate(lines) if _TIMES.match(line)]
    gaps = [after - before for before, after in pairwise([*times, len(lines)])]
    return bool(gaps) and all(_UNPADDED.match(lines[n]) for n in times) and min(gaps) > 2


# --- a line that says who and when --------------------------------------------------------------


def _headed(line_shape: re.Pattern[str], *, wall_clock: bool = False) -> Dialect:
    """Return the dialect in which such lines begin what somebody says."""

    def read(text: str, name: str, notices: list[str]) -> Sequence[Cue]:
        cues: list[Cue] = []
        first_ns, days_ns, before_ns = None, 0, 0
        for line in _lines(text):
            heading = line_shape.match(line)
            clock = heading.groups() if heading else ()
            at = 0 if line_shape is _CLOCK_FIRST else 1
            time_ns = nanoseconds(clock[at : at + 4]) if heading else None
            if heading is None or time_ns is None:
                if cues and line and not _OTTER_END.match(line):
                    cues[-1] = replace(cues[-1], lines=(*cues[-1].lines, line))
                continue
            if wall_clock:
                days_ns += DAY_NS if time_ns + DAY_NS // 2 < before_ns else 0
                before_ns = time_ns
                first_ns = time_ns if first_ns is None else first_ns
                time_ns = max(0, time_ns + days_ns - first_ns)
            spoken = heading.groupdict().get("text")
            who = as_name(heading["who"])
            cues.append(Cue(time_ns, None, (spoken,) if spoken else (), who))
        if wall_clock:
            notices.append(f"{name}: {FROM_FIRST}")
        notices.append(f"{name}: {ONLY_STARTS}")
        return cues

    def has(text: str) -> bool:
        return any(map(line_shape.match, _lines(text)))

    return Dialect("lines with a name and a time", has, read)


# --- Google Meet --------------------------------------------------------------------------------


def _meet_document(text: str, name: str, notices: list[str]) -> Sequence[Cue]:
    """A clock every few minutes, and lines between that share the time by their length."""
    lines = [line for line in _lines(text) if line]
    begin = lines.index("Transcript")
    attendees = []
    if "Attendees" in lines[:begin]:
        listed = lines[lines.index("Attendees") + 1 : begin]
        attendees = [as_name(who) for line in listed for who in line.split(",")]
    blocks: list[tuple[int, list[str]]] = []
    for line in lines[begin + 1 :]:
        clock = _MEETING_END.match(line) or _BARE_CLOCK.match(line)
        time_ns = nanoseconds(clock.groups()) if clock else None
        if time_ns is not None:
            blocks.append((time_ns, []))
        elif blocks:
            blocks[-1][1].append(line)
        else:
            blocks.append((0, [line]))
    notices.append(f"{name}: only a time every few minutes is given; those between are guessed")
    turns = by_speaker(
        [Cue(n, n + 1, (line,)) for n, (_, said) in enumerate(blocks) for line in said], attendees
    )
    cues: list[Cue] = []
    times = [time_ns for time_ns, _ in blocks]
    for number, (start_ns, end_ns) in enumerate(pairwise([*times, 0])):
        own = [turn for turn in turns if turn.start_ns == number]
        cues.extend(_laid_out(own, start_ns, end_ns))
    return cues


def _laid_out(turns: Sequence[Cue], start_ns: int, end_ns: int) -> Iterator[Cue]:
    """Spread turns over a time by their length; an end that is not later is guessed.

    A turn without a name goes on with the one before.
    """
    lengths = [sum(map(len, turn.lines)) + 1 for turn in turns]
    if end_ns <= start_ns:
        end_ns = start_ns + sum(lengths) * NS_PER_S // 15
    who = ""
    for index, turn in enumerate(turns):
        who = turn.speaker or who
        begin_ns = start_ns + (end_ns - start_ns) * sum(lengths[:index]) // sum(lengths)
        until_ns = start_ns + (end_ns - start_ns) * sum(lengths[: index + 1]) // sum(lengths)
        yield replace(turn, start_ns=begin_ns, end_ns=until_ns, speaker=who)


def _has_meet_document(text: str) -> bool:
    lines = _lines(text)
    return "Transcript" in lines and any(map(_BARE_CLOCK.match, lines))


def _meet_entries(text: str, name: str, notices: list[str]) -> Sequence[Cue]:
    data = json.loads(text)
    entries = data if isinstance(data, list) else _list(data, "transcriptEntries", "entries")
    people = {} if isinstance(data, list) else _displayed(_list(data, "participants"))
    cues: list[Cue] = []
    for entry in entries:
        try:
            start_ns, end_ns = _unix_ns(entry["startTime"]), _unix_ns(entry["endTime"])
            said, key = str(entry["text"]), str(entry.get("participant") or "")
        except (KeyError, TypeError, ValueError, AttributeError):
            notices.append(f"{name}: an entry without text and times is left out")
            continue
        who = as_name(people.get(key, key.rsplit("/", 1)[-1]))
        cues.append(Cue(start_ns, max(end_ns, start_ns + 1), tuple(said.split("\n")), who))
    notices.append(f"{name}: {FROM_FIRST}")
    first_ns = min((cue.start_ns for cue in cues), default=0)
    return [
        replace(cue, start_ns=cue.start_ns - first_ns, end_ns=(cue.end_ns or 0) - first_ns)
        for cue in cues
    ]


def _displayed(participants: Sequence[Any]) -> dict[str, str]:
    """Return the shown name of each participant that a list of the API describes."""
    names: dict[str, str] = {}
    for person in participants:
        for user in ("signedinUser", "anonymousUser", "phoneUser"):
            if isinstance(person, dict) and isinstance(person.get(user), dict):
                names[str(person.get("name"))] = str(person[user].get("displayName", ""))
    return names


def _unix_ns(text: str) -> int:
    """Return Unix nanoseconds of an RFC 3339 time, to the microsecond.

    Raises:
        ValueError: it is none.
        TypeError: it is no text.
    """
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000) * 1_000


# --- WhisperX and RTTM --------------------------------------------------------------------------


def _whisperx(text: str, name: str, notices: list[str]) -> Sequence[Cue]:
    """Segments whose words have times and speakers; a new cue wherever the speaker changes."""
    cues: list[Cue] = []
    for segment in _list(json.loads(text), "segments"):
        try:
            cues.extend(_segment(segment))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            notices.append(f"{name}: a segment without text and times is left out")
    return cues


def _segment(segment: dict[str, Any]) -> Iterator[Cue]:
    start_ns, end_ns = _seconds(segment["start"]), _seconds(segment["end"])
    speaker, words = str(segment.get("speaker") or ""), segment.get("words") or []
    if not words:
        yield Cue(start_ns, end_ns, (str(segment["text"]),), as_name(speaker))
        return
    own: list[Word] = []
    who, at_ns = as_name(str(words[0].get("speaker") or speaker)), start_ns
    for index, word in enumerate(words):
        later = (_seconds(w["start"]) for w in words[index + 1 :] if "start" in w)
        from_ns = _seconds(word["start"]) if "start" in word else at_ns
        until_ns = _seconds(word["end"]) if "end" in word else max(next(later, end_ns), from_ns)
        says = as_name(str(word.get("speaker") or speaker)) or who
        if says != who and own:
            yield _timed(own, who)
            own = []
        who, at_ns = says, until_ns
        own.extend(
            Word(token, from_ns, max(until_ns, from_ns + 1)) for token in str(word["word"]).split()
        )
    if own:
        yield _timed(own, who)


def _timed(words: Sequence[Word], who: str) -> Cue:
    end_ns = max(word.end_ns for word in words)
    line = " ".join(word.text for word in words)
    return Cue(words[0].start_ns, end_ns, (line,), who, tuple(words))


def _rttm(text: str, name: str, notices: list[str]) -> Sequence[Cue]:
    """Who speaks when, without words."""
    cues: list[Cue] = []
    for number, line in enumerate(_lines(text), 1):
        fields = line.split()
        if not fields or fields[0] != "SPEAKER":
            continue
        try:
            start_ns, length_ns = _seconds(fields[3]), _seconds(fields[4])
            if length_ns:
                cues.append(Cue(start_ns, start_ns + length_ns, (), as_name(fields[7])))
        except (IndexError, ValueError, OverflowError):
            notices.append(f"{name}, line {number}: this is no speaker's time")
    return cues


def _seconds(value: Any) -> int:
    """Return nanoseconds of seconds.

    Raises:
        ValueError: they are negative or no number.
    """
    time_ns = round(float(value) * NS_PER_S)
    if time_ns < 0:
        raise ValueError("a time before the recording's start")
    return time_ns


# --- the table ----------------------------------------------------------------------------------


def _list(data: Any, *keys: str) -> list[Any]:
    """Return the first of the object's members that is a list, else an empty one."""
    members = [data.get(key) for key in keys] if isinstance(data, dict) else []
    return next((member for member in members if isinstance(member, list)), [])


def _json_with(*keys: str) -> Callable[[str], bool]:
    """Return a test for a JSON list of objects, or an object with a list, at one of `keys`."""

    def has(text: str) -> bool:
        if not text.lstrip().startswith(("{", "[")):
            return False
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            return False
        if isinstance(data, list):
            return "participant" in keys and any(
                isinstance(entry, dict) and "participant" in entry for entry in data
            )
        return bool(_list(data, *keys))

    return has


DIALECTS = (
    Dialect("WhisperX", _json_with("segments"), _whisperx),
    Dialect(
        "Google Meet API",
        _json_with("transcriptEntries", "entries", "participant"),
        _meet_entries,
    ),
    Dialect("RTTM", lambda text: bool(re.match(r"\s*SPEAKER \S+ \d+ [\d.]+ ", text)), _rttm),
    Dialect("Teams document", _has_teams_document, _teams_document),
    Dialect("subtitles", lambda text: "-->" in text, _subtitles),
    Dialect("Google Meet document", _has_meet_document, _meet_document),
    _headed(_CLOCK_FIRST),
    _headed(_BRACKETED, wall_clock=True),
    _headed(_HEADING),
    Dialect("subtitles", lambda text: True, _subtitles),
)
"""In the order in which they are tried."""
