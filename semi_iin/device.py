"""Names of torch devices, checked against this machine, and copies to them."""

import torch
from torch import Tensor

from semi_iin.errors import SemiIINError


def find_device(name: str) -> torch.device:
    """Return a device by its name: "auto", "cpu", "cuda", "cuda:1" or "mps".

    "auto" is CUDA where there is one, else MPS, else the CPU.

    Raises:
        SemiIINError: for another name, or a device that this machine does not have.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SemiIINError(f"device = {name!r} must be auto, cpu, cuda or mps") from None
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not available.get(device.type, False):
        raise SemiIINError(f"the device {name} is not available: use auto or cpu")
    return device


def on_device(values: Tensor, device: torch.device) -> Tensor:
    """Return values on a device.

    To CUDA they go from pinned memory, and the copy runs while the CPU goes on.
    """
    if device.type != "cuda" or values.device.type != "cpu":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)
