"""A trained model as a directory: weights, configuration, provenance and a model card.

    model.safetensors   every tensor, under prefixes (`model.`, `text_encoder.`, ...)
    config.json         format version, model configuration, encoders, provenance, metrics
    README.md           the model card

What enters: tensors and a JSON-able mapping, or a directory. What leaves: the same, checked. It
depends on no training and no encoders. Nothing is unpickled.
"""

import hashlib
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
from semi_iin.foreign import checked_encoders
from semi_iin.model import SemiIIN
from semi_iin.model_config import SemiIINConfig
from semi_iin.state import check_fit, load_exactly

FORMAT_VERSION = 1
RUN_CHECKPOINT = "checkpoint"
"""The folder of the checkpoint in a training run's directory."""
PACKAGED = Path(__file__).parent / "checkpoints"
"""The checkpoints of this package, each known by its folder's name."""
DEFAULT = PACKAGED / "default"
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
MODEL_PREFIX = "model."
MAX_CONFIG_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint directory.

    Attributes:
        path: the directory.
        config: `config.json` parsed; `config["model"]` is a `SemiIINConfig` mapping.
        tensors: every tensor by its full name, on the CPU.
    """

    path: Path
    config: dict[str, Any]
    tensors: dict[str, Tensor]

    def under(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors whose name starts with `prefix`, without it."""
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(prefix)
        }

    def build_model(self) -> SemiIIN:
        """Return the `SemiIIN` of this checkpoint, in evaluation mode on the CPU.

        Raises:
            SemiIINError: when the weights do not fit the configuration.
        """
        config = SemiIINConfig.from_dict(self.config["model"])
        state, description = self.under(MODEL_PREFIX), f"the weights of {self.path}"
        with torch.device("meta"):  # takes no memory: the sizes are the file's claim
            check_fit(SemiIIN(config), state, description)
        model = SemiIIN(config)
        load_exactly(model, state, description)
        return model.eval()


def save(
    directory: str | Path, tensors: Mapping[str, Tensor], config: Mapping[str, Any], card: str = ""
) -> Path:
    """Write a checkpoint; an old directory is replaced only when the new one is complete.

    Args:
        directory: the new checkpoint; its parents are made.
        tensors: full name (prefix included) to tensor, on any device.
        config: JSON-able; needs `model` (`SemiIINConfig.to_dict`). The format version is added.
        card: Markdown of the model card; "" writes one from `config`.

    Returns:
        The directory.

    Raises:
        SemiIINError: when `config` is not JSON-able or has no `model`, or `directory` is something
            other than a checkpoint.
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
        fresh.chmod(0o755)  # mkdtemp and safetensors make files that only their owner can read
        (fresh / WEIGHTS).chmod(0o644)
        _swap(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return target


def load(path: str | Path = "default") -> Checkpoint:
    """Read a checkpoint: a directory, one of this package by its name, or a training run's.

    Args:
        path: a checkpoint's directory or a file in it, a run's directory, or a name as `default`.

    Raises:
        SemiIINError: naming what is missing, damaged, or of another version.
    """
    directory = _locate(path)
    config = _read_config(directory)
    return Checkpoint(directory, config, _read_tensors(directory))


def digest(path: str | Path) -> str:
    """Return the SHA-256 of a checkpoint's configuration and weights; arguments as of `load`."""
    directory = _locate(path)
    content = hashlib.sha256()
    for name in (CONFIG, WEIGHTS):
        try:
            with (directory / name).open("rb") as file:
                content.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise SemiIINError(f"{directory / name} cannot be read: {error.strerror}") from error
    return content.hexdigest()


def _locate(path: str | Path) -> Path:
    """Return the directory of a checkpoint; arguments and errors as of `load`."""
    directory = Path(path)
    if directory.name == str(path) and (PACKAGED / directory / CONFIG).is_file():
        directory = PACKAGED / directory
    if directory.is_file() and directory.name in (WEIGHTS, CONFIG):
        directory = directory.parent
    if not (directory / CONFIG).is_file() and (directory / RUN_CHECKPOINT).is_dir():
        directory = directory / RUN_CHECKPOINT
    if directory.is_file():
        raise SemiIINError(
            f"{directory} is no checkpoint directory; pickled weights (.pt, .pth, .bin) are "
            "refused because reading them can run code: convert them to safetensors"
        )
    if not directory.is_dir():
        raise SemiIINError(
            f"there is no checkpoint at {directory}: name a directory with {WEIGHTS}"
        )
    return directory


def describe(checkpoint: Checkpoint) -> dict[str, Any]:
    """Describe a checkpoint, JSON-able: name, path, sizes, and the content of its configuration."""
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


def _read_config(directory: Path) -> dict[str, Any]:
    """Read and check `config.json`."""
    path = directory / CONFIG
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise SemiIINError(f"{path} is larger than {MAX_CONFIG_BYTES:,} bytes")
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SemiIINError(f"{path} is missing: the checkpoint is incomplete") from None
    except (OSError, ValueError, RecursionError) as error:
        raise SemiIINError(f"{path} cannot be read as JSON: {error}") from error
    version = config.get("format_version") if isinstance(config, dict) else None
    if version != FORMAT_VERSION:
        raise SemiIINError(
            f"{path} has format version {version}, but this program reads {FORMAT_VERSION}"
        )
    if not isinstance(config.get("model"), dict):
        raise SemiIINError(f"{path} has no model configuration under 'model'")
    return {**config, "encoders": checked_encoders(config.get("encoders", {}))}


def _read_tensors(directory: Path) -> dict[str, Tensor]:
    """Read every tensor of `model.safetensors`, on the CPU."""
    path = directory / WEIGHTS
    if not path.is_file():
        raise SemiIINError(f"{path} is missing: the checkpoint is incomplete")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError, ValueError) as error:
        raise SemiIINError(f"{path} is damaged or no safetensors file: {error}") from error


def _replaceable(target: Path) -> bool:
    """Return whether `save` may replace the target: an empty directory or a checkpoint."""
    return target.is_dir() and ((target / CONFIG).exists() or not any(target.iterdir()))


def _swap(fresh: Path, target: Path) -> None:
    """Put the complete new directory in the place of the old one."""
    old = None
    if target.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
        os.replace(target, old)
    os.replace(fresh, target)
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)


def _card(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Return a model card made of the configuration."""
    weights = sum(tensor.numel() for tensor in tensors.values())
    parts = [f"# Semi-IIN checkpoint\n\n{weights:,} weights in `{WEIGHTS}`.\n"]
    for name in ("provenance", "metrics", "encoders", "model"):
        if config.get(name):
            parts.append(
                f"## {name.capitalize()}\n\n```json\n{json.dumps(config[name], indent=2)}\n```\n"
            )
    return "\n".join(parts)
