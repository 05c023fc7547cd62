"""Who said what, when: the words that records carry, as lines.

What enters: `Sentiment` records. What leaves: lines by time, each with the valence at its end, and
the text of a window for people. The page does the same in `transcript.js`;
`tests/golden/transcript.json` holds both to the same lines. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from streamer.conversation import TURN_PAUSE_MS
from streamer.records import Polarity, Sentiment, SpokenWord
from streamer.unsure import Part, clean_text, parts_of, recent_words, text_of

MAX_WORDS = 40
"""A longer line is parted: after a sentence in its second half, where one ends there."""
SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？")
CLOSING = "\"'”’»)"
"""May follow the end of a sentence."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What one participant said without a pause of more than TURN_PAUSE_MS.

    Attributes:
        text: profanity of which the recogniser is unsure is hidden.
        parts: the same text, with what the recogniser is unsure of.
        valence: the smoothed one of the record that carries the last word; None without evidence.
    """

    participant_id: str
    start_ms: int
    end_ms: int
    text: str
    parts: tuple[Part, ...]
    valence: float | None
    polarity: Polarity | None


_Said = tuple[SpokenWord, Sentiment]


def transcript(sentiments: Iterable[Sentiment], max_words: int = MAX_WORDS) -> list[Line]:
    """Return the lines of everybody, by time; `sentiments` holds each window once."""
    said: dict[str, list[_Said]] = {}
    for sentiment in sentiments:
        words = () if sentiment.spoken is None else sentiment.spoken.words
        said.setdefault(sentiment.participant_id, []).extend((word, sentiment) for word in words)
    lines = [
        _line(name, part)
        for name, own in said.items()
        for part in _parted(sorted(own, key=lambda each: each[0].start_ms), max_words)
    ]
    return sorted(lines, key=lambda line: (line.start_ms, line.participant_id))


def window_text(sentiment: Sentiment, sentiments: Iterable[Sentiment]) -> str:
    """Return the text of a window without profanity of which the recogniser was unsure.

    Args:
        sentiment: the window's record.
        sentiments: the session's records, which carry the words with their confidence.
    """
    return clean_text(sentiment.text, lambda: recent_words(sentiment, sentiments))


def quote(sentiment: Sentiment, sentiments: Iterable[Sentiment]) -> str:
    """Return the line of the transcript that fills most of a window.

    A window may hold only the end of a sentence. Records of older versions carry no words with
    times; then it is the window's own text.
    """
    own = [each for each in sentiments if each.participant_id == sentiment.participant_id]
    begin, end = sentiment.start_ms, sentiment.end_ms
    shared = [
        (min(line.end_ms, end) - max(line.start_ms, begin), line.text) for line in transcript(own)
    ]
    shared_ms, text = max(shared, default=(0, ""), key=lambda each: each[0])
    return text if shared_ms > 0 else window_text(sentiment, own)


def _parted(said: Sequence[_Said], max_words: int) -> list[list[_Said]]:
    parts: list[list[_Said]] = []
    for word, sentiment in said:
        line = parts[-1] if parts else []
        pause_ms = word.start_ms - line[-1][0].end_ms if line else 0
        if (
            line
            and pause_ms <= TURN_PAUSE_MS
            and not _is_full([said for said, _ in line], max_words)
        ):
            line.append((word, sentiment))
        else:
            parts.append([(word, sentiment)])
    return parts


def _is_full(words: Sequence[SpokenWord], max_words: int) -> bool:
    """Whether a line has its most words, or at least half of them and ends with a sentence."""
    ends = words[-1].text.rstrip(CLOSING).endswith(SENTENCE_ENDS)
    return len(words) >= max_words or (ends and len(words) >= max_words / 2)


def _line(name: str, said: Sequence[_Said]) -> Line:
    last = said[-1][1]
    parts = parts_of(word for word, _ in said)
    return Line(
        participant_id=name,
        start_ms=said[0][0].start_ms,
        end_ms=max(word.end_ms for word, _ in said),
        text=text_of(parts),
        parts=parts,
        valence=last.valence,
        polarity=last.polarity,
    )
