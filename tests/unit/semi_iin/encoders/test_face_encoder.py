"""The face encoder."""

import copy

import torch
from torch import nn

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


def test_a_prepared_encoder_gives_the_same_features_but_for_rounding(embedded: Encoders) -> None:
    clip = Clip(faces=random_faces(5, 60))
    encoder = copy.deepcopy(embedded.encoders["vision"])
    for statistics in (norm for norm in encoder.modules() if isinstance(norm, nn.BatchNorm2d)):
        statistics.running_mean, statistics.running_var = (
            torch.rand_like(statistics.weight),
            torch.rand_like(statistics.weight) + 0.5,
        )
    with torch.inference_mode():
        (trained,) = encoder.encode([clip])
        encoder.prepare()
        (prepared,) = encoder.encode([clip])
        alone = [encoder.encode([part])[0] for part in encoder.parts(clip)]
    torch.testing.assert_close(prepared, trained, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(torch.cat(alone), trained, atol=1e-5, rtol=1e-4)


def test_a_prepared_encoder_gives_a_face_the_same_features_whatever_came_before(
    embedded: Encoders,
) -> None:
    encoder = copy.deepcopy(embedded.encoders["vision"])
    encoder.prepare()
    face, *others = [Clip(faces=[crop]) for crop in random_faces(6, 60)]
    with torch.inference_mode():
        (first,) = encoder.encode([face])
        for other in others:
            encoder.encode([other])
        (again,) = encoder.encode([face])
    assert torch.equal(first, again)
