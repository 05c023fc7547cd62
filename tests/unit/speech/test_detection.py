"""The language of cues that nobody states, by their words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from streamer.config import Config, build
from streamer.errors import ConfigError
from streamer.spans import SpeakerTurn
from streamer.speech.detection import others
from streamer.speech.recognisers import choose
from streamer.speech.transcripts import parse_text

ENGLISH = ("I really love how this release turned out.", "What?", "Hey.", "Good.", "No.", "Merci!")
FRENCH = ("Lundi nous avons perdu le client", "et tout le monde est triste.", "Merci.")
GERMAN = ("Das war eine schreckliche Woche für mich.", "Danke.", "Alles klar.")


def vtt(*cues: str) -> str:
    blocks = [
        f"00:00:{at:02d}.000 --> 00:00:{at + 1:02d}.000\n{text}" for at, text in enumerate(cues)
    ]
    return "\n\n".join(("WEBVTT", *blocks))


def detected(cues: Sequence[str], languages: Sequence[str] = ("en",)) -> dict[str, str]:
    found = others(parse_text(vtt(*cues)).utterances, languages)
    return {" ".join(word.text for word in said.words): code for said, code in found.items()}


@pytest.mark.parametrize(("cues", "code"), [(FRENCH, "fr"), (GERMAN, "de")])
def test_all_cues_of_a_transcript_in_another_language_are_found(
    cues: Sequence[str], code: str
) -> None:
    found = detected(cues)
    assert list(found) == list(cues)
    assert set(found.values()) == {code}


def test_short_english_cues_are_read() -> None:
    assert detected(ENGLISH) == {}


def test_a_cue_in_another_language_is_found_among_those_that_are_read() -> None:
    assert detected([*ENGLISH, GERMAN[0]]) == {GERMAN[0]: "de"}


def test_a_short_cue_is_taken_with_what_its_own_speaker_says() -> None:
    cues = [f"<v Ana>{text}" for text in GERMAN] + ["<v Bo>What?", f"<v Bo>{ENGLISH[0]}"]
    assert list(detected(cues)) == list(GERMAN)


def test_the_languages_that_the_model_reads_count() -> None:
    assert detected(GERMAN, ("de",)) == {}
    assert list(detected(ENGLISH[:1], ("de", "fr"))) == [ENGLISH[0]]


def test_other_letters_and_unknown_languages_tell_nothing() -> None:
    assert detected(["ありがとうございます", "10 %"]) == {}
    assert detected(ENGLISH, ("tlh",)) == {}


@dataclass(frozen=True)
class Recording:
    subtitle_path: Path
    has_audio: bool = False
    speaker: str | None = None
    transcript_offset_ns: int = 0
    subtitle_stream: int | None = None
    path: Path | None = None
    turns: tuple[SpeakerTurn, ...] = ()


def words(config: Config, file: Path) -> tuple[list[str], list[str], list[str]]:
    """The words that are scored, those that are not, and the notices."""
    notices: list[str] = []
    _, captions = choose(config, Recording(file), notices.append)
    said = captions.advance(60 * 10**9)
    return [w.text for w in said.words], [w.text for w in said.unread], notices


def test_a_transcript_without_a_stated_language_is_not_scored_in_another_one(
    tmp_path: Path,
) -> None:
    (tmp_path / "talk.vtt").write_text(vtt(*FRENCH))
    scored, shown, notices = words(build({}), tmp_path / "talk.vtt")
    assert (scored, shown) == ([], " ".join(FRENCH).split())
    assert notices == [
        "3 of 3 cues of the transcript are, by their words, in another language than the model "
        "reads: fr (3); if they are not, set asr.transcript_language."
    ]


@pytest.mark.parametrize(
    ("name", "asr"), [("talk.en.vtt", {}), ("talk.vtt", {"transcript_language": "en-GB"})]
)
def test_a_stated_language_is_not_detected(
    tmp_path: Path, name: str, asr: dict[str, object]
) -> None:
    (tmp_path / name).write_text(vtt(*FRENCH))
    assert words(build({"asr": asr}), tmp_path / name) == (" ".join(FRENCH).split(), [], [])


def test_a_language_that_is_no_code_is_refused() -> None:
    with pytest.raises(ConfigError, match="transcript_language"):
        build({"asr": {"transcript_language": "English"}})
