"""Errors of recognition in texts."""

import numpy as np
import pytest

from semi_iin.data.samples import Sample
from semi_iin.experiments.disturbance import disturb, disturbed_words

WORDS = [f"w{index}" for index in range(3000)]


def test_a_share_of_zero_only_makes_the_words_bare() -> None:
    sample = Sample("a", text="It's GOOD, really.", context="Was it?")
    (changed,) = disturb([sample], 0.0)
    assert (changed.text, changed.context) == ("it's good really", "was it")


@pytest.mark.parametrize("share", [0.05, 0.15])
def test_each_kind_of_error_has_a_third_of_the_share(share: float) -> None:
    text = disturbed_words(" ".join(WORDS), ["zzz"], share, np.random.default_rng(0))
    words = text.split()
    replaced = words.count("zzz") + sum("zzz" in word and word != "zzz" for word in words)
    joined = sum(word.count("w") + word.count("zzz") - 1 for word in words)
    lost = len(WORDS) - sum(word.count("w") for word in words) - replaced
    for count in (replaced, joined, lost):
        assert count / len(WORDS) == pytest.approx(share / 3, rel=0.35)


def test_a_samples_errors_do_not_depend_on_the_order_and_labels_stay() -> None:
    samples = [Sample(str(index), text=" ".join(WORDS[:40]), label=1.0) for index in range(3)]
    forwards, backwards = disturb(samples, 0.3), disturb(samples[::-1], 0.3)
    assert [sample.text for sample in forwards] == [sample.text for sample in backwards[::-1]]
    assert len({sample.text for sample in forwards}) == 3
    assert {sample.label for sample in forwards} == {1.0}


def test_no_text_becomes_empty_and_samples_without_words_stay() -> None:
    samples = [Sample("a", text="yes"), Sample("b", emotion="sad")]
    changed = [disturb([replaced], 1.0)[0] for replaced in samples]
    assert changed[0].text
    assert changed[1] == samples[1]
