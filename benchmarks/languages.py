"""How many English lines are taken to be of another language, one by one.

    python benchmarks/languages.py ../shared/data/meld/meld_dev.csv \
        ../shared/data/dailydialog/validation.csv

The files are CSV with a column `Utterance` or `text`.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from streamer.speech.detection import CERTAIN, likeliest


def main(paths: list[str]) -> None:
    for path in paths:
        with Path(path).open(encoding="utf-8", newline="") as file:
            lines = [row.get("Utterance") or row.get("text") or "" for row in csv.DictReader(file)]
        shares = [likeliest(line, ("en",))[1] for line in lines]
        wrong = sum(share < CERTAIN for share in shares)
        print(f"{path}: {wrong} of {len(lines)} lines; least {min(shares):.3f}")


if __name__ == "__main__":
    main(sys.argv[1:])
