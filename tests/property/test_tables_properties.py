"""Tables of the terminal: whatever people are called, no number is cut and no line is too wide."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from streamer.cli.comparing import comparison
from streamer.cli.display import Board
from streamer.cli.tables import newest_words
from streamer.recording.comparison import Agreement, Comparison
from tests.made_records import sentiment
from tests.printed import printed

letters = st.characters(exclude_categories=("C", "Z"), exclude_characters="/")
names = st.lists(
    st.lists(st.text(letters, min_size=1, max_size=40), min_size=1, max_size=4).map(" ".join),
    min_size=1,
    max_size=5,
    unique=True,
)


def fits(text: str, width: int) -> bool:
    return max(map(cell_len, text.splitlines())) <= width


@given(names, st.text(letters, max_size=80))
def test_the_live_table_keeps_every_number(people: list[str], words: str) -> None:
    board = Board("Meeting")
    for name in people:
        board.add(sentiment(3, -2.75, participant_id=name, text=words))
    text = printed(board.live())
    assert text.count("-2.75 strongly negative +0.4 AT·") == len(people)
    assert fits(text, 80)
    summary = printed(board.summary())
    assert summary.count(" -2.75 at 0:04") == 2 * len(people)
    assert fits(summary, 80)


@given(names)
def test_a_comparison_keeps_every_number(people: list[str]) -> None:
    rows = tuple(
        Agreement(
            participant_id=name,
            windows=12345,
            only_a=678,
            only_b=910,
            mean_a=-1.25,
            mean_b=2.25,
            mean_difference=-2.75,
            mean_absolute=1.5,
            correlation=-0.5,
            same_label=1.0,
            same_polarity=1.0,
        )
        for name in people
    )
    result = Comparison(
        session_a="a",
        session_b="b",
        models_a=("m",),
        models_b=("m",),
        agreement=rows,
        differences=(),
    )
    text = printed(comparison(result))
    for number in ("12345", " 678", " 910", "-1.25", "+2.25", "-2.75", " 1.50", "-0.50"):
        assert text.count(number) >= len(people), number
    assert fits(text, 80)


@given(st.text(letters, max_size=60), st.integers(2, 30))
def test_the_newest_words_are_an_end_of_the_text(text: str, cells: int) -> None:
    shown = newest_words(text, cells)
    assert cell_len(shown) <= cells
    assert text.endswith(shown.removeprefix("…"))
