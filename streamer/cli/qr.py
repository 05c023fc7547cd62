"""A link as a QR code in a terminal."""

from __future__ import annotations

import numpy as np

QUIET = 4
"""Light modules around the code, which readers need."""
HALVES = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}
"""Two modules, one above the other, as a character; dark is the foreground."""


def drawn(text: str) -> str:
    """Return lines that show a QR code of `text` when they are black on white."""
    import cv2

    dark = np.asarray(cv2.QRCodeEncoder.create().encode(text)) < 128
    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    code = np.pad(dark[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], QUIET)
    code = np.pad(code, ((0, len(code) % 2), (0, 0)))
    pairs = zip(code[::2], code[1::2], strict=True)
    return "\n".join(
        "".join(HALVES[bool(upper), bool(lower)] for upper, lower in zip(*pair, strict=True))
        for pair in pairs
    )
