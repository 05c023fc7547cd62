"""Meetings of two to ten people, made up, with moods that a picture of the page should tell."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
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
from streamer.valence import is_divided
from tests.made_records import alert, sentiment, session, session_sentiment

Shown = Sentiment | SessionSentiment | Alert | Session

LENGTH_S = 257
MOODS: Mapping[str, tuple[float, float]] = {
    "Ana": (0.7, 1.6),
    "Bo": (0.3, -1.5),
    "Chiara": (0.9, 1.3),
    "Dan": (-0.3, -0.1),
    "Émile": (-0.1, 0.2),
    "Grace": (0.1, 1.6),
    "Hana": (0.4, 0.8),
    "Ivo": (0.2, 0.3),
    "Jun": (0.6, 0.9),
    "Kemal Yıldırım": (0.1, 0.4),
}
"""Valence at the beginning and at the end of everybody."""
LINES: Sequence[tuple[int, str, str]] = (
    (30, "Ana", "let us look at the numbers of May"),
    (75, "Chiara", "we have two new customers in Lyon"),
    (150, "Bo", "what about the contract with the port"),
    (205, "Bo", "so the contract is lost after all"),
    (211, "Bo", "nobody told me about this"),
    (226, "Grace", "I talked to them and they may stay"),
    (240, "Ana", "thank you Grace that is very good news"),
    (253, "Grace", "happy to help with the next call"),
)
"""When somebody says what, in seconds."""
FALL_S = (196, 210)
"""Bo's valence falls between these times; everybody else's course is even."""


def meeting(
    people: Sequence[str] = tuple(MOODS), moods: Mapping[str, tuple[float, float]] = MOODS
) -> Iterator[Shown]:
    """Return what is recorded of a meeting of these people while it goes on, without an alert."""
    yield session(participants=tuple(Participant(who, (f"mic:{who}",)) for who in people))
    for index in range(LENGTH_S):
        values = {who: _valence(who, index, moods[who]) for who in people}
        for who, valence in values.items():
            text, spoken = _said(who, index)
            yield sentiment(index, valence, participant_id=who, text=text, spoken=spoken)
        mean, spread = fmean(values.values()), pstdev(values.values())
        more: dict[str, Any] = {
            "spread": spread,
            "divided": is_divided(mean, spread),
            "participants": len(people),
            "trend_per_min": -0.4,
        }
        yield session_sentiment(index, mean, **more)


def alerts() -> Iterator[Alert]:
    """Return alerts of such a meeting: one that is over, and two of Bo of which one stands."""
    sorrow: dict[str, Any] = {"kind": "sustained_negative", "threshold": -1.0}
    yield alert(168, alert_id="1", participant_id="Ana")
    yield alert(196, alert_id="2", participant_id="Ana", state="cleared")
    yield alert(208, alert_id="3", participant_id="Bo")
    yield alert(236, alert_id="4", participant_id="Bo", state="cleared")
    yield alert(222, alert_id="5", participant_id="Bo", **sorrow)


def _valence(who: str, index: int, mood: tuple[float, float]) -> float:
    begin, end = mood
    if who == "Bo":
        done = min(max((index - FALL_S[0]) / (FALL_S[1] - FALL_S[0]), 0.0), 1.0)
    else:
        done = index / LENGTH_S
    wave = 0.2 * math.sin(index / 9 + len(who)) + 0.1 * math.sin(index / 4.3)
    return begin + (end - begin) * done + wave


def _said(who: str, index: int) -> tuple[str, Spoken]:
    """The text of a window of 5 s that ends with second `index`, and what it is first to carry."""
    for at_s, speaker, line in LINES:
        if speaker == who and at_s <= index < at_s + 4:
            words = tuple(
                SpokenWord(word, at_s * 1000 + 350 * k, at_s * 1000 + 350 * k + 300, 0.9)
                for k, word in enumerate(line.split())
            )
            begun = [word for word in words if word.start_ms < (index + 1) * 1000]
            new = tuple(word for word in begun if word.start_ms >= index * 1000)
            spans = (SpeechSpan(new[0].start_ms, new[-1].end_ms),) if new else ()
            return " ".join(word.text for word in begun), Spoken(spans, new)
    return "", Spoken()
