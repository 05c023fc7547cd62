"""The messages of programs: what is in them, and the reason for closing where one breaks a rule."""

from __future__ import annotations

import json
import struct
from typing import Any

import cv2
import numpy as np
import pytest

from streamer.records import NS_PER_S
from streamer.room.messages import (
    HEADER,
    LATEST_US,
    Image,
    Images,
    Leave,
    Sound,
    Words,
    agreement,
    read_binary,
    read_text,
)
from streamer.room.people import Refused

AGREE = {"type": "agree", "token": "t", "name": "Ana", "shares": ["text"], "version": "v"}
RATE_HZ = 16_000


def binary(kind: int, time_us: int, content: bytes) -> bytes:
    return struct.pack("<BQ", kind, time_us) + content


def said(*words: dict[str, Any], **more: Any) -> str:
    return json.dumps({"type": "words", "sent_us": 5_000_000, "words": words, **more})


def word(text: str, start_us: int, end_us: int, **more: Any) -> dict[str, Any]:
    return {"text": text, "start_us": start_us, "end_us": end_us, **more}


def jpeg(width: int, height: int) -> bytes:
    done, encoded = cv2.imencode(".jpg", np.full((height, width, 3), 200, np.uint8))
    assert done
    return bytes(encoded)


def reason(message: str | bytes) -> str:
    with pytest.raises(Refused) as refused:
        read_text(message) if isinstance(message, str) else read_binary(message, RATE_HZ)
    assert refused.value.status == 400
    return str(refused.value)


def test_an_agreement_has_defaults_for_rate_and_words() -> None:
    hello = agreement(json.dumps(AGREE))
    assert (hello.name, hello.shares, hello.rate_hz, hello.words) == (
        "Ana",
        ("text",),
        16_000,
        False,
    )
    assert agreement(json.dumps({**AGREE, "rate_hz": 48_000, "words": True})).rate_hz == 48_000


@pytest.mark.parametrize(
    "changed",
    [
        {"type": "words"},
        {"type": 7},
        {"rate_hz": 7_999},
        {"rate_hz": 96_000},
        {"rate_hz": 16_000.5},
        {"shares": "text"},
        {"shares": ["text"] * 4},
        {"token": None},
        {"admin": True},
    ],
)
def test_what_is_no_agreement_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="cannot be read"):
        agreement(json.dumps({**AGREE, **changed}))


def test_sound_has_the_time_of_its_first_sample_and_was_sent_at_its_last() -> None:
    samples = np.arange(-800, 800, dtype="<i2")
    sound = read_binary(binary(1, 3_000_000, samples.tobytes()), RATE_HZ)
    assert isinstance(sound, Sound)
    assert (sound.begin_ns, sound.sent_ns) == (3 * NS_PER_S, 3 * NS_PER_S + NS_PER_S // 10)
    assert sound.frame.sample_rate == RATE_HZ
    assert np.array_equal(sound.frame.to_ndarray()[0], samples)


def test_an_image_is_decoded_as_a_picture() -> None:
    image = read_binary(binary(2, 1, jpeg(64, 48)), RATE_HZ)
    assert isinstance(image, Image)
    frames = [Images().decode(image.jpeg), Images().decode(jpeg(32, 32))]
    assert [(frame.width, frame.height) for frame in frames] == [(64, 48), (32, 32)]


def test_images_of_one_sender_may_change_their_size() -> None:
    images = Images()
    assert [images.decode(jpeg(side, side)).width for side in (64, 32, 64)] == [64, 32, 64]


def huge() -> bytes:
    """A JPEG whose header promises 65,000 pixels each way."""
    small = bytearray(jpeg(16, 16))
    at = small.index(b"\xff\xc0") + 5
    small[at : at + 4] = struct.pack(">HH", 65_000, 65_000)
    return bytes(small)


@pytest.mark.parametrize("data", [b"\xff\xd8\xff", b"hello", b"\0" * 100, huge()])
def test_an_image_that_cannot_be_read_or_is_too_large_is_refused(data: bytes) -> None:
    with pytest.raises(Refused, match="not a JPEG of at most"):
        Images().decode(data)


@pytest.mark.parametrize(
    ("message", "part"),
    [
        (b"", "9 bytes of header"),
        (b"\x01" * HEADER.size, "9 bytes of header"),
        (binary(0, 0, b"ab"), "1 for sound or 2 for an image"),
        (binary(3, 0, b"ab"), "1 for sound or 2 for an image"),
        (binary(1, LATEST_US, b"ab"), "microseconds"),
        (binary(1, 0, b"abc"), "whole samples"),
        (binary(1, 0, bytes(2 * RATE_HZ + 2)), "at most one second"),
        ("", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"type": "leave", "x": 1}', "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        (json.dumps(AGREE), "cannot be read"),
        (said(word("a", 2, 1)), "ends before it starts"),
        (said(word("a", 0, 66_000_000)), "more than a minute"),
        (said(word("a", -1, 1)), "cannot be read"),
        (said(word("a", 0, 2**63)), "cannot be read"),
        (said(word("a" * 201, 0, 1)), "cannot be read"),
        (said(word("a", 0, 1, confidence=2)), "cannot be read"),
        (said(*[word("a", 0, 1)] * 501), "cannot be read"),
        (said(until_us=2**60), "cannot be read"),
    ],
)
def test_a_message_that_breaks_a_rule_is_refused_with_a_reason(
    message: str | bytes, part: str
) -> None:
    assert part in reason(message)


def test_words_are_complete_until_the_last_one_unless_the_sender_tells_otherwise() -> None:
    words = read_text(said(word("hi", 1_000_000, 1_200_000), word("you", 1_200_000, 1_500_000)))
    assert isinstance(words, Words)
    assert (words.sent_ns, words.until_ns) == (5 * NS_PER_S, 3 * NS_PER_S // 2)
    told = read_text(said(word("hi", 1_000_000, 1_200_000), until_us=4_000_000))
    nothing = read_text(said())
    assert isinstance(told, Words) and isinstance(nothing, Words)
    assert (told.until_ns, nothing.until_ns) == (4 * NS_PER_S, 0)
    assert isinstance(read_text('{"type": "leave"}'), Leave)


def test_a_words_text_is_plain() -> None:
    words = read_text(said(word(" he\x1b[2Jllo\n", 0, 1, language="en"), word(" \n ", 0, 1)))
    assert isinstance(words, Words)
    assert [(word.text, language) for word, language in words.words] == [("he[2Jllo", "en")]
