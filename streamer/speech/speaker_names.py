"""Who speaks in a cue: voice tags, and names that stand before the text.

What enters: cues as their format gives them. What leaves: cues with one speaker each, without the
name. A prefix such as `Ana Berg:` is a name only if it occurs again or is in a list of attendees,
is short, and has no sentence punctuation: `Note:` is nobody. Where nearly every line begins so, it
may also be a directory's `Berg, Ana:`, a telephone's number, or stand before a full-width colon.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from streamer.speech.cues import Cue

LONGEST_NAME = 60
MOST_NAME_WORDS = 6
MOSTLY = 0.9
"""A transcript of which this share of cues begins with a prefix names everybody."""
NO_NAMES = frozenset(
    "a answer caution example hint important info note notes p.s ps q question reminder source "
    "summary tip todo warning".split()
)
"""Prefixes that occur again and again and are no person, in lower case."""

_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]*)>", re.IGNORECASE)
_DASH = r"^\s*(?:>>+|[-–—]\s)?\s*"
_PREFIX = re.compile(
    rf"{_DASH}(?:\[([^\[\]:<>]+)\]|([^\W_][^:：<>\[\]]*?)):(?:\s+|$)(.*)$", re.DOTALL
)
_FULL_WIDTH = re.compile(rf"{_DASH}([^\W_][^:：<>\[\]]*)：\s*(.*)$", re.DOTALL)
_LAST_FIRST = re.compile(r"[^\W\d_][^,]*, [^\W\d_][^,]*")
_TELEPHONE = re.compile(rf"{_DASH}(\+?[\d(][\d ()*.\-]{{5,}}\d):(?:\s+|$)(.*)$", re.DOTALL)
_NUMBERED = re.compile(rf"{_DASH}\[(speaker[ _]?\w{{1,3}})\]:?\s*(.*)$", re.DOTALL | re.IGNORECASE)
_IN_BRACKETS = re.compile(r"^\s*\(([^()<>]+)\)\s*$")
_SENTENCE = re.compile(r"[!?;,\"…]|\w{4,}\.")


def by_speaker(cues: Sequence[Cue], attendees: Collection[str] = ()) -> list[Cue]:
    """Split cues wherever the speaker changes, and take the names out of the text.

    Parts of one cue share its time by their length. Cues that name nobody stay as they are.

    Args:
        cues: in any order.
        attendees: names that count without occurring twice.
    """
    names = _names(cues, attendees)
    return [part for cue in cues for part in _parts(cue, names)]


def as_name(text: str) -> str:
    """Return a name as a transcript spells it, as one that a participant can have."""
    text = unicodedata.normalize("NFC", html.unescape(text)).replace("/", "-")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:LONGEST_NAME]


def _names(cues: Sequence[Cue], attendees: Collection[str]) -> frozenset[str]:
    firsts = [_either(cue.lines[0], len(cue.lines) > 1) if cue.lines else None for cue in cues]
    begun = Counter(candidate[0] for candidate in firsts if candidate is not None)
    everybody = begun.total() >= MOSTLY * len(cues)
    counts = Counter(
        candidate[0]
        for cue in cues
        for index, line in enumerate(cue.lines)
        if (candidate := _candidate(line, index == 0 and len(cue.lines) > 1)) is not None
    )
    counts, begun = (
        Counter({n: count for n, count in found.items() if n.casefold() not in NO_NAMES})
        for found in (counts, begun)
    )
    again = {n for n, count in counts.items() if count > 1 or _NUMBERED.match(f"[{n}]")}
    if everybody and (again or max(begun.values(), default=0) > 1):
        return frozenset(attendees) | counts.keys() | begun.keys()
    return frozenset(attendees) | {name for name in again if _capital(name)}


def _either(line: str, may_stand_alone: bool = False) -> tuple[str, str] | None:
    """Return a `_candidate`, or what could be a name only where every line begins with one."""
    if candidate := _candidate(line, may_stand_alone):
        return candidate
    if telephone := _TELEPHONE.match(line):
        return as_name(telephone[1]), telephone[2]
    if (full := _FULL_WIDTH.match(line)) and _plausible(full[1]):
        return as_name(full[1]), full[2]
    prefix = _PREFIX.match(line)
    name = (prefix[1] or prefix[2]) if prefix else ""
    last_first = _LAST_FIRST.fullmatch(name) and all(map(_capital, name.split(",")))
    if prefix and last_first and _plausible(name.replace(",", "")):
        return as_name(name), prefix[3]
    return None


def _candidate(line: str, may_stand_alone: bool = False) -> tuple[str, str] | None:
    """Return what could be a name at the beginning of a line, and the rest of the line."""
    if numbered := _NUMBERED.match(line):
        return as_name(numbered[1]), numbered[2]
    if prefix := _PREFIX.match(line):
        name = prefix[1] or prefix[2]
        return (as_name(name), prefix[3]) if _plausible(name) else None
    if may_stand_alone and (alone := _IN_BRACKETS.match(line)):
        name = alone[1]
        if _plausible(name) and len(name.split()) > 1 and name.istitle():
            return as_name(name), ""
    return None


def _plausible(name: str) -> bool:
    short = 0 < len(name.strip()) <= LONGEST_NAME and len(name.split()) <= MOST_NAME_WORDS
    return short and not _SENTENCE.search(name) and any(map(str.isalpha, name))


def _capital(name: str) -> bool:
    words = name.split()
    return not words[0][0].islower() and not words[-1][0].islower()


def _parts(cue: Cue, names: frozenset[str]) -> list[Cue]:
    """Return the parts of a cue, each with one speaker."""
    if cue.speaker or cue.words:
        return [cue]
    parts = list(_spoken(cue.lines, names))
    if len(parts) < 2 or cue.end_ns is None:
        return [replace(cue, speaker=who, lines=tuple(lines)) for who, lines in parts] or [cue]
    lengths = [sum(map(len, lines)) + 1 for _, lines in parts]
    length_ns = cue.end_ns - cue.start_ns
    ends = [
        cue.start_ns + length_ns * sum(lengths[: n + 1]) // sum(lengths)
        for n in range(len(lengths))
    ]
    starts = [cue.start_ns, *ends[:-1]]
    return [
        Cue(start, max(end, start + 1), tuple(lines), who)
        for (who, lines), start, end in zip(parts, starts, ends, strict=True)
    ]


def _spoken(lines: Sequence[str], names: frozenset[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield speaker and lines, a new pair wherever a name stands."""
    pieces = _VOICE.split("\n".join(lines))
    if len(pieces) > 1:
        voices = [("", pieces[0]), *zip(pieces[1::2], pieces[2::2], strict=True)]
        for voice, text in voices:
            if text.strip():
                yield as_name(voice), text.replace("</v>", "").strip("\n").split("\n")
        return
    who, own = "", list[str]()
    for index, line in enumerate(lines):
        candidate = _either(line, index == 0 and len(lines) > 1)
        if candidate is None or candidate[0] not in names:
            own.append(line)
            continue
        if any(map(str.strip, own)):
            yield who, own
        who, own = candidate[0], [candidate[1]]
    if who or own:
        yield who, own
