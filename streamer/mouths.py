"""Video frames → all faces in them, with the movement of each one's mouth.

Input: upright RGB frames in event-time order. Output: at the end, each face's place in the image,
and how much its mouth moved from frame to frame. This module does not depend on sound or speakers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from semi_iin.faces import Box, Detector
from streamer.config import FacesConfig
from streamer.faces import chosen_detector, faces_in
from streamer.followed_face import PLACE_WIDTHS, exact_place, within
from streamer.records import NS_PER_MS, NS_PER_S, VideoFrame

SEARCH_EVERY_NS = NS_PER_S
"""How often faces are searched; between two searches that find one, it is where it was."""
LONGEST_STEP_NS = 500 * NS_PER_MS
"""Frames further apart tell nothing of a movement."""
SIDE_PX = 64
"""A face is scaled to this side."""
EYES, MOUTH = (slice(8, 34), slice(8, 56)), (slice(42, 62), slice(16, 48))
"""Rows and columns of a scaled face. The part around the eyes tells how the head moves."""
FURTHEST_PX = 4.0
"""Larger movements of the head are not followed."""
FOLLOWED = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 1e-3)
"""When the search for the movement of a head ends."""
FLOOR = 1.0
"""Grey levels of noise."""

Grey = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class WatchedFace:
    """A face that stayed at a place.

    Attributes:
        place: as it is typed behind a source, without `#face:`.
        times_ns: when its mouth was measured, (n,).
        movement: of its mouth since the frame before, against that of the rest of the face: the
            logarithm of their ratio, (n,).
    """

    place: str
    times_ns: NDArray[np.int64]
    movement: NDArray[np.float64]


@dataclass(slots=True)
class _Face:
    """A face that is being watched: what was measured, and what the next search must confirm."""

    place: Box
    box: Box
    in_view: bool = True
    measured: list[tuple[int, float]] = field(default_factory=list)
    pending: list[tuple[int, float]] = field(default_factory=list)


class MouthWatch:
    """Watches all faces; push every frame.

    What is measured counts only where a face was found at its place before and after it. Whoever
    is at a place within a face's width of another counts as the same face, as when it is followed.
    """

    def __init__(self, config: FacesConfig, detector: Detector | None = None) -> None:
        """Load the detector of the settings, unless one is given.

        Raises:
            ConfigError: the model cannot be loaded.
        """
        self._smallest_share = config.min_face_share
        self._detect = detector or chosen_detector(config)
        self._faces: list[_Face] = []
        self._before: tuple[int, Grey] | None = None
        self._searched_ns = -SEARCH_EVERY_NS
        self._shapes: set[tuple[int, ...]] = set()

    def push(self, frame: VideoFrame) -> None:
        """Measure all mouths in the next frame."""
        self._shapes.add(frame.image.shape)
        if len(self._shapes) > 1:
            return
        now_ns, grey = frame.event_time_ns, _grey(frame.image)
        if self._before is not None and now_ns - self._before[0] <= LONGEST_STEP_NS:
            self._measure(self._before[1], grey, now_ns)
        self._before = now_ns, grey
        if now_ns - self._searched_ns >= SEARCH_EVERY_NS:
            self._searched_ns = now_ns
            smallest_px = self._smallest_share * min(grey.shape)
            self._match(faces_in(frame.image, smallest_px, self._detect))

    def faces(self) -> list[WatchedFace]:
        """Return the faces; none in images of several sizes, where a place means nothing."""
        if len(self._shapes) != 1:
            return []
        height, width, *_ = next(iter(self._shapes))
        return [
            WatchedFace(
                exact_place(face.place, width, height),
                np.array([time_ns for time_ns, _ in face.measured], np.int64),
                np.array([moved for _, moved in face.measured], np.float64),
            )
            for face in self._faces
            if face.measured
        ]

    def _measure(self, before: Grey, now: Grey, now_ns: int) -> None:
        for face in self._faces:
            if face.in_view and (moved := movement(before, now, face.box)) is not None:
                face.pending.append((now_ns, moved))

    def _match(self, boxes: list[Box]) -> None:
        """Find each face again at its place, or not; what is nobody's yet is a new face."""
        new = list(boxes)
        for face in self._faces:
            here = [box for box in boxes if within(face.place, box, PLACE_WIDTHS)]
            if face.in_view and len(here) == 1:
                face.measured += face.pending
            face.pending = []
            face.in_view = len(here) == 1
            if face.in_view:
                face.box = here[0]
            new = [box for box in new if box not in here]
        self._faces += [_Face(box, box) for box in new]


def movement(before: Grey, now: Grey, box: Box) -> float | None:
    """Return how much a mouth moved between two frames, against the rest of its face.

    That is a logarithm: 0 where both moved as much. None where the box crosses the image's edge.
    """
    faces = [_scaled(image, box) for image in (before, now)]
    if faces[0] is None or faces[1] is None:
        return None
    first, second = faces[0], _moved_back(faces[0], faces[1])
    difference = np.abs(first - second)
    return math.log((difference[MOUTH].mean() + FLOOR) / (difference[EYES].mean() + FLOOR))


def _moved_back(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the second face moved to where the head of the first one is."""
    moved = np.eye(2, 3, dtype=np.float32)
    try:
        cv2.findTransformECC(first[EYES], second[EYES], moved, cv2.MOTION_TRANSLATION, FOLLOWED)
    except cv2.error:  # nothing to follow
        return second
    if not np.abs(moved[:, 2]).max() <= FURTHEST_PX:
        return second
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size, edge = (SIDE_PX, SIDE_PX), cv2.BORDER_REPLICATE
    return np.asarray(cv2.warpAffine(second, moved, size, flags=how, borderMode=edge), np.float32)


def _scaled(image: Grey, box: Box) -> NDArray[np.float32] | None:
    x0, y0 = round(box[0]), round(box[1])
    x1, y1 = round(box[0] + box[2]), round(box[1] + box[3])
    if x0 < 0 or y0 < 0 or x1 > image.shape[1] or y1 > image.shape[0] or min(x1 - x0, y1 - y0) < 2:
        return None
    face = cv2.resize(image[y0:y1, x0:x1], (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(face, np.float32)


def _grey(image: NDArray[np.uint8]) -> Grey:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
