"""Video frames → crops of one face: the largest, or the one at a chosen place.

Input: upright RGB frames in event-time order. Output: for each frame a FaceCrop of the tracked
face, or None. The same frames give the same bytes. `semi_iin.faces` cuts the crops, for training
too. This module does not depend on identities, windows or emotion models.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from semi_iin import blazeface, weights
from semi_iin.errors import SemiIINError
from semi_iin.faces import CASCADE_BASE_PX, Box, Detector, FaceCutter, cascade
from streamer.config import FacesConfig
from streamer.errors import ConfigError
from streamer.followed_face import (
    CONFIRMATIONS,
    SAME_FACE_OVERLAP,
    FollowedFace,
    area,
    blend,
    box_at,
    overlap,
)
from streamer.records import NS_PER_MS, NS_PER_S, FaceCrop, VideoFrame

SEARCH_FACE_PX = 28
"""A full search scales the frame so that the smallest accepted face has this size."""
QUICK_FACE_SHARE = 0.2
"""While no face is tracked, every frame is searched for faces of at least this share of its short
side; smaller ones, down to `min_face_share`, are found only by a full search."""
TRACK_FACE_PX = 72
"""A search near a known face scales the frame so that the face has this size."""
TEMPLATE_FACE_PX = 36
"""Side of a face as it is compared with itself in the frame after."""
NEAR_SEARCH_EVERY_NS = 400 * NS_PER_MS
"""Interval at which a known face is searched for; in between its last detection is matched, for a
seventh of the CPU."""
FULL_SEARCH_EVERY_NS = NS_PER_S
"""Interval at which the whole frame is searched for a small or a larger face."""
CALM_SEARCH_EVERY_NS = 2 * NS_PER_S
"""The same while one face is known and nothing else was seen."""
HOLD_NS = 800 * NS_PER_MS
"""How long a face is kept after its last detection; at low frame rates two frames instead."""
LONGEST_INTERVAL_NS = 5 * NS_PER_S
TAKEOVER_RATIO = 1.3
"""A second face replaces the tracked one when its area is larger by this factor."""
OTHER_FACE_SHARE = 0.5
"""Another face counts when its side is at least this share of the tracked one's."""
COUNT_EVERY_NS, CONFIRMED_TIMES = 3 * NS_PER_S, 4
"""How often other faces are counted, and in how many counts in a row one must be in its place."""
TEMPLATE_MATCH_MIN = 0.6
"""Lowest normalised cross-correlation at which a template still matches."""
TEMPLATE_TRUSTED = 0.7
"""The same where the face has not been searched for."""
SMOOTHING = 0.5
"""Weight of a new detection in the tracked box; it keeps the crops from shaking."""

cv2.setNumThreads(1)


@dataclass(slots=True)
class _Track:
    """A face over time: its box, its last detection and how often it was detected."""

    box: Box
    detected_ns: int
    detections: int = 1


class _Others:
    """Faces beside the tracked one, counted every few seconds until some are certain."""

    def __init__(self) -> None:
        self.confirmed = False
        self._times = 0
        self._before: list[Box] = []
        self._counted_ns = 0

    def due(self, now_ns: int) -> bool:
        """Whether to search the whole frame for others now."""
        if self.confirmed or now_ns - self._counted_ns < COUNT_EVERY_NS:
            return False
        self._counted_ns = now_ns
        return True

    def add(self, tracked: Box, boxes: list[Box]) -> None:
        """Take the faces of a frame: others must stay where they are for CONFIRMED_TIMES."""
        others = [box for box in boxes if overlap(box, tracked) <= 0]
        stayed = any(overlap(box, old) > 0 for box in others for old in self._before)
        self._times = self._times + 1 if stayed else int(bool(others))
        self._before = others
        self.confirmed |= self._times >= CONFIRMED_TIMES


class FaceTracker:
    """Tracks the largest face that stays in view, or one by its place; push every frame.

    Without a place, a face is used from its second detection on. While a face is tracked, only its
    surroundings are searched, and the whole frame every two seconds; a larger face takes over after
    two detections. Between two searches, and where the detector misses it for a moment, a face is
    tracked by template matching.

    With a place, or once several faces are certain, all of them are tracked, and `FollowedFace`
    tells which is the chosen one, or the largest so far.
    """

    def __init__(
        self, config: FacesConfig, detector: Detector | None = None, place: str | None = None
    ) -> None:
        """Load the detector of the settings, unless one is given.

        Args:
            config: the settings.
            detector: in place of the one of the settings.
            place: of the face to follow, as of FollowedFace; None for the largest face.

        Raises:
            ConfigError: the model cannot be loaded.
        """
        self._config = config
        self._cutter = FaceCutter(config.size_px, config.margin, config.jpeg_quality)
        self._detect = detector or chosen_detector(config)
        self._face: _Track | None = None
        self._challenger: _Track | None = None
        self._detected: tuple[NDArray[np.uint8], Box] | None = None  # the last frame with the face
        self._full_search_ns = -FULL_SEARCH_EVERY_NS
        self._others = _Others()
        self._place = place
        self._followed: FollowedFace | None = None
        self._shown: Box | None = None  # the followed face in the last frame
        self._frame_shape: tuple[int, ...] = ()
        self._last_frame_ns = 0

    def push(self, frame: VideoFrame) -> FaceCrop | None:
        """Return the tracked face in `frame`, or None when no confirmed face is in view."""
        if frame.image.shape != self._frame_shape:
            self._frame_shape = frame.image.shape
            self._reset()
        if self._followed is not None:
            box = self._follow(self._followed, frame.image, frame.event_time_ns)
        else:
            box = self._track(frame.image, frame.event_time_ns)
            if box is not None and self.several:
                self._followed = FollowedFace("largest", box)
        if box is None:
            return None
        return FaceCrop(frame.event_time_ns, self._cutter.jpeg(frame.image, box))

    @property
    def several(self) -> bool:
        """Whether another face of at least half the size has stayed in view."""
        return self._others.confirmed

    @property
    def still_needed(self) -> int:
        """How many faces must be in view at once before one is chosen; 0 when it is."""
        if self._followed is None:
            return 0
        return 0 if self._followed.chosen else self._followed.needed

    def _reset(self) -> None:
        self._face = self._challenger = self._detected = self._shown = None
        self._followed = None
        if self._place is not None:
            height, width, *_ = self._frame_shape
            self._followed = FollowedFace(self._place, box_at(self._place, width, height))
        self._full_search_ns = -FULL_SEARCH_EVERY_NS

    def _follow(self, followed: FollowedFace, image: NDArray[np.uint8], now_ns: int) -> Box | None:
        """Search for all faces; return the box of the chosen one."""
        boxes = [box for known in followed.known for box in self._search_near(image, known)]
        short_side = min(image.shape[:2])
        smallest_px = self._config.min_face_share * short_side
        if now_ns - self._full_search_ns >= FULL_SEARCH_EVERY_NS:
            self._full_search_ns = now_ns
            boxes += self._search(image, smallest_px)
        elif not followed.known:
            boxes += self._search(image, max(smallest_px, QUICK_FACE_SHARE * short_side))
        box, before = followed.push(boxes, now_ns, self._oldest_ns(now_ns)), self._shown
        if box is not None and before is not None and overlap(box, before) > SAME_FACE_OVERLAP:
            box = blend(before, box, SMOOTHING)
        self._shown = box
        return box

    def _track(self, image: NDArray[np.uint8], now_ns: int) -> Box | None:
        """Track the largest face; return its box when it is confirmed."""
        self._drop_expired(now_ns)
        carried = self._carry(image, now_ns)
        boxes = self._find_faces(image, now_ns, carried)
        if self._face is not None and not carried:
            self._update_face(self._face, boxes, image, now_ns)
        self._update_challenger(boxes, now_ns)
        if self._face is not None and self._others.due(now_ns):
            side_px = OTHER_FACE_SHARE * math.sqrt(area(self._face.box))
            self._others.add(self._face.box, self._search(image, side_px))
        face = self._face
        if face is not None and face.detected_ns == now_ns:
            self._detected = image, face.box
        return None if face is None or face.detections < CONFIRMATIONS else face.box

    def _oldest_ns(self, now_ns: int) -> int:
        """The time since which a face must have been detected to be in view; once a frame."""
        interval_ns = min(now_ns - self._last_frame_ns, LONGEST_INTERVAL_NS)
        self._last_frame_ns = now_ns
        return now_ns - max(HOLD_NS, 2 * interval_ns)

    def _drop_expired(self, now_ns: int) -> None:
        oldest_ns = self._oldest_ns(now_ns)
        if self._face is not None and self._face.detected_ns < oldest_ns:
            self._face = None
        if self._challenger is not None and self._challenger.detected_ns < oldest_ns:
            self._challenger = None

    def _carry(self, image: NDArray[np.uint8], now_ns: int) -> bool:
        """Move a face that was detected just before to where its template matches, if it does."""
        face = self._face
        if (
            face is None
            or self._challenger is not None
            or face.detections < CONFIRMATIONS
            or now_ns - face.detected_ns >= NEAR_SEARCH_EVERY_NS
        ):
            return False
        moved = self._matched(image, face, TEMPLATE_TRUSTED)
        if moved is not None:
            face.box = moved
        return moved is not None

    def _matched(self, image: NDArray[np.uint8], face: _Track, least: float) -> Box | None:
        """Return where the last detection of a face matches; None where it does not."""
        template = None if self._detected is None else _grey_around(*self._detected, 1.0)
        return None if template is None else _match_template(image, face.box, template, least)

    def _find_faces(self, image: NDArray[np.uint8], now_ns: int, carried: bool) -> list[Box]:
        """Detect faces near the known ones and, when it is due, in the whole frame."""
        boxes: list[Box] = []
        for track in (None if carried else self._face, self._challenger):
            if track is not None:
                boxes += self._search_near(image, track.box)
        short_side = min(image.shape[:2])
        smallest_px = self._config.min_face_share * short_side
        if self._face is not None:
            smallest_px = max(smallest_px, math.sqrt(TAKEOVER_RATIO * area(self._face.box)))
        calm = self._face is not None and self._challenger is None
        every_ns = CALM_SEARCH_EVERY_NS if calm else FULL_SEARCH_EVERY_NS
        if now_ns - self._full_search_ns >= every_ns:
            self._full_search_ns = now_ns
            boxes += self._search(image, smallest_px)
        elif self._face is None and self._challenger is None:
            boxes += self._search(image, max(smallest_px, QUICK_FACE_SHARE * short_side))
        return boxes

    def _update_face(
        self, face: _Track, boxes: list[Box], image: NDArray[np.uint8], now_ns: int
    ) -> None:
        """Move the tracked face to its new box, or drop it when nothing matches."""
        nearest = max(boxes, key=lambda box: overlap(box, face.box), default=None)
        if nearest is not None and overlap(nearest, face.box) > SAME_FACE_OVERLAP:
            face.box = blend(face.box, nearest, SMOOTHING)
            face.detected_ns = now_ns
            face.detections += 1
            return
        moved = None
        if face.detections >= CONFIRMATIONS:
            moved = self._matched(image, face, TEMPLATE_MATCH_MIN)
        if moved is None:
            self._face = None
        else:
            face.box = moved

    def _update_challenger(self, boxes: list[Box], now_ns: int) -> None:
        """Track a new face where there is none, or a larger one until it takes over."""
        face = self._face
        others = [b for b in boxes if face is None or overlap(b, face.box) <= SAME_FACE_OVERLAP]
        largest = max(others, key=area, default=None)
        if largest is None:
            return
        if face is not None and area(largest) < TAKEOVER_RATIO * area(face.box):
            self._challenger = None
            return
        challenger = self._challenger
        if challenger is not None and overlap(challenger.box, largest) > SAME_FACE_OVERLAP:
            challenger.box, challenger.detected_ns = largest, now_ns
            challenger.detections += 1
        else:
            challenger = self._challenger = _Track(largest, now_ns)
        if challenger.detections >= CONFIRMATIONS:
            self._face, self._challenger = challenger, None

    def _search(self, image: NDArray[np.uint8], smallest_px: float) -> list[Box]:
        """Detect faces of at least `smallest_px` anywhere in the frame."""
        return faces_in(image, smallest_px, self._detect)

    def _search_near(self, image: NDArray[np.uint8], box: Box) -> list[Box]:
        """Detect faces around a known one, scaled to TRACK_FACE_PX."""
        left, top, width, height = box
        x0, y0 = max(0, int(left - width / 2)), max(0, int(top - height / 2))
        x1, y1 = int(left + 1.5 * width) + 1, int(top + 1.5 * height) + 1
        scale = min(1.0, TRACK_FACE_PX / width)
        region = image[y0:y1, x0:x1]
        return _detect_scaled(region, (x0, y0), scale, width * 0.7, self._detect)


def faces_in(image: NDArray[np.uint8], smallest_px: float, detect: Detector) -> list[Box]:
    """Return the faces of at least `smallest_px` anywhere in a frame."""
    scale = min(1.0, SEARCH_FACE_PX / smallest_px)
    return _detect_scaled(image, (0, 0), scale, smallest_px, detect)


def _detect_scaled(
    image: NDArray[np.uint8],
    corner: tuple[int, int],
    scale: float,
    smallest_px: float,
    detect: Detector,
) -> list[Box]:
    """Detect faces in a region scaled by `scale`; boxes are in pixels of the whole frame."""
    if min(image.shape[:2]) * scale < CASCADE_BASE_PX:
        return []
    if scale < 1:
        image = _shrunk(image, round(image.shape[1] * scale), round(image.shape[0] * scale))
    return [
        (x / scale + corner[0], y / scale + corner[1], w / scale, h / scale)
        for x, y, w, h in sorted(detect(image, smallest_px * scale))
    ]


def _shrunk(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Scale an image down: by a whole factor first, which is faster than by any other."""
    rows, columns, *_ = image.shape
    factor = min(columns // max(1, width), rows // max(1, height))
    if factor > 1:
        whole = image[: rows // factor * factor, : columns // factor * factor]
        size = columns // factor, rows // factor
        image = _uint8(cv2.resize(whole, size, interpolation=cv2.INTER_AREA))
    return _uint8(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR))


def chosen_detector(config: FacesConfig) -> Detector:
    """Load the detector of the settings.

    Raises:
        ConfigError: its model is not on disk or cannot be loaded.
    """
    if config.yunet_model:
        return yunet(config.yunet_model)
    if config.detector == "cascade":
        return cascade()
    if config.detector == "blazeface" and weights.find(blazeface.NAME) is None:
        raise ConfigError(
            "BlazeFace's weights are not on disk; run `streamer models get blazeface`, or set "
            "faces.detector to auto."
        )
    try:
        return blazeface.default_detector()
    except SemiIINError as error:
        raise ConfigError(f"{error}; run `streamer models verify blazeface`.") from None


def yunet(model: str) -> Detector:
    """Load the YuNet network (Wu et al., 2023) from an ONNX file.

    Raises:
        ConfigError: there is no such file, or OpenCV cannot load it.
    """
    path = Path(model).expanduser()
    if not path.is_file():
        raise ConfigError(f"There is no YuNet model {path}; set faces.yunet_model to an ONNX file.")
    try:
        network = cv2.FaceDetectorYN.create(str(path), "", (320, 320), 0.7)
    except cv2.error:
        raise ConfigError(
            f"{path} is not a YuNet model that OpenCV can load; set faces.yunet_model to another."
        ) from None

    def detect(image: NDArray[np.uint8], smallest_px: float) -> list[Box]:
        network.setInputSize((image.shape[1], image.shape[0]))
        _, detections = network.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        rows = [] if detections is None else detections
        boxes = [(float(r[0]), float(r[1]), float(r[2]), float(r[3])) for r in rows]
        return [box for box in boxes if min(box[2], box[3]) >= smallest_px]

    return detect


# --- templates ----------------------------------------------------------------------------------


def _grey_around(image: NDArray[np.uint8], box: Box, reach: float) -> NDArray[np.uint8] | None:
    """The box, enlarged by `reach`, in grey at template scale; None when it is out of view.

    Beyond the image its edge pixels are repeated.
    """
    left, top, width, height = box
    extra_x, extra_y = width * (reach - 1) / 2, height * (reach - 1) / 2
    x0, y0 = round(left - extra_x), round(top - extra_y)
    x1, y1 = round(left + width + extra_x), round(top + height + extra_y)
    rows, columns, *_ = image.shape
    inside = image[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)]
    if inside.size == 0:
        return None
    beyond = max(0, -y0), max(0, y1 - rows), max(0, -x0), max(0, x1 - columns)
    if any(beyond):
        inside = _uint8(cv2.copyMakeBorder(inside, *beyond, cv2.BORDER_REPLICATE))
    side = round(TEMPLATE_FACE_PX * reach)
    return _uint8(cv2.cvtColor(_shrunk(inside, side, side), cv2.COLOR_RGB2GRAY))


def _match_template(
    image: NDArray[np.uint8], box: Box, template: NDArray[np.uint8], least: float
) -> Box | None:
    """Find the template in the surroundings of `box`; None when it correlates by less."""
    reach = 1.5
    around = _grey_around(image, box, reach)
    if around is None:
        return None
    scores = cv2.matchTemplate(around, template, cv2.TM_CCOEFF_NORMED)
    _, best, _, (x, y) = cv2.minMaxLoc(scores)
    if not best >= least:
        return None
    left, top, width, height = box
    scale_x, scale_y = width / TEMPLATE_FACE_PX, height / TEMPLATE_FACE_PX
    return (
        left - width * (reach - 1) / 2 + x * scale_x,
        top - height * (reach - 1) / 2 + y * scale_y,
        width,
        height,
    )


def _uint8(image: Any) -> NDArray[np.uint8]:
    return np.asarray(image, np.uint8)
