"""The Whisper audio encoder, and reading its weights."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from semi_iin.clips import Clip
from semi_iin.encoders.ctranslate2 import encoder_state, read_arrays
from semi_iin.encoders.whisper import WhisperEncoder
from semi_iin.errors import SemiIINError
from semi_iin.features import Encoders
from tests.unit.semi_iin.encoders.whisper_files import (
    FRAMES,
    encoder_arrays,
    reference_encoder,
    write_model,
)
from tests.unit.semi_iin.generated import noise

SMALL = {"kind": "whisper_audio", "layers": 1, "states": 64, "mels": 20, "width": 12}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_model(tmp_path / "whisper" / "model.bin", encoder_arrays(reference_encoder()))
    return tmp_path / "whisper"


def test_states_are_those_of_whispers_encoder(source: Path) -> None:
    encoder = WhisperEncoder({"source": str(source), "layers": 2}).eval()
    energies = torch.randn(1, FRAMES, 8)
    with torch.inference_mode():
        states, _ = encoder.backbone(energies, torch.tensor([FRAMES]))
        layers = reference_encoder()(energies.transpose(1, 2), output_hidden_states=True)
        normalised = reference_encoder().layer_norm(states)
    torch.testing.assert_close(normalised, layers.last_hidden_state, atol=2e-3, rtol=1e-2)


def test_a_checkpoint_needs_no_source(source: Path) -> None:
    clip = Clip(audio=noise(1.0))
    trained = Encoders({"audio": WhisperEncoder({**SMALL, "source": str(source)})})
    specs, tensors = trained.specs(), trained.tensors()
    (source / "model.bin").unlink()
    again = Encoders.build(specs, tensors)
    torch.testing.assert_close(
        again.rows([clip])[0]["audio"], trained.rows([clip])[0]["audio"], atol=0.02, rtol=0.02
    )
    assert specs["audio"]["states"] == 64 and specs["audio"]["mels"] == 8
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}


def test_weights_of_another_digest_are_refused(source: Path) -> None:
    digest = hashlib.sha256((source / "model.bin").read_bytes()).hexdigest()
    WhisperEncoder({"source": str(source), "layers": 1, "sha256": digest})
    with pytest.raises(SemiIINError, match="SHA-256 differs"):
        WhisperEncoder({"source": str(source), "layers": 1, "sha256": "0" * 64})


def test_files_that_are_no_whisper_model_are_refused(source: Path) -> None:
    path = source / "model.bin"
    with pytest.raises(SemiIINError, match="does it have 3 layers"):
        encoder_state(read_arrays(path, "encoder/"), 3)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(SemiIINError, match="cut off"):
        read_arrays(path)
    path.write_bytes(content.replace(b"WhisperSpec", b"Transformer"))
    with pytest.raises(SemiIINError, match="no Whisper model"):
        read_arrays(path)
    with pytest.raises(SemiIINError, match="cannot be read"):
        read_arrays(source / "missing.bin")


def test_a_clip_does_not_depend_on_its_batch() -> None:
    encoder = WhisperEncoder(SMALL).eval()
    short, long = Clip(audio=noise(0.83)), Clip(audio=noise(2.0))
    with torch.inference_mode():
        alone, together = encoder.encode([short])[0], encoder.encode([short, long])[0]
    torch.testing.assert_close(alone, together, atol=1e-4, rtol=1e-4)


def test_features_are_80_ms_apart_and_bounded() -> None:
    encoder = WhisperEncoder({**SMALL, "max_frames": 15}).eval()
    with torch.inference_mode():
        one, long = encoder.encode([Clip(audio=noise(1.0)), Clip(audio=noise(2.0))])
    assert one.shape == (13, 12)  # 101 energies, 51 states
    assert long.shape == (15, 12)


def test_neither_gain_nor_silence_counts() -> None:
    encoder = WhisperEncoder(SMALL)
    spoken = torch.from_numpy(noise(1.0))
    short, long = torch.zeros(3200), torch.zeros(16_000)
    padded = encoder.log_mel(torch.cat([short, spoken, short]))
    for other in (torch.cat([long, spoken, long]), 0.02 * torch.cat([short, spoken, short])):
        torch.testing.assert_close(padded, encoder.log_mel(other), atol=2e-3, rtol=1e-3)


def test_energies_are_whispers_but_for_the_level() -> None:
    from transformers import WhisperFeatureExtractor

    waveform = noise(1.0)
    expected = WhisperFeatureExtractor()(
        waveform, sampling_rate=16_000, padding="do_not_pad", return_tensors="np"
    ).input_features[0]
    energies = WhisperEncoder({**SMALL, "mels": 80}).log_mel(torch.from_numpy(waveform)).T.numpy()
    inner = slice(2, 98)  # the ends of a clip are mirrored there and silent here
    moved = expected[:, inner] - expected.max()
    np.testing.assert_allclose(energies[:, inner] - energies.max(), moved, atol=0.05)


def test_silence_has_features() -> None:
    encoder = WhisperEncoder(SMALL).eval()
    clips = [Clip(audio=np.zeros(count, np.float32)) for count in (1, 16_000)]
    with torch.inference_mode():
        features, mask = encoder(*encoder.energies(clips))
        logits = encoder.classify(features, mask)
    assert bool(torch.isfinite(logits).all()) and bool(mask.any(dim=1).all())
