"""The attention masks against tables written by hand, and a fixed forward against its file."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from semi_iin.model import SemiIIN, global_mask, inter_mask, intra_mask
from semi_iin.model_config import SemiIINConfig

GOLDEN = Path(__file__).parent / "semi_iin_forward.json"

# `val`, `cls`, two audio, one text, two vision; a row is a query, a column a key.
GROUPS = [0, 0, 1, 1, 2, 3, 3]
INTRA = """
    . . # # # # #
    . . # # # # #
    # # # # . . .
    # # # # . . .
    # # . . # . .
    # # . . . # #
    # # . . . # #
"""
INTER = """
    . . # # # # #
    . . # # # # #
    # # . . # # #
    # # . . # # #
    # # # # . # #
    # # # # # . .
    # # # # # . .
"""
GLOBAL = """
    # # # # # # #
    # # # # # # #
    # # # # # # #
    # # # # # # #
    # # # # # # #
    # # # # # # #
    # # # # # # #
"""


def drawn(table: str) -> Tensor:
    return torch.tensor([[mark == "#" for mark in row.split()] for row in table.split("\n")[1:-1]])


@pytest.mark.parametrize(
    ("mask", "table"), [(intra_mask, INTRA), (inter_mask, INTER), (global_mask, GLOBAL)]
)
def test_the_mask_equals_its_table(mask: Callable[[Tensor], Tensor], table: str) -> None:
    assert torch.equal(mask(torch.tensor(GROUPS)), drawn(table))


def test_the_branches_use_these_masks_and_the_padding() -> None:
    config = SemiIINConfig(audio_width=3, text_width=3, vision_width=3, hidden=8, heads=2)
    model = SemiIIN(config)
    real = torch.tensor([[True, True, True, False, True, True, True]])
    groups = torch.tensor(GROUPS)
    for branch, table in (("intra", INTRA), ("inter", INTER)):
        expected = drawn(table)
        expected[:, 3] = False
        assert torch.equal(model._allowed(branch, groups, real)[0], expected)


def tiny() -> SemiIINConfig:
    return SemiIINConfig(
        audio_width=5,
        text_width=4,
        vision_width=3,
        hidden=8,
        heads=2,
        head_widths=(8, 4),
        max_audio=4,
        max_text=5,
        max_vision=3,
    )


def ramp(*shape: int) -> Tensor:
    """Values that depend on no random generator."""
    count = torch.Size(shape).numel()
    return torch.sin(torch.arange(count, dtype=torch.float32) * 0.7).reshape(shape)


def test_a_forward_with_fixed_weights_equals_the_golden_file() -> None:
    model = SemiIIN(tiny()).eval()
    with torch.no_grad():
        for index, parameter in enumerate(model.parameters()):
            parameter.copy_(0.5 * torch.roll(ramp(*parameter.shape), index, 0))
        output = model(
            audio=ramp(2, 20, 5),
            text=ramp(2, 5, 4),
            vision=ramp(2, 3, 3),
            text_mask=torch.tensor([[True] * 5, [True] * 2 + [False] * 3]),
            vision_mask=torch.tensor([[True] * 3, [False] * 3]),
        )
    golden = json.loads(GOLDEN.read_text())
    assert set(golden) == set(output._fields)
    for name, values in golden.items():
        torch.testing.assert_close(
            getattr(output, name), torch.tensor(values), atol=2e-5, rtol=1e-4
        )
