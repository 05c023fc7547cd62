"""Two recordings in a narrow terminal: no name and no number is cut."""

from __future__ import annotations

import msgspec
import pytest
from rich.cells import cell_len

from streamer.cli.comparing import comparison
from streamer.cli.tables import newest_words, text_table
from streamer.recording.comparison import Agreement, Comparison, Difference
from tests.printed import printed

NAMES = ("ana", "Anastasia Berg", "张教授", "Wilhelmina van den Berg")


def shown(result: Comparison) -> str:
    return printed(comparison(result), 80)


def agreement(name: str) -> Agreement:
    return Agreement(
        participant_id=name,
        windows=1234,
        only_a=12,
        only_b=3,
        mean_a=-0.24,
        mean_b=0.19,
        mean_difference=-0.43,
        mean_absolute=0.57,
        correlation=-0.91,
        same_label=1.0,
        same_polarity=0.85,
    )


def result(**changes: object) -> Comparison:
    both = Comparison(
        session_a="standup-20260503T090000Z-3f9a",
        session_b="standup-20260504T090000Z-11aa",
        models_a=("default-1",),
        models_b=("default-2",),
        agreement=tuple(map(agreement, (*NAMES, "*"))),
        differences=tuple(
            Difference(
                participant_id=name,
                window_index=3,
                end_ms=4_000,
                valence_a=-1.0,
                valence_b=1.25,
                text="[b]late[/b]",
            )
            for name in NAMES
        ),
    )
    return msgspec.structs.replace(both, **changes)


def test_80_columns_hold_every_name_in_one_line_and_every_number() -> None:
    text = shown(result())
    assert "…" not in text
    for name in NAMES:
        assert text.count(name) == 3, "in the means, the agreement and the differences"
    for number in ("1234", "-0.24", "+0.19", "-0.43", "0.57", "-0.91", "100%", "85%", "12", "3"):
        assert text.count(number) >= len(NAMES), number
    assert max(map(cell_len, text.splitlines())) <= 80
    assert "[b]late[/b]" in text, "words are no markup"


def test_a_longer_name_is_folded() -> None:
    name = "Maximiliane Katharina von Hohenzollern-Sigmaringen"
    text = shown(result(agreement=(agreement(name),), differences=()))
    assert all(text.count(part) == 2 for part in name.split())
    assert "…" not in text


def test_people_have_the_names_that_were_stated() -> None:
    text = shown(result(names={"ana": "Ana Lind"}))
    assert text.count("Ana Lind") == 3
    assert "ana " not in text


def test_windows_of_one_alone_are_named_where_there_are_some() -> None:
    assert "windows of A alone" in shown(result())
    matched = msgspec.structs.replace(agreement("ana"), only_a=0, only_b=0)
    assert "alone" not in shown(result(agreement=(matched,)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("short", "short"),
        ("one two three", "…o three"),
        ("他说这个不行", "…个不行"),
        ("他说这个不行xy", "…不行xy"),
    ],
)
def test_only_the_newest_words_fit(text: str, words: str) -> None:
    assert newest_words(text, 8) == words
    assert cell_len(words) <= 8


def test_a_path_in_a_table_of_text_is_folded_and_never_cut() -> None:
    path = "/home/ana/.cache/semi-iin/weights/whisper-tiny.en/model.safetensors"
    table = text_table("id", "written", "reason")
    table.add_row("sentiment.dead-letter.v1/0/1234", "2026-05-03 09:00 UTC", path)
    lines = printed(table, 40).splitlines()
    assert "…" not in "".join(lines)
    assert max(map(len, lines)) <= 40
    written = "".join(line[26:].strip() for line in lines[2:])
    assert path in written
