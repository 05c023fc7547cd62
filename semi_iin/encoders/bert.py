"""BERT and its tokenizer, read from a directory without `transformers`, whose import takes seconds.

What enters: a directory with `config.json`, `model.safetensors` and `tokenizer.json`, as that
package writes them. What leaves: a network whose parameters have the names of its `BertModel` and
whose states equal those of it to the last digit. `transformer` decides which sources are read here.

Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers" (2019).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from semi_iin.errors import SemiIINError
from semi_iin.state import load_exactly

CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
UNUSED = ("pooler.", "cls.", "embeddings.position_ids", "embeddings.token_type_ids")
"""What a file may contain beside the weights of the network."""


@dataclass(frozen=True)
class BertConfig:
    """The sizes of a network, under the names of its `config.json`; the defaults are BERT's."""

    vocab_size: int = 30_522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    pad_token_id: int = 0
    layer_norm_eps: float = 1e-12
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1


PLAIN = {
    "model_type": ("bert",),
    "hidden_act": ("gelu",),
    "position_embedding_type": ("absolute",),
    "is_decoder": (False,),
    "add_cross_attention": (False,),
    "chunk_size_feed_forward": (0,),
}
"""What a configuration must say, or leave out, so that this network computes it."""


def read_config(folder: Path) -> BertConfig | None:
    """Return the sizes of the BERT in a directory; None where it is none, or not such a one."""
    if not all((folder / name).is_file() for name in (CONFIG, WEIGHTS, TOKENIZER)):
        return None
    try:
        read = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(read, dict) or read.get("model_type") != "bert":
        return None
    if any(read.get(key, plain[0]) not in plain for key, plain in PLAIN.items()):
        return None
    sizes = {field.name: read[field.name] for field in fields(BertConfig) if field.name in read}
    numbers = all(type(size) in (int, float) for size in sizes.values())
    return BertConfig(**sizes) if numbers else None


def load_bert(folder: Path, config: BertConfig) -> "Bert":
    """Return the network of a directory in float32, in evaluation mode.

    Raises:
        SemiIINError: when the weights do not fit the sizes.
        OSError: the weights cannot be read.
    """
    with torch.device("meta"):  # takes no memory: the sizes are the file's claim
        network = Bert(config)
    state = {
        name.removeprefix("bert."): value.float()
        for name, value in load_file(folder / WEIGHTS).items()
    }
    own = {name: value for name, value in state.items() if not name.startswith(UNUSED)}
    load_exactly(network, own, f"the weights of {folder}", assign=True)
    return network.requires_grad_(True).eval()


class States(NamedTuple):
    """The result of a network, as `transformers` names it."""

    last_hidden_state: Tensor


class Bert(nn.Module):
    """Embeddings and post-norm transformer layers."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.encoder = Layers(config)

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the embeddings of the vocabulary."""
        return self.embeddings.word_embeddings

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> States:
        """Return states (B, L, W) of token ids (B, L).

        Args:
            input_ids: (B, L) int64.
            attention_mask: (B, L), 0 = padding.
            token_type_ids: (B, L) int64, 1 = the second part of the text; None = all are 0.
        """
        parts = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        states = self.embeddings(input_ids, parts)
        real = attention_mask.bool()
        mask = None if bool(real.all()) else real[:, None, None, :]
        for layer in self.encoder.layer:
            states = layer(states, mask)
        return States(states)


class Embeddings(nn.Module):
    """The sum of the embeddings of a token, its part of the text and its position."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.word_embeddings = _embedding(config.vocab_size, width, config.pad_token_id)
        self.position_embeddings = _embedding(config.max_position_embeddings, width)
        self.token_type_embeddings = _embedding(config.type_vocab_size, width)
        self.LayerNorm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, ids: Tensor, parts: Tensor) -> Tensor:
        """(B, L), (B, L) to (B, L, W)."""
        states = self.word_embeddings(ids) + self.token_type_embeddings(parts)
        states = states + self.position_embeddings.weight[: ids.shape[1]]
        embedded: Tensor = self.dropout(self.LayerNorm(states))
        return embedded


def _embedding(count: int, width: int, padding: int | None = None) -> nn.Embedding:
    """Return embeddings without values: to draw them on `meta` imports half of torch."""
    return nn.Embedding(count, width, padding, _weight=torch.empty(count, width))


class Layers(nn.Module):
    """The layers, under the name that `transformers` gives them."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))


class Layer(nn.Module):
    """Self-attention and two linear maps, each added to its input and then normalised."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.attention = Attention(config)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, inner)})
        self.output = Added(inner, config)

    def forward(self, states: Tensor, mask: Tensor | None) -> Tensor:
        """(B, L, W) to (B, L, W); mask (B, 1, 1, L) bool, True = may be attended to."""
        states = self.attention(states, mask)
        inner = functional.gelu(self.intermediate["dense"](states))
        added: Tensor = self.output(inner, states)
        return added


class Attention(nn.Module):
    """Self-attention of several heads."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.self = nn.ModuleDict(
            {name: nn.Linear(width, width) for name in ("query", "key", "value")}
        )
        self.output = Added(width, config)
        self.heads, self.rate = config.num_attention_heads, config.attention_probs_dropout_prob

    def forward(self, states: Tensor, mask: Tensor | None) -> Tensor:
        """(B, L, W) to (B, L, W); mask (B, 1, 1, L) bool, True = may be attended to."""
        query, key, value = (
            self.self[name](states).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        attended = functional.scaled_dot_product_attention(
            query, key, value, mask, self.rate if self.training else 0.0
        )
        added: Tensor = self.output(attended.transpose(1, 2).flatten(2), states)
        return added


class Added(nn.Module):
    """A linear map to the width, added to another input and normalised."""

    def __init__(self, inner: int, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(inner, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, inner: Tensor, states: Tensor) -> Tensor:
        """(B, L, inner), (B, L, W) to (B, L, W)."""
        added: Tensor = self.LayerNorm(self.dropout(self.dense(inner)) + states)
        return added


class WordPieces:
    """A BERT's tokenizer, called as those of `transformers` are."""

    def __init__(self, folder: Path) -> None:
        """Read `tokenizer.json`.

        Raises:
            SemiIINError: it cannot be read, or has no padding or separator.
        """
        from tokenizers import Tokenizer

        try:
            self._tokenizer: Any = Tokenizer.from_file(str(folder / TOKENIZER))
        except Exception as error:  # the package raises no narrower one
            raise SemiIINError(f"{folder / TOKENIZER} cannot be read: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.pad_token_id, self.cls_token_id, self.sep_token_id = (
            self._id(name, folder) for name in ("[PAD]", "[CLS]", "[SEP]")
        )

    def _id(self, name: str, folder: Path) -> int:
        number = self._tokenizer.token_to_id(name)
        if number is None:
            raise SemiIINError(f"{folder / TOKENIZER} has no token {name}")
        return int(number)

    def __call__(
        self,
        texts: str | Sequence[str],
        *,
        truncation: bool = False,
        max_length: int | None = None,
        add_special_tokens: bool = True,
    ) -> dict[str, Any]:
        """Return `{"input_ids": …}`: the ids of a text, or of each of several.

        Args:
            texts: one, or several.
            truncation: whether to cut at `max_length`.
            max_length: most ids of a text, with its special tokens.
            add_special_tokens: whether `[CLS]` goes before a text and `[SEP]` behind it.
        """
        limit = max_length if truncation else None
        several = [texts] if isinstance(texts, str) else list(texts)
        rows = [self._ids(text, limit, add_special_tokens) for text in several]
        return {"input_ids": rows[0] if isinstance(texts, str) else rows}

    def _ids(self, text: str, limit: int | None, special: bool) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        if limit is not None:
            ids = ids[: max(0, limit - 2 * special)]
        return [self.cls_token_id, *ids, self.sep_token_id] if special else ids
