"""Padding, absent modalities and the rest of a batch never change a sample's result."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semi_iin.modalities import MODALITIES
from semi_iin.model import SemiIIN, SemiIINOutput
from semi_iin.model_config import VARIANTS, SemiIINConfig

WIDTHS = {"audio": 6, "text": 5, "vision": 4}


def build(variant: str, sparse: int | None) -> SemiIIN:
    torch.manual_seed(3)
    config = SemiIINConfig(
        audio_width=6,
        text_width=5,
        vision_width=4,
        hidden=8,
        heads=2,
        head_widths=(8,),
        max_audio=5,
        max_text=8,
        max_vision=6,
        variant=variant,  # type: ignore[arg-type]
        sparse_top_k=sparse,
        entropy_weight=0.5,
    )
    return SemiIIN(config).eval()


MODELS = {(variant, sparse): build(variant, sparse) for variant in VARIANTS for sparse in (None, 3)}
any_model = st.sampled_from(sorted(MODELS, key=str)).map(MODELS.__getitem__)
lengths = st.fixed_dictionaries(
    {"audio": st.integers(0, 40), "text": st.integers(0, 8), "vision": st.integers(0, 6)}
).filter(lambda chosen: any(chosen.values()))


def sample(chosen: dict[str, int], seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(1, length, WIDTHS[name], generator=generator)
        for name, length in chosen.items()
    }


def padded(
    samples: list[dict[str, torch.Tensor]], limits: dict[str, int], junk: float
) -> dict[str, torch.Tensor]:
    """One batch of all samples, padded with junk up to `limits`, with its masks."""
    batch: dict[str, torch.Tensor] = {}
    for name in MODALITIES:
        rows = torch.full((len(samples), limits[name], WIDTHS[name]), junk)
        mask = torch.zeros(len(samples), limits[name], dtype=torch.bool)
        for row, mask_row, one in zip(rows, mask, samples, strict=True):
            length = one[name].shape[1]
            row[:length] = one[name][0]
            mask_row[:length] = True
        batch[name], batch[f"{name}_mask"] = rows, mask
    return batch


def run(model: SemiIIN, inputs: dict[str, torch.Tensor]) -> SemiIINOutput:
    with torch.inference_mode():
        output: SemiIINOutput = model(**inputs)
    return output


@settings(deadline=None, max_examples=60)
@given(
    model=any_model,
    chosen=st.lists(lengths, min_size=1, max_size=4),
    junk=st.sampled_from([0.0, 1e6, float("nan")]),
)
def test_padding_and_the_rest_of_the_batch_change_nothing(
    model: SemiIIN, chosen: list[dict[str, int]], junk: float
) -> None:
    samples = [sample(one, seed) for seed, one in enumerate(chosen)]
    limits = {"audio": 43, "text": 8, "vision": 6}
    together = run(model, padded(samples, limits, junk))
    for row, one in enumerate(samples):
        # Alone, without masks, without padding, without the modalities that it does not have.
        alone = run(model, {name: value for name, value in one.items() if value.shape[1]})
        for name, value, expected in zip(together._fields, together, alone, strict=True):
            torch.testing.assert_close(
                value[row : row + 1], expected, atol=1e-5, rtol=1e-4, equal_nan=True, msg=name
            )


@settings(deadline=None, max_examples=40)
@given(
    model=any_model,
    real=st.lists(st.lists(st.booleans(), min_size=19, max_size=19), min_size=1, max_size=3),
)
def test_every_attention_row_keeps_an_allowed_key(model: SemiIIN, real: list[list[bool]]) -> None:
    groups = torch.tensor([0, 0] + [1] * 5 + [2] * 8 + [3] * 6)
    given = torch.tensor(real)
    given = torch.cat([torch.ones(len(real), 2, dtype=torch.bool), given], dim=1)
    for branch in model.branches:
        assert model._allowed(branch, groups, given).any(dim=-1).all()


@settings(deadline=None, max_examples=40)
@given(
    model=any_model,
    holes=st.lists(st.booleans(), min_size=8, max_size=8),
    junk=st.sampled_from([1e6, float("nan")]),
)
def test_masked_frames_are_never_read(model: SemiIIN, holes: list[bool], junk: float) -> None:
    inputs = sample({"text": 8, "audio": 20, "vision": 6}, seed=5)
    mask = torch.tensor([holes])
    expected = run(model, inputs | {"text_mask": mask})
    spoiled = inputs["text"].masked_fill(~mask[..., None], junk)
    output = run(model, inputs | {"text": spoiled, "text_mask": mask})
    torch.testing.assert_close(output, expected, equal_nan=True)
