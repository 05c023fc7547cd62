from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from semi_iin.data.media import largest_face
from semi_iin.faces import Box, FaceCutter, decode_jpeg
from streamer import capture, faces
from streamer.config import Config, FacesConfig, build
from streamer.demo.synthetic import draw_face
from streamer.errors import ConfigError
from streamer.faces import FaceTracker
from streamer.records import NS_PER_S, FaceCrop, VideoFrame

BLANK = np.zeros((240, 320, 3), np.uint8)


def frames(images: Sequence[np.ndarray], rate_hz: float = 5) -> list[VideoFrame]:
    return [VideoFrame(round(n * NS_PER_S / rate_hz), image) for n, image in enumerate(images)]


def track(tracker: FaceTracker, images: Sequence[np.ndarray]) -> list[FaceCrop | None]:
    return [tracker.push(frame) for frame in frames(images)]


def opened(crop: FaceCrop) -> np.ndarray:
    """The crop as BGR."""
    image = cv2.imdecode(np.frombuffer(crop.jpeg, np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(image, np.uint8)


class Scripted:
    """A detector that returns the given boxes, call by call."""

    def __init__(self, *answers: Sequence[Box]) -> None:
        self._answers = list(answers)
        self.calls = 0

    def __call__(self, image: np.ndarray, smallest: float) -> Sequence[Box]:
        self.calls += 1
        return self._answers.pop(0) if self._answers else []


# --- the drawn face and real ones ---------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("mood", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("size", [(160, 120), (320, 240), (640, 360)])
def test_the_drawn_face_is_tracked_from_its_second_frame(
    mood: float, size: tuple[int, int]
) -> None:
    images = [draw_face(mood, n / 5, size, talking=n % 20 < 12) for n in range(40)]
    crops = track(FaceTracker(FacesConfig()), images)
    assert crops[0] is None
    assert all(crop is not None for crop in crops[1:])


def test_a_crop_is_a_square_jpeg_of_the_face_with_margin() -> None:
    config = FacesConfig(size_px=96, margin=0.25)
    crop = track(FaceTracker(config), [draw_face(0.5, 0)] * 3)[-1]
    assert crop is not None
    assert crop.jpeg[:2] == b"\xff\xd8"
    image = opened(crop)
    assert image.shape == (96, 96, 3)
    blue, _, red = image[40:60, 40:60].reshape(-1, 3).mean(axis=0)
    assert red > blue + 20  # skin, so the channels are in their order


def test_training_and_serving_cut_the_same_pixels_out_of_a_frame() -> None:
    box = (100.0, 80.0, 60.0, 60.0)
    near = (30.0, 30.0, 60.0, 60.0)  # the same box in the region around it
    served = track(tracker_with([scaled(*box)], [near]), [PAPER] * 2)[-1]
    trained = largest_face(PAPER, Scripted([(0.0, 0.0, 40.0, 40.0), box]))
    assert served is not None and trained is not None
    decoded = decode_jpeg(served.jpeg)
    assert decoded is not None and np.array_equal(decoded, trained)


def test_the_default_configuration_cuts_faces_as_training_does() -> None:
    config = FacesConfig()
    assert FaceCutter() == FaceCutter(config.size_px, config.margin, config.jpeg_quality)


@pytest.mark.slow
def test_capture_does_not_import_torch() -> None:
    code = "import sys, streamer.faces, streamer.capture; print('torch' in sys.modules)"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"


def test_the_same_frames_give_the_same_bytes() -> None:
    images = [draw_face(0.2, n / 5, talking=True) for n in range(20)]
    first = track(FaceTracker(FacesConfig()), images)
    assert first == track(FaceTracker(FacesConfig()), images)


def test_a_frame_without_a_face_has_no_crop() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3)).astype(np.uint8)
    assert track(FaceTracker(FacesConfig()), [BLANK] * 5 + [noise] * 5) == [None] * 10


def test_a_face_that_leaves_is_dropped_and_found_again() -> None:
    here = draw_face(0.0, 0)
    crops = track(FaceTracker(FacesConfig()), [here] * 5 + [BLANK] * 10 + [here] * 5)
    seen = [crop is not None for crop in crops]
    assert seen == [False] + [True] * 4 + [False] * 11 + [True] * 4


def test_the_larger_of_two_faces_is_tracked() -> None:
    image = np.full((360, 640, 3), 120, np.uint8)
    image[100:220, 20:180] = draw_face(0.0, 0, (160, 120))
    image[20:340, 240:640] = draw_face(0.0, 0, (400, 320))[:, :, ::-1]
    crop = track(FaceTracker(FacesConfig()), [image] * 3)[-1]
    assert crop is not None
    blue, _, red = opened(crop)[40:60, 40:60].reshape(-1, 3).mean(axis=0)
    assert blue > red + 20  # the large one is the one with the blue skin


def test_the_face_at_a_place_in_percent_is_tracked() -> None:
    face = draw_face(0.0, 0, (160, 120))
    image = np.concatenate([face, face[:, :, ::-1]], axis=1)
    crop = track(FaceTracker(FacesConfig(), place="75x45x20"), [image] * 3)[-1]
    assert crop is not None
    blue, _, red = opened(crop)[40:60, 40:60].reshape(-1, 3).mean(axis=0)
    assert blue > red + 20  # the right one has the blue skin


def test_faces_below_the_smallest_size_are_ignored() -> None:
    image = np.full((480, 640, 3), 120, np.uint8)
    image[200:280, 300:407] = draw_face(0.0, 0, (107, 80))  # a face of about 45 pixels
    assert track(FaceTracker(FacesConfig(min_face_share=0.08)), [image] * 8)[-1] is not None
    assert track(FaceTracker(FacesConfig(min_face_share=0.3)), [image] * 8)[-1] is None


@pytest.mark.slow
def test_real_talking_heads_are_tracked(shared_data: Path) -> None:
    import threading

    for name, share in (("16.mp4", 0.9), ("20.mp4", 0.6), ("WDA_KatieHill_000.mp4", 0.9)):
        spec = capture.ParticipantSpec("ana", (str(shared_data / "clips" / name),))
        tracker = FaceTracker(FacesConfig())
        chunks = capture.read(spec, Config(), threading.Event(), 5, modalities={"vision"})
        crops = [tracker.push(chunk) for chunk in chunks if isinstance(chunk, VideoFrame)]
        assert sum(crop is not None for crop in crops) >= share * len(crops), name


# --- policy, with a scripted detector -----------------------------------------------------------

PAPER = np.random.default_rng(7).integers(0, 255, (240, 320, 3)).astype(np.uint8)
"""A frame of noise, in which every patch is unique."""


def tracker_with(*answers: Sequence[Box], **settings: Any) -> FaceTracker:
    return FaceTracker(FacesConfig(min_face_share=0.12, **settings), Scripted(*answers))


def scaled(*box: float, smallest: float = 0.12 * 240) -> Box:
    """A box in frame pixels, scaled as a full search passes it to the detector."""
    scale = min(1.0, faces.SEARCH_FACE_PX / smallest)
    left, top, width, height = (value * scale for value in box)
    return left, top, width, height


def test_a_face_detected_once_is_not_used() -> None:
    tracker = tracker_with([scaled(100, 80, 60, 60)])
    assert track(tracker, [PAPER] * 4) == [None] * 4


def test_a_face_that_the_detector_misses_is_tracked_by_template_matching() -> None:
    known = scaled(100, 80, 60, 60)
    near = (30.0, 30.0, 60.0, 60.0)  # in the region around it, which is one and a half faces away
    tracker = tracker_with([known], [near], [near])
    crops = track(tracker, [PAPER] * 10)
    seen = [crop is not None for crop in crops]
    assert seen == [False, True, True, True, True, True, True, True, False, False]


def test_a_known_face_is_searched_for_in_every_second_frame_and_matched_in_between() -> None:
    """Five frames a second; the second and the fourth frame are searched near the known face.

    frame    0      1      2        3      4
             full   near   matched  near   matched, 12 px further to the right
    """
    known, near = scaled(100, 80, 60, 60), (30.0, 30.0, 60.0, 60.0)
    detector = Scripted([known], [near], [near])
    tracker = FaceTracker(FacesConfig(min_face_share=0.12), detector)
    crops = track(tracker, [PAPER] * 4)
    assert detector.calls == 3
    moved = np.roll(PAPER, 12, axis=1)
    [crop] = [tracker.push(VideoFrame(4 * NS_PER_S // 5, moved))]
    assert detector.calls == 3
    assert crops[-1] is not None and crop is not None
    difference = opened(crop).astype(int) - opened(crops[-1]).astype(int)
    assert np.abs(difference).mean() < 6


def test_a_template_that_matches_nothing_drops_the_face() -> None:
    known, near = scaled(100, 80, 60, 60), (30.0, 30.0, 60.0, 60.0)
    tracker = tracker_with([known], [near])
    crops = track(tracker, [PAPER] * 3 + [BLANK] * 3)
    assert [crop is not None for crop in crops] == [False, True, True, False, False, False]


def test_a_face_is_tracked_at_a_low_frame_rate() -> None:
    tracker = FaceTracker(FacesConfig())
    pushed = [tracker.push(frame) for frame in frames([draw_face(0.0, 0)] * 5, rate_hz=0.5)]
    assert [crop is not None for crop in pushed] == [False, True, True, True, True]


def test_a_new_frame_size_restarts_tracking() -> None:
    images = [draw_face(0, 0)] * 3 + [draw_face(0, 0, (640, 480))] * 3
    crops = track(FaceTracker(FacesConfig()), images)
    assert [crop is not None for crop in crops] == [False, True, True, False, True, True]


def test_a_face_at_the_edge_has_a_square_crop() -> None:
    images = [draw_face(0.0, 0, (160, 120))] * 3
    crop = track(FaceTracker(FacesConfig(margin=1.0)), images)[-1]
    assert crop is not None
    assert opened(crop).shape == (112, 112, 3)


@pytest.mark.parametrize("shape", [(1, 1), (10, 400), (400, 10), (23, 23)])
def test_tiny_frames_have_no_face(shape: tuple[int, ...]) -> None:
    assert track(FaceTracker(FacesConfig()), [np.zeros((*shape, 3), np.uint8)] * 3) == [None] * 3


# --- YuNet --------------------------------------------------------------------------------------


def write_brightness_detector(path: Path) -> Path:
    """Write a network with YuNet's outputs that detects bright squares of 8, 16 or 32 pixels."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    nodes, outputs, weights = [], [], []
    for stride in (8, 16, 32):
        for name, channels, value in (
            ("cls", 1, 1.0),
            ("obj", 1, 1.0),
            ("bbox", 4, 0.0),
            ("kps", 10, 0.0),
        ):
            kernel = np.full((channels, 3, stride, stride), value / (3 * 255 * stride**2))
            label = f"{name}_{stride}"
            weights.append(numpy_helper.from_array(kernel.astype(np.float32), f"{label}_w"))
            centre = np.array([0.5, 0.5, 0, 0] if name == "bbox" else [0.0] * channels, np.float32)
            weights.append(numpy_helper.from_array(centre, f"{label}_b"))
            shape = np.array([1, -1, channels], np.int64)
            weights.append(numpy_helper.from_array(shape, f"{label}_s"))
            nodes.append(
                helper.make_node(
                    "Conv", ["input", f"{label}_w", f"{label}_b"], [f"{label}_c"],
                    kernel_shape=[stride, stride], strides=[stride, stride],
                )
            )  # fmt: skip
            nodes.append(
                helper.make_node("Transpose", [f"{label}_c"], [f"{label}_t"], perm=[0, 2, 3, 1])
            )
            nodes.append(helper.make_node("Reshape", [f"{label}_t", f"{label}_s"], [label]))
            outputs.append(
                helper.make_tensor_value_info(label, TensorProto.FLOAT, [1, "n", channels])
            )
    entry = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 640, 640])
    graph = helper.make_graph(nodes, "bright", [entry], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=7)
    onnx.save(model, str(path))
    return path


def test_yunet_is_used_when_a_model_is_configured(tmp_path: Path) -> None:
    model = write_brightness_detector(tmp_path / "yunet.onnx")
    image = np.zeros((96, 128, 3), np.uint8)
    image[32:64, 64:96] = 255
    boxes = faces.yunet(str(model))(image, 20)
    assert [tuple(round(value) for value in box) for box in boxes] == [(64, 32, 32, 32)]
    config = build({"faces": {"yunet_model": str(model), "min_face_share": 0.25}}).faces
    white = np.full((96, 128, 3), 255, np.uint8)
    assert track(FaceTracker(config), [white] * 2)[1] is not None
    assert track(FaceTracker(FacesConfig()), [white] * 2)[1] is None


@pytest.mark.parametrize(("content", "message"), [(None, "no YuNet model"), (b"x", "not a YuNet")])
def test_an_unusable_yunet_model_is_an_error_in_one_sentence(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        FaceTracker(FacesConfig(yunet_model=str(path)))


# --- the drawing itself -------------------------------------------------------------------------


def test_the_drawn_face_depends_only_on_its_arguments() -> None:
    assert np.array_equal(draw_face(0.3, 1.5, talking=True), draw_face(0.3, 1.5, talking=True))


def test_the_mouth_moves_only_while_talking() -> None:
    def mouth(t: float, talking: bool) -> np.ndarray:
        return draw_face(0.0, t, talking=talking).astype(int)

    moved = [np.abs(mouth(t, True) - mouth(t, False)).max() for t in np.arange(0, 2, 0.1)]
    assert max(moved) > 40
    assert np.array_equal(mouth(0.0, True), mouth(0.0, False))


def test_moods_differ_only_inside_the_face() -> None:
    glad, sad = draw_face(1.0, 0.0).astype(int), draw_face(-1.0, 0.0).astype(int)
    changed = np.abs(glad - sad).max(axis=2) > 10
    assert changed[60:170, 110:210].any()
    assert not changed[:, :90].any()
    assert not changed[:, 230:].any()


def test_another_face_that_stays_is_reported_once_it_is_certain() -> None:
    tracked, other = (40.0, 60.0, 70.0, 70.0), (200.0, 60.0, 60.0, 60.0)
    seconds = 3 * faces.CONFIRMED_TIMES + 1

    def detector(*boxes: Box) -> Any:
        def detect(image: np.ndarray, smallest_px: float) -> Sequence[Box]:
            height, width = image.shape[:2]
            if abs(width / height - 4 / 3) > 0.05:  # the surroundings of the tracked face
                return [(width / 4, height / 4, width / 2, height / 2)]
            return [tuple(side * width / PAPER.shape[1] for side in box) for box in boxes]

        return detect

    alone = FaceTracker(FacesConfig(), detector(tracked))
    track(alone, [PAPER] * 5 * seconds)
    assert not alone.several
    together = FaceTracker(FacesConfig(), detector(tracked, other))
    track(together, [PAPER] * 5 * 3)
    assert not together.several
    track_from(together, 3, seconds)
    assert together.several


def test_a_face_among_several_is_never_swapped_for_another() -> None:
    """When it leaves there is no face; when it is back, it is followed again."""
    both = np.full((240, 640, 3), 120, np.uint8)
    both[:, :320] = draw_face(0.0, 0)
    both[40:220, 380:620] = draw_face(0.0, 0, (240, 180))
    alone = both.copy()
    alone[:, :320] = 120
    seconds = 3 * faces.CONFIRMED_TIMES + 3
    images = [both] * seconds + [alone] * 10 + [both] * 3
    tracker = FaceTracker(FacesConfig())
    seen = [tracker.push(frame) is not None for frame in frames(images, rate_hz=1)]
    assert tracker.several
    assert seen[1:seconds].count(False) <= 1  # one is found anew once they are certain
    assert seen[seconds:] == [False] * 11 + [True] * 2


def track_from(tracker: FaceTracker, first_s: int, end_s: int) -> None:
    for n in range(first_s * 5, end_s * 5):
        tracker.push(VideoFrame(n * NS_PER_S // 5, PAPER))
