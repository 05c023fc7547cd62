"""A trained model as a directory: weights, configuration, provenance and a model card.

    model.safetensors   every tensor, under prefixes (`model.`, `text_encoder.`, ...)
    config.json         format version, model configuration, encoders, provenance, metrics
    README.md           the model card

What enters: tensors and a JSON-able mapping, or a directory. What leaves: the same, checked. It
does not know how a model is trained, nor what the encoders' tensors mean. Nothing is unpickled.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from semi_iin.errors import SemiIINError
from semi_iin.model import SemiIIN, SemiIINConfig, Variant

FORMAT_VERSION = 1
DEFAULT = Path(__file__).parent / "checkpoints" / "default"
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
MODEL_PREFIX = "model."


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint directory holds.

    Attributes:
        path: the directory.
        config: `config.json` parsed; `config["model"]` is a `SemiIINConfig` mapping.
        tensors: every tensor by its full name, on the CPU.
    """

    path: Path
    config: dict[str, Any]
    tensors: dict[str, Tensor]

    def under(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose name starts with `prefix`, without it."""
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(prefix)
        }

    def build_model(self) -> SemiIIN:
        """The `SemiIIN` of this checkpoint, in evaluation mode on the CPU.

        Raises:
            SemiIINError: when the weights do not fit the configuration.
        """
        model = SemiIIN(SemiIINConfig.from_dict(self.config["model"]))
        _load_strictly(model, self.under(MODEL_PREFIX), str(self.path))
        return model.eval()


def save(
    directory: str | Path, tensors: Mapping[str, Tensor], config: Mapping[str, Any], card: str = ""
) -> Path:
    """Write a checkpoint; a directory of that name is replaced only once the new one is whole.

    Args:
        directory: where; parents are made.
        tensors: full name (prefix included) to tensor, on any device.
        config: JSON-able; needs `model` (`SemiIINConfig.to_dict`). The format version is added.
        card: Markdown of the model card; "" writes one from `config`.

    Returns:
        The directory.

    Raises:
        SemiIINError: when `config` is not JSON-able or has no `model`, or something other than a
            checkpoint lies at `directory`.
    """
    target = Path(directory)
    if "model" not in config:
        raise SemiIINError("a checkpoint's config needs the model's configuration under 'model'")
    if target.exists() and not _replaceable(target):
        raise SemiIINError(f"{target} exists and is no checkpoint: name another directory")
    try:
        text = json.dumps({"format_version": FORMAT_VERSION, **config}, indent=2)
    except (TypeError, ValueError) as error:
        raise SemiIINError(f"the checkpoint's config cannot be written as JSON: {error}") from error
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        plain = {
            name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()
        }
        save_file(plain, fresh / WEIGHTS)
        (fresh / CONFIG).write_text(text + "\n", encoding="utf-8")
        (fresh / CARD).write_text(card or _card(config, plain), encoding="utf-8")
        fresh.chmod(0o755)  # a temporary directory, and what safetensors writes, is for its owner
        (fresh / WEIGHTS).chmod(0o644)
        _swap(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return target


def load(path: str | Path = "default") -> Checkpoint:
    """Read a checkpoint directory; the word `default` is the one that this package ships.

    Raises:
        SemiIINError: naming what is missing, damaged, or of another version.
    """
    directory = DEFAULT if str(path) == "default" else Path(path)
    if directory.is_file() and directory.name in (WEIGHTS, CONFIG):
        directory = directory.parent
    if directory.is_file():
        raise SemiIINError(
            f"{directory} is no checkpoint directory; pickled weights (.pt, .pth, .bin) are "
            "refused because reading them can run code: convert them to safetensors"
        )
    if not directory.is_dir():
        raise SemiIINError(
            f"there is no checkpoint at {directory}: name a directory with {WEIGHTS}"
        )
    config = _read_config(directory)
    return Checkpoint(directory, config, _read_tensors(directory))


def describe(checkpoint: Checkpoint) -> dict[str, Any]:
    """What a checkpoint is, JSON-able: name, place, sizes, and what its configuration holds."""
    weights: dict[str, int] = {}
    for name, tensor in checkpoint.tensors.items():
        part = name.partition(".")[0]
        weights[part] = weights.get(part, 0) + tensor.numel()
    files = [path for path in checkpoint.path.iterdir() if path.is_file()]
    return {
        "name": str(checkpoint.config.get("name", checkpoint.path.name)),
        "path": str(checkpoint.path),
        "bytes": sum(path.stat().st_size for path in files),
        "weights": weights,
        **{name: value for name, value in checkpoint.config.items() if name != "name"},
    }


def from_release(
    state_dict: Mapping[str, Tensor], heads: int = 4, applications: int = 2
) -> SemiIIN:
    """Build our model from the weights of the paper's released code (its `CMFM` module).

    The masked model (`cmfm1` intra, `cmfm2` inter, two gates) and the global-attention baseline
    (`cmfm1` alone) are told apart by their names. The baseline is loaded as it runs there:
    without the position embedding, which it holds but never adds. Sizes come from the tensors;
    strides and paddings, which no tensor tells, are the release's for a kernel of that length.

    Args:
        state_dict: name to tensor.
        heads: attention heads, which no tensor tells.
        applications: how often the shared layer is applied; must match the copies in
            `cmfm_intra.N`, `cmfm_inter.N` or `cmfm.N` where the state holds them.

    Returns:
        The model in evaluation mode.

    Raises:
        SemiIINError: naming the tensors that are missing, left over or misshapen.
    """
    given = _without_aliases(_without_buffers(state_dict), applications)
    config = _release_config(given, heads, applications)
    model = SemiIIN(config)
    names = _release_names(config)
    missing = sorted(set(names.values()) - set(given))
    unknown = sorted(set(given) - set(names.values()))
    if missing or unknown:
        raise SemiIINError(f"the release's state does not fit: {_differences(missing, unknown)}")
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    ours = {}
    for name, release_name in names.items():
        tensor, shape = given[release_name], shapes[name]
        squeezed = tensor.squeeze() if release_name in _BATCHED else tensor
        if squeezed.shape != shape:
            raise SemiIINError(
                f"the release's {release_name} has shape {tuple(tensor.shape)}, "
                f"which does not fit {tuple(shape)}"
            )
        ours[name] = squeezed
    _load_strictly(model, ours, "the release's state")
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
    """Our parameter names to the release's."""
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
    """The state without the buffers that carry no weights."""
    meaningless = ("version", "_float_tensor")
    return {
        name: tensor
        for name, tensor in state_dict.items()
        if name.rpartition(".")[2] not in meaningless
    }


def _without_aliases(state: dict[str, Tensor], applications: int) -> dict[str, Tensor]:
    """The state without the lists that hold the same modules again, which must agree."""
    lists = {"cmfm_intra": "cmfm1", "cmfm_inter": "cmfm2", "cmfm": "cmfm1"}
    kept = {name: value for name, value in state.items() if name.partition(".")[0] not in lists}
    copies = set()
    for name in state.keys() - kept.keys():
        alias, index, rest = name.split(".", 2)
        copies.add(index)
        original = kept.get(f"{lists[alias]}.{rest}")
        if original is None or not torch.equal(original, state[name]):
            raise SemiIINError(
                f"the release's {name} must be the same tensor as {lists[alias]}.{rest}"
            )
    if copies and len(copies) != applications:
        raise SemiIINError(
            f"the release's state applies its layer {len(copies)} times, "
            f"but applications = {applications}"
        )
    return kept


def _release_config(state: Mapping[str, Tensor], heads: int, applications: int) -> SemiIINConfig:
    """The configuration that the shapes of a release's state tell."""

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


def _load_strictly(model: SemiIIN, state: Mapping[str, Tensor], origin: str) -> None:
    """Load weights that must fit name for name and shape for shape."""
    expected = model.state_dict()
    missing, unknown = (
        sorted(expected.keys() - state.keys()),
        sorted(state.keys() - expected.keys()),
    )
    misshapen = [
        f"{name} is {tuple(state[name].shape)}, not {tuple(expected[name].shape)}"
        for name in sorted(expected.keys() & state.keys())
        if state[name].shape != expected[name].shape
    ]
    if missing or unknown or misshapen:
        raise SemiIINError(
            f"the weights of {origin} do not fit their configuration: "
            f"{_differences(missing, unknown, misshapen)}"
        )
    model.load_state_dict(dict(state))


def _differences(missing: list[str], unknown: list[str], misshapen: list[str] | None = None) -> str:
    """Up to three names of each kind of difference, in words."""
    kinds = {"missing": missing, "unknown": unknown, "misshapen": misshapen or []}
    return "; ".join(
        f"{kind} {', '.join(names[:3])}" + (f" and {len(names) - 3} more" * (len(names) > 3))
        for kind, names in kinds.items()
        if names
    )


def _read_config(directory: Path) -> dict[str, Any]:
    """Parse and check `config.json`."""
    path = directory / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SemiIINError(f"{path} is missing: the checkpoint is not whole") from None
    except (OSError, ValueError) as error:
        raise SemiIINError(f"{path} cannot be read as JSON: {error}") from error
    version = config.get("format_version") if isinstance(config, dict) else None
    if version != FORMAT_VERSION:
        raise SemiIINError(
            f"{path} has format version {version}, but this program reads {FORMAT_VERSION}"
        )
    if not isinstance(config.get("model"), dict):
        raise SemiIINError(f"{path} has no model configuration under 'model'")
    return dict(config)


def _read_tensors(directory: Path) -> dict[str, Tensor]:
    """Every tensor of `model.safetensors`, on the CPU."""
    path = directory / WEIGHTS
    if not path.is_file():
        raise SemiIINError(f"{path} is missing: the checkpoint is not whole")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError, ValueError) as error:
        raise SemiIINError(f"{path} is damaged or no safetensors file: {error}") from error


def _replaceable(target: Path) -> bool:
    """Whether `save` may replace what lies there: an empty directory or a checkpoint."""
    return target.is_dir() and ((target / CONFIG).exists() or not any(target.iterdir()))


def _swap(fresh: Path, target: Path) -> None:
    """Put the whole new directory where the old one was."""
    old = None
    if target.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
        os.replace(target, old)
    os.replace(fresh, target)
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)


def _card(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """A model card that says what the configuration says."""
    weights = sum(tensor.numel() for tensor in tensors.values())
    parts = [f"# Semi-IIN checkpoint\n\n{weights:,} weights in `{WEIGHTS}`.\n"]
    for name in ("provenance", "metrics", "encoders", "model"):
        if config.get(name):
            parts.append(
                f"## {name.capitalize()}\n\n```json\n{json.dumps(config[name], indent=2)}\n```\n"
            )
    return "\n".join(parts)
