"""Text of others on a terminal, in a log and in a spreadsheet."""

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.cli.logs import TextFormatter
from streamer.plain_text import csv_cell, json_line, printable


@given(st.text())
def test_nothing_printable_is_a_control_character(text: str) -> None:
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in printable(text))


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_plain_text_is_unchanged(text: str) -> None:
    assert printable(text) == text


def test_an_escape_sequence_is_shown_and_not_run() -> None:
    assert printable("\x1b[2Jgone\x9b31m") == r"\x1b[2Jgone\x9b31m"
    assert printable("one\ntwo\u2028three") == r"one\x0atwo\u2028three"


@given(st.text())
def test_a_json_line_means_the_same_and_has_no_control_characters(text: str) -> None:
    line = json_line(json.dumps(text, ensure_ascii=False))
    assert json.loads(line) == text
    assert printable(line) == line


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_cell_is_no_formula(text: str) -> None:
    assert csv_cell(text) == f"'{text}"


def test_other_cells_are_unchanged() -> None:
    assert csv_cell("good = better") == "good = better"
    assert csv_cell("") == ""


def test_a_log_message_stays_on_one_line() -> None:
    record = logging.LogRecord("streamer", 20, "", 0, "bo\n12:00 ERROR forged\x1b[0m", (), None)
    assert len(TextFormatter().format(record).splitlines()) == 1
    assert "\x1b" not in TextFormatter().format(record)
