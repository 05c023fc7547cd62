"""The folder that Zoom writes when each person's sound is recorded by itself.

    2026-01-05 09.00.00 Plan/
      zoom_0.mp4  audio_only.m4a       everybody
      Audio Record/
        audioAnaBerg11234567890.m4a    Ana Berg alone, from the meeting's start

What enters: a path. What leaves: a file by person. Only names of files are read.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

from streamer.media_types import MEDIA_SUFFIXES, exists

FOLDER = "Audio Record"
_CLOUD = re.compile(r"GMT(\d{8}-\d{6})_.*", re.DOTALL)
_FILE = re.compile(r"audio(?P<name>\D.*?)\d*", re.IGNORECASE)


def separate_audio(folder: Path) -> dict[str, Path]:
    """Return the file of each person by name; empty where a folder is no such one.

    Two people of one name are told apart by a number. `folder` is the meeting's, or the one in it
    that has the files.
    """
    inner = folder if folder.name == FOLDER else folder / FOLDER
    people: dict[str, Path] = {}
    if not exists(inner) or not inner.is_dir():
        return people
    for path in sorted(inner.iterdir()):
        match = _FILE.fullmatch(path.stem)
        if match is None or path.suffix.lower() not in MEDIA_SUFFIXES:
            continue
        name = person = _spaced(match["name"])
        number = 1
        while person in people:
            number += 1
            person = f"{name} {number}"
        people[person] = path
    return people


def _spaced(name: str) -> str:
    """Return a name with a space before each capital letter that follows a small one."""
    pairs = zip(name, f" {name}", strict=False)
    return " ".join(
        "".join(f" {c}" if c.isupper() and before.islower() else c for c, before in pairs)
        .replace("_", " ")
        .split()
    )


def start_of(stem: str) -> datetime | None:
    """Return when a recording of Zoom's cloud began, by its name; None of another file."""
    match = _CLOUD.fullmatch(stem)
    if match is None:
        return None
    try:
        return datetime.strptime(match[1] + "+0000", "%Y%m%d-%H%M%S%z")
    except ValueError:
        return None
