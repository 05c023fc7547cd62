"""Pretrained transformers: where their files are, and what fine-tuning changed in them.

`load_backbone` and `load_tokenizer` load them from an installed package, a directory or the hub:
BERT with `bert`, every other kind with the package transformers, whose import takes seconds.
`difference` and `add_difference` store a fine-tuned transformer as a small difference from its
source, so that a checkpoint stays small.
"""

import hashlib
import importlib.util
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from semi_iin import weights
from semi_iin.encoders.bert import WordPieces, load_bert, read_config
from semi_iin.encoders.protocol import Encoder, Spec
from semi_iin.errors import SemiIINError
from semi_iin.foreign import PACKAGES, check_transformer


class TransformerEncoder(Encoder):
    """An encoder over a pretrained transformer.

    Spec: `source` is "package:MODULE/FOLDER" (files of an installed package), "weights:NAME" (an
    entry of `semi_iin.weights`), a directory or a hub id; `sha256` of the source's weights,
    checked where given; `download`, True allows a hub id to be downloaded.
    """

    def __init__(self, spec: Spec, stored: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.backbone = load_backbone(spec)
        self.width = int(self.backbone.config.hidden_size)
        self.stored = dict(stored or {})
        add_difference(self.backbone, self.stored)

    @property
    def network(self) -> nn.Module:
        """The transformer."""
        return self.backbone  # type: ignore[no-any-return]

    def checkpoint_tensors(self) -> dict[str, Tensor]:
        """Return the difference from the source; empty where nothing was fine-tuned."""
        return self.stored

    def finish_training(self, rank: int) -> None:
        """Compute the difference from the source, with factors of this rank."""
        self.stored = difference(load_backbone(self.spec), self.backbone, rank)


def load_backbone(spec: Spec) -> Any:
    """Load a spec's transformer model in float32.

    Raises:
        SemiIINError: when the source is missing, is no transformer, or has other weights.
    """
    location = _location(spec)
    _check_digest(spec, Path(location) / "model.safetensors")
    config = read_config(Path(location))
    if config is not None:
        check_transformer(config, str(spec["source"]))
        try:
            return load_bert(Path(location), config)
        except (OSError, ValueError, SafetensorError) as error:
            raise SemiIINError(f"{spec['source']} cannot be loaded: {error}") from error
    from transformers import AutoModel

    return _load(AutoModel, spec, location).float()


def load_tokenizer(spec: Spec) -> Any:
    """Load a spec's tokenizer; errors as for `load_backbone`."""
    location = _location(spec)
    if read_config(Path(location)) is not None:
        return WordPieces(Path(location))
    from transformers import AutoTokenizer

    return _load(AutoTokenizer, spec, location)


def _location(spec: Spec) -> str:
    """Return the directory or hub id of a spec's source."""
    source = spec.get("source")
    if not source:
        raise SemiIINError("a transformer encoder's spec needs a source")
    return locate(str(source))


def _check_digest(spec: Spec, path: Path) -> None:
    """Refuse weights other than those that the spec names, if it names any."""
    if not spec.get("sha256") or not path.is_file():
        return
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != spec["sha256"]:
        raise SemiIINError(
            f"{spec['source']} contains other weights than this checkpoint was trained on: install "
            "the version that the checkpoint names, or train again"
        )


def _load(loader: Any, spec: Spec, location: str) -> Any:
    """Load a tokenizer or a model with a class of transformers, such as `AutoModel`."""
    from transformers import AutoConfig

    source = str(spec["source"])
    # Code that a source's configuration names is never run, and nothing asks whether to.
    options = {"local_files_only": not spec.get("download", False), "trust_remote_code": False}
    with _no_progress_bars():
        try:
            config = AutoConfig.from_pretrained(location, **options)
            check_transformer(config, source)
            return loader.from_pretrained(location, config=config, **options)
        except (OSError, ValueError) as error:
            raise SemiIINError(
                f"{source} cannot be loaded: it is neither a directory of a transformer nor in the "
                "local cache of the hub (download = true in the encoder's spec downloads it)"
            ) from error


def difference(before: nn.Module, after: nn.Module, rank: int) -> dict[str, Tensor]:
    """Return the change of a module's weights in compact form.

    Vectors are stored whole, matrices as their best factors of rank `rank`.

    Args:
        before: the module as its source has it.
        after: the trained module, of the same structure.
        rank: of the factors; a matrix too small to gain from factors is stored whole.

    Returns:
        float16 tensors: `NAME.change`, or `NAME.left` (rows, rank) and `NAME.right` (rank,
        columns). Parameters that did not change are left out.
    """
    stored: dict[str, Tensor] = {}
    old = dict(before.named_parameters())
    for name, parameter in after.named_parameters():
        change = (parameter.detach() - old[name].detach().to(parameter.device)).cpu().float()
        if not bool(change.any()):
            continue
        if change.ndim != 2 or rank * sum(change.shape) >= change.numel():
            stored[f"{name}.change"] = change.half()
            continue
        left, scale, right = torch.linalg.svd(change, full_matrices=False)
        root = scale[:rank].sqrt()
        stored[f"{name}.left"] = (left[:, :rank] * root).half()
        stored[f"{name}.right"] = (root[:, None] * right[:rank]).half()
    return stored


def add_difference(module: nn.Module, stored: Mapping[str, Tensor]) -> None:
    """Add the result of `difference` to a module as its source has it.

    Raises:
        SemiIINError: when a name or a shape is not the module's.
    """
    parameters = dict(module.named_parameters())
    with torch.no_grad():
        for name, value in stored.items():
            target, _, part = name.rpartition(".")
            if part == "right":
                continue
            change = value.float()
            if part == "left":
                change = change @ stored[f"{target}.right"].float()
            if target not in parameters or parameters[target].shape != change.shape:
                raise SemiIINError(
                    f"the checkpoint's {target} does not fit the encoder's source: "
                    "it was trained on another source"
                )
            parameters[target].add_(change.to(parameters[target].dtype))


def locate(source: str, packages: Collection[str] = PACKAGES) -> str:
    """Return the directory of a source, or the source itself where it is a directory or hub id.

    Raises:
        SemiIINError: weights that are not on disk, or a package that is not installed or not one
            of `packages`.
    """
    if source.startswith("weights:"):
        name = source.removeprefix("weights:")
        stored = weights.find(name)
        if stored is None:
            raise SemiIINError(
                f"the weights {name}, from which the encoder starts, are not on disk: "
                f"run `streamer models get {name}`"
            )
        return str(stored)
    if not source.startswith("package:"):
        return source
    module, _, folder = source.removeprefix("package:").partition("/")
    if module not in packages:
        raise SemiIINError(
            f"the package {module} is none of those that an encoder's weights may come from "
            f"({', '.join(packages)}): name a directory"
        )
    package = importlib.util.find_spec(module)
    if package is None or package.origin is None:
        raise SemiIINError(
            f"the package {module}, which contains the encoder's weights, is not installed: "
            f"install {module.replace('_', '-')}"
        )
    root = Path(package.origin).resolve().parent
    if not (root / folder).resolve().is_relative_to(root):
        raise SemiIINError(f"{source} is outside the package {module}")
    return str(root / folder)


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """Hide the progress bars of transformers while weights are loaded."""
    from transformers.utils import logging

    enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            logging.enable_progress_bar()
