"""Tables."""

import csv
import math
from pathlib import Path

import pytest

from semi_iin.experiments.reporting import markdown, write_table


def test_tables_give_mean_and_deviation(tmp_path: Path) -> None:
    records = [{"model": "a", "mae": [0.5, 0.7]}, {"model": "b", "mae": [0.6], "note": "one seed"}]
    assert markdown(records).splitlines() == [
        "| model | mae | note |",
        "| --- | --- | --- |",
        "| a | 0.600 ± 0.141 |  |",
        "| b | 0.600 | one seed |",
    ]
    write_table(records, tmp_path / "made" / "table")
    rows = list(csv.DictReader((tmp_path / "made" / "table.csv").read_text().splitlines()))
    assert float(rows[0]["mae_sd"]) == pytest.approx(math.sqrt(0.02))
    assert (tmp_path / "made" / "table.md").read_text() == markdown(records)
