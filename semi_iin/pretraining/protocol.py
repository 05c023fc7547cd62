"""The protocol of the tasks that train encoders."""

from typing import Protocol

from torch import Tensor

from semi_iin.loop import Task


class EncoderTask(Task, Protocol):
    """A task for `loop.fit` that trains an encoder."""

    def fusion_weights(self) -> dict[str, Tensor] | None:
        """Return weights from which Semi-IIN can start, on the CPU; None where there are none."""
