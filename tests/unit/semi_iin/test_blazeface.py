"""BlazeFace: the squares that it looks at, its boxes beside the cascade's, and the default."""

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from semi_iin import blazeface, weights
from semi_iin.blazeface import BlazeFace, as_of_cascade, cut, default_detector, squares
from semi_iin.errors import SemiIINError
from semi_iin.faces import Box, Detector, cascade
from streamer.config import FacesConfig
from streamer.demo.synthetic import draw_face
from streamer.errors import ConfigError
from streamer.faces import chosen_detector


@pytest.fixture(scope="module")
def detector() -> Detector:
    folder = weights.find(blazeface.NAME)
    if folder is None:
        pytest.skip("no BlazeFace; run `streamer models get blazeface`")
    return BlazeFace(folder / "face_detector.tflite")


def overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    common = max(width, 0.0) * max(height, 0.0)
    return common / (a[2] * a[3] + b[2] * b[3] - common)


@given(st.data())
def test_every_face_lies_whole_in_a_square_where_it_is_large_enough(data: st.DataObject) -> None:
    width, height = data.draw(st.integers(30, 900)), data.draw(st.integers(30, 900))
    smallest = data.draw(st.integers(8, min(width, height)))
    x = data.draw(st.integers(0, width - smallest))
    y = data.draw(st.integers(0, height - smallest))
    assert any(
        left <= x
        and top <= y
        and x + smallest <= left + side
        and y + smallest <= top + side
        and smallest >= 0.99 * blazeface.LEAST_SHARE * (side - 1)
        for left, top, side in squares(width, height, smallest)
    )


def test_a_square_beyond_the_frame_is_black_there() -> None:
    white = np.full((40, 60, 3), 255, np.uint8)
    square = cut(white, (0, -10, 60))
    assert square.shape == (60, 60, 3)
    assert square[10:50].min() == 255
    assert square[:10].max() == square[50:].max() == 0


def test_there_is_an_anchor_for_each_output() -> None:
    anchors = blazeface.anchors()
    assert anchors.shape == (896, 2)
    assert anchors[0].tolist() == [1 / 32, 1 / 32]
    assert anchors[-1].tolist() == [15 / 16, 15 / 16]


@pytest.mark.parametrize("size", [(160, 120), (640, 360)])
def test_the_box_is_about_the_cascade_s(detector: Detector, size: tuple[int, int]) -> None:
    image = draw_face(0.0, 0, size)
    [box] = detector(image, 30)
    assert overlap(box, max(cascade()(image, 30))) > 0.7


def test_a_small_face_in_a_large_frame_is_found_once(detector: Detector) -> None:
    image = np.full((720, 1280, 3), 120, np.uint8)
    image[400:480, 700:807] = draw_face(0.0, 0, (107, 80))
    [box] = detector(image, 30)
    assert 700 < box[0] + box[2] / 2 < 807 and 400 < box[1] + box[3] / 2 < 480
    assert detector(image, 60) == []


def test_a_frame_without_a_face_has_no_box(detector: Detector) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3)).astype(np.uint8)
    for image in (noise, np.zeros((1, 1, 3), np.uint8), np.zeros((400, 10, 3), np.uint8)):
        assert detector(image, 20) == []


def frames_of(path: Path, every: int, count: int) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        decoded = (
            frame for index, frame in enumerate(container.decode(video=0)) if not index % every
        )
        return [next(decoded).to_ndarray(format="rgb24") for _ in range(count)]


def test_real_faces_are_found_as_often_and_where_the_cascade_finds_them(
    detector: Detector, shared_data: Path
) -> None:
    old = cascade()
    both = []
    for frame in frames_of(shared_data / "clips" / "17.mp4", every=10, count=8):
        new_boxes, old_boxes = detector(frame, 60), old(frame, 60)
        assert new_boxes
        if old_boxes:
            both.append(
                overlap(max(new_boxes, key=lambda b: b[2]), max(old_boxes, key=lambda b: b[2]))
            )
    assert np.median(both) > 0.75


def test_a_box_keeps_its_middle_column() -> None:
    left, top, width, height = as_of_cascade((100.0, 100.0, 50.0, 50.0))
    assert width == height == pytest.approx(58)
    assert left + width / 2 == pytest.approx(125)
    assert top + height / 2 == pytest.approx(117)


def test_a_file_that_is_no_network_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SemiIINError, match="there is no BlazeFace network"):
        BlazeFace(tmp_path / "x.tflite")
    (tmp_path / "x.tflite").write_bytes(b"nothing of the kind")
    with pytest.raises(SemiIINError, match="not a BlazeFace network"):
        BlazeFace(tmp_path / "x.tflite")


def test_without_its_weights_the_cascade_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, detector: Detector
) -> None:
    assert isinstance(default_detector(), BlazeFace)
    assert blazeface.default_name() == "blazeface"
    assert isinstance(chosen_detector(FacesConfig(detector="blazeface")), BlazeFace)
    assert not isinstance(chosen_detector(FacesConfig(detector="cascade")), BlazeFace)
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    assert not isinstance(default_detector(), BlazeFace)
    assert blazeface.default_name() == "cascade"
    with pytest.raises(ConfigError, match="models get blazeface"):
        chosen_detector(FacesConfig(detector="blazeface"))
