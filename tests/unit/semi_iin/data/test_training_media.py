"""Audio and faces of media files."""

from pathlib import Path

import numpy as np
import pytest

from semi_iin.data.media import Media, largest_face, read_audio, read_faces
from semi_iin.errors import SemiIINError
from tests.unit.semi_iin.generated import tone_file, write_text


def test_audio_is_resampled_to_16_khz_mono(tmp_path: Path) -> None:
    audio = read_audio(Media(tone_file(tmp_path / "a.wav", 1.0, rate=44_100)))
    assert audio is not None and audio.dtype == np.float32
    assert len(audio) == pytest.approx(16_000, abs=200)
    spectrum = np.abs(np.fft.rfft(audio))
    assert spectrum.argmax() / len(audio) * 16_000 == pytest.approx(440, abs=3)


def test_an_error_names_a_file_that_is_no_media(tmp_path: Path) -> None:
    path = write_text(tmp_path / "x.wav", "no audio here")
    with pytest.raises(SemiIINError, match=r"x\.wav cannot be opened"):
        read_audio(Media(path))


def test_a_frame_without_a_face_has_no_crop() -> None:
    assert largest_face(np.zeros((120, 160, 3), dtype=np.uint8)) is None


def test_faces_of_a_real_clip_are_cut_at_the_requested_rate(shared_data: Path) -> None:
    media = Media(shared_data / "clips" / "15.mp4", 0.0, 2.0)
    crops = read_faces(media, rate_hz=5)
    assert 6 <= len(crops) <= 10
    assert all(crop.shape[2] == 3 and crop.shape[0] > 80 for crop in crops)
