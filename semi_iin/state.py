"""States of modules: reading published weights without running code, and loading exactly."""

import pickle
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from semi_iin.errors import SemiIINError


def load_exactly(
    module: nn.Module, state: Mapping[str, Tensor], description: str, *, assign: bool = False
) -> None:
    """Load weights that must fit name for name and shape for shape.

    Args:
        module: whose weights are replaced.
        state: name to tensor.
        description: of the weights, such as "the audio encoder's weights", for the error.
        assign: True puts the tensors themselves into the module, which may be on the device `meta`.

    Raises:
        SemiIINError: naming the weights that are missing, unknown or misshapen.
    """
    check_fit(module, state, description)
    module.load_state_dict(dict(state), assign=assign)


def check_fit(module: nn.Module, state: Mapping[str, Tensor], description: str) -> None:
    """Refuse weights that do not fit name for name and shape for shape; as `load_exactly`.

    Raises:
        SemiIINError: naming the weights that are missing, unknown or misshapen.
    """
    expected = module.state_dict()
    misshapen = [
        f"{name} is {tuple(state[name].shape)}, not {tuple(expected[name].shape)}"
        for name in sorted(expected.keys() & state.keys())
        if state[name].shape != expected[name].shape
    ]
    problems = describe_differences(expected.keys(), state.keys(), misshapen)
    if problems:
        raise SemiIINError(f"{description} do not fit: {problems}")


def describe_differences(
    expected: Iterable[str], found: Iterable[str], misshapen: Sequence[str] = ()
) -> str:
    """Name up to three differences of each kind between two sets of names; "" without any."""
    expected, found = set(expected), set(found)
    kinds = {
        "missing": sorted(expected - found),
        "unknown": sorted(found - expected),
        "misshapen": list(misshapen),
    }
    return "; ".join(
        f"{kind} {', '.join(names[:3])}" + (f" and {len(names) - 3} more" * (len(names) > 3))
        for kind, names in kinds.items()
        if names
    )


def read_pickled_state(path: Path, key: str = "state_dict") -> dict[str, Tensor]:
    """Read the tensors of a published checkpoint (a pickle), without running its code.

    Args:
        path: a `.pth` or `.pt` file.
        key: the entry that contains the state, where the file has such an entry.

    Raises:
        SemiIINError: when the file is missing, damaged, or contains more than plain data.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise SemiIINError(f"there is no checkpoint at {path}") from None
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise SemiIINError(
            f"{path} cannot be read as plain weights: {str(error).splitlines()[0]}"
        ) from error
    state = content.get(key, content) if isinstance(content, dict) else {}
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}
