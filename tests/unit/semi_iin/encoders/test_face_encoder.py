"""The face encoder."""

import copy

import torch

from semi_iin.clips import Clip
from semi_iin.encoders.vision import FaceEncoder
from semi_iin.features import Encoders
from tests.unit.semi_iin.generated import random_faces


def test_a_mirrored_face_shows_the_same_emotion(embedded: Encoders) -> None:
    encoder = copy.deepcopy(embedded.encoders["vision"])
    assert isinstance(encoder, FaceEncoder)
    logits = encoder.classify(encoder(encoder.crops([Clip(faces=random_faces(100, 48))])[0]))
    with torch.no_grad():
        encoder.emotion.bias.sub_(logits.mean(dim=0))  # so that no class is named always
    crops = random_faces(30, 48)
    shown = encoder.emotions([Clip(faces=[crop]) for crop in crops])
    mirrored = encoder.emotions([Clip(faces=[crop[:, ::-1].copy()]) for crop in crops])
    assert shown == mirrored
    assert len(set(shown)) > 1


def test_crops_are_spread_over_the_clip_and_end_with_the_last(embedded: Encoders) -> None:
    crops = random_faces(20)
    (whole,) = embedded.rows([Clip(faces=crops)])
    (last,) = embedded.rows([Clip(faces=crops[-1:])])
    torch.testing.assert_close(whole["vision"][-1], last["vision"][0], atol=1e-5, rtol=1e-4)
