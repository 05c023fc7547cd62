"""Who of several speakers says something: by the turns of everybody in a recording.

What enters: turns, words and cues. What leaves: a speaker, how sure that is, and what of a
transcript is one speaker's. Pure; does not know where the turns come from.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from streamer.records import NS_PER_MS, Word
from streamer.spans import Span, SpeakerTurn, covered
from streamer.speech.transcripts import Subtitles, Utterance

NEAR_NS = 500 * NS_PER_MS
"""A word that no turn overlaps is of the nearest one that is not further away."""
SHARED_CERTAINTY = 0.5
"""How sure it is that overlapped speech is that of one of its speakers."""


class Everybody:
    """The turns of all speakers of a recording."""

    def __init__(self, turns: Iterable[SpeakerTurn]) -> None:
        """`turns` in any order."""
        self._turns = sorted(turns, key=lambda turn: turn[1:])
        self._starts = [turn.start_ns for turn in self._turns]
        self._longest_ns = max((turn.end_ns - turn.start_ns for turn in self._turns), default=0)

    def spans_of(self, speaker: str) -> list[Span]:
        """Return when a speaker speaks, by start."""
        return [(turn.start_ns, turn.end_ns) for turn in self._turns if turn.speaker == speaker]

    def speaker_at(self, start_ns: int, end_ns: int) -> str | None:
        """Return who speaks longest during `[start_ns, end_ns)`, else who speaks nearest to it.

        Of two who speak as long, it is the one whose turn began first.
        """
        overlaps: dict[str, int] = defaultdict(int)
        distances: dict[str, int] = {}
        for turn in self._near(start_ns, end_ns):
            common_ns = min(end_ns, turn.end_ns) - max(start_ns, turn.start_ns)
            overlaps[turn.speaker] += max(0, common_ns)
            distance_ns = max(0, -common_ns)
            distances[turn.speaker] = min(distance_ns, distances.get(turn.speaker, distance_ns))
        if not overlaps:
            return None
        longest = max(overlaps, key=overlaps.__getitem__)
        return longest if overlaps[longest] else min(distances, key=distances.__getitem__)

    def certainty(self, speaker: str, start_ns: int, end_ns: int) -> float | None:
        """Return how sure it is that the speech in `[start_ns, end_ns)` is a speaker's, 0 to 1.

        Where the speaker is alone it is 1, where others speak too SHARED_CERTAINTY; None where the
        speaker does not speak.
        """
        own: list[Span] = []
        others: list[Span] = []
        for turn in self._near(start_ns, end_ns):
            span = max(start_ns, turn.start_ns), min(end_ns, turn.end_ns)
            (own if turn.speaker == speaker else others).append(span)
        spoken_ns = covered(own, start_ns, end_ns)
        if not spoken_ns:
            return None
        shared_ns = sum(covered(others, first, end) for first, end in own if end > first)
        return 1 - (1 - SHARED_CERTAINTY) * shared_ns / spoken_ns

    def _near(self, start_ns: int, end_ns: int) -> Sequence[SpeakerTurn]:
        """Return the turns that are at most NEAR_NS from `[start_ns, end_ns)`, by start."""
        first = bisect_left(self._starts, start_ns - NEAR_NS - self._longest_ns)
        last = bisect_left(self._starts, end_ns + NEAR_NS)
        return [turn for turn in self._turns[first:last] if turn.end_ns > start_ns - NEAR_NS]


def part_of(read: Subtitles, speaker: str, everybody: Everybody) -> Subtitles:
    """Return what one speaker says: the cues with that name, and words of cues without a name."""
    utterances = tuple(_parts(read.utterances, speaker, everybody))
    words = sorted(
        (word for said in utterances for word in said.words),
        key=lambda word: (word.start_ns, word.end_ns),
    )
    return Subtitles(tuple(words), (), read.language, utterances)


def _parts(
    utterances: Iterable[Utterance], speaker: str, everybody: Everybody
) -> Iterator[Utterance]:
    for said in utterances:
        if said.speaker is not None:
            if said.speaker == speaker:
                yield said
            continue
        words = tuple(said_by(said.words, speaker, everybody))
        if words:
            yield replace(said, speaker=speaker, words=words)


def said_by(words: Iterable[Word], speaker: str, everybody: Everybody) -> list[Word]:
    """Return the words that are one speaker's."""
    return [w for w in words if everybody.speaker_at(w.start_ns, w.end_ns) == speaker]
