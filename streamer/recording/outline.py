"""A recorded meeting in a few sentences, made from its numbers.

What enters: a `Recording`. What leaves: sentences of plain text. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from streamer.alert_entries import alert_entries
from streamer.clock import clock
from streamer.recording.figures import divided_share, mean_valence, moments, thirds
from streamer.recording.recorded import Recording
from streamer.recording.transcript import window_text
from streamer.records import CLASS_LABELS
from streamer.shown_names import shown
from streamer.valence import class_index

STEADY = 0.25
"""First and last third whose means differ by less are about the same."""
QUOTED = 60
"""Most characters of a quotation."""


def outline(recording: Recording) -> str:
    """Return how the meeting was, where it went, who stood out, and what happened."""
    return " ".join(
        sentence
        for part in (_mood, _course, _people, _talk, _extremes, _alerts)
        for sentence in part(recording)
    )


def quoted(text: str, characters: int = QUOTED) -> str:
    """Return the end of a text, where a window's newest words are, as a quotation in a sentence."""
    text = text.rstrip(".")
    if len(text) > characters:
        text = "…" + text[1 - characters :].partition(" ")[2]
    return f"“{text}”"


def _mood(recording: Recording) -> Iterator[str]:
    mean = mean_valence(recording.session_sentiments)
    if mean is None:
        yield "The records give no mood of the meeting."
        return
    share = divided_share(recording.session_sentiments)
    divided = f", and divided for {share:.0%} of the time" if share else ""
    yield f"The meeting was {CLASS_LABELS[class_index(mean)]} on average ({mean:+z.2f}){divided}."


def _course(recording: Recording) -> Iterator[str]:
    first, _, last = thirds(recording.session_sentiments, recording.summary.duration_ms)
    if first is None or last is None:
        return
    change = last - first
    if abs(change) < STEADY:
        yield (
            f"It ended about as it began ({first:+z.2f} in the first third, "
            f"{last:+z.2f} in the last)."
        )
        return
    way = "rose" if change > 0 else "fell"
    yield f"It {way} from {first:+z.2f} in the first third to {last:+z.2f} in the last."


def _people(recording: Recording) -> Iterator[str]:
    means = {name: mean_valence(recording.of(name)) for name in recording.participants}
    known = sorted((mean, name) for name, mean in means.items() if mean is not None)
    if len(known) < 2:
        return
    (low, lowest), (high, highest) = known[0], known[-1]
    lowest, highest = shown(recording.names, lowest), shown(recording.names, highest)
    yield f"{highest} was the most positive ({high:+z.2f}), {lowest} the least ({low:+z.2f})."


def _talk(recording: Recording) -> Iterator[str]:
    talks = [talk for talk in recording.conversation.participants if talk.share]
    if len(talks) < 2:
        return
    most = max(talks, key=lambda talk: talk.talk_ms)
    who = shown(recording.names, most.participant_id)
    yield f"{who} spoke most, for {most.share:.0%} of the talk time."


def _extremes(recording: Recording) -> Iterator[str]:
    for best, word in ((True, "best"), (False, "worst")):
        found = moments(recording.sentiments, best=best)
        if found:
            moment = found[0]
            who = shown(recording.names, moment.participant_id)
            yield (
                f"The {word} moment was {who}'s at {clock(moment.end_ms)} "
                f"({moment.valence:+z.2f}), {quoted(window_text(moment, recording.sentiments))}."
            )


def _alerts(recording: Recording) -> Iterator[str]:
    entries = alert_entries(recording.alerts, recording.names)
    if not entries:
        yield "There was no alert."
        return
    ended = [entry for entry in entries if entry.end_ms is not None]
    longest = max(ended, key=lambda entry: (entry.end_ms or 0) - entry.begin_ms, default=entries[0])
    if len(entries) == 1:
        yield f"There was one alert: {longest.text}."
    else:
        yield f"There were {len(entries)} alerts, the longest: {longest.text}."
