"""Which utterances of a transcript are in a language that the model does not read, by their text.

What enters: who says what, and the languages that are read. What leaves: the language of each
utterance that is in another. A short utterance tells little, so it is taken with all that its
speaker says. Knows no file.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from streamer.speech.languages import LATIN, is_read
from streamer.speech.transcripts import Utterance

CERTAIN = 0.01
"""A text is certainly of another language if those that are read have less probability than this.
So have 6 of 20,121 single English lines (`benchmarks/languages.py`)."""
LIKELY = 0.5
"""The same, for an utterance whose speaker's text as a whole is certainly of another language."""
CHARACTERS_OF_A_SPEAKER = 10_000
"""So much of a speaker's text is taken as a whole."""


def others(utterances: Iterable[Utterance], languages: Collection[str]) -> Mapping[Utterance, str]:
    """Return the two-letter codes of the utterances that are not in one of `languages`.

    Words in letters that none of these languages has are left to `languages.is_read`.
    """
    by_speaker: dict[str | None, dict[Utterance, str]] = defaultdict(dict)
    for said in utterances:
        words = [word.text for word in said.words if is_read(word.text, "", languages)]
        if words:
            by_speaker[said.speaker][said] = " ".join(words)
    found: dict[Utterance, str] = {}
    for texts in by_speaker.values():
        found |= _of_speaker(texts, languages)
    return found


def _of_speaker(
    texts: Mapping[Utterance, str], languages: Collection[str]
) -> Mapping[Utterance, str]:
    own, share = likeliest(" ".join(texts.values())[:CHARACTERS_OF_A_SPEAKER], languages)
    limit = LIKELY if share < CERTAIN else CERTAIN
    found = {}
    for said, text in texts.items():
        language, share = likeliest(text, languages)
        if share < limit:
            found[said] = language if share < CERTAIN else own
    return found


def likeliest(text: str, languages: Collection[str]) -> tuple[str, float]:
    """Return the likeliest other language, and the probability of `languages` together.

    The probability is 1 if the detector knows none of `languages`.
    """
    ranked = _identifier(frozenset(languages)).rank(text)
    read = [share for code, share in ranked if code in languages]
    other = next((code for code, _ in ranked if code not in languages), "")
    return other, sum(read) if read else 1.0


@functools.cache
def _identifier(languages: frozenset[str]) -> Any:
    """Return the detector, among Latin-written languages and those that are read."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages((LATIN | languages).intersection(identifier.labels))
    return identifier
