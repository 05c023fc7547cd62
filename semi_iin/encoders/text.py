"""The text encoder: last hidden states of a transformer over words and their context."""

import threading
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from semi_iin.clips import Clip
from semi_iin.device import on_device
from semi_iin.encoders.protocol import Spec
from semi_iin.encoders.transformer import TransformerEncoder, load_tokenizer

TOKENIZING = threading.Lock()
"""Tokenizers of `transformers` fail when two threads use one."""


class TextEncoder(TransformerEncoder):
    """Last hidden states of a transformer over the words, read with their context.

    The input is `[CLS] words [SEP]`, followed by `context [SEP]` where there is context. Only the
    states of the first part are features: the context shapes them through attention.

    Spec of kind `transformer_text`, beside the keys of `TransformerEncoder`: `max_tokens`,
    markers included (100 in the paper); `context_tokens`, how many of the latest context tokens
    are read, 0 ignores the context.
    """

    def __init__(self, spec: Spec, stored: Mapping[str, Tensor] | None = None) -> None:
        spec = {"max_tokens": 100, "context_tokens": 0, **spec}
        tokenizer = load_tokenizer(spec)
        super().__init__(spec, stored)
        self.tokenizer = tokenizer

    def tokenize(self, clips: Sequence[Clip]) -> tuple[Tensor, Tensor, Tensor]:
        """Return padded token ids of words and context.

        Returns:
            ids (B, L) int64, real (B, L) bool, and words (B, L) bool: the first part's tokens.
        """
        limit = self.spec["max_tokens"]  # no token spans two words, so later words are not read
        with TOKENIZING:
            words = self.tokenizer(
                [" ".join((clip.text or "").split()[:limit]) for clip in clips],
                truncation=True,
                max_length=limit,
            )["input_ids"]
            contexts = [self._context(clip) for clip in clips]
        longest = max(len(a) + len(b) for a, b in zip(words, contexts, strict=True))
        ids = torch.full((len(clips), longest), int(self.tokenizer.pad_token_id))
        real, first = torch.zeros_like(ids, dtype=torch.bool), torch.zeros_like(ids).bool()
        for row, (own, context) in enumerate(zip(words, contexts, strict=True)):
            ids[row, : len(own) + len(context)] = torch.tensor(own + context)
            real[row, : len(own) + len(context)] = True
            first[row, : len(own)] = True
        return ids, real, first

    def _context(self, clip: Clip) -> list[int]:
        limit = self.spec["context_tokens"]
        if not limit or not (clip.context and clip.context.strip()):
            return []
        recent = " ".join(clip.context.split()[-limit:])  # no token spans two words
        ids = self.tokenizer(recent, add_special_tokens=False)["input_ids"]
        return [*ids[-limit:], int(self.tokenizer.sep_token_id)]

    def forward(self, ids: Tensor, real: Tensor, words: Tensor) -> Tensor:
        """Return hidden states (B, L, D) of the first part, where L is its longest length."""
        extra = {}
        if getattr(self.backbone.config, "type_vocab_size", 0) > 1:
            extra["token_type_ids"] = (real & ~words).long()
        states: Tensor = self.backbone(
            input_ids=ids, attention_mask=real.long(), **extra
        ).last_hidden_state
        return states[:, : int(words.sum(dim=1).max())]

    def encode(self, clips: Sequence[Clip]) -> list[Tensor]:
        """Return features (L, D) float32 of clips that have text."""
        ids, real, words = (on_device(each, self.device) for each in self.tokenize(clips))
        states = self(ids, real, words).float()
        return [row[:count] for row, count in zip(states, words.sum(dim=1).tolist(), strict=True)]
