"""Cues: times, lines and, where it is known, who speaks; and the grammar of WebVTT and SRT.

Times are those of the recording, from its start. Pure text; knows no file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from streamer.records import NS_PER_S, Word

CLOCK = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,9}))?"
"""Hours (perhaps), minutes, seconds and a fraction (perhaps), as four groups."""
INLINE_CLOCK = re.compile(rf"<{CLOCK}>")
_TIMING = re.compile(rf"^\s*{CLOCK}\s*-->\s*(?:{CLOCK}(?:\s.*)?|(?:[A-Za-z]\w*:.*)?)$")
_CUE_ID = re.compile(r"\d+|[0-9A-Fa-f-]{8,}/\d+-\d+")


@dataclass(frozen=True, slots=True)
class Cue:
    """One piece of a transcript.

    Attributes:
        start_ns: nanoseconds from the recording's start.
        end_ns: as `start_ns`; None where only the start is known.
        lines: the text, with the tags of its format.
        speaker: who speaks; empty where the transcript does not say.
        words: the words of `lines` where the transcript gives their times, else empty.
    """

    start_ns: int
    end_ns: int | None
    lines: tuple[str, ...]
    speaker: str = ""
    words: tuple[Word, ...] = ()


def read_cues(text: str, name: str, broken: list[str]) -> Iterator[Cue]:
    """The cues of a text in the order of the file; what is broken is added to `broken`."""
    lines = re.split(r"\r\n|\r|\n", text.replace("\x00", "\ufffd"))
    if not text.startswith("WEBVTT"):  # there a cue goes on over a line of spaces
        lines = [line.rstrip() for line in lines]
    at = 0
    while at < len(lines):
        line, number = lines[at], at + 1
        at += 1
        if line.startswith(("NOTE", "STYLE", "REGION")):
            while at < len(lines) and lines[at] and "-->" not in lines[at]:
                at += 1
            continue
        if "-->" not in line:
            continue
        body: list[str] = []
        while at < len(lines) and lines[at] and "-->" not in lines[at]:
            body.append(lines[at])
            at += 1
        if at < len(lines) and "-->" in lines[at] and body and _CUE_ID.fullmatch(body[-1].strip()):
            body.pop()
        timing = _TIMING.match(line)
        if timing is None:
            broken.append(f"{name}, line {number}: the cue's times are not times")
            continue
        groups = timing.groups()
        end_ns = nanoseconds(groups[4:8]) if groups[5] is not None else None
        start_ns = nanoseconds(groups[0:4])
        if start_ns is None or (groups[5] is not None and end_ns is None):
            broken.append(f"{name}, line {number}: the cue's times are not times")
        elif end_ns is not None and end_ns <= start_ns:
            broken.append(f"{name}, line {number}: the cue ends before it starts")
        else:
            if end_ns is None:
                broken.append(f"{name}, line {number}: the cue has no end, it was guessed")
            yield Cue(start_ns, end_ns, tuple(body))


def nanoseconds(clock: tuple[str | None, ...]) -> int | None:
    """Nanoseconds of (hours, minutes, seconds, fraction); None when minutes or seconds reach 60."""
    hours, minutes, seconds = (int(part or 0) for part in clock[:3])
    if minutes > 59 or seconds > 59 or hours > 9999:
        return None
    fraction = (clock[3] or "0").ljust(9, "0")
    return ((hours * 60 + minutes) * 60 + seconds) * NS_PER_S + int(fraction)
