"""Recordings that can be participants of a measurement."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.cli.capacity import with_sound_and_image
from streamer.errors import SourceError
from tests import media


def test_a_recording_needs_sound_and_image(tmp_path: Path) -> None:
    both, sound, image = (tmp_path / f"{name}.mkv" for name in ("both", "sound", "image"))
    media.write(both, media.Audio(seconds=0.5), media.Video(seconds=0.5))
    media.write(sound, media.Audio(seconds=0.5))
    media.write(image, media.Video(seconds=0.5))
    assert with_sound_and_image([both]) == [both]
    with pytest.raises(SourceError, match=r"sound\.mkv has no image"):
        with_sound_and_image([both, sound])
    with pytest.raises(SourceError, match=r"image\.mkv has no sound"):
        with_sound_and_image([image])
