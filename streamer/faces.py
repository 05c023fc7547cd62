"""VideoFrame → FaceCrop: the largest steady face, tracked and cropped with margin.

What enters: upright RGB frames in order of event time. What leaves: one JPEG per frame that shows
the tracked face, else None. The same frames give the same bytes. Nothing here knows who a face
belongs to, nor windows, nor models of expression.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.config import FacesConfig
from streamer.errors import ConfigError
from streamer.records import NS_PER_MS, NS_PER_S, FaceCrop, VideoFrame

Box = tuple[float, float, float, float]
"""Left, top, width, height in pixels of the picture at hand."""
Detector = Callable[[NDArray[np.uint8], float], Sequence[Box]]
"""(RGB picture, smallest face in pixels) → the faces in it."""

CASCADE = "haarcascade_frontalface_default.xml"
CASCADE_BASE_PX = 24
"""The face that the cascade was trained on; smaller ones are not found."""
SEARCH_FACE_PX = 28
"""The picture is scaled so that the smallest face looked for has this size."""
QUICK_FACE_SHARE = 0.2
"""While there is no face, faces of this share of the picture's short side are looked for in every
frame, and those of `min_face_share` at every full search."""
TRACK_FACE_PX = 72
"""Near a known face the picture is scaled so that the face has this size."""
FULL_SEARCH_EVERY_NS = NS_PER_S
"""How often the whole picture is searched for a larger face, or a small one where there is none."""
HOLD_NS = 800 * NS_PER_MS
"""How long a face that the detector misses is followed by its looks alone, and how long a first
sighting waits for the second; at low rates two frames instead."""
LONGEST_INTERVAL_NS = 5 * NS_PER_S
TAKEOVER_RATIO = 1.3
"""Another face takes over when it is this much larger, as often as it takes to be confirmed."""
SAME_FACE_OVERLAP = 0.3
LOOKS_ALIKE = 0.6
SMOOTHING = 0.5
"""Weight of a new sighting in the tracked box, so that crops do not shake."""

cv2.setNumThreads(1)


@dataclass(slots=True)
class _Face:
    box: Box
    seen_ns: int
    sightings: int = 1


class FaceTracker:
    """Follows the largest face that stays; call `push` with every frame.

    A face counts from its second sighting. While it is followed only its surroundings are
    searched, with a look at the whole picture every second; a larger face must be seen twice to
    take over. Where the detector misses the face for a moment, it is followed by its looks.
    """

    def __init__(self, config: FacesConfig, detector: Detector | None = None) -> None:
        """Load the detector: YuNet when `config.yunet_model` is set, else OpenCV's cascade.

        Raises:
            ConfigError: the model cannot be loaded.
        """
        self._config = config
        self._detect = detector or (yunet(config.yunet_model) if config.yunet_model else cascade())
        self._face: _Face | None = None
        self._rival: _Face | None = None
        self._patch: NDArray[np.uint8] | None = None
        self._searched_ns = -FULL_SEARCH_EVERY_NS
        self._shape: tuple[int, ...] = ()
        self._last_ns = 0

    def push(self, frame: VideoFrame) -> FaceCrop | None:
        """The face in `frame`, or None when no steady face is seen."""
        if frame.image.shape != self._shape:
            self._forget()
            self._shape = frame.image.shape
        self._follow(frame)
        face = self._face
        if face is None or face.sightings < 2:
            return None
        return FaceCrop(frame.event_time_ns, self._crop(frame.image, face.box))

    def _forget(self) -> None:
        self._face = self._rival = self._patch = None
        self._searched_ns = -FULL_SEARCH_EVERY_NS

    def _follow(self, frame: VideoFrame) -> None:
        now_ns, image = frame.event_time_ns, frame.image
        face = self._face
        interval_ns = min(now_ns - self._last_ns, LONGEST_INTERVAL_NS)
        oldest_ns = now_ns - max(HOLD_NS, 2 * interval_ns)
        self._last_ns = now_ns
        if face is not None and face.seen_ns < oldest_ns:
            self._face = face = None
        if self._rival is not None and self._rival.seen_ns < oldest_ns:
            self._rival = None
        found = self._look(image, now_ns)
        if face is not None:
            self._update(face, found, image, now_ns)
        self._challenge(found, now_ns)
        if self._face is not None and self._face.seen_ns == now_ns:
            self._patch = _patch(image, self._face.box)

    def _look(self, image: NDArray[np.uint8], now_ns: int) -> list[Box]:
        """Faces where it is worth while to look: near known ones, now and then everywhere."""
        found: list[Box] = []
        for known in (self._face, self._rival):
            if known is not None:
                found += self._search_near(image, known.box)
        short = min(image.shape[:2])
        smallest = self._config.min_face_share * short
        if self._face is not None:
            smallest = max(smallest, math.sqrt(TAKEOVER_RATIO * _area(self._face.box)))
        if now_ns - self._searched_ns >= FULL_SEARCH_EVERY_NS:
            self._searched_ns = now_ns
            found += self._search(image, smallest)
        elif self._face is None and self._rival is None:
            found += self._search(image, max(smallest, QUICK_FACE_SHARE * short))
        return found

    def _update(self, face: _Face, found: list[Box], image: NDArray[np.uint8], now_ns: int) -> None:
        same = [box for box in found if _overlap(box, face.box) > SAME_FACE_OVERLAP]
        if same:
            nearest = max(same, key=lambda box: _overlap(box, face.box))
            face.box = _blend(face.box, nearest)
            face.seen_ns = now_ns
            face.sightings += 1
        elif self._patch is not None and face.sightings >= 2:
            moved = _find_patch(image, face.box, self._patch)
            if moved is None:
                self._face = None
            else:
                face.box = moved
        else:
            self._face = None

    def _challenge(self, found: list[Box], now_ns: int) -> None:
        """Let a new face in when there is none, or when a larger one has been seen twice."""
        face = self._face
        others = [b for b in found if face is None or _overlap(b, face.box) <= SAME_FACE_OVERLAP]
        largest = max(others, key=_area, default=None)
        if largest is None:
            return
        if face is not None and _area(largest) < TAKEOVER_RATIO * _area(face.box):
            self._rival = None
            return
        rival = self._rival
        if rival is not None and _overlap(rival.box, largest) > SAME_FACE_OVERLAP:
            rival.box, rival.seen_ns = largest, now_ns
            rival.sightings += 1
        else:
            rival = self._rival = _Face(largest, now_ns)
        if rival.sightings >= 2:
            self._face, self._rival = rival, None

    def _search(self, image: NDArray[np.uint8], smallest: float) -> list[Box]:
        """Faces of at least `smallest` pixels anywhere in the picture."""
        scale = min(1.0, SEARCH_FACE_PX / smallest)
        return self._detected(image, (0, 0), scale, smallest)

    def _search_near(self, image: NDArray[np.uint8], box: Box) -> list[Box]:
        """Faces around a known one, at a scale that suits it."""
        left, top, width, height = box
        x0, y0 = max(0, int(left - width / 2)), max(0, int(top - height / 2))
        x1, y1 = int(left + 1.5 * width) + 1, int(top + 1.5 * height) + 1
        scale = min(1.0, TRACK_FACE_PX / width)
        return self._detected(image[y0:y1, x0:x1], (x0, y0), scale, width * 0.7)

    def _detected(
        self, image: NDArray[np.uint8], corner: tuple[int, int], scale: float, smallest: float
    ) -> list[Box]:
        if min(image.shape[:2]) * scale < CASCADE_BASE_PX:
            return []
        if scale < 1:
            size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
            image = _uint8(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
        boxes = self._detect(image, smallest * scale)
        return [
            (x / scale + corner[0], y / scale + corner[1], w / scale, h / scale)
            for x, y, w, h in sorted(boxes)
        ]

    def _crop(self, image: NDArray[np.uint8], box: Box) -> bytes:
        """A square around the face, `size_px` wide, as JPEG; the picture's edge is drawn out."""
        left, top, width, height = box
        side = max(2, round(max(width, height) * (1 + 2 * self._config.margin)))
        x0, y0 = round(left + width / 2 - side / 2), round(top + height / 2 - side / 2)
        rows, columns = image.shape[:2]
        inside = image[max(0, y0) : max(0, y0 + side), max(0, x0) : max(0, x0 + side)]
        square = cv2.copyMakeBorder(
            inside,
            max(0, -y0),
            max(0, y0 + side - rows),
            max(0, -x0),
            max(0, x0 + side - columns),
            cv2.BORDER_REPLICATE,
        )
        size = self._config.size_px
        shrinking = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
        crop = cv2.resize(square, (size, size), interpolation=shrinking)
        quality = [cv2.IMWRITE_JPEG_QUALITY, self._config.jpeg_quality]
        _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), quality)
        return bytes(jpeg)


# --- detectors ----------------------------------------------------------------------------------


def cascade() -> Detector:
    """OpenCV's bundled frontal-face cascade."""
    classifier = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / CASCADE))

    def detect(image: NDArray[np.uint8], smallest: float) -> list[Box]:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        grey = cv2.equalizeHist(grey)
        least = max(CASCADE_BASE_PX, int(smallest))
        found = classifier.detectMultiScale(
            grey, scaleFactor=1.2, minNeighbors=5, minSize=(least, least)
        )
        return [(float(x), float(y), float(w), float(h)) for x, y, w, h in found]

    return detect


def yunet(model: str) -> Detector:
    """The YuNet network (Wu et al., 2023) from an ONNX file.

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

    def detect(image: NDArray[np.uint8], smallest: float) -> list[Box]:
        network.setInputSize((image.shape[1], image.shape[0]))
        _, found = network.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        rows = [] if found is None else found
        boxes = [(float(r[0]), float(r[1]), float(r[2]), float(r[3])) for r in rows]
        return [box for box in boxes if min(box[2], box[3]) >= smallest]

    return detect


# --- boxes --------------------------------------------------------------------------------------


def _area(box: Box) -> float:
    return box[2] * box[3]


def _overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return common / (_area(a) + _area(b) - common)


def _blend(old: Box, new: Box) -> Box:
    x, y, w, h = (o + SMOOTHING * (n - o) for o, n in zip(old, new, strict=True))
    return x, y, w, h


def _patch(image: NDArray[np.uint8], box: Box) -> NDArray[np.uint8] | None:
    """The looks of a face: grey, TRACK_FACE_PX wide; None when it lies over the edge."""
    return _grey_around(image, box, 1.0)


def _grey_around(image: NDArray[np.uint8], box: Box, reach: float) -> NDArray[np.uint8] | None:
    left, top, width, height = box
    extra_x, extra_y = width * (reach - 1) / 2, height * (reach - 1) / 2
    x0, y0 = round(left - extra_x), round(top - extra_y)
    x1, y1 = round(left + width + extra_x), round(top + height + extra_y)
    if x0 < 0 or y0 < 0 or x1 > image.shape[1] or y1 > image.shape[0]:
        return None
    side = round(TRACK_FACE_PX * reach)
    scaled = cv2.resize(image[y0:y1, x0:x1], (side, side), interpolation=cv2.INTER_AREA)
    return _uint8(cv2.cvtColor(scaled, cv2.COLOR_RGB2GRAY))


def _find_patch(image: NDArray[np.uint8], box: Box, patch: NDArray[np.uint8]) -> Box | None:
    """Where in the surroundings of `box` the face looks as it did; None when nowhere."""
    reach = 1.5
    around = _grey_around(image, box, reach)
    if around is None:
        return None
    scores = cv2.matchTemplate(around, patch, cv2.TM_CCOEFF_NORMED)
    _, best, _, (x, y) = cv2.minMaxLoc(scores)
    if not best >= LOOKS_ALIKE:
        return None
    left, top, width, height = box
    scale_x, scale_y = width / TRACK_FACE_PX, height / TRACK_FACE_PX
    return (
        left - width * (reach - 1) / 2 + x * scale_x,
        top - height * (reach - 1) / 2 + y * scale_y,
        width,
        height,
    )


def _uint8(image: Any) -> NDArray[np.uint8]:
    return np.asarray(image, np.uint8)
