"""Words that the recogniser is unsure of: which are marked, and which are hidden.

What enters: words with the recogniser's confidence. What leaves: text in parts, each sure or not.
The page does the same in `unsure.js`; `tests/golden/unsure.json` holds both to one rule. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from streamer.records import Sentiment, SpokenWord

SURE = 0.5
"""From this confidence on a word is shown like any other."""
RECENT_MS = 20_000
"""Longer than any window: its words are among those that records of this time carry."""
KEPT_WINDOWS = 64
"""Windows of a participant that may still be revised, and those before them."""
HIDDEN = "[…]"
"""Instead of profanity of which the recogniser is unsure."""
# English: the language of the recogniser that runs by default.
BEGINNINGS = ("fuck", "motherfuck", "shit", "bullshit", "horseshit", "dipshit", "bitch", "wank")
"""A word with one of these beginnings is profanity."""
WORDS: tuple[str, ...] = (
    *("cunt", "cunts", "ass", "asses", "asshole", "assholes", "arse", "arses", "arsehole"),
    *("arseholes", "bastard", "bastards", "dick", "dicks", "dickhead", "dickheads", "cock"),
    *("cocks", "cocksucker", "cocksuckers", "cocksucking", "prick", "pricks", "pussy", "pussies"),
    *("whore", "whores", "slut", "sluts", "twat", "twats", "bollocks", "piss", "pissed"),
    *("pissing", "nigger", "niggers", "nigga", "niggas", "fag", "fags", "faggot", "faggots"),
    *("retard", "retards"),
)
"""So is each of these as a whole."""


class Part(msgspec.Struct, frozen=True):
    """Words that belong together: `unsure`, to be marked, or not."""

    text: str
    unsure: bool


def parts_of(words: Iterable[SpokenWord]) -> tuple[Part, ...]:
    """Return words as runs of text, with unsure profanity hidden."""
    parts: list[Part] = []
    for word in words:
        unsure, text = word.confidence < SURE, shown_word(word)
        if parts and parts[-1].unsure == unsure:
            parts[-1] = Part(f"{parts[-1].text} {text}", unsure)
        else:
            parts.append(Part(text, unsure))
    return tuple(parts)


def text_of(parts: Sequence[Part]) -> str:
    """Return the text of parts, without marks."""
    return " ".join(part.text for part in parts)


def shown_word(word: SpokenWord) -> str:
    """Return a word as people read it."""
    return HIDDEN if word.confidence < SURE and _is_profane(word.text) else word.text


def clean_text(text: str, recent_words: Callable[[], Iterable[SpokenWord]]) -> str:
    """Return a window's text without profanity, except for words that the recogniser was sure of.

    Args:
        text: words joined by spaces, without their confidence.
        recent_words: gives the words with their confidence; called where it matters.
    """
    tokens = text.split(" ")
    if not any(map(_is_profane, tokens)):
        return text
    sure = {_bare(word.text) for word in recent_words() if word.confidence >= SURE}
    return " ".join(
        HIDDEN if _is_profane(token) and _bare(token) not in sure else token for token in tokens
    )


class RecentWords:
    """The words that one participant's newest records carry, to show the texts of windows."""

    def __init__(self) -> None:
        """Begin without a record."""
        self._records: dict[int, Sentiment] = {}

    def add(self, sentiment: Sentiment) -> None:
        """Take note of a record; a lower revision of a window changes nothing."""
        before = self._records.get(sentiment.window_index)
        if before is None or before.revision <= sentiment.revision:
            self._records[sentiment.window_index] = sentiment
        if len(self._records) > KEPT_WINDOWS:
            del self._records[min(self._records)]

    def text_of(self, sentiment: Sentiment) -> str:
        """Return the text of a window without profanity of which the recogniser was unsure."""
        return clean_text(sentiment.text, lambda: recent_words(sentiment, self._records.values()))


def recent_words(sentiment: Sentiment, sentiments: Iterable[Sentiment]) -> Iterator[SpokenWord]:
    """Return the words that the same participant's windows carried in RECENT_MS up to this one."""
    for each in sentiments:
        is_recent = 0 <= sentiment.end_ms - each.end_ms <= RECENT_MS
        if each.participant_id == sentiment.participant_id and is_recent and each.spoken:
            yield from each.spoken.words


def _is_profane(text: str) -> bool:
    word = _bare(text)
    return word in WORDS or word.startswith(BEGINNINGS)


def _bare(text: str) -> str:
    return "".join(filter(str.isalpha, text)).lower()
