"""Predictions of a small trimodal generated checkpoint."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from semi_iin import checkpoint
from semi_iin.clips import Clip
from semi_iin.errors import SemiIINError
from semi_iin.features import Batch, Encoders
from semi_iin.model import SemiIIN
from semi_iin.model_config import SemiIINConfig
from semi_iin.predict import Prediction, Predictor

RANDOM = np.random.default_rng(0)
AUDIO = (RANDOM.normal(size=20_000) * 0.1).astype(np.float32)
FACES = [RANDOM.integers(0, 255, (64, 64, 3), dtype=np.uint8) for _ in range(3)]
WHOLE = Clip(audio=AUDIO, text="i love this film", context="it was bad", faces=FACES)


@pytest.fixture(scope="module")
def directory(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    encoders = Encoders.build(
        {
            "text": {"kind": "transformer_text", "source": str(tiny_bert), "context_tokens": 8},
            "audio": {"kind": "log_mel_audio", "width": 24, "channels": [4, 8, 8, 8]},
            "vision": {"kind": "face_cnn", "width": 20, "channels": [4, 8, 8, 8]},
        }
    )
    config = SemiIINConfig(
        audio_width=24,
        text_width=16,
        vision_width=20,
        hidden=16,
        head_widths=(16, 8),
        audio_convs=((3, 2, 1),),
    )
    weights = {f"model.{name}": value for name, value in SemiIIN(config).state_dict().items()}
    return checkpoint.save(
        tmp_path_factory.mktemp("checkpoint") / "tiny",
        weights | encoders.tensors(),
        {
            "name": "tiny-1",
            "model": config.to_dict(),
            "encoders": encoders.specs(),
            "temperatures": {"audio+text+vision": 2.0, "text": 0.5},
            "valence_scales": {"text": 0.5},
        },
    )


@pytest.fixture(scope="module")
def predictor(directory: Path) -> Predictor:
    return Predictor.from_checkpoint(directory, device="cpu")


def test_a_prediction_has_every_field_of_the_records(predictor: Predictor) -> None:
    (prediction,) = predictor.predict([WHOLE])
    assert predictor.name == "tiny-1"
    assert prediction.modalities == predictor.modalities == ("audio", "text", "vision")
    assert prediction.valence is not None and -3 <= prediction.valence <= 3
    assert prediction.class_probabilities is not None and len(prediction.class_probabilities) == 7
    assert sum(prediction.class_probabilities) == pytest.approx(1)
    assert prediction.valence_gate is not None and 0 < prediction.valence_gate < 1
    assert prediction.class_gate is not None and 0 < prediction.class_gate < 1


def test_a_prediction_is_calibrated_by_the_clips_modalities(
    directory: Path, predictor: Predictor
) -> None:
    loaded = checkpoint.load(directory)
    encoders = Encoders.build(loaded.config["encoders"], loaded.tensors)
    sharp = Predictor(loaded.build_model(), encoders, device="cpu")
    clips = [WHOLE, Clip(text="good"), Clip(audio=AUDIO)]
    calibrated, plain_ones = predictor.predict(clips), sharp.predict(clips)
    expected = [(0.5, 1.0), (2.0, 0.5), (1.0, 1.0)]
    for prediction, plain, (power, scale) in zip(calibrated, plain_ones, expected, strict=True):
        assert prediction.valence == pytest.approx((plain.valence or 0.0) * scale, abs=1e-6)
        raised = np.power(plain.class_probabilities or (), power)
        assert prediction.class_probabilities == pytest.approx(raised / raised.sum(), abs=1e-5)


def test_a_clip_without_evidence_has_an_empty_prediction(predictor: Predictor) -> None:
    silent = Clip(audio=np.zeros(1000, dtype=np.float32), text=" ", context="it was", faces=[])
    assert predictor.predict([Clip(), silent]) == [Prediction(), Prediction()]
    among = predictor.predict([Clip(), WHOLE, silent])
    assert among[0] == among[2] == Prediction()
    assert among[1].valence == pytest.approx(predictor.predict([WHOLE])[0].valence, abs=1e-4)


def test_no_clips_have_no_predictions(predictor: Predictor) -> None:
    assert predictor.predict([]) == []


def test_a_clips_prediction_does_not_depend_on_its_batch(predictor: Predictor) -> None:
    clips = [
        WHOLE,
        Clip(text="bad"),
        Clip(audio=AUDIO[:700]),
        Clip(faces=FACES[:1]),
        Clip(audio=AUDIO, faces=FACES),
        *(Clip(text="good " * count) for count in range(1, 40)),
    ]
    together = predictor.predict(clips)
    for clip, prediction in zip(clips, together, strict=True):
        (alone,) = predictor.predict([clip])
        assert prediction.modalities == alone.modalities
        assert prediction.valence == pytest.approx(alone.valence, abs=1e-4)
        assert prediction.class_probabilities == pytest.approx(alone.class_probabilities, abs=1e-4)


class CountingEncoders(Encoders):
    """Encoders that record the size of each batch."""

    def encode(self, clips: Sequence[Clip]) -> Batch:
        self.sizes = [*getattr(self, "sizes", []), len(clips)]
        return super().encode(clips)


def test_clips_are_scored_as_one_batch_of_any_size(directory: Path) -> None:
    loaded = checkpoint.load(directory)
    encoders = CountingEncoders(Encoders.build(loaded.config["encoders"], loaded.tensors).encoders)
    predictor = Predictor(loaded.build_model(), encoders, device="cpu")
    assert len(predictor.predict([Clip(text="good")] * 50)) == 50
    assert encoders.sizes == [50]


def test_the_same_clips_have_the_same_predictions(directory: Path, predictor: Predictor) -> None:
    again = Predictor.from_checkpoint(directory, device="cpu")
    assert predictor.predict([WHOLE, Clip(text="bad")]) == again.predict([WHOLE, Clip(text="bad")])


def test_only_the_requested_modalities_are_read(directory: Path, predictor: Predictor) -> None:
    reader = Predictor.from_checkpoint(directory, device="cpu", modalities=["text"])
    assert reader.modalities == ("text",)
    (prediction,) = reader.predict([WHOLE])
    (alone,) = predictor.predict([replace(WHOLE, audio=None, faces=None)])
    assert prediction.modalities == ("text",)
    assert prediction.valence == pytest.approx(alone.valence, abs=1e-5)
    assert reader.predict([Clip(audio=AUDIO, faces=FACES)]) == [Prediction()]


def test_a_clip_longer_than_the_models_maximum_is_cut(predictor: Predictor) -> None:
    long = Clip(
        audio=np.tile(AUDIO, 20), text="good bad " * 200, context="it was " * 400, faces=FACES * 40
    )
    (prediction,) = predictor.predict([long])
    assert prediction.modalities == ("audio", "text", "vision")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_close_to_float32(
    directory: Path, predictor: Predictor, dtype: str
) -> None:
    (exact,) = predictor.predict([WHOLE])
    rough = Predictor.from_checkpoint(directory, device="cpu", dtype=dtype)
    (prediction,) = rough.predict([WHOLE])
    assert prediction.valence == pytest.approx(exact.valence, abs=0.1)


def test_a_compiled_model_gives_nearly_the_same_predictions(
    directory: Path, predictor: Predictor
) -> None:
    graphs = torch._dynamo.utils.counters["stats"]
    before = graphs["unique_graphs"]
    compiled = Predictor.from_checkpoint(directory, device="cpu")
    compiled.compile(backend="eager")
    for clips in ([WHOLE], [WHOLE, Clip(text="bad film"), Clip(faces=FACES[:2])]):
        for plain, other in zip(predictor.predict(clips), compiled.predict(clips), strict=True):
            assert other.valence == pytest.approx(plain.valence, abs=1e-4)
    assert graphs["unique_graphs"] >= before + 4  # of each encoder and the network


def test_emotions_are_named_for_clips_with_a_voice_or_a_face(predictor: Predictor) -> None:
    names = predictor.emotions([WHOLE, Clip(text="good")], "vision")
    assert names[0] in ("angry", "disgusted", "fearful", "happy", "neutral", "sad", "surprised")
    assert names[1] is None
    assert predictor.emotions([Clip(audio=AUDIO)], "audio")[0] is not None
    with pytest.raises(SemiIINError, match="text encoder names no emotions"):
        predictor.emotions([WHOLE], "text")


def test_an_error_describes_an_unreadable_clip(predictor: Predictor) -> None:
    with pytest.raises(SemiIINError, match="mono float32"):
        predictor.predict([Clip(audio=np.zeros((4, 4), dtype=np.float32))])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dtype": "int8"}, "dtype = 'int8'"),
        ({"device": "abacus"}, "device = 'abacus'"),
        ({"modalities": ["smell"]}, "no modality 'smell'"),
        ({"modalities": []}, "none of the requested ones"),
    ],
)
def test_an_error_names_a_wrong_argument(
    directory: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(SemiIINError, match=words):
        Predictor.from_checkpoint(directory, **{"device": "cpu", **options})


def test_encoders_of_another_width_are_refused(directory: Path) -> None:
    loaded = checkpoint.load(directory)
    encoders = Encoders.build(loaded.config["encoders"], loaded.tensors)
    model = SemiIIN(replace(SemiIINConfig.from_dict(loaded.config["model"]), text_width=32))
    with pytest.raises(SemiIINError, match="width 16, but the model takes 32"):
        Predictor(model, encoders, device="cpu")


def test_predictions_are_the_same_with_and_without_kept_encodings(directory: Path) -> None:
    clips = [WHOLE, replace(WHOLE, text="it was bad"), replace(WHOLE, faces=FACES[1:]), WHOLE]
    keeping, forgetting = (
        Predictor.from_checkpoint(directory, device="cpu", kept_bytes=kept_bytes)
        for kept_bytes in (1 << 20, 0)
    )
    for clip in clips:
        assert keeping.predict([clip]) == forgetting.predict([clip])
    # One sound, two texts and three faces; a batch of several is encoded as a whole.
    assert keeping.kept.counters["kept_misses"] == 6
    keeping.predict(clips)
    assert sum(keeping.kept.counters.values()) == sum(forgetting.kept.counters.values())
