"""Frame → face boxes → the square JPEG crops that the face encoders read.

Training and serving find and cut faces with this one module, so that an encoder sees the same
pixels in both. It does not depend on time, tracking or encoders, and it imports no torch.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]
"""Left, top, width and height of a face, in pixels of its frame."""
Detector = Callable[[NDArray[np.uint8], float], Sequence[Box]]
"""(RGB frame, smallest face in pixels) → the faces in the frame."""

CASCADE = "haarcascade_frontalface_default.xml"
CASCADE_BASE_PX = 24
"""Side of the faces that the cascade was trained on; it finds no smaller ones."""


@dataclass(frozen=True)
class FaceCutter:
    """Cuts a face out of a frame: a square with a margin, resized and compressed.

    Attributes:
        size_px: side of the crop in pixels.
        margin: added on each side of the box, as a share of its longer side; without any, the eyes
            are as far apart as in FER2013's pictures, on which the face encoder learned.
        jpeg_quality: 10 to 100.
    """

    size_px: int = 112
    margin: float = 0.0
    jpeg_quality: int = 85

    def jpeg(self, image: NDArray[np.uint8], box: Box) -> bytes:
        """Cut the face in `box` out of an RGB frame (H, W, 3) and return it as a JPEG."""
        quality = [cv2.IMWRITE_JPEG_QUALITY, self.jpeg_quality]
        crop = cv2.cvtColor(self._square(image, box), cv2.COLOR_RGB2BGR)
        _, jpeg = cv2.imencode(".jpg", crop, quality)
        return bytes(jpeg)

    def crop(self, image: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
        """Cut the face in `box` and decode its JPEG: (size_px, size_px, 3) uint8 RGB."""
        crop = decode_jpeg(self.jpeg(image, box))
        assert crop is not None
        return crop

    def _square(self, image: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
        """The square around the box; beyond the frame its edge pixels are repeated."""
        left, top, width, height = box
        side = max(2, round(max(width, height) * (1 + 2 * self.margin)))
        x0, y0 = round(left + width / 2 - side / 2), round(top + height / 2 - side / 2)
        rows, columns = image.shape[:2]
        square = cv2.copyMakeBorder(
            image[max(0, y0) : max(0, y0 + side), max(0, x0) : max(0, x0 + side)],
            max(0, -y0),
            max(0, y0 + side - rows),
            max(0, -x0),
            max(0, x0 + side - columns),
            cv2.BORDER_REPLICATE,
        )
        shrinking = cv2.INTER_AREA if side > self.size_px else cv2.INTER_LINEAR
        resized = cv2.resize(square, (self.size_px, self.size_px), interpolation=shrinking)
        return np.asarray(resized, np.uint8)


def decode_jpeg(data: bytes) -> NDArray[np.uint8] | None:
    """Decode a JPEG to (H, W, 3) uint8 RGB; None when it is not a readable JPEG."""
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    return None if image is None else np.asarray(image, np.uint8)


def cascade() -> Detector:
    """Load OpenCV's bundled frontal-face cascade; each thread needs its own."""
    classifier: Any = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / CASCADE))

    def detect(image: NDArray[np.uint8], smallest_px: float) -> list[Box]:
        grey = cv2.equalizeHist(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
        least_px = max(CASCADE_BASE_PX, math.floor(smallest_px))
        boxes = classifier.detectMultiScale(
            grey, scaleFactor=1.2, minNeighbors=5, minSize=(least_px, least_px)
        )
        return [(float(x), float(y), float(w), float(h)) for x, y, w, h in boxes]

    return detect
