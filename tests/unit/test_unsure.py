"""Unsure words in reports and captions: the rule and the cases that the page is held to too."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from streamer import unsure
from streamer.records import SpokenWord
from streamer.unsure import clean_text, parts_of, text_of

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "unsure.json").read_text("utf-8"))


def words(pairs: Sequence[tuple[str, float]]) -> list[SpokenWord]:
    return [SpokenWord(text, 0, 1, confidence) for text, confidence in pairs]


def test_reports_and_captions_have_the_rule_of_the_page() -> None:
    assert GOLDEN["rule"] == {
        "sure": unsure.SURE,
        "hidden": unsure.HIDDEN,
        "beginnings": list(unsure.BEGINNINGS),
        "words": list(unsure.WORDS),
    }


@pytest.mark.parametrize("case", GOLDEN["parts"], ids=lambda case: case["case"])
def test_parts(case: dict[str, Any]) -> None:
    parts = parts_of(words(case["words"]))
    assert [[part.text, part.unsure] for part in parts] == case["parts"]
    assert text_of(parts) == " ".join(text for text, _ in case["parts"])


@pytest.mark.parametrize("case", GOLDEN["texts"], ids=lambda case: case["case"])
def test_texts(case: dict[str, Any]) -> None:
    assert clean_text(case["text"], lambda: words(case["words"])) == case["shown"]
