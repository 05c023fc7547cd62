"""Splits of samples."""

import pytest

from semi_iin.data.samples import Sample, check_no_leaks, split_off
from semi_iin.errors import SemiIINError


def test_the_same_video_in_two_splits_is_refused() -> None:
    samples = [Sample("a", "train", "v1"), Sample("b", "valid", "v2"), Sample("c", "valid", "v1")]
    with pytest.raises(SemiIINError, match="v1 is in both train and valid"):
        check_no_leaks(samples)
    check_no_leaks(samples[:2])
    check_no_leaks([Sample("a", "train"), Sample("b", "valid")])  # no group is known


def test_splitting_off_moves_whole_groups_and_always_the_same() -> None:
    samples = [Sample(f"{g}-{i}", "train", f"video{g}") for g in range(200) for i in range(3)]
    samples.append(Sample("held", "valid", "other"))
    moved = split_off(samples, 10)
    check_no_leaks(moved)
    share = sum(sample.split == "valid" for sample in moved[:-1]) / 600
    assert 0.04 < share < 0.2
    assert split_off(samples, 10) == moved
