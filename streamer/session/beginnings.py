"""When each participant's recording begins in the session.

What enters: what was stated (`ana.mp4@+20s`) and what the recordings tell of their start. What
leaves: session times, and a sentence that says what was guessed. Pure.

A container's creation time has whole seconds and is the clock of one device, so times are taken
only where all recordings have one of the same origin and were made at the same time. A file's
modification time is not enough: copying changes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streamer.capture.probe import SourceInfo
from streamer.capture.sources import ParticipantSpec
from streamer.records import NS_PER_S

MOST_APART_NS = 12 * 3600 * NS_PER_S
"""Recordings whose starts are further apart are not taken as one meeting."""


@dataclass(frozen=True, slots=True)
class Beginnings:
    """When the participants' recordings begin.

    Attributes:
        at_ns: session time by participant, from 0.
        notice: a sentence for people on what was guessed; empty if nothing was.
    """

    at_ns: Mapping[str, int]
    notice: str = ""


def beginnings(
    participants: Sequence[ParticipantSpec], sources: Mapping[str, SourceInfo]
) -> Beginnings:
    """Return when each participant begins: as stated, else by the recordings' creation times.

    As soon as one is stated, those that are not begin at 0. So do all of them when the creation
    times do not tell, those of one recording, and live ones, whose clock is the session's own.

    Args:
        participants: the participants, with what is stated of them.
        sources: by participant.
    """
    stated = {spec.participant_id: spec.begin_ns or 0 for spec in participants}
    if any(spec.begin_ns is not None for spec in participants) or len(participants) < 2:
        return Beginnings(stated)
    infos = {name: sources[name] for name in stated}
    paths = {info.path for info in infos.values()}
    shared = len(paths) == 1 and None not in paths
    if shared or any(info.live for info in infos.values()):
        return Beginnings(stated)
    if reason := _untrustworthy(infos):
        return Beginnings(
            stated,
            f"All participants begin at 0, because {reason}; state another beginning as in "
            "name=file@+20s.",
        )
    starts = {name: info.start_unix_ns or 0 for name, info in infos.items()}
    first = min(starts.values())
    at_ns = {name: start - first for name, start in starts.items()}
    times = ", ".join(f"{name} +{ns / NS_PER_S:g} s" for name, ns in at_ns.items())
    return Beginnings(
        at_ns,
        f"Participants begin by their recordings' creation times, to about a second: {times}; "
        "state another beginning as in name=file@+20s.",
    )


def _untrustworthy(infos: Mapping[str, SourceInfo]) -> str:
    """Return why the recordings do not tell when they began together; empty if they do."""
    for name, info in infos.items():
        if info.start_unix_ns is None or info.start_origin in (None, "file"):
            return f"the recording of {name} has no creation time"
        if info.duration_s is None:
            return f"the length of the recording of {name} is not known"
    if len({info.start_origin for info in infos.values()}) > 1:
        return "the recordings' creation times are of different kinds"
    spans = sorted(
        (info.start_unix_ns or 0, (info.start_unix_ns or 0) + round((info.duration_s or 0) * 1e9))
        for info in infos.values()
    )
    if spans[-1][0] - spans[0][0] > MOST_APART_NS:
        return "the recordings' creation times are more than 12 hours apart"
    end_ns = spans[0][1]
    for start_ns, span_end_ns in spans[1:]:
        if start_ns >= end_ns:
            return "the recordings were, by their creation times, not made at the same time"
        end_ns = max(end_ns, span_end_ns)
    return ""
