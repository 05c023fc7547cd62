"""Who speaks when: talk time, turns, interruptions and silences of a session.

What enters: published `Sentiment` records with what was `spoken`, in any order, repeated or not.
What leaves: a `Conversation`. All times are milliseconds of session time. Pure. The definitions are
here and nowhere else; docs/records.md contains them too:

    ana   ████ ████████          ██████████
    bo           ██      ██████████████
          └ a turn ──┘   └ a turn ─────┘
                 └ within ana's turn: no turn
                                 └ ana begins while bo speaks: an interruption
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from streamer.clock import clock
from streamer.counted import counted
from streamer.records import Sentiment
from streamer.spans import Span, complement, union

PAUSE_MS = 300
"""A pause up to this length belongs to the speech around it."""
TURN_PAUSE_MS = 1_000
"""A pause of one person up to this length does not end the turn."""
OVERLAP_MS = 200
"""The least overlap that is an interruption; a shorter one is a quick answer."""
KEPT_WINDOWS = 64
"""Windows of a participant whose speech a newer revision may replace."""
SILENCE_MS = 2_000
"""From this length on a time in which nobody speaks is a silence."""


class Talk(msgspec.Struct, frozen=True, kw_only=True):
    """What one participant spoke in a session.

    Attributes:
        talk_ms: talk time: the length of the speech, with pauses up to PAUSE_MS.
        share: of the sum of everybody's talk time; null while nobody has spoken.
        turns: speech with pauses up to TURN_PAUSE_MS, unless it lies within another's turn.
        longest_turn_ms: length of the longest turn.
        interruptions: turns that begin at least OVERLAP_MS before another person's speech ends.
        longest_silence_ms: the longest time without speech, from the session's start to its end;
            times that are not recorded are none.
    """

    participant_id: str
    talk_ms: int
    share: float | None
    turns: int
    longest_turn_ms: int
    interruptions: int
    longest_silence_ms: int


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """Who spoke how much, by name, and when nobody did.

    Attributes:
        participants: those of whom it is known when they speak.
        silences: times of at least SILENCE_MS in which nobody speaks, as far as is recorded.
        silence_ms: their length together.
    """

    participants: tuple[Talk, ...] = ()
    silences: int = 0
    silence_ms: int = 0


class SpeechTimes:
    """Collects when each participant speaks, record by record; one record twice changes nothing.

    A newer revision of one of a participant's KEPT_WINDOWS newest windows replaces what that said.
    """

    def __init__(self, sentiments: Iterable[Sentiment] = ()) -> None:
        """Begin with some records."""
        self._spans: dict[str, list[Span]] = {}
        self._newest: dict[str, dict[int, tuple[int, list[Span]]]] = {}
        self._end_ms = 0
        for sentiment in sentiments:
            self.add(sentiment)

    def add(self, sentiment: Sentiment) -> None:
        """Take note of one record."""
        self._end_ms = max(self._end_ms, sentiment.end_ms)
        if sentiment.spoken is None:
            return
        name, index = sentiment.participant_id, sentiment.window_index
        newest = self._newest.setdefault(name, {})
        revision, spans = newest.get(index, (sentiment.revision, []))
        if revision > sentiment.revision:
            return
        spans = spans if revision == sentiment.revision else []
        for span in sentiment.spoken.speech:
            _put(spans, (span.start_ms, span.end_ms))
        newest[index] = sentiment.revision, spans
        if len(newest) > KEPT_WINDOWS:
            for old in newest.pop(min(newest))[1]:
                _put(self._spans.setdefault(name, []), old, PAUSE_MS)

    def conversation(self, unrecorded: Sequence[Span] = ()) -> Conversation:
        """Return what is known so far; nothing is known of the times that are `unrecorded`."""
        spans = {
            name: [*self._spans.get(name, ()), *(s for _, own in newest.values() for s in own)]
            for name, newest in self._newest.items()
        }
        return conversation(spans, self._end_ms, unrecorded)


def conversation(
    spans: Mapping[str, Sequence[Span]], end_ms: int, unrecorded: Sequence[Span] = ()
) -> Conversation:
    """Measure a conversation.

    Args:
        spans: each participant's speech.
        end_ms: the session's end; later speech is left out.
        unrecorded: times of which nothing is known.
    """
    cut = {name: [(low, min(high, end_ms)) for low, high in own] for name, own in spans.items()}
    speech = {name: union(own, PAUSE_MS) for name, own in cut.items()}
    held = {name: union(own, TURN_PAUSE_MS) for name, own in speech.items()}
    total_ms = sum(map(_length, speech.values()))
    known = [*unrecorded, *(span for own in speech.values() for span in own)]
    gaps = complement(known, 0, end_ms)
    silences = [high - low for low, high in gaps if high - low >= SILENCE_MS]
    return Conversation(
        participants=tuple(
            _talk(name, speech, held, total_ms, complement([*unrecorded, *speech[name]], 0, end_ms))
            for name in sorted(speech)
        ),
        silences=len(silences),
        silence_ms=sum(silences),
    )


def silence_text(found: Conversation) -> str:
    """Return how long nobody spoke, as a sentence."""
    if not any(talk.talk_ms for talk in found.participants):
        return "Nobody spoke."
    if not found.silences:
        return f"There was no silence of {SILENCE_MS // 1000} s or more."
    silences = counted(found.silences, "silence")
    return f"Nobody spoke for {clock(found.silence_ms)}, in {silences}."


def _talk(
    name: str,
    speech: Mapping[str, Sequence[Span]],
    held: Mapping[str, Sequence[Span]],
    total_ms: int,
    silences: Sequence[Span],
) -> Talk:
    others = [other for other in speech if other != name]
    turns = [turn for turn in held[name] if not any(_within(turn, held[o]) for o in others)]
    talk_ms = _length(speech[name])
    return Talk(
        participant_id=name,
        talk_ms=talk_ms,
        share=talk_ms / total_ms if total_ms else None,
        turns=len(turns),
        longest_turn_ms=max((high - low for low, high in turns), default=0),
        interruptions=sum(any(_cuts_in(turn, speech[o]) for o in others) for turn in turns),
        longest_silence_ms=max((high - low for low, high in silences), default=0),
    )


def _within(turn: Span, others: Sequence[Span]) -> bool:
    """Whether a turn is a part of one of another person's, which are disjoint and by time."""
    around = _latest(others, turn[0])
    return around is not None and around != turn and turn[1] <= around[1]


def _cuts_in(turn: Span, others: Sequence[Span]) -> bool:
    """Whether a turn begins in the middle of another person's speech."""
    before = _latest(others, turn[0] - 1)
    return before is not None and before[1] - turn[0] >= OVERLAP_MS


def _latest(spans: Sequence[Span], start: int) -> Span | None:
    """Return the last span that begins at or before `start`."""
    at = bisect_right(spans, start, key=lambda span: span[0])
    return spans[at - 1] if at else None


def _put(spans: list[Span], span: Span, gap: int = 0) -> None:
    """Add a span to spans by time that are more than `gap` apart; most come last."""
    if span[1] <= span[0]:
        return
    if not spans or span[0] - spans[-1][1] > gap:
        spans.append(span)
    elif span[0] >= spans[-1][0]:
        spans[-1] = spans[-1][0], max(spans[-1][1], span[1])
    else:
        spans[:] = union([*spans, span], gap)


def _length(spans: Iterable[Span]) -> int:
    return sum(high - low for low, high in spans)
