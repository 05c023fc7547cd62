"""Frames → faces with the movement of their mouths."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from semi_iin.faces import Box
from streamer.config import FacesConfig
from streamer.mouths import LONGEST_STEP_NS, MouthWatch, movement
from streamer.records import NS_PER_S, VideoFrame

RATE_HZ = 5
LEFT, RIGHT = (40.0, 40.0, 64.0, 64.0), (200.0, 40.0, 64.0, 64.0)


def picture(left: float = 0.0, right: float = 0.0, shift: int = 0) -> NDArray[np.uint8]:
    """Two faces, 320 x 160, whose mouths are open so far; both heads moved to the right."""
    noise = np.random.default_rng(0).integers(60, 200, (160, 320)).astype(np.uint8)
    image = np.asarray(cv2.GaussianBlur(noise, (0, 0), 2), np.uint8)
    for (x, y, _, _), opened in ((LEFT, left), (RIGHT, right)):
        middle = round(x + 32), round(y + 52)
        cv2.ellipse(image, middle, (12, 1 + round(7 * opened)), 0, 0, 360, 10, -1)
    return np.roll(image, shift, axis=1)


class Found:
    """A detector that finds the given boxes, search by search."""

    def __init__(self, *searches: list[Box]) -> None:
        self._searches = list(searches)

    def __call__(self, image: NDArray[np.uint8], smallest_px: float) -> list[Box]:
        height = image.shape[0]
        return [
            (x * height / 160, y * height / 160, w * height / 160, h * height / 160)
            for x, y, w, h in self._searches.pop(0)
        ]


def watched(detector: Found, images: list[NDArray[np.uint8]], step_ns: int = 0) -> MouthWatch:
    watch = MouthWatch(FacesConfig(), detector)
    for number, image in enumerate(images):
        time_ns = number * (step_ns or NS_PER_S // RATE_HZ)
        watch.push(VideoFrame(time_ns, np.repeat(image[:, :, None], 3, axis=2)))
    return watch


def test_a_mouth_that_opens_moves_more_than_its_face() -> None:
    assert movement(picture(), picture(left=1), LEFT) > 1  # type: ignore[operator]
    assert movement(picture(), picture(left=1), RIGHT) == 0


def test_a_head_that_turns_is_no_moving_mouth() -> None:
    moved = movement(picture(), picture(shift=2), LEFT)
    assert moved is not None and abs(moved) < 0.5


def test_a_face_at_the_images_edge_has_no_movement() -> None:
    assert movement(picture(), picture(), (-3.0, 40.0, 64.0, 64.0)) is None


def test_each_face_has_its_place_and_its_own_movement() -> None:
    images = [picture(left=n % 2) for n in range(2 * RATE_HZ + 1)]
    left, right = watched(Found(*[[LEFT, RIGHT]] * 3), images).faces()
    assert (left.place, right.place) == ("22x45x20", "72x45x20")
    assert len(left.times_ns) == len(right.times_ns) == 2 * RATE_HZ
    assert left.movement.min() > 1 and not right.movement.any()


def test_only_what_lies_between_two_detections_counts() -> None:
    images = [picture()] * (3 * RATE_HZ + 1)
    left, right = watched(
        Found([LEFT, RIGHT], [LEFT], [LEFT, RIGHT], [LEFT, RIGHT]), images
    ).faces()
    assert len(left.times_ns) == 3 * RATE_HZ
    assert right.times_ns.min() > 2 * NS_PER_S


def test_two_faces_at_one_place_are_not_measured() -> None:
    beside = (80.0, 40.0, 64.0, 64.0)
    images = [picture()] * (2 * RATE_HZ + 1)
    assert watched(Found([LEFT], [LEFT, beside], [LEFT, beside]), images).faces() == []


def test_frames_far_apart_and_images_of_two_sizes_tell_nothing() -> None:
    every = [[LEFT]] * 9
    assert watched(Found(*every), [picture()] * 9, LONGEST_STEP_NS + 1).faces() == []
    sizes = [picture()] * (RATE_HZ + 1) + [picture()[:, :300]]
    assert watched(Found(*every), sizes).faces() == []
