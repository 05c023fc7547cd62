"""Cross-validation: folds that keep groups together, scaling, and the linear models."""

import numpy as np

from semi_iin.experiments.cross_validation import folds, late_fusion, pooled, ridge, standardised


def test_a_group_is_in_one_fold_and_each_fold_has_as_many_groups() -> None:
    groups = [f"video {index % 8}" for index in range(40)]
    fold = folds(groups, 4, seed=1)
    of_group = {group: set(fold[np.array(groups) == group]) for group in groups}
    assert all(len(places) == 1 for places in of_group.values())
    assert np.bincount(fold).tolist() == [10, 10, 10, 10]


def test_the_seed_decides_the_folds() -> None:
    groups = [str(index) for index in range(20)]
    assert np.array_equal(folds(groups, 5, 3), folds(groups, 5, 3))
    assert not np.array_equal(folds(groups, 5, 3), folds(groups, 5, 4))


def test_the_tested_clips_do_not_change_the_scale() -> None:
    rows = [np.array([[1.0, 5.0]], np.float32), np.array([[3.0, 5.0]], np.float32),
            np.array([[100.0, 5.0]], np.float32)]  # fmt: skip
    scaled = standardised(rows, np.array([True, True, False]))
    assert [row.tolist() for row in scaled] == [[[-1.0, 0.0]], [[1.0, 0.0]], [[5.0, 0.0]]]


def test_the_pooled_clip_is_the_mean_of_its_frames() -> None:
    rows = [np.array([[1.0], [3.0]], np.float32), np.array([[5.0]], np.float32)]
    assert pooled(rows).tolist() == [[2.0], [5.0]]


def test_ridge_finds_a_linear_rule_and_ignores_noise() -> None:
    random = np.random.default_rng(0)
    inputs = random.normal(size=(90, 6))
    label = 0.8 * inputs[:, 2] + 0.5
    groups = [str(index) for index in range(60)]
    predicted = ridge(inputs[:60], label[:60], groups, inputs[60:])
    assert np.abs(predicted - label[60:]).max() < 0.1
    noise = ridge(inputs[:60], random.normal(size=60), groups, inputs[60:])
    assert noise.std() < 0.3


def test_late_fusion_follows_the_modality_that_is_right() -> None:
    random = np.random.default_rng(0)
    label = random.uniform(-2, 2, 60)
    fold = np.arange(60) % 3
    singles = np.column_stack([label / 2, random.normal(size=60)])
    assert np.allclose(late_fusion(singles, label, fold), label)


def test_a_folds_labels_do_not_enter_its_own_late_fusion() -> None:
    random = np.random.default_rng(0)
    label, fold = random.uniform(-2, 2, 30), np.arange(30) % 3
    singles = random.normal(size=(30, 2))
    changed = np.where(fold == 1, 3.0, label)
    first = fold == 1
    before, after = late_fusion(singles, label, fold), late_fusion(singles, changed, fold)
    assert np.allclose(before[first], after[first])
    assert not np.allclose(before[~first], after[~first])
