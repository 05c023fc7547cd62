"""BlazeFace, a face detector: MediaPipe's network in OpenCV; and which detector is used by default.

Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs" (2019), the
short-range network. Its boxes are moved to those of OpenCV's cascade, so that the crops of both
show a face at the same size and height. Training and serving take `default_detector`.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from semi_iin import weights
from semi_iin.errors import SemiIINError
from semi_iin.faces import Box, Detector, cascade

NAME = "blazeface"
"""Of its published weights."""
INPUT_PX = 128
GRIDS = ((16, 2), (8, 6))
"""Cells along a side of each output grid, and anchors per cell: 896 anchors."""
LEAST_SCORE = 0.5
SAME_FACE_OVERLAP = 0.3
"""Boxes with a larger intersection over union show the same face."""
LEAST_SHARE = 0.12
"""Smallest face that it finds reliably, as a share of its input's side."""
CASCADE_SIDE = 1.16
CASCADE_RISE = 0.16
"""The cascade's box of the same face is larger by this factor, and its centre is higher by this
share of BlazeFace's side: medians over 129 frames of six recordings."""

Square = tuple[int, int, int]
"""Left, top and side in pixels of the frame; what lies beyond the frame is black."""


def default_detector() -> Detector:
    """Load BlazeFace where its weights are on disk, else the cascade; each thread needs its own."""
    folder = weights.find(NAME)
    if folder is None:
        return cascade()
    return BlazeFace(folder / weights.known(NAME).files[0].name)


def default_name() -> str:
    """Return which detector `default_detector` gives: `blazeface` or `cascade`."""
    return "cascade" if weights.find(NAME) is None else NAME


class BlazeFace:
    """A `Detector`. It sees a square at 128 x 128 pixels: for small faces in several squares."""

    def __init__(self, path: Path) -> None:
        """Load the network from a TFLite file; each thread needs its own.

        Raises:
            SemiIINError: there is no such file, or OpenCV cannot load it.
        """
        if not path.is_file():
            raise SemiIINError(f"there is no BlazeFace network {path}")
        try:
            self._network: Any = cv2.dnn.readNetFromTFLite(str(path))
        except cv2.error:
            raise SemiIINError(f"{path} is not a BlazeFace network that OpenCV can load") from None
        self._anchors = anchors()

    def __call__(self, image: NDArray[np.uint8], smallest_px: float) -> Sequence[Box]:
        """Return the faces of an RGB frame (H, W, 3) that are at least `smallest_px` wide."""
        boxes: list[Box] = []
        scores: list[float] = []
        for square in squares(image.shape[1], image.shape[0], smallest_px):
            for box, score in self._in_square(image, square):
                boxes.append(box)
                scores.append(score)
        best = cv2.dnn.NMSBoxes(boxes, scores, LEAST_SCORE, SAME_FACE_OVERLAP)
        faces = (as_of_cascade(boxes[index]) for index in best)
        return [face for face in faces if face[2] >= smallest_px]

    def _in_square(self, image: NDArray[np.uint8], square: Square) -> Iterator[tuple[Box, float]]:
        """The faces in a square of the frame; one that an inner edge may cut off is left out."""
        x0, y0, side = square
        self._network.setInput(
            cv2.dnn.blobFromImage(cut(image, square), 1 / 127.5, (INPUT_PX, INPUT_PX), [127.5] * 3)
        )
        logits, values = self._network.forward(("classificators", "regressors"))
        scores = 1 / (1 + np.exp(-np.clip(logits.reshape(-1), -50, 50)))
        values = values.reshape(-1, values.shape[-1]) / INPUT_PX  # (896, 16): box, then landmarks
        for index in np.flatnonzero(scores >= LEAST_SCORE):
            centre = (values[index, :2] + self._anchors[index]) * side
            width, height = (float(size) for size in values[index, 2:4] * side)
            left, top = float(centre[0]) - width / 2 + x0, float(centre[1]) - height / 2 + y0
            cut_off = (
                (x0 > 0 and left < x0)
                or (y0 > 0 and top < y0)
                or (x0 + side < image.shape[1] and left + width > x0 + side)
                or (y0 + side < image.shape[0] and top + height > y0 + side)
            )
            if not cut_off:
                yield (left, top, width, height), float(scores[index])


def anchors() -> NDArray[np.float64]:
    """The centres of the network's anchors, (896, 2), as shares of the input's side."""
    return np.array(
        [
            ((x + 0.5) / cells, (y + 0.5) / cells)
            for cells, count in GRIDS
            for y in range(cells)
            for x in range(cells)
            for _ in range(count)
        ]
    )


def squares(width: int, height: int, smallest_px: float) -> list[Square]:
    """The squares to search: the whole frame, and overlapping ones where faces may be smaller.

    The squares overlap by at least half, so that every small face lies whole in one of them.
    """
    whole = max(width, height)
    found = [(-((whole - width) // 2), -((whole - height) // 2), whole)]
    side = math.ceil(smallest_px / LEAST_SHARE)
    if side < whole:
        found += [(x, y, side) for y in _begins(height, side) for x in _begins(width, side)]
    return found


def _begins(length: int, side: int) -> list[int]:
    if length <= side:
        return [-((side - length) // 2)]
    count = math.ceil((length - side) / (side / 2)) + 1
    return [round(begin) for begin in np.linspace(0, length - side, count)]


def cut(image: NDArray[np.uint8], square: Square) -> NDArray[np.uint8]:
    """Cut a square out of an RGB frame: (side, side, 3) uint8."""
    x0, y0, side = square
    height, width = image.shape[:2]
    left, top, right, bottom = max(0, x0), max(0, y0), min(width, x0 + side), min(height, y0 + side)
    whole = np.zeros((side, side, 3), np.uint8)
    whole[top - y0 : bottom - y0, left - x0 : right - x0] = image[top:bottom, left:right]
    return whole


def as_of_cascade(box: Box) -> Box:
    """Return the box that the cascade gives for the same face."""
    left, top, width, height = box
    side = max(width, height)
    x, y = left + width / 2, top + height / 2 - CASCADE_RISE * side
    side *= CASCADE_SIDE
    return x - side / 2, y - side / 2, side, side
