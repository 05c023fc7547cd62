"""A drawn face that moves, for demonstrations and tests where no camera may be used.

What leaves: RGB pictures of a face whose expression follows a mood, that blinks, sways and talks,
and that BlazeFace and OpenCV's cascade find. The same arguments give the same picture. Nothing here
knows recordings, sound or sentiment.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]
Point = tuple[float, float]

OVERSAMPLING = 2
"""Drawn this much larger and scaled down, for smooth edges."""
BLINK_EVERY_S = 3.7
BLINK_S = 0.15
SYLLABLES_HZ = 4.3
SHIFT = 4
"""Fractional bits of OpenCV's drawing coordinates."""

BACKGROUND: Colour = (120, 134, 148)
SHIRT: Colour = (52, 66, 92)
HAIR: Colour = (54, 38, 30)
SKIN: Colour = (226, 184, 158)
SHADE: Colour = (186, 138, 114)
SOCKET: Colour = (168, 120, 100)
WHITE: Colour = (240, 238, 232)
IRIS: Colour = (46, 34, 30)
LIPS: Colour = (158, 72, 70)
MOUTH: Colour = (70, 24, 28)
TEETH: Colour = (236, 232, 224)


def draw_face(
    mood: float, t: float, size: tuple[int, int] = (320, 240), talking: bool = False
) -> NDArray[np.uint8]:
    """A talking head at one instant.

    Args:
        mood: from -1 (corners of the mouth and brows down) to 1 (a broad smile); clipped.
        t: seconds; moves head, eyelids and, when `talking`, the mouth.
        size: width and height in pixels, at least 64 each.
        talking: whether the mouth opens and closes.

    Returns:
        RGB, uint8, shape (height, width, 3).
    """
    width, height = size
    mood = min(1.0, max(-1.0, mood))
    canvas = np.empty((height * OVERSAMPLING, width * OVERSAMPLING, 3), np.uint8)
    canvas[:] = BACKGROUND
    pen = _Pen(canvas, _head_position(t, width, height), 0.27 * min(width, height) * OVERSAMPLING)
    _shoulders(pen)
    _head(pen)
    for side in (-1.0, 1.0):
        _eye(pen, side, mood, _openness(t), 0.03 * math.sin(0.9 * t))
    _nose(pen)
    _mouth(pen, mood, _loudness(t) if talking else 0.0)
    soft = cv2.GaussianBlur(canvas, (0, 0), 0.012 * min(width, height) * OVERSAMPLING)
    small = cv2.resize(soft, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


class _Pen:
    """Draws in the head's own units: (0, 0) lies between the eyes, 1 is about half a face wide."""

    def __init__(self, canvas: NDArray[np.uint8], centre: Point, unit: float) -> None:
        self._canvas = canvas
        self._centre = centre
        self._unit = unit

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, colour: Colour, turn: float = 0.0
    ) -> None:
        cv2.ellipse(
            self._canvas,
            self._place(x, y),
            (self._length(rx), self._length(ry)),
            turn,
            0,
            360,
            colour,
            -1,
            cv2.LINE_AA,
            SHIFT,
        )

    def curve(self, points: list[Point], thickness: float, colour: Colour) -> None:
        places = np.array([self._place(x, y) for x, y in points], np.int32)
        width = max(1, round(thickness * self._unit))
        cv2.polylines(self._canvas, [places], False, colour, width, cv2.LINE_AA, SHIFT)

    def area(self, points: list[Point], colour: Colour) -> None:
        places = np.array([self._place(x, y) for x, y in points], np.int32)
        cv2.fillPoly(self._canvas, [places], colour, cv2.LINE_AA, SHIFT)

    def _place(self, x: float, y: float) -> tuple[int, int]:
        scale = 1 << SHIFT
        return (
            round((self._centre[0] + x * self._unit) * scale),
            round((self._centre[1] + y * self._unit) * scale),
        )

    def _length(self, units: float) -> int:
        return max(1, round(units * self._unit * (1 << SHIFT)))


def _head_position(t: float, width: int, height: int) -> Point:
    """The head sways slowly, a few hundredths of the picture."""
    x = 0.5 * width + 0.03 * width * math.sin(0.7 * t)
    y = 0.48 * height + 0.015 * height * math.sin(1.1 * t + 1.0)
    return x * OVERSAMPLING, y * OVERSAMPLING


def _openness(t: float) -> float:
    """Of the eyelids: 1 open, near 0 in the middle of a blink."""
    since = t % BLINK_EVERY_S
    if since >= BLINK_S:
        return 1.0
    return 0.2 + 0.8 * abs(2 * since / BLINK_S - 1)


def _loudness(t: float) -> float:
    """How far the mouth is open while talking, 0 to 1."""
    syllable = abs(math.sin(math.pi * SYLLABLES_HZ * t))
    return syllable * (0.65 + 0.35 * math.sin(2.3 * t))


def _shoulders(pen: _Pen) -> None:
    pen.ellipse(0, 2.6, 2.2, 1.3, SHIRT)
    pen.ellipse(0, 1.3, 0.42, 0.6, SHADE)


def _head(pen: _Pen) -> None:
    pen.ellipse(0, -0.25, 1.02, 1.22, HAIR)
    pen.ellipse(-0.93, 0.1, 0.14, 0.26, SHADE)
    pen.ellipse(0.93, 0.1, 0.14, 0.26, SHADE)
    pen.ellipse(0, 0.1, 0.92, 1.22, SHADE)
    pen.ellipse(0, 0.06, 0.84, 1.14, SKIN)
    pen.ellipse(0, -1.0, 0.72, 0.34, HAIR)


def _eye(pen: _Pen, side: float, mood: float, openness: float, gaze: float) -> None:
    x, y = 0.38 * side, -0.12
    pen.ellipse(x, y - 0.04, 0.29, 0.2, SOCKET)
    pen.ellipse(x, y, 0.2, 0.1 * openness, WHITE)
    pen.ellipse(x + gaze, y, 0.1, 0.1 * openness, IRIS)
    pen.curve([(x + 0.21 * dx, y - 0.1 * openness * (1 - dx * dx)) for dx in _STEPS], 0.05, IRIS)
    inner = -0.36 - 0.03 * mood + 0.1 * min(0.0, mood) * -1
    outer = -0.36 + 0.06 * min(0.0, mood) * -1
    pen.curve(
        [
            (x - side * 0.24, inner),
            (x - side * 0.05, min(inner, outer) - 0.06),
            (x + side * 0.24, outer),
        ],
        0.09,
        HAIR,
    )
    pen.ellipse(0.52 * side, 0.4, 0.2, 0.14 + 0.04 * mood, (236, 180, 156))


def _nose(pen: _Pen) -> None:
    pen.ellipse(0, 0.02, 0.09, 0.3, (238, 202, 178))
    pen.ellipse(0, 0.3, 0.17, 0.09, SHADE)
    pen.ellipse(0, 0.27, 0.13, 0.08, SKIN)
    pen.ellipse(-0.09, 0.33, 0.045, 0.03, SOCKET)
    pen.ellipse(0.09, 0.33, 0.045, 0.03, SOCKET)


def _mouth(pen: _Pen, mood: float, loudness: float) -> None:
    half = 0.34 + 0.08 * mood
    middle, bend, gap = 0.66 + 0.03 * mood, 0.17 * mood, 0.03 + 0.16 * loudness
    upper = [(half * dx, middle - bend * dx * dx - gap / 2 * (1 - dx * dx)) for dx in _STEPS]
    lower = [(half * dx, middle - bend * dx * dx + gap * (1 - dx * dx)) for dx in _STEPS]
    pen.area([*upper, *reversed(lower)], MOUTH)
    if mood > 0.3 or loudness > 0.5:
        teeth = [(x * 0.8, y + 0.02 + 0.3 * gap) for x, y in upper]
        pen.area([*((x * 0.8, y) for x, y in upper), *reversed(teeth)], TEETH)
    pen.curve(upper, 0.06, LIPS)
    pen.curve(lower, 0.08, LIPS)


_STEPS = [step / 8 for step in range(-8, 9)]
