"""Two recordings side by side as tables (Rich): a Comparison in, text out."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from streamer.cli.tables import add_names, add_numbers, new_table, signed
from streamer.clock import clock
from streamer.plain_text import printable
from streamer.recording.comparison import EVERYBODY, Comparison
from streamer.shown_names import shown


def comparison(result: Comparison) -> RenderableType:
    """The means of both, how far they agree window by window, and where they differ most."""
    tables = [_means(result), _agreement(result)]
    if result.differences:
        tables.append(_differences(result))
    return Group(*(part for table in tables for part in (table, "")))


def _means(result: Comparison) -> Table:
    a, b = result.session_a, result.session_b
    models = f"A {a} ({', '.join(result.models_a)}), B {b} ({', '.join(result.models_b)})"
    table = new_table(printable(models))
    add_names(table, "who")
    add_numbers(table, "mean A", "mean B", "B−A")
    alone = any(row.only_a or row.only_b for row in result.agreement)
    add_numbers(table, *(("windows of A alone", "of B alone") if alone else ()))
    for row in result.agreement:
        table.add_row(
            _who(result, row.participant_id),
            *(signed(value) for value in (row.mean_a, row.mean_b, row.mean_difference)),
            *((str(row.only_a or ""), str(row.only_b or "")) if alone else ()),
        )
    return table


def _agreement(result: Comparison) -> Table:
    table = new_table("Over the windows of both")
    add_names(table, "who")
    add_numbers(table, "windows", "|B−A|", "corr", "same label", "same polarity")
    for row in result.agreement:
        table.add_row(
            _who(result, row.participant_id),
            str(row.windows),
            "" if row.mean_absolute is None else f"{row.mean_absolute:.2f}",
            signed(row.correlation),
            *("" if v is None else f"{v:.0%}" for v in (row.same_label, row.same_polarity)),
        )
    return table


def _differences(result: Comparison) -> Table:
    table = new_table("Where they differ most")
    add_names(table, "who")
    add_numbers(table, "time", "A", "B")
    table.add_column("words", overflow="fold")
    for difference in result.differences:
        table.add_row(
            _who(result, difference.participant_id),
            clock(difference.end_ms),
            signed(difference.valence_a),
            signed(difference.valence_b),
            Text(printable(difference.text)),
        )
    return table


def _who(result: Comparison, participant_id: str) -> Text:
    if participant_id == EVERYBODY:
        return Text("all")
    return Text(printable(shown(result.names, participant_id)))
