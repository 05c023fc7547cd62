"""The QR code in the terminal is read by a reader of QR codes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from streamer.cli.qr import HALVES, QUIET, drawn

LINKS = [
    "http://localhost:8720/#Vb1aM0Xn3p7qkQzWc5tR2A",
    "https://192.168.178.123:8720/#Vb1aM0Xn3p7qkQzWc5tR2A",
    "https://a-rather-long-name-of-a-room.department.example.com:8720/#Vb1aM0Xn3p7qkQzWc5tR2A",
]


def pixels(lines: str) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """The lines as an image: light where nothing is drawn, eight pixels a module."""
    halves = {character: pair for pair, character in HALVES.items()}
    rows = [[halves[character] for character in line] for line in lines.split("\n")]
    dark = np.array(rows).transpose(0, 2, 1).reshape(2 * len(rows), -1)
    return np.kron(np.where(dark, 0, 255), np.ones((8, 8))).astype(np.uint8)


@pytest.mark.parametrize("link", LINKS)
def test_a_reader_reads_the_link(link: str) -> None:
    read, *_ = cv2.QRCodeDetector().detectAndDecode(pixels(drawn(link)))
    assert read == link


def test_the_code_is_square_with_a_quiet_zone_and_fits_a_terminal() -> None:
    lines = drawn(LINKS[1]).split("\n")
    assert {len(line) for line in lines} == {len(lines[0])}
    assert len(lines[0]) <= 80
    assert len(lines) == (len(lines[0]) + 1) // 2
    assert all(not line.strip() for line in (*lines[: QUIET // 2], lines[-1]))
    assert all(line.startswith(" " * QUIET) and line.endswith(" " * QUIET) for line in lines)
