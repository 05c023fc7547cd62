"""The transcript of a session: the cases that the page is held to too."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streamer.recording.transcript import MAX_WORDS, quote, transcript
from streamer.records import Sentiment, Spoken, SpokenWord
from tests import made_records as made

CASES = json.loads((Path(__file__).parents[2] / "golden" / "transcript.json").read_text("utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_lines(case: dict[str, Any]) -> None:
    sentiments = [
        made.sentiment(
            at,
            record["valence"],
            participant_id=record["participant_id"],
            spoken=Spoken(words=tuple(SpokenWord(*word) for word in record["words"])),
        )
        for at, record in enumerate(case["records"])
    ]
    assert [
        [line.participant_id, line.start_ms, line.end_ms, line.text, line.valence]
        for line in transcript(sentiments)
    ] == case["lines"]


def test_a_long_line_is_parted() -> None:
    words = tuple(SpokenWord("word", at * 300, at * 300 + 200) for at in range(MAX_WORDS + 1))
    first, second = transcript([made.sentiment(0, spoken=Spoken(words=words))])
    assert (first.start_ms, second.start_ms) == (0, MAX_WORDS * 300)


def test_records_without_word_times_have_no_lines() -> None:
    assert transcript([made.sentiment(3)]) == []


def test_a_quote_is_the_line_that_fills_most_of_the_window() -> None:
    def record(index: int, *words: SpokenWord) -> Sentiment:
        spoken = Spoken(words=words)
        return made.sentiment(index, spoken=spoken, start_ms=index * 1000, text="its own")

    first = record(0, SpokenWord("nobody", 100, 400), SpokenWord("has", 500, 900))
    second = record(1, SpokenWord("said", 1_100, 1_400), SpokenWord("shit", 1_500, 1_900, 0.2))
    third = record(4, SpokenWord("so", 4_600, 4_900))
    fourth = record(5, SpokenWord("fine", 5_000, 5_300))
    other = msgspec.structs.replace(record(1, SpokenWord("yes", 1_200, 1_400)), participant_id="bo")
    everybody = [fourth, third, other, second, first]
    assert quote(second, everybody) == quote(first, everybody) == "nobody has said […]"
    assert quote(other, everybody) == "yes"
    both = msgspec.structs.replace(third, start_ms=1_000)
    assert quote(both, everybody) == "nobody has said […]", "most of it is the first line"
    silent = made.sentiment(9, start_ms=8_000, text="of an older version")
    assert quote(silent, [*everybody, silent]) == "of an older version"
