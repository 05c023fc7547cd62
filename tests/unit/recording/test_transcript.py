"""The transcript of a session: the cases that the page is held to too."""

import json
from pathlib import Path
from typing import Any

import pytest

from streamer.recording.transcript import MAX_WORDS, transcript
from streamer.records import Spoken, SpokenWord
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
