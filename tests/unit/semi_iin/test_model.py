"""The model's sizes, variants, errors and modes."""

import json
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from semi_iin.errors import SemiIINError
from semi_iin.modalities import MODALITIES, Modality
from semi_iin.model import Branch, Gate, SemiIIN, SemiIINOutput, sinusoidal_positions
from semi_iin.model_config import VARIANTS, SemiIINConfig


def tiny(**changes: object) -> SemiIINConfig:
    sizes = {
        "audio_width": 6,
        "text_width": 5,
        "vision_width": 4,
        "hidden": 8,
        "heads": 2,
        "head_widths": (8, 4),
        "max_audio": 6,
        "max_text": 7,
        "max_vision": 5,
    }
    return SemiIINConfig.from_dict(sizes | changes)


def build(seed: int = 0, **changes: object) -> SemiIIN:
    torch.manual_seed(seed)
    return SemiIIN(tiny(**changes)).eval()


def gate(model: SemiIIN, token: str) -> Gate:
    module = model.gates[token]
    assert isinstance(module, Gate)
    return module


def branch(model: SemiIIN, name: str) -> Branch:
    module = model.branches[name]
    assert isinstance(module, Branch)
    return module


def features(config: SemiIINConfig, batch: int = 2, seed: int = 1) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    lengths: dict[Modality, int] = {"audio": 23, "text": 7, "vision": 5}
    return {
        name: torch.randn(batch, length, config.width(name), generator=generator)
        for name, length in lengths.items()
    }


def parameter_count(model: SemiIIN) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_parameter_counts_are_the_papers() -> None:
    # Published as 1.60 M and 1.33 M, cut after the second digit. The baseline's count includes the
    # position embedding, which the release registers and does not use.
    assert parameter_count(SemiIIN(SemiIINConfig())) == 1_602_376
    baseline = SemiIINConfig(variant="global", use_position_embedding=False)
    assert parameter_count(SemiIIN(baseline)) == 1_338_056


def test_the_papers_sequence_has_252_slots() -> None:
    config = SemiIINConfig()
    assert config.slots == 252
    assert [config.first_slot(name) for name in ("audio", "text", "vision")] == [2, 102, 202]
    assert config.max_frames("audio") >= 800
    assert config.max_frames("text") == 100


def test_sinusoids_start_at_position_one_with_sines_before_cosines() -> None:
    table = sinusoidal_positions(3, 6)
    # Frequencies 1, 1/100, 1/10000.
    expected = [math.sin(2), math.sin(0.02), math.sin(0.0002)]
    expected += [math.cos(2), math.cos(0.02), math.cos(0.0002)]
    torch.testing.assert_close(table[1], torch.tensor(expected))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_scores_and_learns(variant: Any) -> None:
    model = build(variant=variant).train()
    output = model(**features(model.config))
    assert output.valence.shape == (2,)
    assert output.class_logits.shape == (2, 7)
    (output.valence.sum() + output.class_logits.sum()).backward()
    gradients = {name: value.grad for name, value in model.named_parameters()}
    assert [name for name, gradient in gradients.items() if gradient is None] == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_only_the_gate_variant_has_a_gate_share(variant: Any) -> None:
    model = build(variant=variant)
    output = model(**features(model.config))
    for share in (output.valence_gate, output.class_gate):
        if variant == "gate":
            assert ((share > 0) & (share < 1)).all()
        else:
            assert share.isnan().all()


def test_a_gate_that_lets_one_branch_through_has_the_share_one_or_zero() -> None:
    model = build()
    with torch.no_grad():
        gate(model, "val").intra.bias.fill_(50.0)  # all of `val` from the inter-modal branch
        gate(model, "cls").intra.bias.fill_(-50.0)
    output = model(**features(model.config))
    torch.testing.assert_close(output.valence_gate, torch.ones(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(output.class_gate, torch.zeros(2), atol=1e-4, rtol=0)
    # With `val` inter-modal only, the intra-modal branch no longer counts for the valence.
    with torch.no_grad():
        branch(model, "intra").final_norm.bias.add_(1.0)
    torch.testing.assert_close(model(**features(model.config)).valence, output.valence)


def test_a_modality_does_not_attend_to_itself_in_the_inter_branch() -> None:
    """With one modality, InterMA's tokens attend to `val` and `cls` only; with two, to more."""
    model = build(variant="inter")
    inputs = features(model.config)
    groups = torch.tensor([0, 0, 2, 2])
    allowed = model._allowed("inter", groups, torch.ones(1, 4, dtype=torch.bool))[0]
    assert allowed[2].tolist() == [True, True, False, False]
    alone = model(text=inputs["text"]).valence
    both = model(text=inputs["text"], vision=inputs["vision"]).valence
    assert (alone - both).abs().min() > 1e-5


def test_the_position_switch_only_removes_the_position_embedding() -> None:
    with_positions = build(variant="global")
    without = SemiIIN(tiny(variant="global", use_position_embedding=False)).eval()
    without.load_state_dict(with_positions.state_dict())
    inputs = features(with_positions.config)
    assert (with_positions(**inputs).valence - without(**inputs).valence).abs().min() > 1e-6
    with torch.no_grad():
        with_positions.position_embedding.zero_()
    torch.testing.assert_close(with_positions(**inputs), without(**inputs), equal_nan=True)


def test_sparse_attention_uses_all_keys_when_k_covers_the_sequence() -> None:
    dense, sparse = build(), SemiIIN(tiny(sparse_top_k=99)).eval()
    few = SemiIIN(tiny(sparse_top_k=2)).eval()
    for model in (sparse, few):
        model.load_state_dict(dense.state_dict())
    inputs = features(dense.config)
    torch.testing.assert_close(sparse(**inputs), dense(**inputs))
    assert (few(**inputs).valence - dense(**inputs).valence).abs().min() > 1e-6


def test_entropy_is_one_for_even_attention_and_less_for_sharp() -> None:
    model = build(entropy_weight=0.1)
    inputs = features(model.config)
    usual = model(**inputs).attention_entropy
    assert ((usual > 0) & (usual < 1)).all()
    with torch.no_grad():
        for name in model.branches:  # queries of zero: uniform attention
            projection = branch(model, name).in_proj
            projection.weight[: model.config.hidden].zero_()
            projection.bias[: model.config.hidden].zero_()
    torch.testing.assert_close(model(**inputs).attention_entropy, torch.ones(2))


def test_training_on_the_entropy_sharpens_attention() -> None:
    model = build(entropy_weight=0.1).train()
    inputs = features(model.config)
    mask = torch.tensor([[True] * 7, [True] * 2 + [False] * 5])
    model(**inputs, text_mask=mask).attention_entropy.mean().backward()
    gradient = branch(model, "intra").in_proj.weight.grad
    assert gradient is not None
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0


def test_entropy_is_zero_when_it_has_no_weight() -> None:
    model = build()
    assert model(**features(model.config)).attention_entropy.tolist() == [0.0, 0.0]


def test_dropout_is_off_in_evaluation() -> None:
    model = build()
    inputs = features(model.config)
    torch.testing.assert_close(model(**inputs), model(**inputs), rtol=0, atol=0)
    model.train()
    assert (model(**inputs).valence != model(**inputs).valence).any()


def test_a_sample_without_any_modality_is_finite_and_does_not_affect_others() -> None:
    model = build()
    inputs = features(model.config)
    masks = {
        f"{name}_mask": torch.tensor([[True], [False]]).expand(value.shape[:2])
        for name, value in inputs.items()
    }
    output = model(**inputs, **masks)
    assert all(value.isfinite().all() for value in output)
    alone = model(**{name: value[:1] for name, value in inputs.items()})
    torch.testing.assert_close(output.valence[:1], alone.valence)


def test_bfloat16_is_near_float32() -> None:
    model = build()
    inputs = features(model.config)
    expected = model(**inputs).valence
    half = model.bfloat16()(**{name: value.bfloat16() for name, value in inputs.items()})
    assert half.valence.dtype == torch.bfloat16
    torch.testing.assert_close(half.valence.float(), expected, atol=0.05, rtol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"sparse_top_k": 3}, {"entropy_weight": 0.1}])
def test_the_model_compiles_into_one_graph(changes: Any) -> None:
    model = build(**changes)
    inputs = features(model.config)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(**inputs), SemiIINOutput(*model(**inputs)))


DEVICES = ["cpu"]
DEVICES += ["cuda"] if torch.cuda.is_available() else []
DEVICES += ["mps"] if torch.backends.mps.is_available() else []


@pytest.mark.parametrize("device", DEVICES)
def test_every_device_agrees_with_double_precision(device: str) -> None:
    model = build()
    inputs = features(model.config)
    given = model.to(device)(**{name: value.to(device) for name, value in inputs.items()})
    exact = model.cpu().double()(**{name: value.double() for name, value in inputs.items()})
    torch.testing.assert_close(given.valence.cpu().double(), exact.valence, atol=1e-4, rtol=1e-3)


def test_the_shortest_inputs_are_scored() -> None:
    model = build()
    single = {name: value[:, :1] for name, value in features(model.config).items()}
    assert model(**single).valence.isfinite().all()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "at least one modality"),
        ({"text": (2, 8, 5)}, r"text has 8 frames.*at most 7.*max_text = 7"),
        ({"audio": (2, 90, 6)}, r"audio has 90 frames.*max_audio = 6"),
        ({"text": (2, 3, 6)}, r"\(2, 3, 6\).*\(batch, frames, 5\)"),
        ({"text": (3, 5)}, "text features"),
    ],
)
def test_an_error_names_unfit_inputs(inputs: Any, message: str) -> None:
    with pytest.raises(SemiIINError, match=message):
        build()(**{name: torch.zeros(shape) for name, shape in inputs.items()})


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(SemiIINError, match="text_mask must be a bool tensor"):
        build()(text=torch.zeros(2, 4, 5), text_mask=torch.ones(2, 5, dtype=torch.bool))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 3}, "multiple of heads"),
        ({"hidden": 7, "heads": 1}, "even"),
        ({"variant": "both"}, "variant"),
        ({"feature_dropout": 1.0}, "feature_dropout"),
        ({"audio_dropout": -0.1}, "audio_dropout"),
        ({"audio_columns": 7}, "audio_columns must be a whole number from 0 to audio_width"),
        ({"sparse_top_k": 0}, "sparse_top_k"),
        ({"text_convs": [[3, 0, 1]]}, "text_convs"),
        ({"text_convs": []}, "text_convs"),
        ({"max_audio": 0}, "max_audio"),
        ({"entropy_weight": -1.0}, "entropy_weight"),
        ({"hiden": 8}, "unknown model setting hiden"),
        ({"hidden": "8"}, "hidden must be a whole number"),
    ],
)
def test_an_error_names_unfit_settings(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SemiIINError, match=message):
        tiny(**changes)


def test_dropout_spares_what_the_encoders_own_head_gives() -> None:
    model = build(feature_dropout=0.1, audio_dropout=0.7, audio_columns=2)
    config, dropouts = model.config, model.train().feature_dropouts
    torch.manual_seed(0)
    ones = {name: torch.ones(50, 40, config.width(name)) for name in MODALITIES}
    kept = {name: dropouts[name](ones[name]) for name in MODALITIES}
    assert (kept["audio"][..., -2:] == 1).all()
    assert (kept["audio"][..., :-2] == 0).float().mean() == pytest.approx(0.7, abs=0.02)
    for name in ("text", "vision"):
        assert (kept[name] == 0).float().mean() == pytest.approx(0.1, abs=0.02)
    dropouts.eval()
    assert all(torch.equal(dropouts[name](ones[name]), ones[name]) for name in MODALITIES)


def test_a_configuration_is_unchanged_by_json() -> None:
    config = tiny(variant="concat", sparse_top_k=4)
    assert SemiIINConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
