"""Convolutions as a CPU computes them fastest: batch norm folded in, weights laid out once.

What enters: a trained convolution with its batch norm. What leaves: a function of maps with equal
results, up to rounding. PyTorch's own convolution of one small picture copies it, and lays out the
weights anew in each call. It is for inference: weights that change afterwards do not count.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class PackedConvolution:
    """A convolution with its batch norm, on the CPU and without gradients."""

    def __init__(self, layers: nn.Module, side: int) -> None:
        """Take a convolution and its batch norm, the first two layers, for maps of `side`².

        Maps of other sizes are computed too, in more time.
        """
        conv, norm, *_ = layers.children()
        assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        fused = fuse_conv_bn_eval(conv, norm)
        assert fused.bias is not None
        self._bias = fused.bias.detach()
        self._geometry = (fused.padding, fused.stride, fused.dilation, fused.groups)
        operators: Any = torch._C._nn  # the types of torch leave these operators out
        self._weight: Tensor = operators.mkldnn_reorder_conv2d_weight(
            fused.weight.detach().to_mkldnn(), *self._geometry, (1, fused.in_channels, side, side)
        )

    def __call__(self, maps: Tensor, then: str = "none") -> Tensor:
        """(B, inner, H, W) to (B, outer, H, W); `then` is "none" or "relu"."""
        convolved: Tensor = torch.ops.mkldnn._convolution_pointwise(
            maps, self._weight, self._bias, *self._geometry, then, [], ""
        )
        return convolved


def can_pack() -> bool:
    """Return whether this build of PyTorch has oneDNN, which computes these convolutions."""
    return bool(torch._C._has_mkldnn)
