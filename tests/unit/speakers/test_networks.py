"""The two networks that tell speakers apart, with random and with the published weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from semi_iin import weights
from streamer.errors import ModelError
from streamer.speakers import segmentation, voices
from streamer.speakers.segmentation import FRAME_FIELD, FRAME_STEP, Segmentation
from streamer.speakers.voices import Voices, log_mel


@pytest.fixture(scope="module")
def published() -> Path:
    folder = weights.find("speakers")
    if folder is None:
        pytest.skip("no speaker networks; run `streamer models get speakers`")
    return folder


def chirps(seconds: float) -> Tensor:
    """Two tones that rise in turn, with a little noise: always the same samples."""
    times = torch.arange(int(seconds * 16000)) / 16000
    noise = torch.randn(len(times), generator=torch.Generator().manual_seed(0))
    tone = torch.sin(2 * torch.pi * (150 + 100 * (times % 1)) * times)
    return 0.3 * tone * (times % 2 < 1) + 0.003 * noise


def test_segmentation_gives_a_frame_per_step_and_at_most_two_voices() -> None:
    torch.manual_seed(0)
    network = Segmentation().eval()
    with torch.inference_mode():
        speech = network.speech(torch.randn(16000))
    frames = (16000 - FRAME_FIELD) // FRAME_STEP + 1
    assert speech.active.shape == speech.probable.shape == (frames, 3)
    assert speech.active.dtype == bool and speech.active.sum(-1).max() <= 2
    assert speech.at_once.shape == (frames, 2)


def test_the_probabilities_of_voices_add_up_to_how_many_speak() -> None:
    torch.manual_seed(0)
    network = Segmentation().eval()
    with torch.inference_mode():
        speech = network.speech(torch.randn(16000))
    np.testing.assert_allclose(speech.probable.sum(1), speech.at_once.sum(1), atol=1e-5)
    assert (speech.at_once[:, 0] >= speech.at_once[:, 1]).all()


def test_a_voice_is_a_vector_of_length_one_whatever_the_loudness() -> None:
    torch.manual_seed(0)
    network = Voices().eval()
    energies = torch.from_numpy(log_mel(chirps(1.5).numpy()))
    louder = torch.from_numpy(log_mel(3 * chirps(1.5).numpy()))
    with torch.inference_mode():
        vectors = torch.stack([network(energies), network(louder)])
    assert vectors.shape == (2, voices.WIDTH)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(vectors[0], vectors[1], atol=1e-2, rtol=0)


def test_energies_have_a_frame_every_10_ms_and_peak_at_the_tones_band() -> None:
    times = np.arange(16000) / 16000
    energies = log_mel(np.sin(2 * np.pi * 1000 * times).astype(np.float32))
    assert energies.shape == (98, 80)
    edges = np.linspace(1127 * np.log1p(20 / 700), 1127 * np.log1p(8000 / 700), 82)
    nearest = np.abs(700 * np.expm1(edges[1:-1] / 1127) - 1000).argmin()
    assert (energies.argmax(axis=1) == nearest).all()
    assert log_mel(np.zeros(399, np.float32)).shape == (0, 80)


def test_the_published_segmentation_gives_its_logits(published: Path) -> None:
    network = segmentation.load(published / "segmentation.safetensors")
    with torch.inference_mode():
        logits = network(chirps(2)[None])[0]
    assert logits.shape == (115, 7)
    expected = torch.tensor([2.9009, -0.2813, 1.4877])
    torch.testing.assert_close(logits[50, :3], expected, atol=2e-3, rtol=0)


def test_the_published_voice_network_gives_its_vector(published: Path) -> None:
    network = voices.load(published / "voices.safetensors")
    with torch.inference_mode():
        vector = network(torch.from_numpy(log_mel(chirps(2.5).numpy())))
    torch.testing.assert_close(
        vector[:4], torch.tensor([-0.0815, 0.0342, 0.0243, -0.0711]), atol=1e-3, rtol=0
    )


@pytest.mark.parametrize("load", [segmentation.load, voices.load])
def test_other_weights_are_one_sentence(tmp_path: Path, load: Callable[[Path], nn.Module]) -> None:
    other = tmp_path / "other.safetensors"
    with pytest.raises(ModelError, match=r"other\.safetensors cannot be loaded"):
        load(other)
    save_file({"weight": torch.zeros(1)}, other)
    with pytest.raises(ModelError, match=r"other\.safetensors cannot be loaded: .*\.$"):
        load(other)
    other.write_bytes(b"no tensors")
    with pytest.raises(ModelError, match=r"other\.safetensors cannot be loaded"):
        load(other)
