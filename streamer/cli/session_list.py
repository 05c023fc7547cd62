"""The table of recorded sessions (Rich): summaries in, text out."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from streamer.cli.tables import add_numbers, new_table, signed
from streamer.clock import clock, date_and_time
from streamer.plain_text import printable
from streamer.recording.figures import trends
from streamer.recording.recorded import Summary
from streamer.shown_names import shown

LEVELS = "▁▂▃▄▅▆▇█"
HIGHEST = 2.0
"""The valence of the highest level; the lowest is its negative."""


def matching(summaries: Sequence[Summary], text: str) -> list[Summary]:
    """Return the sessions whose id, name or participants contain a text, in any case."""
    wanted = text.casefold()
    return [
        each
        for each in summaries
        if any(
            wanted in name.casefold()
            for name in (
                each.session_id,
                each.name,
                *(person.participant_id for person in each.participants),
                *each.names.values(),
            )
        )
    ]


def sparkline(values: Sequence[float | None]) -> str:
    """Return one character for each valence, a space where there is none."""
    return "".join(" " if value is None else LEVELS[_level(value)] for value in values)


def session_list(summaries: Sequence[Summary]) -> RenderableType:
    """The sessions, newest first, and below them the trend of each name with several."""
    table = new_table()
    table.add_column("session", overflow="fold", ratio=2)
    table.add_column("started", overflow="fold")
    add_numbers(table, "length")
    table.add_column("who", overflow="fold", ratio=1)
    add_numbers(table, "mean")
    table.add_column("course", no_wrap=True)
    add_numbers(table, "alerts")
    for summary in summaries:
        table.add_row(
            _name(summary),
            date_and_time(summary.started_at) if summary.started_at else "",
            clock(summary.duration_ms),
            Text(printable(", ".join(shown(summary.names, each) for each in _people(summary)))),
            signed(summary.mean_valence),
            sparkline(summary.course),
            str(summary.alerts),
        )
    return Group(table, "", *_trends(summaries))


def _people(summary: Summary) -> list[str]:
    return [person.participant_id for person in summary.participants]


def _trends(summaries: Sequence[Summary]) -> list[Text]:
    """Return a line for each name that several sessions have; `summaries` are newest first."""
    means = ((summary.name, summary.mean_valence) for summary in reversed(summaries))
    return [
        Text(
            f"{printable(each.name)}: {len(each.means)} meetings {sparkline(each.means)}, "
            f"{each.per_meeting:+z.2f} per meeting"
        )
        for each in trends(means)
    ]


def _name(summary: Summary) -> Text:
    rest = summary.session_id.removeprefix(summary.name)
    text = Text.assemble((printable(summary.name), "bold"), (printable(rest), "dim"))
    return text if summary.complete else text.append(" not complete", "yellow")


def _level(valence: float) -> int:
    place = (valence + HIGHEST) / (2 * HIGHEST) * len(LEVELS)
    return min(max(int(place), 0), len(LEVELS) - 1)
