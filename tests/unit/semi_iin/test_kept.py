"""Encodings that are kept by content."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from semi_iin.clips import Clip
from semi_iin.features import Encoders
from semi_iin.kept import KeptEncodings
from semi_iin.modalities import MODALITIES, Modality

LARGE = 1 << 20
RANDOM = np.random.default_rng(0)
AUDIO = (RANDOM.normal(size=20_000) * 0.1).astype(np.float32)
FACES = [RANDOM.integers(0, 255, (64, 64, 3), dtype=np.uint8) for _ in range(9)]
WINDOW = Clip(audio=AUDIO, text="it was good", context="this film", faces=FACES[:6])


def vector(value: float) -> torch.Tensor:
    return torch.full((4,), value)  # 16 bytes


def test_an_encoding_is_made_once_and_given_again() -> None:
    kept = KeptEncodings(LARGE)
    made = [kept.get(b"key", lambda: vector(1.0)) for _ in range(2)]
    again = kept.get(b"key", lambda: vector(2.0))
    assert torch.equal(again, made[0])
    assert kept.counters == {"kept_misses": 1, "kept_hits": 2}


def test_the_least_recently_used_goes_first() -> None:
    kept = KeptEncodings(2 * vector(0.0).nbytes)
    for key in (b"a", b"b", b"a", b"c"):  # `a` was used after `b`
        kept.get(key, lambda: vector(0.0))
    assert len(kept) == 2
    assert torch.equal(kept.get(b"a", lambda: vector(1.0)), vector(0.0))
    assert torch.equal(kept.get(b"b", lambda: vector(1.0)), vector(1.0))


@pytest.mark.parametrize("capacity", [0, 15])
def test_an_encoding_larger_than_the_store_is_not_kept(capacity: int) -> None:
    kept = KeptEncodings(capacity)
    assert torch.equal(kept.get(b"a", lambda: vector(1.0)), vector(1.0))
    assert len(kept) == 0


def test_a_kept_part_does_not_hold_the_memory_of_its_whole() -> None:
    kept = KeptEncodings(LARGE)
    whole = torch.zeros(1000, 4)
    kept.get(b"row", lambda: whole[0])
    assert kept.get(b"row", lambda: vector(1.0)).untyped_storage().nbytes() == 16


def test_what_two_threads_make_at_once_is_kept_once() -> None:
    kept = KeptEncodings(2 * vector(0.0).nbytes)
    kept.get(b"a", lambda: kept.get(b"a", lambda: vector(1.0)))  # missed by both
    kept.get(b"b", lambda: vector(2.0))
    assert torch.equal(kept.get(b"a", lambda: vector(3.0)), vector(1.0))


def encode(encoders: Encoders, clips: list[Clip], kept: KeptEncodings) -> list[dict[str, bytes]]:
    return [
        {name: row.numpy().tobytes() for name, row in encoders.row(clip, kept).items()}
        for clip in clips
    ]


def test_rows_are_equal_to_the_last_digit_with_and_without_it(embedded: Encoders) -> None:
    clips = [WINDOW, replace(WINDOW, faces=FACES[2:8]), replace(WINDOW, text="it was bad"), WINDOW]
    kept = KeptEncodings(LARGE)
    assert encode(embedded, clips, kept) == encode(embedded, clips, KeptEncodings(0))
    # The first window: audio, text and six faces; then two faces; then one text.
    assert kept.counters == {"kept_misses": 11, "kept_hits": 21}


def test_a_row_alone_is_close_to_its_row_in_a_batch(embedded: Encoders) -> None:
    [batched] = embedded.rows([WINDOW])
    for name, row in embedded.row(WINDOW, KeptEncodings(0)).items():
        torch.testing.assert_close(row, batched[name])


@pytest.mark.parametrize(
    ("other", "modality"),
    [
        (replace(WINDOW, text="it was bad"), "text"),
        (replace(WINDOW, context="it"), "text"),
        (replace(WINDOW, text="it was", context="good this film"), "text"),
        (replace(WINDOW, audio=AUDIO[:-1]), "audio"),
        (replace(WINDOW, faces=FACES[1:7]), "vision"),
        (replace(WINDOW, faces=[face.reshape(32, 128, 3) for face in FACES[:6]]), "vision"),
    ],
)
def test_other_content_has_another_digest(other: Clip, modality: Modality) -> None:
    names = [name for name in MODALITIES if WINDOW.digest(name) != other.digest(name)]
    assert names == [modality]
