"""File name suffixes of media and transcripts, in lower case.

Folders as sources, recordings and the dashboard all decide by this table whether a file is media.
"""

from __future__ import annotations

from pathlib import Path

PLAYABLE_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".mkv": "video/x-matroska",
    ".webm": "video/webm",
    ".ogv": "video/ogg",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
}
"""Suffix → MIME type of the media that are stored and served as the recording of a session."""

MEDIA_SUFFIXES = frozenset(PLAYABLE_TYPES) | frozenset(
    (
        ".3gp .aac .ac3 .aif .aiff .amr .asf .au .avi .caf .flv .m2ts .m4b .mka .mp2 .mpeg .mpg "
        ".mts .mxf .oga .ts .vob .wma .wmv"
    ).split()
)
"""The files of a folder that are read as media. A file named by itself may have any suffix."""

TRANSCRIPT_SUFFIXES = (".vtt", ".srt")
"""WebVTT and SRT; the earlier one is preferred."""

WRITTEN_SUFFIXES = (*TRANSCRIPT_SUFFIXES, ".txt", ".json", ".rttm")
"""A source named with one of these is a transcript; of the others, none is looked for."""


def playable_path(source: str) -> Path | None:
    """Return the path of a source that a browser can play, None for devices, URLs and others.

    A fragment behind the path, such as a channel, is left out.
    """
    if "://" in source:
        return None
    while Path(source).suffix.lower() not in PLAYABLE_TYPES and "#" in source:
        source = source.rpartition("#")[0]
    path = Path(source)
    return path if path.suffix.lower() in PLAYABLE_TYPES else None


def is_file(path: Path) -> bool:
    """Return whether a path is a file; one that no file system could have is none."""
    return exists(path) and path.is_file()


def exists(path: Path) -> bool:
    """Return whether a path exists; one that no file system could have does not.

    `Path.exists` raises for a name that is too long or has a null character.
    """
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
