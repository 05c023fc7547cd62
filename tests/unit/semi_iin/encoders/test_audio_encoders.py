"""The audio encoders."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import HubertConfig, HubertModel

from semi_iin.clips import Clip
from semi_iin.encoders.audio import LogMelEncoder
from semi_iin.features import Encoders
from tests.unit.semi_iin.generated import noise


def test_the_gain_of_a_microphone_does_not_count() -> None:
    encoder = LogMelEncoder({})
    waveform = torch.from_numpy(noise(1.0))
    torch.testing.assert_close(
        encoder.log_mel(waveform), encoder.log_mel(waveform * 0.02), atol=2e-3, rtol=1e-3
    )


def test_silence_around_speech_does_not_count() -> None:
    encoder = LogMelEncoder({})
    spoken = torch.from_numpy(noise(1.0))
    short, long = torch.zeros(3200), torch.zeros(16_000)
    torch.testing.assert_close(
        encoder.log_mel(torch.cat([short, spoken, short])),
        encoder.log_mel(torch.cat([long, spoken, long])),
        atol=1e-4,
        rtol=1e-4,
    )


def test_a_tone_is_highest_in_its_own_band() -> None:
    encoder = LogMelEncoder({})
    time = torch.arange(16_000) / 16_000
    bands = [
        int((encoder.mel_filters @ torch.stft(
            torch.sin(2 * torch.pi * hz * time), encoder.WINDOW, 160, window=encoder.window,
            return_complex=True,
        ).abs().square()).mean(dim=1).argmax())
        for hz in (200, 1000, 4000)
    ]  # fmt: skip
    centres = [
        float((encoder.mel_filters[band] * torch.linspace(0, 8000, 513)).sum())
        / float(encoder.mel_filters[band].sum())
        for band in bands
    ]
    for centre, hz in zip(centres, (200, 1000, 4000), strict=True):
        assert centre == pytest.approx(hz, rel=0.12)


def test_the_papers_audio_encoder_gives_hidden_states_at_50_hz(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = HubertModel(
        HubertConfig(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
            conv_dim=(8,) * 7, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
            feat_extract_norm="layer", do_stable_layer_norm=True,
        )
    )  # fmt: skip
    model.save_pretrained(tmp_path)
    encoders = Encoders.build(
        {"audio": {"kind": "transformer_audio", "source": str(tmp_path), "max_frames": 60}}
    )
    waveform = noise(1.0)
    short, long = encoders.rows([Clip(audio=waveform), Clip(audio=noise(2.0))])
    assert short["audio"].shape == (49, 16)  # 16,000 samples under a kernel of 400, every 320
    assert long["audio"].shape == (60, 16)
    normal = torch.from_numpy((waveform - waveform.mean()) / np.sqrt(waveform.var() + 1e-7))
    with torch.inference_mode():
        expected = model.eval()(normal[None]).last_hidden_state[0]
    torch.testing.assert_close(short["audio"], expected, atol=1e-4, rtol=1e-3)
    # Clips of one length share a batch; none of them changes.
    clips = [Clip(audio=noise(1.0)[::-1].copy()), Clip(audio=noise(2.0)), Clip(audio=waveform)]
    for clip, row in zip(clips, encoders.rows(clips), strict=True):
        torch.testing.assert_close(row, encoders.rows([clip])[0], atol=1e-4, rtol=1e-3)
