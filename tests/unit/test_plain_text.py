"""Text of others on a terminal, in a log and in a spreadsheet."""

import json
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.cli.logs import JsonFormatter, TextFormatter
from streamer.plain_text import (
    csv_cell,
    json_line,
    printable,
    public_address,
    without_secrets,
)


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


@pytest.mark.parametrize(
    ("source", "public"),
    [
        ("rtsp://user:secret@camera:554/live?token=abc#x", "rtsp://camera:554/live"),
        ("https://secret@host/a b.mp4?key=a secret", "https://host/a b.mp4"),
        ("https://host/@ana/a.mp4", "https://host/@ana/a.mp4"),
        ("http://user:secret@[::1]:8080/a", "http://[::1]:8080/a"),
        ("rtsp://user:sec/ret@camera/1", "rtsp://…"),
        ("rtsp://user:sec?ret@camera/1", "rtsp://…"),
        ("rtsp://user:s@c#ret@camera/1", "rtsp://…"),
        ("concat:http://a:secret@host/1|http://a:secret@host/2", "concat:http://…"),
        ("webcam:0", "webcam:0"),
        ("/tmp/a?b#c@d.mp4", "/tmp/a?b#c@d.mp4"),
        ("C:/tmp/a.mp4", "C:/tmp/a.mp4"),
    ],
)
def test_an_address_is_shown_without_its_secrets(source: str, public: str) -> None:
    assert public_address(source) == public


def test_the_addresses_of_a_message_are_shown_without_their_secrets() -> None:
    text = "'rtsp://a:secret@cam/1' failed; see https://host/x?key=secret, or http://host:80."
    assert without_secrets(text) == "'rtsp://cam/1' failed; see https://host/x, or http://host:80."


@given(st.text(), st.text(st.characters(categories=["L", "N"]), min_size=1), st.text())
def test_no_secret_is_left_whatever_surrounds_it(before: str, user: str, after: str) -> None:
    address = f"https://{user}:SECRET@host/a.mp4?key=SECRET"
    assert "SECRET" not in without_secrets(f"{before} {address} {after.replace('SECRET', '')}")


def test_a_log_contains_no_secret_of_an_address() -> None:
    address = "rtsp://ana:hunter2@camera/1"
    try:
        raise ValueError(address)
    except ValueError:
        raised = sys.exc_info()
    record = logging.LogRecord("streamer", logging.ERROR, "", 0, "%s?", (address,), raised)
    for formatter in (TextFormatter(), JsonFormatter()):
        line = formatter.format(record)
        assert "rtsp://camera/1" in line
        assert "hunter2" not in line
