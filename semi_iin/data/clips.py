"""Raw clips: a label CSV, with media files named after its ids or its videos."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from semi_iin.data.media import AUDIO_SUFFIXES, MEDIA_SUFFIXES, Media
from semi_iin.data.samples import Sample
from semi_iin.data.text_csv import Row, Scale, read_rows, samples_of_rows
from semi_iin.errors import SemiIINError


def read_clips(
    path: Path, *, media: str | Path | None = None, scale: Scale = "valence"
) -> list[Sample]:
    """Read a label CSV with media beside it.

    Args:
        path: the CSV, as for `read_text_csv`.
        media: the folder of the media; None = the CSV's own. A row's media is the file (of any
            depth) named after its id, which is used whole; else the file named after its video,
            from the row's start to its end. A row without a file has text alone.
        scale: as for `read_text_csv`.

    Raises:
        SemiIINError: as for `read_text_csv`, and when no row has a file.
    """
    folder = Path(media) if media is not None else path.parent
    files = {
        file.stem: file
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in MEDIA_SUFFIXES
    }
    rows = read_rows(path)
    samples = [
        _with_media(row, sample, files)
        for row, sample in zip(rows, samples_of_rows(path, rows, scale), strict=True)
    ]
    if not any(sample.audio for sample in samples):
        raise SemiIINError(f"no media in {folder} are named after an id or a video of {path}")
    return samples


def _with_media(row: Row, sample: Sample, files: Mapping[str, Path]) -> Sample:
    whole = files.get(sample.id)
    video = files.get(row.cells.get("group", ""))
    if whole is not None:
        media = Media(whole)
    elif video is not None and row.seconds("end") is not None:
        media = Media(video, row.seconds("start") or 0.0, row.seconds("end"))
    else:
        return sample
    audio_only = media.path.suffix.lower() in AUDIO_SUFFIXES
    return replace(sample, audio=media, video=None if audio_only else media)
