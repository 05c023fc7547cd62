"""Reporting: records of an experiment as Markdown and CSV tables, and figures on disk."""

import csv
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from semi_iin.errors import SemiIINError

Row = dict[str, Any]  # a list is a metric's values over the seeds


def markdown(records: Sequence[Row]) -> str:
    """Return a Markdown table of records; lists of values become mean ± sd."""
    columns = list(dict.fromkeys(name for record in records for name in record))
    lines = ["| " + " | ".join(columns) + " |", "| " + " | ".join("---" for _ in columns) + " |"]
    lines += [
        "| " + " | ".join(_cell(record.get(name, "")) for name in columns) + " |"
        for record in records
    ]
    return "\n".join(lines) + "\n"


def write_table(records: Sequence[Row], path: Path) -> None:
    """Write `path` with the suffix .md, and as .csv with columns for means and deviations."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".md").write_text(markdown(records), encoding="utf-8")
    flat = [dict(_flatten(record)) for record in records]
    columns = list(dict.fromkeys(name for record in flat for name in record))
    with path.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(flat)


def deviation(values: Sequence[float]) -> float:
    """Return the standard deviation of a sample; 0 of a single value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def new_figure(columns: int, rows: int = 1) -> tuple[Any, Any]:
    """Return a figure and its axes, row after row.

    Raises:
        SemiIINError: when matplotlib is not installed.
    """
    try:
        import matplotlib
    except ModuleNotFoundError:
        raise SemiIINError("plots need matplotlib: install streamer[train]") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    size = (6 * columns, 4.5 * rows)
    figure, axes = pyplot.subplots(rows, columns, figsize=size, layout="constrained")
    return figure, axes.flat


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        mean = f"{statistics.fmean(value):.3f}"
        return mean if len(value) < 2 else f"{mean} ± {deviation(value):.3f}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _flatten(record: Row) -> Iterable[tuple[str, Any]]:
    for name, value in record.items():
        if isinstance(value, list):
            yield f"{name}_mean", statistics.fmean(value)
            yield f"{name}_sd", deviation(value)
        else:
            yield name, value
