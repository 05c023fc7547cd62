"""Words that the recogniser is unsure of: which are marked, and which are hidden.

What enters: words with the recogniser's confidence. What leaves: text in parts, each sure or not.
The page does the same in `unsure.js`; `tests/golden/unsure.json` holds both to one rule. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from streamer.records import SpokenWord

SURE = 0.5
"""From this confidence on a word is shown like any other."""
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


def _is_profane(text: str) -> bool:
    word = _bare(text)
    return word in WORDS or word.startswith(BEGINNINGS)


def _bare(text: str) -> str:
    return "".join(filter(str.isalpha, text)).lower()
