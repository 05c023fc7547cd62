"""Tables that fit a narrow terminal (Rich): no number is ever cut, and names are folded.

What enters: headings and cells. What leaves: a Rich table. Knows no records.
"""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

MOST_NAME_CELLS = 24
"""A longer name is folded."""


def new_table(title: str = "", *, gap: int = 2, **options: Any) -> Table:
    """Return a table whose columns are `gap` spaces apart, at least one; `options` are Rich's."""
    return Table(
        title=Text(title) if title else None,
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, gap - 1, 0, 0),
        pad_edge=False,
        show_edge=False,
        **options,
    )


def text_table(*headings: str) -> Table:
    """Return a table of names, paths and sentences: a cell without a space is folded, never cut."""
    table = new_table()
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def add_names(table: Table, heading: str, most_cells: int = MOST_NAME_CELLS) -> None:
    """Add a column of names, which are folded and never cut."""
    table.add_column(heading, overflow="fold", max_width=most_cells)


def add_numbers(table: Table, *headings: str) -> None:
    """Add columns of numbers, which no width cuts."""
    for heading in headings:
        table.add_column(heading, no_wrap=True, justify="right")


def signed(value: float | None) -> str:
    """Return a valence with its sign; nothing for None."""
    return "" if value is None else f"{value:+z.2f}"


def newest_words(text: str, cells: int) -> str:
    """Return the end of `text`, where the newest words are, at most `cells` wide."""
    if cell_len(text) <= cells:
        return text
    return "…" + set_cell_size(text[::-1], cells - 1)[::-1].lstrip()


class NewestWords:
    """A cell that shows the end of a text, as much of it as the column is wide."""

    def __init__(self, text: str) -> None:
        """Show `text`."""
        self._text = text

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        """Render one line."""
        yield Text(newest_words(self._text, options.max_width), no_wrap=True)

    def __rich_measure__(self, _: Console, options: ConsoleOptions) -> Measurement:
        """Take any width, at most that of the text."""
        return Measurement(1, min(cell_len(self._text) or 1, options.max_width))
