"""Which words are scored: by their stated or detected language, and by their letters."""

import pytest

from streamer.speech.captions import Captions
from streamer.speech.languages import is_read, language_code, of_file_name
from streamer.speech.transcripts import parse_text

CUE = "WEBVTT{header}\n\n00:00:00.000 --> 00:00:02.000\n{text}\n"


@pytest.mark.parametrize(
    ("tag", "code"),
    [("en", "en"), ("en-GB", "en"), ("eng", "en"), ("ger", "de"), ("und", ""), ("", ""),
     ("pt_BR", "pt"), ("yue", "yue")],
)  # fmt: skip
def test_tags_of_files_and_containers_are_one_code(tag: str, code: str) -> None:
    assert language_code(tag) == code


@pytest.mark.parametrize(
    ("name", "code"),
    [("talk.de.vtt", "de"), ("talk.en-GB.srt", "en"), ("talk.vtt", ""), ("talk.v2.vtt", ""),
     ("Recording.transcript.vtt", ""), ("standup.mon.vtt", "")],
)  # fmt: skip
def test_a_file_name_states_a_language_only_by_a_known_code(name: str, code: str) -> None:
    assert of_file_name(name) == code


@pytest.mark.parametrize(
    ("text", "language", "read"),
    [("great", "", True), ("great", "en", True), ("toll", "de", False), ("naïve", "", True),
     ("日本", "", False), ("شكرا", "", False), ("10 %", "", True), ("👍🏽", "", True)],
)  # fmt: skip
def test_a_word_of_another_language_or_script_is_not_read(
    text: str, language: str, read: bool
) -> None:
    assert is_read(text, language, ("en",)) is read


def test_a_script_says_nothing_where_the_model_reads_more_than_latin_letters() -> None:
    assert is_read("日本", "", ("en", "ja"))
    assert not is_read("日本", "ja", ("en", "ko"))


@pytest.mark.parametrize(
    ("name", "header", "text", "read"),
    [("talk.vtt", "", "thank you", True), ("talk.de.vtt", "", "vielen Dank", False),
     ("talk.vtt", "\nLanguage: fr", "merci", False), ("talk.vtt", "", "ありがとう", False)],
)  # fmt: skip
def test_captions_of_another_language_are_given_apart(
    name: str, header: str, text: str, read: bool
) -> None:
    subtitles = parse_text(CUE.format(header=header, text=text), name)
    transcript = Captions(subtitles, None, "a file").advance(2_000_000_000)
    given = [word.text for word in transcript.words], [word.text for word in transcript.unread]
    assert given == ((text.split(), []) if read else ([], text.split()))
