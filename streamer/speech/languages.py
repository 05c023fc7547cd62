"""Which words a checkpoint reads: by the language that is stated or detected, and by the script.

What enters: words with a language, where one is known. What leaves: the words that are scored,
and those that are shown only. A checkpoint that was trained on one language finds sentiment in
any other, but by chance. Pure; knows no recogniser.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable

from streamer.records import Word

CODES = {
    "ara": "ar", "chi": "zh", "zho": "zh", "cze": "cs", "ces": "cs", "dan": "da", "dut": "nl",
    "nld": "nl", "eng": "en", "fin": "fi", "fre": "fr", "fra": "fr", "ger": "de", "deu": "de",
    "gre": "el", "ell": "el", "heb": "he", "hin": "hi", "hun": "hu", "ita": "it", "jpn": "ja",
    "kor": "ko", "nor": "no", "pol": "pl", "por": "pt", "rum": "ro", "ron": "ro", "rus": "ru",
    "spa": "es", "swe": "sv", "tha": "th", "tur": "tr", "ukr": "uk", "vie": "vi",
}  # fmt: skip
"""Three-letter codes, as containers have them, to the two-letter ones."""
UNKNOWN = ("und", "mul", "zxx", "mis")
LATIN = frozenset({
    "ca", "cs", "da", "de", "en", "es", "et", "fi", "fr", "hr", "hu", "id", "it", "lt", "lv", "nl",
    "no", "pl", "pt", "ro", "sk", "sl", "sv", "tr", "vi",
})  # fmt: skip
"""Languages that are written with Latin letters alone."""


def language_code(tag: str) -> str:
    """Return the two-letter code of a tag such as `en-GB` or `eng`; empty when it names none."""
    code = tag.strip().lower().replace("_", "-").split("-")[0]
    return "" if code in UNKNOWN else CODES.get(code, code)


def of_file_name(name: str) -> str:
    """Return the language that a transcript's name states, as `talk.de.vtt`; empty for none."""
    parts = name.split(".")
    code = language_code(parts[-2]) if len(parts) > 2 else ""
    return code if code in CODES.values() else ""


def is_read(text: str, language: str, languages: Collection[str]) -> bool:
    """Return whether a word is in one of `languages`, two-letter codes; unless known, it is."""
    if language and language_code(language) not in languages:
        return False
    if not LATIN.issuperset(languages):
        return True
    return all(unicodedata.name(letter, "").startswith("LATIN") for letter in filter(_bare, text))


def _bare(letter: str) -> bool:
    """Whether a character belongs to an alphabet: digits, signs, ª and º do not."""
    return unicodedata.category(letter) in ("Lu", "Ll", "Lt", "Lm", "Lo") and letter not in "ªºµ"


def split(
    words: Iterable[tuple[Word, str]], languages: Collection[str]
) -> tuple[list[Word], list[Word]]:
    """Return the words that are read, and the others; each word comes with its language."""
    read: list[Word] = []
    unread: list[Word] = []
    for word, language in words:
        (read if is_read(word.text, language, languages) else unread).append(word)
    return read, unread
