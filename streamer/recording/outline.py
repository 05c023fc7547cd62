"""A recorded meeting in a few sentences, made from its numbers.

What enters: a `Recording`. What leaves: sentences of plain text. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from streamer.alert_entries import Entry, alert_entries
from streamer.clock import clock
from streamer.counted import counted, percent
from streamer.recording.figures import divided_share, mean_valence, moments, thirds
from streamer.recording.recorded import Recording
from streamer.recording.transcript import quote
from streamer.records import CLASS_LABELS
from streamer.shown_names import shown
from streamer.valence import class_index

STEADY = 0.25
"""First and last third whose means differ by less are about the same."""
ALIKE = 0.1
"""People whose means differ by less stand out by nothing."""
QUOTED = 80
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
        end = text[1 - characters :]
        text = "…" + (end.partition(" ")[2] or end)
    return f"“{text}”"


def _mood(recording: Recording) -> Iterator[str]:
    mean = mean_valence(recording.session_sentiments)
    if mean is None:
        yield "The records give no mood of the meeting."
        return
    share = divided_share(recording.session_sentiments)
    divided = f", and divided for {percent(share)} of the time" if share else ""
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
    if high - low < ALIKE:
        yield f"Everybody was about as positive ({low:+z.2f} to {high:+z.2f})."
        return
    yield f"{highest} was the most positive ({high:+z.2f}), {lowest} the least ({low:+z.2f})."


def _talk(recording: Recording) -> Iterator[str]:
    talks = [talk for talk in recording.conversation.participants if talk.share]
    if len(talks) < 2:
        return
    second, most = sorted(talks, key=lambda talk: talk.talk_ms)[-2:]
    if not most.share or percent(most.share) == percent(second.share or 0.0):
        return
    who = shown(recording.names, most.participant_id)
    yield f"{who} spoke most, for {percent(most.share)} of the talk time."


def _extremes(recording: Recording) -> Iterator[str]:
    for best, word in ((True, "best"), (False, "worst")):
        found = moments(recording.sentiments, best=best)
        if found:
            moment = found[0]
            who = shown(recording.names, moment.participant_id)
            yield (
                f"The {word} moment was {who}'s at {clock(moment.end_ms)} "
                f"({moment.valence:+z.2f}), {quoted(quote(moment, recording.sentiments))}."
            )


def _alerts(recording: Recording) -> Iterator[str]:
    entries = alert_entries(recording.alerts, recording.names)
    if not entries:
        yield "There was no alert."
        return
    longest = max(entries, key=lambda entry: _end_ms(entry, recording) - entry.begin_ms)
    what = longest.text
    if longest.end_ms is None:
        what += f", from {clock(longest.begin_ms)} to the end"
    if len(entries) == 1:
        yield f"There was one alert: {what}."
    else:
        yield f"There were {counted(len(entries), 'alert')}, the longest: {what}."


def _end_ms(entry: Entry, recording: Recording) -> int:
    """The end of an alert: the session's, where it was never cleared."""
    return recording.summary.duration_ms if entry.end_ms is None else entry.end_ms
