"""Encoders: clips to features, with tiny models built from their configuration classes."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import HubertConfig, HubertModel, RobertaConfig, RobertaModel, RobertaTokenizer

from semi_iin.cache import extract
from semi_iin.clips import Clip
from semi_iin.encoders.audio import LogMelEncoder
from semi_iin.encoders.fab_net import FabNetEncoder, convert_fab_net
from semi_iin.encoders.text import TextEncoder
from semi_iin.encoders.transformer import add_difference, difference
from semi_iin.errors import SemiIINError
from semi_iin.features import Encoders

RANDOM = np.random.default_rng(0)


def sound(seconds: float, level: float = 0.1) -> np.ndarray:
    return (RANDOM.normal(size=round(seconds * 16_000)) * level).astype(np.float32)


def faces(count: int, side: int = 60) -> list[np.ndarray]:
    return [RANDOM.integers(0, 255, (side, side, 3), dtype=np.uint8) for _ in range(count)]


@pytest.fixture(scope="module")
def embedded(tiny_bert: Path) -> Encoders:
    torch.manual_seed(0)
    return Encoders.build(
        {
            "text": {"kind": "transformer_text", "source": str(tiny_bert), "context_tokens": 8},
            "audio": {"kind": "log_mel_audio", "width": 24, "channels": [4, 8, 8, 8]},
            "vision": {"kind": "face_cnn", "width": 20, "channels": [4, 8, 8, 8]},
        }
    )


def test_a_batch_has_the_agreed_shapes_and_masks(embedded: Encoders) -> None:
    clips = [
        Clip(audio=sound(1.0), text="i love it", faces=faces(3)),
        Clip(text="bad"),
        Clip(audio=sound(0.01), faces=faces(20, 48)),
    ]
    batch = embedded.encode(clips)
    assert batch.text is not None and batch.text.shape == (3, 5, 16)  # [CLS] i love it [SEP]
    assert batch.text_mask is not None and batch.text_mask.sum(dim=1).tolist() == [5, 3, 0]
    assert batch.audio is not None and batch.audio.shape == (3, 13, 24)  # 101 frames of 10 ms
    assert batch.audio_mask is not None and batch.audio_mask.sum(dim=1).tolist() == [13, 0, 1]
    assert batch.vision is not None and batch.vision.shape == (3, 8, 20)  # max_crops
    assert batch.vision_mask is not None and batch.vision_mask.sum(dim=1).tolist() == [3, 0, 8]
    assert not batch.audio[1].any()


def test_a_mirrored_face_shows_the_same_emotion(embedded: Encoders) -> None:
    encoder = copy.deepcopy(embedded.encoders["vision"])
    logits = encoder.classify(encoder(encoder.crops([Clip(faces=faces(100, 48))])[0]))
    with torch.no_grad():
        encoder.emotion.bias -= logits.mean(dim=0)  # so that no class is named always
    crops = faces(30, 48)
    shown = encoder.emotions([Clip(faces=[crop]) for crop in crops])
    mirrored = encoder.emotions([Clip(faces=[crop[:, ::-1].copy()]) for crop in crops])
    assert shown == mirrored
    assert len(set(shown)) > 1


def test_a_clips_features_do_not_depend_on_its_batch(embedded: Encoders) -> None:
    clips = [
        Clip(audio=sound(0.7), text="i hate this film", context="good", faces=faces(1)),
        Clip(audio=sound(2.31), text="it was bad bad bad bad", faces=faces(4)),
        Clip(audio=sound(0.05), text="good", faces=faces(2, 90)),
    ]
    together = embedded.rows(clips)
    for clip, row in zip(clips, together, strict=True):
        for modality, features in embedded.rows([clip])[0].items():
            torch.testing.assert_close(features, row[modality], atol=1e-5, rtol=1e-4)


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
def test_what_carries_no_evidence_is_absent(embedded: Encoders, clip: Clip) -> None:
    assert embedded.rows([clip]) == [{}]


def test_context_changes_the_words_features_but_adds_no_tokens(embedded: Encoders) -> None:
    plain, told = embedded.rows([Clip(text="it was"), Clip(text="it was", context="bad film")])
    assert plain["text"].shape == told["text"].shape
    assert not torch.allclose(plain["text"], told["text"], atol=1e-3)
    (alone,) = embedded.rows([Clip(context="bad film")])
    assert alone == {}


def test_only_the_latest_context_is_read(embedded: Encoders) -> None:
    recent = "good film . good film . it was"
    long, short = embedded.rows(
        [Clip(text="it", context="hate hate " + recent), Clip(text="it", context=recent)]
    )
    torch.testing.assert_close(long["text"], short["text"])


def test_text_longer_than_the_maximum_is_cut(tiny_bert: Path) -> None:
    encoder = TextEncoder({"source": str(tiny_bert), "max_tokens": 6})
    (features,) = encoder.encode([Clip(text="good " * 50)])
    assert features.shape == (6, 16)


def test_loudness_and_colour_of_a_microphone_do_not_count() -> None:
    encoder = LogMelEncoder({})
    heard = torch.from_numpy(sound(1.0))
    torch.testing.assert_close(
        encoder.log_mel(heard), encoder.log_mel(heard * 0.02), atol=2e-3, rtol=1e-3
    )


def test_silence_around_speech_does_not_count() -> None:
    encoder = LogMelEncoder({})
    spoken = torch.from_numpy(sound(1.0))
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


def test_crops_are_spread_over_the_clip_and_end_with_the_last(embedded: Encoders) -> None:
    crops = faces(20)
    (whole,) = embedded.rows([Clip(faces=crops)])
    (last,) = embedded.rows([Clip(faces=crops[-1:])])
    torch.testing.assert_close(whole["vision"][-1], last["vision"][0], atol=1e-5, rtol=1e-4)


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
def test_what_cannot_be_read_is_refused(embedded: Encoders, clip: Clip, words: str) -> None:
    with pytest.raises(SemiIINError, match=words):
        embedded.rows([clip])


def test_a_difference_of_full_rank_gives_the_trained_weights_back(tiny_bert: Path) -> None:
    before, after = (TextEncoder({"source": str(tiny_bert)}).backbone for _ in range(2))
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in after.encoder.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    stored = difference(before, after, rank=16)
    assert not any("embeddings" in name for name in stored)
    add_difference(before, stored)
    for name, parameter in before.named_parameters():
        torch.testing.assert_close(
            parameter, dict(after.named_parameters())[name], atol=1e-4, rtol=1e-3
        )


def test_a_low_rank_difference_is_small_and_exact_for_a_low_rank_change(tiny_bert: Path) -> None:
    before, after = (TextEncoder({"source": str(tiny_bert)}).backbone for _ in range(2))
    weight = after.encoder.layer[0].intermediate.dense.weight
    torch.manual_seed(1)
    with torch.no_grad():
        weight.add_(torch.randn(32, 2) @ torch.randn(2, 16) * 0.1)
    stored = difference(before, after, rank=2)
    name = "encoder.layer.0.intermediate.dense.weight"
    assert {key: tuple(value.shape) for key, value in stored.items()} == {
        f"{name}.left": (32, 2),
        f"{name}.right": (2, 16),
    }
    add_difference(before, stored)
    torch.testing.assert_close(
        before.encoder.layer[0].intermediate.dense.weight, weight, atol=2e-3, rtol=1e-2
    )


def test_a_difference_of_another_model_is_refused(tiny_bert: Path) -> None:
    stored = {"encoder.layer.9.output.dense.bias.change": torch.ones(16)}
    with pytest.raises(SemiIINError, match="trained on another"):
        TextEncoder({"source": str(tiny_bert)}, stored)


def test_other_weights_than_the_named_ones_are_refused(tiny_bert: Path) -> None:
    with pytest.raises(SemiIINError, match="other weights"):
        TextEncoder({"source": str(tiny_bert), "sha256": "0" * 64})


def test_a_source_that_is_nowhere_is_named() -> None:
    with pytest.raises(SemiIINError, match="no/such-model cannot be loaded"):
        TextEncoder({"source": "no/such-model"})
    with pytest.raises(SemiIINError, match="install no-such-package"):
        TextEncoder({"source": "package:no_such_package/model"})


def test_embedded_encoders_survive_a_checkpoint(embedded: Encoders) -> None:
    clip = Clip(audio=sound(1.0), text="i love it", faces=faces(3))
    again = Encoders.build(embedded.specs(), embedded.tensors())
    for modality, features in again.rows([clip])[0].items():
        torch.testing.assert_close(
            features, embedded.rows([clip])[0][modality], atol=0.02, rtol=0.02
        )
    assert again.specs() == embedded.specs()


def test_weights_that_do_not_fit_their_spec_are_named(embedded: Encoders) -> None:
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
def test_an_unknown_encoder_is_named(specs: dict[str, dict[str, str]], words: str) -> None:
    with pytest.raises(SemiIINError, match=words):
        Encoders.build(specs)


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
    heard = sound(1.0)
    one, long = encoders.rows([Clip(audio=heard), Clip(audio=sound(2.0))])
    assert one["audio"].shape == (49, 16)  # 16,000 samples under a kernel of 400, every 320
    assert long["audio"].shape == (60, 16)
    normal = torch.from_numpy((heard - heard.mean()) / np.sqrt(heard.var() + 1e-7))
    with torch.inference_mode():
        expected = model.eval()(normal[None]).last_hidden_state[0]
    torch.testing.assert_close(one["audio"], expected, atol=1e-4, rtol=1e-3)


def test_the_papers_text_encoder_gives_last_hidden_states(tmp_path: Path) -> None:
    vocabulary = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "g": 4, "o": 5, "d": 6, "good": 7}
    merges = [("g", "o"), ("o", "d"), ("go", "od")]
    vocabulary |= {"go": 8, "od": 9}
    RobertaTokenizer(vocabulary, merges).save_pretrained(tmp_path)
    torch.manual_seed(0)
    model = RobertaModel(
        RobertaConfig(
            vocab_size=10, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=32, type_vocab_size=1, max_position_embeddings=40,
        )
    )  # fmt: skip
    model.save_pretrained(tmp_path)
    encoder = TextEncoder({"source": str(tmp_path), "context_tokens": 4}).eval()
    with torch.inference_mode():
        (features,) = encoder.encode([Clip(text="good", context="good")])
        expected = model.eval()(torch.tensor([[0, 7, 2, 7, 2]])).last_hidden_state[0, :3]
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-4)


def release_of_fab_net() -> dict[str, torch.Tensor]:
    """Names and shapes of the published encoder, written out by hand."""
    torch.manual_seed(0)
    widths = [(3, 32), (32, 64), (64, 128), (128, 256)] + [(256, 256)] * 4
    state = {}
    for index, (at, (inner, outer)) in enumerate(
        zip((0, 2, 5, 8, 11, 14, 17, 20), widths, strict=True)
    ):
        state[f"encoder.{at}.weight"] = torch.randn(outer, inner, 4, 4) * 0.05
        state[f"encoder.{at}.bias"] = torch.randn(outer) * 0.05
        if 0 < index < 7:
            for name, value in (
                ("weight", torch.ones(outer)), ("bias", torch.zeros(outer)),
                ("running_mean", torch.zeros(outer)), ("running_var", torch.ones(outer)),
                ("num_batches_tracked", torch.tensor(7)),
            ):  # fmt: skip
                state[f"encoder.{at + 1}.{name}"] = value
    return state


def test_the_papers_vision_encoder_loads_the_published_weights(tmp_path: Path) -> None:
    published = tmp_path / "release.pth"
    state = {**release_of_fab_net(), "decoder.2.weight": torch.zeros(1)}
    torch.save({"epoch": 3, "state_dict_model": state}, published)
    weights = convert_fab_net(published, tmp_path / "fab_net.safetensors")
    encoders = Encoders.build({"vision": {"kind": "fab_net", "weights": str(weights)}})
    (row,) = encoders.rows([Clip(faces=faces(3, 300))])
    assert row["vision"].shape == (3, 256)
    assert row["vision"].std() > 0
    assert encoders.tensors() == {}


def test_fab_net_refuses_what_is_not_its_release(tmp_path: Path) -> None:
    with pytest.raises(SemiIINError, match="FAb-Net's weights are not at"):
        FabNetEncoder({"weights": str(tmp_path / "none.safetensors")})
    other = tmp_path / "other.pth"
    torch.save({"state_dict_model": {"decoder.0.weight": torch.zeros(1)}}, other)
    with pytest.raises(SemiIINError, match="no FAb-Net checkpoint"):
        convert_fab_net(other, tmp_path / "x.safetensors")
    torch.save({"state_dict_model": Path("not weights")}, other)
    with pytest.raises(SemiIINError, match="plain weights"):
        convert_fab_net(other, tmp_path / "x.safetensors")
    save_file({"encoder.0.weight": torch.zeros(1)}, tmp_path / "wrong.safetensors")
    with pytest.raises(SemiIINError, match="do not fit"):
        FabNetEncoder({"weights": str(tmp_path / "wrong.safetensors")})


class Named:
    """A sample that counts how often it is read."""

    reads = 0

    def __init__(self, name: str, text: str) -> None:
        self.id, self.text = name, text

    def __repr__(self) -> str:
        return f"{self.id}: {self.text}"

    def clip(self) -> Clip:
        Named.reads += 1
        return Clip(text=self.text)


def test_features_are_computed_once_and_in_shards(embedded: Encoders, tmp_path: Path) -> None:
    samples = [Named(str(index), "good " * (1 + index % 3)) for index in range(7)]
    Named.reads = 0
    rows = extract(samples, embedded, tmp_path, shard_size=3)
    assert [len(row["text"]) for row in rows] == [3, 4, 5, 3, 4, 5, 3]
    (folder,) = tmp_path.iterdir()
    assert len(list(folder.iterdir())) == 3
    (folder / "00001.safetensors").unlink()  # as if stopped before it was written
    again = extract(samples, embedded, tmp_path, shard_size=3)
    assert Named.reads == 7 + 3
    for one, other in zip(rows, again, strict=True):
        torch.testing.assert_close(one["text"], other["text"], atol=1e-3, rtol=1e-3)


def test_the_cache_knows_other_weights_from_its_own(
    embedded: Encoders, tiny_bert: Path, tmp_path: Path
) -> None:
    samples = [Named("a", "good")]
    extract(samples, embedded, tmp_path)
    other = Encoders.build({"text": {"kind": "transformer_text", "source": str(tiny_bert)}})
    assert other.fingerprint() != embedded.fingerprint()
    extract(samples, other, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
