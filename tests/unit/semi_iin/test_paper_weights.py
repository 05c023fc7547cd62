"""The paper's weights in our model, against the released forward in plain matrix arithmetic."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from semi_iin import checkpoint
from semi_iin.errors import SemiIINError
from semi_iin.paper_weights import convert_release, from_release

HIDDEN = 16
AUDIO, TEXT, VISION = 12, 10, 6  # encoder widths of the small release; lengths are the paper's
SEQUENCE = 252

State = dict[str, Tensor]


def release_state(masked: bool, seed: int = 0) -> State:
    """Random weights under every name that the released code saves."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return 0.3 * torch.randn(*shape, generator=generator)

    def encoder() -> State:
        layer = {
            "self_attn.in_proj_weight": random(3 * HIDDEN, HIDDEN),
            "self_attn.in_proj_bias": random(3 * HIDDEN),
            "self_attn.out_proj.weight": random(HIDDEN, HIDDEN),
            "self_attn.out_proj.bias": random(HIDDEN),
            "fc1.weight": random(4 * HIDDEN, HIDDEN),
            "fc1.bias": random(4 * HIDDEN),
            "fc2.weight": random(HIDDEN, 4 * HIDDEN),
            "fc2.bias": random(HIDDEN),
        }
        for index in (0, 1):
            layer[f"layer_norms.{index}.weight"] = 1 + random(HIDDEN)
            layer[f"layer_norms.{index}.bias"] = random(HIDDEN)
        return {f"layers.0.{name}": value for name, value in layer.items()} | {
            "version": torch.tensor([2.0]),
            "embed_positions._float_tensor": torch.zeros(1),
            "layer_norm.weight": 1 + random(HIDDEN),
            "layer_norm.bias": random(HIDDEN),
        }

    state: State = {}
    lists = {"cmfm1": "cmfm_intra", "cmfm2": "cmfm_inter"} if masked else {"cmfm1": "cmfm"}
    for name, alias in lists.items():
        weights = encoder()
        for prefix in (name, f"{alias}.0", f"{alias}.1"):
            state |= {f"{prefix}.{key}": value for key, value in weights.items()}
    for gate in ("gate1", "gate2") if masked else ():
        state[f"{gate}.A_affline.weight"] = random(HIDDEN, HIDDEN)
        state[f"{gate}.V_affline.weight"] = random(HIDDEN, HIDDEN)
        state[f"{gate}.V_affline.bias"] = random(HIDDEN)
    return state | {
        "token_type_embeddings.weight": random(3, HIDDEN),
        "pos_embed": random(1, SEQUENCE, HIDDEN),
        "val_token": random(1, 1, HIDDEN),
        "cls_token": random(1, 1, HIDDEN),
        "proj_1vv.weight": random(HIDDEN, VISION, 3),
        "proj_1tt.weight": random(HIDDEN, TEXT, 3),
        "proj_1aa.weight": random(HIDDEN, AUDIO, 4),
        "proj_2aa.weight": random(HIDDEN, HIDDEN, 4),
        "module.0.weight": random(12, HIDDEN),
        "module.0.bias": random(12),
        "module.1.weight": random(8, 12),
        "module.1.bias": random(8),
        "fc_out1.weight": random(1, 8),
        "fc_out1.bias": random(1),
        "fc_out2.weight": random(7, 8),
        "fc_out2.bias": random(7),
    }


def convolve(rows: Tensor, weight: Tensor, stride: int) -> Tensor:
    """One sample (L, D) through a convolution with padding 1, window by window."""
    kernel = weight.shape[2]
    edge = torch.zeros(1, rows.shape[1])
    rows = torch.cat([edge, rows, edge])
    starts = range(0, len(rows) - kernel + 1, stride)
    windows = torch.stack([rows[start : start + kernel].T for start in starts])
    return torch.einsum("tdk,hdk->th", windows, weight)


def norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt() * weight + bias


def positions() -> Tensor:
    table = torch.zeros(SEQUENCE, HIDDEN)
    half = HIDDEN // 2
    for row in range(SEQUENCE):
        for column in range(half):
            angle = (row + 1) * math.exp(-math.log(10000) * column / (half - 1))
            table[row, column], table[row, half + column] = math.sin(angle), math.cos(angle)
    return table


def attention_bias(kind: str) -> Tensor:
    """Zeros, with -inf where the released code masks a key (column) from a query (row)."""
    bias = torch.zeros(SEQUENCE, SEQUENCE)
    if kind == "global":
        return bias
    special, audio, text, vision = slice(0, 2), slice(2, 102), slice(102, 202), slice(202, 252)
    forbidden = [(special, special)]
    if kind == "inter":
        forbidden += [(audio, audio), (text, text), (vision, vision)]
    else:
        forbidden += [(audio, text), (audio, vision), (text, audio), (text, vision)]
        forbidden += [(vision, audio), (vision, text)]
    for rows, columns in forbidden:
        bias[rows, columns] = -math.inf
    return bias


def encode(x: Tensor, state: State, name: str, kind: str, heads: int) -> Tensor:
    """The released encoder on one sample (252, H)."""
    weights = {
        key.removeprefix(f"{name}."): value
        for key, value in state.items()
        if key.startswith(f"{name}.")
    }
    layer = {key.removeprefix("layers.0."): value for key, value in weights.items()}
    x = math.sqrt(HIDDEN) * x + positions()
    normed = norm(x, layer["layer_norms.0.weight"], layer["layer_norms.0.bias"])
    projected = normed @ layer["self_attn.in_proj_weight"].T + layer["self_attn.in_proj_bias"]
    query, key, value = projected.chunk(3, dim=1)
    width = HIDDEN // heads
    mixed = []
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        logits = (query[:, part] * width**-0.5) @ key[:, part].T + attention_bias(kind)
        mixed.append(torch.softmax(logits, dim=1) @ value[:, part])
    attended = torch.cat(mixed, dim=1)
    x = x + attended @ layer["self_attn.out_proj.weight"].T + layer["self_attn.out_proj.bias"]
    normed = norm(x, layer["layer_norms.1.weight"], layer["layer_norms.1.bias"])
    inner = (normed @ layer["fc1.weight"].T + layer["fc1.bias"]).clamp(min=0)
    x = x + inner @ layer["fc2.weight"].T + layer["fc2.bias"]
    return norm(x, weights["layer_norm.weight"], weights["layer_norm.bias"])


def release_forward(
    state: State, audio: Tensor, text: Tensor, vision: Tensor, heads: int, applications: int
) -> tuple[Tensor, Tensor]:
    """The released forward in evaluation, one full-length sample at a time."""
    types = state["token_type_embeddings.weight"]
    audio_tokens = convolve(
        convolve(audio, state["proj_1aa.weight"], 2), state["proj_2aa.weight"], 4
    )
    words = convolve(text, state["proj_1tt.weight"], 1)
    faces = convolve(vision, state["proj_1vv.weight"], 1)
    sequence = torch.cat(
        [
            state["val_token"][0],
            state["cls_token"][0],
            audio_tokens + types[0],
            words + types[1],
            faces + types[2],
        ]
    )

    def read(name: str, kind: str, x: Tensor) -> Tensor:
        for _ in range(applications):
            x = encode(x, state, name, kind, heads)
        return x[:2]

    if "gate1.A_affline.weight" in state:
        placed = sequence + state["pos_embed"][0]
        intra, inter = read("cmfm1", "intra", placed), read("cmfm2", "inter", placed)
        fused = []
        for row, gate in enumerate(("gate1", "gate2")):
            share = torch.sigmoid(
                state[f"{gate}.A_affline.weight"] @ inter[row]
                + state[f"{gate}.V_affline.weight"] @ intra[row]
                + state[f"{gate}.V_affline.bias"]
            )
            fused.append(inter[row] * share + intra[row] * (1 - share))
    else:
        fused = list(read("cmfm1", "global", sequence))

    def head(x: Tensor, out: str) -> Tensor:
        for index in (0, 1):
            x = state[f"module.{index}.weight"] @ x + state[f"module.{index}.bias"]
        return state[f"{out}.weight"] @ x + state[f"{out}.bias"]

    return head(fused[0], "fc_out1")[0], head(fused[1], "fc_out2")


@pytest.mark.parametrize("masked", [True, False], ids=["masked", "global"])
@pytest.mark.parametrize(("heads", "applications"), [(4, 2), (2, 2)])
def test_the_forward_equals_the_released_forward(
    masked: bool, heads: int, applications: int
) -> None:
    state = release_state(masked)
    generator = torch.Generator().manual_seed(1)
    audio = torch.randn(2, 800, AUDIO, generator=generator)
    text = torch.randn(2, 100, TEXT, generator=generator)
    vision = torch.randn(2, 50, VISION, generator=generator)
    model = from_release(state, heads=heads, applications=applications)
    with torch.inference_mode():
        output = model(audio=audio, text=text, vision=vision)
    for row in range(2):
        valence, logits = release_forward(
            state, audio[row], text[row], vision[row], heads, applications
        )
        torch.testing.assert_close(output.valence[row], valence, atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(output.class_logits[row], logits, atol=2e-5, rtol=1e-4)


def test_full_masks_change_nothing() -> None:
    model = from_release(release_state(True))
    inputs = {
        "audio": torch.randn(1, 800, AUDIO),
        "text": torch.randn(1, 100, TEXT),
        "vision": torch.randn(1, 50, VISION),
    }
    masks = {f"{name}_mask": torch.ones(value.shape[:2]).bool() for name, value in inputs.items()}
    torch.testing.assert_close(model(**inputs, **masks), model(**inputs))


def test_applications_are_the_argument_when_the_state_has_no_copies() -> None:
    state = {
        name: value
        for name, value in release_state(True).items()
        if not name.startswith(("cmfm_intra", "cmfm_inter"))
    }
    assert from_release(state, applications=3).config.applications == 3


def test_the_baseline_is_loaded_without_its_unused_position_embedding() -> None:
    model = from_release(release_state(False))
    assert model.config.variant == "global"
    assert not model.config.use_position_embedding
    assert model.position_embedding.shape == (SEQUENCE, HIDDEN)


def without(state: State, *names: str) -> State:
    return {key: value for key, value in state.items() if key not in names}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: without(s, "val_token"), "missing val_token"),
        (lambda s: without(s, "proj_2aa.weight"), "no proj_2aa.weight"),
        (lambda s: s | {"extra.weight": torch.zeros(1)}, "unknown extra.weight"),
        (lambda s: s | {"pos_embed": torch.zeros(1, 292, HIDDEN)}, "292 positions"),
        (lambda s: s | {"proj_1aa.weight": torch.zeros(HIDDEN, 4, 3)}, "kernels"),
        (lambda s: s | {"fc_out1.weight": torch.zeros(2, 8)}, "fc_out1.weight has shape"),
        (lambda s: s | {"fc_out2.weight": torch.zeros(7)}, "fc_out2.weight has shape"),
        (
            lambda s: s | {"cmfm_inter.1.layer_norm.bias": torch.ones(HIDDEN)},
            "must be the same tensor as cmfm2.layer_norm.bias",
        ),
        (lambda _: {}, "no proj_1aa.weight"),
    ],
)
def test_an_error_names_the_unfit_tensor(change: Any, message: str) -> None:
    with pytest.raises(SemiIINError, match=message):
        from_release(change(release_state(True)))


def test_another_number_of_applications_is_refused() -> None:
    with pytest.raises(SemiIINError, match="applies its layer 2 times, but applications = 3"):
        from_release(release_state(True), applications=3)


def test_heads_that_do_not_divide_are_refused() -> None:
    with pytest.raises(SemiIINError, match="multiple of heads = 3"):
        from_release(release_state(True), heads=3)


def test_a_released_file_becomes_a_checkpoint(tmp_path: Path) -> None:
    torch.save({"state_dict": release_state(True)}, tmp_path / "release.pth")
    converted = checkpoint.load(convert_release(tmp_path / "release.pth", tmp_path / "converted"))
    assert converted.config["encoders"] == {}
    expected = from_release(release_state(True)).state_dict()
    for name, value in converted.build_model().state_dict().items():
        assert torch.equal(value, expected[name])


def test_a_released_file_with_code_in_it_is_refused(tmp_path: Path) -> None:
    class Code:
        def __reduce__(self) -> tuple[Any, ...]:
            return print, ("this must not run",)

    torch.save({"state_dict": Code()}, tmp_path / "release.pth")
    with pytest.raises(SemiIINError, match="cannot be read as plain weights"):
        convert_release(tmp_path / "release.pth", tmp_path / "converted")
