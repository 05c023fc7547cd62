"""Numbers rounded to what they mean, for the JSON and CSV that people and spreadsheets read.

What enters: a record, or what `msgspec.to_builtins` makes of one. What leaves: plain values. The
records on the topics, Parquet files and the page keep every digit. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

DECIMALS = 3
"""Of valence and what is measured in its units, of shares, and of confidence."""
OTHER_DECIMALS: Mapping[str, int] = {"class_probabilities": 4, "latency_ms": 1}
"""By the name of the field: seven probabilities still add up to 1; a stage takes milliseconds."""


def rounded(record: Any, decimals: int = DECIMALS) -> Any:
    """Return a record as plain values, each number with at most so many decimals."""
    if isinstance(record, float):
        return round(record, decimals) + 0.0  # never -0.0
    if isinstance(record, Mapping):
        return {
            name: rounded(value, OTHER_DECIMALS.get(name, decimals))
            for name, value in record.items()
        }
    if isinstance(record, list | tuple):
        return [rounded(value, decimals) for value in record]
    if isinstance(record, msgspec.Struct):
        return rounded(msgspec.to_builtins(record), decimals)
    return record
