"""The weights of the paper's released code, as our model.

The release stores the state of its `CMFM` module. Only this module
depends on the names, shapes and lists of that state.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from semi_iin import checkpoint as checkpoints
from semi_iin.errors import SemiIINError
from semi_iin.model import SemiIIN
from semi_iin.model_config import SemiIINConfig, Variant
from semi_iin.state import describe_differences, read_pickled_state


def convert_release(published: Path, target: Path) -> Path:
    """Convert the released model's file (a pickle) to a checkpoint for ready features.

    Args:
        published: the released `.pth` or `.pt` file.
        target: the checkpoint directory to write. It has no encoders: the release reads features.

    Returns:
        `target`.

    Raises:
        SemiIINError: when the file is no such release, or contains more than plain data.
    """
    model = from_release(read_pickled_state(published))
    weights = {f"model.{name}": value for name, value in model.state_dict().items()}
    content = {
        "name": "semi-iin-paper",
        "model": model.config.to_dict(),
        "encoders": {},
        "provenance": {"converted_from": published.name},
    }
    return checkpoints.save(target, weights, content)


def from_release(
    state_dict: Mapping[str, Tensor], heads: int = 4, applications: int = 2
) -> SemiIIN:
    """Build our model from the weights of the paper's released code (its `CMFM` module).

    The masked model (`cmfm1` intra, `cmfm2` inter, two gates) and the global-attention baseline
    (`cmfm1` alone) are distinguished by their names. The baseline is loaded as it runs there:
    without the position embedding, which it stores but never adds. Sizes come from the tensors;
    strides and paddings are the release's for a kernel of that length.

    Args:
        state_dict: name to tensor.
        heads: attention heads; the tensors do not determine them.
        applications: how often the shared layer is applied; must match the copies in
            `cmfm_intra.N`, `cmfm_inter.N` or `cmfm.N` where the state has them.

    Returns:
        The model in evaluation mode.

    Raises:
        SemiIINError: naming the tensors that are missing, left over or misshapen.
    """
    state = _without_aliases(_without_buffers(state_dict), applications)
    config = _release_config(state, heads, applications)
    model = SemiIIN(config)
    names = _release_names(config)
    problems = describe_differences(names.values(), state)
    if problems:
        raise SemiIINError(f"the release's state does not fit: {problems}")
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    ours = {}
    for name, release_name in names.items():
        tensor, shape = state[release_name], shapes[name]
        squeezed = tensor.squeeze() if release_name in _BATCHED else tensor
        if squeezed.shape != shape:
            raise SemiIINError(
                f"the release's {release_name} has shape {tuple(tensor.shape)}, "
                f"which does not fit {tuple(shape)}"
            )
        ours[name] = squeezed
    model.load_state_dict(ours)
    return model.eval()


_BATCHED = ("val_token", "cls_token", "pos_embed")  # stored with leading dimensions of one
_RELEASE_SEQUENCE = 252  # two tokens, 100 audio, 100 text, 50 vision
_RELEASE_KERNELS = (4, 4, 3, 3)  # audio, audio again, text, vision
_RELEASE_LAYER = {
    "in_proj.weight": "layers.0.self_attn.in_proj_weight",
    "in_proj.bias": "layers.0.self_attn.in_proj_bias",
    "out_proj.weight": "layers.0.self_attn.out_proj.weight",
    "out_proj.bias": "layers.0.self_attn.out_proj.bias",
    "fc1.weight": "layers.0.fc1.weight",
    "fc1.bias": "layers.0.fc1.bias",
    "fc2.weight": "layers.0.fc2.weight",
    "fc2.bias": "layers.0.fc2.bias",
    "attention_norm.weight": "layers.0.layer_norms.0.weight",
    "attention_norm.bias": "layers.0.layer_norms.0.bias",
    "feedforward_norm.weight": "layers.0.layer_norms.1.weight",
    "feedforward_norm.bias": "layers.0.layer_norms.1.bias",
    "final_norm.weight": "layer_norm.weight",
    "final_norm.bias": "layer_norm.bias",
}
_RELEASE_GATE = {
    "inter.weight": "A_affline.weight",
    "intra.weight": "V_affline.weight",
    "intra.bias": "V_affline.bias",
}


def _release_names(config: SemiIINConfig) -> dict[str, str]:
    """Return the release's name of each of our parameters."""
    names = {
        "val_token": "val_token",
        "cls_token": "cls_token",
        "type_embedding": "token_type_embeddings.weight",
        "position_embedding": "pos_embed",
        "tokenizers.audio.convs.0.weight": "proj_1aa.weight",
        "tokenizers.audio.convs.1.weight": "proj_2aa.weight",
        "tokenizers.text.convs.0.weight": "proj_1tt.weight",
        "tokenizers.vision.convs.0.weight": "proj_1vv.weight",
        "valence_head.weight": "fc_out1.weight",
        "valence_head.bias": "fc_out1.bias",
        "class_head.weight": "fc_out2.weight",
        "class_head.bias": "fc_out2.bias",
    }
    for index in range(len(config.head_widths)):
        for part in ("weight", "bias"):
            names[f"shared_head.{index}.{part}"] = f"module.{index}.{part}"
    masked = config.variant == "gate"
    branches = {"intra": "cmfm1", "inter": "cmfm2"} if masked else {"unmasked": "cmfm1"}
    for ours, theirs in branches.items():
        for name, release_name in _RELEASE_LAYER.items():
            names[f"branches.{ours}.{name}"] = f"{theirs}.{release_name}"
    for ours, theirs in {"val": "gate1", "cls": "gate2"}.items() if masked else ():
        for name, release_name in _RELEASE_GATE.items():
            names[f"gates.{ours}.{name}"] = f"{theirs}.{release_name}"
    return names


def _without_buffers(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state without the buffers that contain no weights."""
    meaningless = ("version", "_float_tensor")
    return {
        name: tensor
        for name, tensor in state_dict.items()
        if name.rpartition(".")[2] not in meaningless
    }


def _without_aliases(state: dict[str, Tensor], applications: int) -> dict[str, Tensor]:
    """Return the state without its lists of the same modules, which must agree with them."""
    lists = {"cmfm_intra": "cmfm1", "cmfm_inter": "cmfm2", "cmfm": "cmfm1"}
    originals = {
        name: value for name, value in state.items() if name.partition(".")[0] not in lists
    }
    copies = set()
    for name in state.keys() - originals.keys():
        alias, index, rest = name.split(".", 2)
        copies.add(index)
        original = originals.get(f"{lists[alias]}.{rest}")
        if original is None or not torch.equal(original, state[name]):
            raise SemiIINError(
                f"the release's {name} must be the same tensor as {lists[alias]}.{rest}"
            )
    if copies and len(copies) != applications:
        raise SemiIINError(
            f"the release's state applies its layer {len(copies)} times, "
            f"but applications = {applications}"
        )
    return originals


def _release_config(state: Mapping[str, Tensor], heads: int, applications: int) -> SemiIINConfig:
    """Return the configuration that the shapes of a release's state determine."""

    def shape(name: str, rank: int) -> tuple[int, ...]:
        if name not in state:
            raise SemiIINError(f"the release's state has no {name}")
        if state[name].ndim != rank:
            raise SemiIINError(
                f"the release's {name} has shape {tuple(state[name].shape)}, not {rank} dimensions"
            )
        return tuple(state[name].shape)

    convs = [shape(f"proj_{name}.weight", 3) for name in ("1aa", "2aa", "1tt", "1vv")]
    hidden = convs[0][0]
    kernels = tuple(kernel for _, _, kernel in convs)
    if kernels != _RELEASE_KERNELS:
        raise SemiIINError(
            f"the release's convolutions (audio twice, text, vision) have kernels {kernels}, but "
            f"only those of MOSI and MOSEI are known: {_RELEASE_KERNELS}"
        )
    sequence = shape("pos_embed", 3)[1]
    if sequence != _RELEASE_SEQUENCE:
        raise SemiIINError(
            f"the release's pos_embed has {sequence} positions, but only the "
            f"{_RELEASE_SEQUENCE} of MOSI and MOSEI are known"
        )
    depth = 0
    while f"module.{depth}.weight" in state:
        depth += 1
    variant: Variant = "gate" if any(name.startswith("cmfm2.") for name in state) else "global"
    return SemiIINConfig(
        audio_width=convs[0][1],
        text_width=convs[2][1],
        vision_width=convs[3][1],
        hidden=hidden,
        heads=heads,
        ffn_multiple=max(shape("cmfm1.layers.0.fc1.weight", 2)[0] // hidden, 1),
        applications=applications,
        classes=shape("fc_out2.weight", 2)[0],
        head_widths=tuple(shape(f"module.{index}.weight", 2)[0] for index in range(depth)),
        variant=variant,
        use_position_embedding=variant == "gate",
    )
