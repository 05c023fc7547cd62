"""Raw clips."""

from pathlib import Path

import numpy as np
import pytest

from semi_iin.data.formats import read
from semi_iin.data.media import Media
from semi_iin.errors import SemiIINError
from tests.unit.semi_iin.generated import tone_file, write_text


def test_clips_find_their_media_by_id_or_by_video_and_time(tmp_path: Path) -> None:
    path = write_text(
        tmp_path / "labels.csv",
        "id,video_id,start,end,text,label,split\n"
        "a,talk,0.5,1.0,one,1,train\n"
        "b,talk,1.0,1.5,two,-1,train\n"
        "c,lost,0,1,three,0,train\n",
    )
    media = tmp_path / "media"
    media.mkdir()
    tone_file(media / "talk.wav", 2.0)
    tone_file(media / "b.flac", 0.25)
    cut, whole, missing = read(path, "clips", media=media)
    assert cut.audio == Media(media / "talk.wav", 0.5, 1.0)
    assert whole.audio == Media(media / "b.flac")
    assert missing.audio is None and missing.text == "three"
    audio = cut.clip().audio
    assert audio is not None and len(audio) == 8000
    assert 0.2 < np.abs(audio).max() < 0.26  # the second quarter of the rising tone
    short = whole.clip().audio
    assert short is not None and len(short) == 4000


def test_clips_without_any_media_are_refused(tmp_path: Path) -> None:
    path = write_text(tmp_path / "labels.csv", "id,text,label\na,one,1\n")
    with pytest.raises(SemiIINError, match="no media in"):
        read(path, "clips")
