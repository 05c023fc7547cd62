"""A meeting of three minutes and three people, made up: what they say, their moods, their alerts.

    python -m tests.made_meeting FOLDER

writes its recording, for `streamer export`, `streamer sessions` and `streamer dashboard`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from streamer.records import (
    Alert,
    Participant,
    Sentiment,
    Session,
    SessionSentiment,
    SpeechSpan,
    Spoken,
    SpokenWord,
)
from tests.made_records import (
    START,
    alert,
    sentiment,
    session,
    session_sentiment,
    write,
)

Shown = Sentiment | SessionSentiment | Alert | Session

LENGTH_S = 180
WINDOW_S = 5
WORD_MS = 350
NAMES: Mapping[str, str] = {"ana": "Ana Berg", "bo": "Bo Li", "cy": "Cy Orr"}
COURSES: Mapping[str, Sequence[tuple[int, float]]] = {
    "ana": ((0, 0.6), (30, 1.1), (70, 0.4), (100, 0.7), (180, 1.8)),
    "bo": ((0, 0.4), (50, 0.1), (62, -1.6), (105, -2.1), (130, -0.2), (180, 0.9)),
    "cy": ((0, -0.1), (60, 0.2), (120, 0.6), (180, 1.2)),
}
"""Valence at some times, in seconds; in between it changes evenly."""
LINES: Sequence[tuple[str, str]] = (
    ("ana", "Good morning everyone, and thank you for coming at such short notice."),
    ("ana", "We have three minutes to decide whether the release goes out on Friday or not."),
    ("bo", "Then let me begin with the open tickets, because there are still eleven of them."),
    ("cy", "Four of those are only about the wording of the help pages, I closed two last night."),
    ("ana", "That is good to know, so we are really talking about seven that could hold us up."),
    ("bo", "Seven that we know of, and nobody has tested the import with a large file so far."),
    ("cy", "The import has a test of its own, it runs every night and it was green again today."),
    ("cy", "I ran it with the sample from support and it took less than a minute to finish."),
    ("bo", "The sample is tiny, and the customer has files that are a hundred times as large."),
    ("bo", "If that shit breaks on Monday we will spend the whole week repairing their data."),
    ("bo", "Last year that took us nine days, and they still talk about it in every call."),
    ("ana", "I understand the worry, but what would it take to be sure before Friday?"),
    ("bo", "Honestly, I do not believe that we can, and I said the same thing two weeks ago."),
    ("bo", "It is frustrating to find out about the date from a slide and not from the team."),
    ("bo", "My team cancelled two holidays for this, and nobody has even said thank you."),
    ("cy", "You are right about that, we should have asked you before anybody promised a date."),
    ("ana", "Yes, I am sorry, that was my mistake and it will not happen a second time."),
    ("ana", "I will call both of them today and we will find other days for their holidays."),
    ("ana", "Now let us look at the options, because I have to tell the board something at noon."),
    ("ana", "What if we release on Friday without the import and add it a week later?"),
    ("bo", "Without the import I could live with it, as long as the page says so clearly."),
    ("cy", "I can hide the button today and write the two sentences that explain it."),
    ("ana", "Please also tell support, so that they promise it to nobody before we are ready."),
    ("cy", "I will write to them right after the call and put the new date into the calendar."),
    ("bo", "Fine, and then I will use the extra week to test with the real files."),
    ("ana", "Wonderful, so Friday without the import, and the import on the Friday after that."),
    ("cy", "That works for me, and the support team will be happy that they know a date."),
    ("ana", "Thank you both, this was much quicker than I feared, have a great day."),
)
UNSURE = ("shit", "wording", "slide", "eleven")
"""The recogniser is unsure of these words."""


def records() -> Iterator[Shown]:
    """Return what is recorded of the meeting."""
    people = tuple(Participant(name, (f"mic:{name}",), LENGTH_S) for name in NAMES)
    about: dict[str, Any] = {"participants": people, "names": dict(NAMES), "asr": "whisper"}
    about["consent"] = "All three agreed at the start of the call"
    yield session(**about)
    said = _said()
    for index in range(LENGTH_S):
        yield from _second(index, said)
    yield from _alerts()
    yield session("ended", **about)


def _second(index: int, said: Mapping[str, Sequence[SpokenWord]]) -> Iterator[Shown]:
    end_ms = (index + 1) * 1000
    values = {name: _valence(name, index + 1) for name in NAMES}
    for name, valence in values.items():
        recent = [w for w in said[name] if end_ms - WINDOW_S * 1000 < w.end_ms <= end_ms]
        new = tuple(word for word in recent if word.end_ms > end_ms - 1000)
        spans = (SpeechSpan(new[0].start_ms, new[-1].end_ms),) if new else ()
        yield sentiment(
            index,
            valence,
            participant_id=name,
            text=" ".join(word.text for word in recent),
            spoken=Spoken(spans, new),
            final=index == LENGTH_S - 1,
        )
    mean, spread = fmean(values.values()), pstdev(values.values())
    divided = spread >= 1 and mean - spread < -0.5 and mean + spread >= 0.5
    yield session_sentiment(
        index, mean, spread=spread, divided=divided, participants=3, final=index == LENGTH_S - 1
    )


def _alerts() -> Iterator[Shown]:
    bo: dict[str, Any] = {"participant_id": "bo"}
    quiet: dict[str, Any] = {
        "participant_id": "cy",
        "kind": "rule",
        "rule": "hardly speaks",
        "number": "presence.audio",
        "threshold": 0.1,
    }
    for kind, begin, end, more in (
        ("sharp_drop", 61, 91, bo),
        ("sustained_negative", 71, 126, {**bo, "threshold": -1.0}),
        ("rule", 95, 112, {**quiet, "value": 0.02}),
    ):
        for state, at in (("raised", begin), ("cleared", end)):
            name = f"{kind}/{state}"
            yield alert(at, **{**more, "kind": kind, "state": state, "alert_id": name})


def _said() -> dict[str, list[SpokenWord]]:
    """Everybody's words, one line after the other with a short pause in between."""
    said: dict[str, list[SpokenWord]] = {name: [] for name in NAMES}
    total = sum(len(text.split()) for _, text in LINES)
    pause_ms = (LENGTH_S * 1000 - 2_000 - total * WORD_MS) // len(LINES)
    at_ms = 1_000
    for who, text in LINES:
        for word in text.split():
            sure = 0.3 if word.strip(",.?").lower() in UNSURE else 0.9
            said[who].append(SpokenWord(word, at_ms, at_ms + WORD_MS - 40, sure))
            at_ms += WORD_MS
        at_ms += pause_ms
    return said


def _valence(name: str, at_s: int) -> float:
    course = COURSES[name]
    for (begin, low), (end, high) in pairwise(course):
        if begin <= at_s <= end:
            return low + (high - low) * (at_s - begin) / (end - begin)
    return course[-1][1]


if __name__ == "__main__":
    write(Path(sys.argv[1]), *records())
    print(f"{sys.argv[1]}: {timedelta(seconds=LENGTH_S)} from {START:%Y-%m-%d %H:%M}")
