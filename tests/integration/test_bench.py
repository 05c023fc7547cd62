"""`streamer bench` measures a live session with all stages."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import media
from tests.integration.replaying import streamer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_bench_prints_figures_and_advice(tmp_path: Path) -> None:
    recording = tmp_path / "ana, with a comma.mkv"
    media.write(recording, media.Audio(), media.Video())
    done = streamer(
        *("bench", str(recording), "--participants", "1", "--seconds", "1", "--warm-up", "0"),
        *("--set", 'session.modalities=["vision"]', "--set", "asr.engine=none", "--json"),
    )
    assert done.code == 0, done.errors
    (figures,) = done.records
    assert figures["participants"] == 1 and figures["expected"] >= 1
    assert set(figures["cpu_per_participant"]) == {"capture", "inference", "processing", "all"}
    assert figures["memory_mb"]["inference"] > 50
    assert figures["advice"].startswith(("This machine ", "Records of 1 participant "))
