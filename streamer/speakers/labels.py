"""Who speaks when in live sound: as it was decided first, and as it is judged later.

What enters: turns, decided in order of time, and turns of the last while as they are judged by what
is known now. What leaves: turns, for each moment the newest. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from streamer.records import NS_PER_MS
from streamer.spans import Span, SpeakerTurn, union, within, without

LEAST_CHANGE_NS = 250 * NS_PER_MS
"""A shorter time that is judged otherwise later keeps its label: edges of turns vary."""


class Labels:
    """The turns of everybody, as far back as `forget` leaves them."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._spans: dict[str, list[Span]] = {}

    @property
    def turns(self) -> list[SpeakerTurn]:
        """The turns by start."""
        turns = [SpeakerTurn(who, *span) for who, spans in self._spans.items() for span in spans]
        return sorted(turns, key=lambda turn: turn[1:])

    def of(self, speaker: str) -> list[Span]:
        """Return when a speaker speaks, by start."""
        return self._spans.get(speaker, [])

    def decide(self, turns: Iterable[SpeakerTurn]) -> None:
        """Add turns, none before those that were added."""
        for speaker, spans in _by_speaker(turns).items():
            self._spans[speaker] = union([*self.of(speaker), *spans])

    def change(self, turns: Sequence[SpeakerTurn], since_ns: int, until_ns: int) -> dict[str, int]:
        """Label `[since_ns, until_ns)` as in `turns`, but for what differs only for a moment.

        Returns:
            The start of the first change, by speaker; those without one are left out.
        """
        judged, changed = _by_speaker(turns), dict[str, int]()
        for speaker in dict.fromkeys([*self._spans, *judged]):
            before = within(self.of(speaker), since_ns, until_ns)
            after = within(judged.get(speaker, []), since_ns, until_ns)
            gained, lost = _lasting(without(after, before)), _lasting(without(before, after))
            if gained or lost:
                self._spans[speaker] = union([*without(self.of(speaker), lost), *gained])
                changed[speaker] = min(start for start, _ in (*gained, *lost))
        return changed

    def forget(self, before_ns: int) -> None:
        """Keep what ends after `before_ns`."""
        for speaker, spans in self._spans.items():
            self._spans[speaker] = [span for span in spans if span[1] > before_ns]


def _by_speaker(turns: Iterable[SpeakerTurn]) -> dict[str, list[Span]]:
    spans: dict[str, list[Span]] = {}
    for turn in turns:
        spans.setdefault(turn.speaker, []).append((turn.start_ns, turn.end_ns))
    return spans


def _lasting(spans: Sequence[Span]) -> list[Span]:
    return [span for span in spans if span[1] - span[0] >= LEAST_CHANGE_NS]
