"""Records on standard output: JSON and CSV, one per line."""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from streamer.plain_text import csv_cell, json_line, printable
from streamer.records import Sentiment
from streamer.rounding import rounded

CSV_COLUMNS = (
    "event_time",
    "session_id",
    "participant_id",
    "window_id",
    "valence",
    "valence_raw",
    "uncertainty",
    "label",
    "trend_per_min",
    "text",
)


def csv_line(record: Sentiment) -> str:
    """Return one line of CSV_COLUMNS, quoted where needed; empty cells mean no evidence."""
    import csv
    import io

    plain = rounded(record)
    buffer = io.StringIO()
    cells = [plain[name] for name in CSV_COLUMNS]
    csv.writer(buffer, lineterminator="").writerow(
        csv_cell(printable(cell)) if isinstance(cell, str) else cell for cell in cells
    )
    return buffer.getvalue()


def print_line(text: str) -> None:
    """Print a line on standard output and flush it."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_json(record: Any) -> None:
    """Print a record as one JSON line on standard output, its numbers rounded."""
    print_line(json_line(msgspec.json.encode(rounded(record)).decode()))
