"""Texts as a speech recogniser may give them, to measure how much a checkpoint loses by its errors.

What enters: samples with words. What leaves: the same samples with some words wrong. The errors are
not those of `semi_iin.pretraining.text.disturbed`, which trains encoders.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.random import Generator

from semi_iin.data.samples import Sample
from semi_iin.pretraining.text import bare


def disturb(samples: Sequence[Sample], share: float) -> list[Sample]:
    """Return samples whose words and context have errors of recognition.

    All words become bare: without case and punctuation. Then each is disturbed with the chance
    `share`: it is lost, run into the next word, or replaced by a word of another text, each as
    often. The errors of a sample depend only on its id, its text and the words of the set.

    Args:
        samples: of one data set; those without words are returned as they are.
        share: in [0, 1].
    """
    others = [word for sample in samples for word in bare(sample.text or "").split()]
    return [_disturbed_sample(sample, others, share) for sample in samples]


def _disturbed_sample(sample: Sample, others: Sequence[str], share: float) -> Sample:
    if sample.text is None:
        return sample
    digest = hashlib.sha256(f"{sample.id} {sample.text}".encode()).digest()
    random = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    text = disturbed_words(bare(sample.text), others, share, random)
    context = sample.context and disturbed_words(bare(sample.context), others, share, random)
    return replace(sample, text=text, context=context)


def disturbed_words(text: str, others: Sequence[str], share: float, random: Generator) -> str:
    """Return a text in which about a share of the words is lost, joined or replaced.

    Args:
        text: bare words.
        others: that replace.
        share: in [0, 1].
        random: decides. A text of which all words would be lost stays as it is.
    """
    pieces: list[str] = []
    for word in text.split():
        kind = int(random.integers(3)) if random.random() < share else None
        if kind == 0:
            continue
        pieces.append(others[int(random.integers(len(others)))] if kind == 1 else word)
        pieces.append("" if kind == 2 else " ")
    return "".join(pieces).strip() or text
