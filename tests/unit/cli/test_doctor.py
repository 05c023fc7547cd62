"""The doctor's finding about face detectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from semi_iin import weights
from streamer.cli.doctor import examine_faces
from streamer.config import build


@pytest.mark.parametrize(
    ("settings", "state", "found"),
    [
        ({}, "missing", "only OpenCV's cascade"),
        ({"detector": "cascade"}, "ok", "cascade"),
        ({"detector": "blazeface"}, "broken", "not on disk"),
        ({"yunet_model": "missing.onnx"}, "broken", "no YuNet model"),
    ],
)
def test_without_weights_the_face_detector_is_named_with_its_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any, state: str, found: str
) -> None:
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    finding = examine_faces(build({"faces": settings}))
    assert (finding.state, found in finding.found) == (state, True)


def test_with_weights_blazeface_is_the_detector() -> None:
    if weights.find("blazeface") is None:
        pytest.skip("no BlazeFace; run `streamer models get blazeface`")
    finding = examine_faces(build({}))
    assert (finding.state, finding.found) == ("ok", "blazeface")
