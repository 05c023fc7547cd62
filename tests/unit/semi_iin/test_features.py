"""The encoders of a checkpoint together: rows, batches with masks, and storing."""

import numpy as np
import pytest
import torch

from semi_iin.clips import Clip
from semi_iin.encoders.emotions import SCALE
from semi_iin.errors import SemiIINError
from semi_iin.features import Encoders
from semi_iin.kept import KeptEncodings
from tests.unit.semi_iin.generated import noise, random_faces


def test_a_batch_has_one_row_for_each_clip_with_masks(embedded: Encoders) -> None:
    clips = [
        Clip(audio=noise(1.0), text="i love it", faces=random_faces(3)),
        Clip(text="bad"),
        Clip(audio=noise(0.01), faces=random_faces(20, 48)),
    ]
    batch = embedded.encode(clips)
    assert batch.text is not None and batch.text.shape == (3, 5, 16)  # [CLS] i love it [SEP]
    assert batch.text_mask is not None and batch.text_mask.sum(dim=1).tolist() == [5, 3, 0]
    assert batch.audio is not None and batch.audio.shape == (3, 13, 24)  # 101 frames of 10 ms
    assert batch.audio_mask is not None and batch.audio_mask.sum(dim=1).tolist() == [13, 0, 1]
    assert batch.vision is not None and batch.vision.shape == (3, 8, 20)  # max_crops
    assert batch.vision_mask is not None and batch.vision_mask.sum(dim=1).tolist() == [3, 0, 8]
    assert not batch.audio[1].any()


def test_a_clips_features_do_not_depend_on_its_batch(embedded: Encoders) -> None:
    clips = [
        Clip(audio=noise(0.7), text="i hate this film", context="good", faces=random_faces(1)),
        Clip(audio=noise(2.31), text="it was bad bad bad bad", faces=random_faces(4)),
        Clip(audio=noise(0.05), text="good", faces=random_faces(2, 90)),
    ]
    together = embedded.rows(clips)
    for clip, row in zip(clips, together, strict=True):
        for modality, features in embedded.rows([clip])[0].items():
            torch.testing.assert_close(features, row[modality], atol=1e-5, rtol=1e-4)


def test_features_in_bfloat16_are_close_and_have_a_cache_of_their_own(embedded: Encoders) -> None:
    clips = [Clip(text="i hate this film", context="good")]
    exact, key = embedded.rows(clips)[0]["text"], embedded.fingerprint()
    embedded.bfloat16 = True
    try:
        rounded = embedded.rows(clips)[0]["text"]
        assert embedded.fingerprint() != key
    finally:
        embedded.bfloat16 = False
    assert rounded.dtype == exact.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    torch.testing.assert_close(rounded, exact, atol=0.1, rtol=0.05)


def test_weights_that_are_converted_once_give_what_autocast_gives(embedded: Encoders) -> None:
    stored = embedded.specs(), embedded.tensors()
    plain, prepared = Encoders.build(*stored), Encoders.build(*stored).prepare(torch.bfloat16)
    assert any(weight.dtype is torch.bfloat16 for weight in prepared.encoders["text"].parameters())
    clip = Clip(audio=noise(1.0), text="it was good", context="this film")
    with torch.autocast("cpu", torch.bfloat16):
        [expected], [found] = plain.rows([clip]), prepared.rows([clip])
    for modality in ("audio", "text"):
        assert torch.equal(found[modality], expected[modality])


@pytest.mark.parametrize(
    "clip",
    [
        Clip(),
        Clip(text="  \n"),
        Clip(audio=np.zeros(16_000, dtype=np.float32)),
        Clip(audio=np.zeros(0, dtype=np.float32)),
        Clip(faces=[]),
    ],
    ids=["nothing", "blank", "silence", "no samples", "no faces"],
)
def test_a_clip_without_evidence_has_no_features(embedded: Encoders, clip: Clip) -> None:
    assert embedded.rows([clip]) == [{}]


@pytest.mark.parametrize(
    ("clip", "words"),
    [
        (Clip(audio=np.zeros((2, 10), dtype=np.float32)), "mono"),
        (Clip(audio=np.zeros(10, dtype=np.float64)), "float32"),
        (Clip(audio=np.full(100, np.nan, dtype=np.float32)), "finite"),
        (Clip(faces=[np.zeros((4, 4), dtype=np.uint8)]), "RGB"),
        (Clip(faces=[np.zeros((0, 4, 3), dtype=np.uint8)]), "RGB"),
    ],
)
def test_an_error_names_an_unreadable_clip(embedded: Encoders, clip: Clip, words: str) -> None:
    with pytest.raises(SemiIINError, match=words):
        embedded.rows([clip])


def test_stored_encoders_give_the_same_features(embedded: Encoders) -> None:
    clip = Clip(audio=noise(1.0), text="i love it", faces=random_faces(3))
    again = Encoders.build(embedded.specs(), embedded.tensors())
    for modality, features in again.rows([clip])[0].items():
        torch.testing.assert_close(
            features, embedded.rows([clip])[0][modality], atol=0.02, rtol=0.02
        )
    assert again.specs() == embedded.specs()


def with_columns(encoders: Encoders) -> Encoders:
    """The same encoders, of which those with an emotion head hand on what it gives."""
    specs = {
        name: {**spec, "emotion_columns": True} if name != "text" else spec
        for name, spec in encoders.specs().items()
    }
    return Encoders.build(specs, encoders.tensors())


def test_features_end_in_the_emotions_where_the_spec_asks_for_them(embedded: Encoders) -> None:
    stored = Encoders.build(embedded.specs(), embedded.tensors())
    encoders = with_columns(embedded)
    clip = Clip(audio=noise(1.0), faces=random_faces(3))
    plain, row = stored.rows([clip])[0], encoders.rows([clip])[0]
    for name, features in row.items():
        encoder, width = encoders.encoders[name], plain[name].shape[1]
        assert encoder.width == features.shape[1] == width + encoder.columns == width + 9
        torch.testing.assert_close(features[:, :width], plain[name])
        columns = features[:, width:] / SCALE
        shares = columns[:, :-2] / 3 + 1 / 7
        torch.testing.assert_close(shares.sum(dim=1), torch.ones(len(shares)))
        negative = shares[:, [0, 1, 2, 5]].sum(dim=1)
        torch.testing.assert_close(columns[:, -2], 3 * (shares[:, 3] - negative))
        torch.testing.assert_close(columns[:, -1], (shares[:, 3] / negative).log() / 2)
        likeliest = int(shares.mean(dim=0).argmax())
        if name == "audio":  # a face has columns of its own, which its mirror image may change
            assert encoder.emotions([clip]) == [encoder.spec["emotions"][likeliest]]
            assert (features[:, width:] == features[0, width:]).all()
    kept = encoders.row(clip, KeptEncodings(1_000_000))
    for name, features in kept.items():
        torch.testing.assert_close(features, row[name], atol=1e-5, rtol=1e-4)


def test_emotions_among_the_features_do_not_depend_on_the_batch(embedded: Encoders) -> None:
    encoders = with_columns(embedded)
    clips = [
        Clip(audio=noise(0.7), faces=random_faces(1)),
        Clip(audio=noise(2.31), faces=random_faces(4)),
    ]
    for clip, row in zip(clips, encoders.rows(clips), strict=True):
        for modality, features in encoders.rows([clip])[0].items():
            torch.testing.assert_close(features, row[modality], atol=1e-5, rtol=1e-4)


def test_emotions_are_refused_of_an_encoder_that_names_none(embedded: Encoders) -> None:
    specs = embedded.specs()
    specs["text"] = {**specs["text"], "emotion_columns": True}
    with pytest.raises(SemiIINError, match="no emotion head: remove emotion_columns"):
        Encoders.build(specs, embedded.tensors())


def test_an_error_names_weights_that_do_not_fit_their_spec(embedded: Encoders) -> None:
    specs = {**embedded.specs(), "audio": {"kind": "log_mel_audio", "width": 32}}
    with pytest.raises(SemiIINError, match="audio encoder's weights do not fit"):
        Encoders.build(specs, embedded.tensors())


@pytest.mark.parametrize(
    ("specs", "words"),
    [
        ({"smell": {"kind": "nose"}}, "no modality 'smell'"),
        ({"audio": {"kind": "nose"}}, "log_mel_audio, transformer_audio"),
    ],
)
def test_an_error_names_an_unknown_modality_or_kind(
    specs: dict[str, dict[str, str]], words: str
) -> None:
    with pytest.raises(SemiIINError, match=words):
        Encoders.build(specs)
