"""Whether a transcript's times are a recording's: cues outside it → what people should know.

What enters: a transcript as it was read, the shift of its times, the recording's length. What
leaves: a sentence, with a shift that puts the cues into the recording. Pure.
"""

from __future__ import annotations

from streamer.clock import clock
from streamer.records import NS_PER_MS, NS_PER_S
from streamer.speech.transcripts import Subtitles, Utterance

NOTABLE_SHARE = 0.1
"""Of the cues, how many must begin after the recording's end for a notice."""
END_NS = 2 * NS_PER_S
"""How far behind the recording's end the last cue may end: its end is often rounded or guessed."""
HOUR_NS = 3600 * NS_PER_S
"""Clocks of recorders often begin at a whole hour."""


def misfit(read: Subtitles, name: str, offset_ns: int, length_ns: int) -> str | None:
    """Return what is wrong with a transcript's times, in one sentence; None if nothing is.

    Args:
        read: the transcript with its own times.
        name: of its file.
        offset_ns: what is added to these times (`--transcript-offset`).
        length_ns: the recording's length.
    """
    cues = read.utterances
    if not cues:
        return None
    first_ns, last_ns = cues[0].start_ns + offset_ns, max(cue.end_ns for cue in cues) + offset_ns
    end = clock(length_ns // NS_PER_MS)
    if last_ns <= 0:
        return (
            f"No cue of {name} is used, as all are before the recording: the last one ends at "
            f"{_signed(last_ns)} and the recording begins at 0:00; "
            f"{_option(_inside(cues, length_ns))} puts them into it."
        )
    if first_ns >= length_ns:
        return (
            f"No cue of {name} is used, as all are after the recording: the first one begins at "
            f"{_signed(first_ns)} and the recording ends at {end}; "
            f"{_option(_inside(cues, length_ns))} puts them into it."
        )
    late = sum(cue.start_ns + offset_ns >= length_ns for cue in cues)
    if late < NOTABLE_SHARE * len(cues):
        return None
    return (
        f"{late} of {len(cues)} cues of {name} are not used, as they are after the recording: the "
        f"last one ends at {_signed(last_ns)} and the recording at {end}; if its times are "
        f"shifted, {_option(offset_ns + length_ns - last_ns)} makes both end together."
    )


def _inside(cues: tuple[Utterance, ...], length_ns: int) -> int:
    """Return a shift by whole hours that puts all cues into the recording, else the first one.

    Without such a shift the first cue is at the recording's start.
    """
    first_ns, last_ns = cues[0].start_ns, max(cue.end_ns for cue in cues)
    hours_ns = -(first_ns // HOUR_NS) * HOUR_NS
    return hours_ns if last_ns + hours_ns <= length_ns + END_NS else -first_ns


def _option(offset_ns: int) -> str:
    return f"--transcript-offset {offset_ns / NS_PER_S:.1f}".removesuffix(".0")


def _signed(time_ns: int) -> str:
    """Return a time, which may be before the recording's start."""
    return f"{'-' * (time_ns < 0)}{clock(abs(time_ns) // NS_PER_MS)}"
