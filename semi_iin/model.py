"""Semi-IIN: intra- and inter-modal masked attention with a gate (arXiv 2412.09784).

What enters: token features of up to three modalities, each with an optional padding mask. What
leaves: valence, class logits and the gate's share of inter-modal interaction. It has no
encoders, data sets, losses or checkpoints.

Read it from the leaves up: masks, one attention branch, the gate, the model.

Legend for shapes: B batch, L frames of one modality, T tokens of the whole sequence, H hidden
width, N heads, D feature width.

Deliberate departures from the paper's released code:

* padding and absent modalities are masked, and lengths may vary up to the configured maxima;
* every token has a fixed slot (`[val] [cls] audio text vision`, each modality as long as its
  maximum), so its position does not depend on the padding before it;
* the sinusoidal position is given to every slot; the release omits it where a token's first channel
  is exactly zero;
* one dropout draw on a branch's input, where the release draws for query, key and value;
* the last application computes only the two rows that the heads read, `val` and `cls`: the same
  numbers for half of the work.
"""

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from semi_iin.errors import SemiIINError
from semi_iin.modalities import MODALITIES, Modality
from semi_iin.model_config import SPECIAL_TOKENS, Convolution, SemiIINConfig


class SemiIINOutput(NamedTuple):
    """The result of one forward pass.

    Attributes:
        valence: (B,) float, trained on [-3, 3], unbounded.
        class_logits: (B, classes) float, before softmax.
        valence_gate: (B,) float in [0, 1], the share of the valence that comes through the
            inter-modal branch: the heads are linear, so each branch adds a part, and the share is
            that of the parts' sizes. NaN when the variant has no gate.
        class_gate: (B,) likewise of the class logits, less their mean.
        attention_entropy: (B,) float in [0, 1], the mean entropy of the attention of `val` and
            `cls` over branches, heads and applications, as a share of the largest possible;
            zero unless `entropy_weight` is above zero.
    """

    valence: Tensor
    class_logits: Tensor
    valence_gate: Tensor
    class_gate: Tensor
    attention_entropy: Tensor


def intra_mask(groups: Tensor) -> Tensor:
    """Return IntraMA's mask: a modality token may attend to `val`, `cls` and its own modality.

    `val` and `cls` may attend to every modality token, not to each other nor to themselves.

    Args:
        groups: (T,) int64 per token: 0 for `val` and `cls`, 1 audio, 2 text, 3 vision.

    Returns:
        (T, T) bool, query by key, True = may attend.
    """
    query, key = groups[:, None], groups[None, :]
    return ((query == 0) ^ (key == 0)) | ((query == key) & (query > 0))


def inter_mask(groups: Tensor) -> Tensor:
    """Return InterMA's mask: a modality token may attend to `val`, `cls` and other modalities.

    Arguments and result as for `intra_mask`; the rows of `val` and `cls` are the same.
    """
    return groups[:, None] != groups[None, :]


def global_mask(groups: Tensor) -> Tensor:
    """Return the baseline's mask (T, T) bool: every token may attend to every token and itself."""
    return groups.new_ones(len(groups), len(groups), dtype=torch.bool)


def sinusoidal_positions(slots: int, width: int) -> Tensor:
    """Return the sinusoidal embedding of the positions 1 to `slots`: sines, then cosines.

    Frequencies fall geometrically from 1 to 1/10000 over `width / 2` steps, both ends included.

    Returns:
        (slots, width) float32.
    """
    half = width // 2
    step = math.log(10_000) / max(half - 1, 1)
    angles = torch.arange(1, slots + 1)[:, None] * torch.exp(torch.arange(half) * -step)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Tokenizer(nn.Module):
    """One modality's convolutions: encoder features to tokens, with their padding mask.

    A sample of n real frames gives exactly the tokens that it gives alone and unpadded (at least
    one), whatever follows it: padding is zeroed before every convolution. Where a mask has holes,
    a token is real when any frame under its kernel is.
    """

    def __init__(self, width: int, hidden: int, convs: tuple[Convolution, ...]) -> None:
        super().__init__()
        widths = [width] + [hidden] * len(convs)
        self.convs = nn.ModuleList(
            nn.Conv1d(inner, outer, kernel, stride, padding, bias=False)
            for inner, outer, (kernel, stride, padding) in zip(
                widths, widths[1:], convs, strict=False
            )
        )
        self.geometry = convs

    def forward(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Convolve features (B, L, D) under a mask (B, L) bool to (B, T, H) and (B, T)."""
        for conv, (kernel, stride, padding) in zip(self.convs, self.geometry, strict=True):
            short = max(0, kernel - 2 * padding - features.shape[1])
            features = functional.pad(features, (0, 0, 0, short))
            mask = functional.pad(mask, (0, short))
            features = features.masked_fill(~mask[..., None], 0)
            features = conv(features.transpose(1, 2)).transpose(1, 2)
            mask = self._convolve_mask(mask, features.shape[1], kernel, stride, padding)
        return features, mask

    @staticmethod
    def _convolve_mask(mask: Tensor, tokens: int, kernel: int, stride: int, padding: int) -> Tensor:
        """Return which outputs of a convolution are real. (B, L) bool to (B, tokens) bool."""
        frame = torch.arange(1, mask.shape[1] + 1, device=mask.device)
        extent = (mask * frame).amax(dim=1, keepdim=True)
        length = ((extent + (2 * padding - kernel)).div(stride, rounding_mode="floor") + 1).clamp(
            min=1
        )
        inside = torch.arange(tokens, device=mask.device) < length
        window = torch.ones(1, 1, kernel, device=mask.device)
        covered = functional.conv1d(mask[:, None].float(), window, None, stride, padding)[:, 0]
        return inside & (covered > 0.5)


class FeatureDropout(nn.Module):
    """Dropout on one modality's states; it spares the columns of its encoder's own head.

    Those few columns hold what the head has learned from far more examples than Semi-IIN has, while
    Semi-IIN overfits the many states.
    """

    def __init__(self, config: SemiIINConfig, modality: Modality) -> None:
        super().__init__()
        own = config.audio_dropout if modality == "audio" else None
        self.states = config.width(modality) - config.columns(modality)
        self.dropout = nn.Dropout(config.feature_dropout if own is None else own)

    def forward(self, features: Tensor) -> Tensor:
        """(B, L, D) to the same shape."""
        dropped: Tensor = self.dropout(features[..., : self.states])
        if self.states == features.shape[-1]:
            return dropped
        return torch.cat([dropped, features[..., self.states :]], dim=-1)


class Branch(nn.Module):
    """One pre-norm attention layer, applied several times with the same weights.

    Each application scales its input by sqrt(H), adds the sinusoidal positions, applies the
    layer (attention, then feed-forward, each on a normed input and added to the residual) and a
    final layer norm.
    """

    def __init__(self, config: SemiIINConfig) -> None:
        super().__init__()
        hidden, inner = config.hidden, config.hidden * config.ffn_multiple
        self.config = config
        self.in_proj = nn.Linear(hidden, 3 * hidden)
        self.out_proj = nn.Linear(hidden, hidden)
        self.fc1 = nn.Linear(hidden, inner)
        self.fc2 = nn.Linear(inner, hidden)
        self.attention_norm = nn.LayerNorm(hidden)
        self.feedforward_norm = nn.LayerNorm(hidden)
        self.final_norm = nn.LayerNorm(hidden)
        self.embedding_dropout = nn.Dropout(config.embedding_dropout)
        self.relu_dropout = nn.Dropout(config.relu_dropout)
        self.residual_dropout = nn.Dropout(config.residual_dropout)
        for linear in (self.in_proj, self.out_proj, self.fc1, self.fc2):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, tokens: Tensor, positions: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the layer `applications` times.

        Args:
            tokens: (B, T, H), `val` and `cls` first.
            positions: (T, H) sinusoidal positions of the tokens' slots.
            allowed: (B, T, T) bool, True = may attend; every row allows at least one key.

        Returns:
            `val` and `cls` as (B, 2, H), and their attention's entropy (B,) in [0, 1].
        """
        entropies = []
        for remaining in reversed(range(self.config.applications)):
            queries = tokens.shape[1] if remaining else SPECIAL_TOKENS
            tokens, entropy = self._apply_layer(tokens, positions, allowed, queries)
            entropies.append(entropy)
        return tokens, torch.stack(entropies).mean(dim=0)

    def _apply_layer(
        self, tokens: Tensor, positions: Tensor, allowed: Tensor, queries: int
    ) -> tuple[Tensor, Tensor]:
        """One application to (B, T, H), computing the first `queries` rows of the result."""
        tokens = self.embedding_dropout(math.sqrt(self.config.hidden) * tokens + positions)
        attended, entropy = self._attend(self.attention_norm(tokens), allowed, queries)
        residual = tokens[:, :queries] + self.residual_dropout(attended)
        inner = self.relu_dropout(functional.relu(self.fc1(self.feedforward_norm(residual))))
        residual = residual + self.residual_dropout(self.fc2(inner))
        return self.final_norm(residual), entropy

    def _attend(self, tokens: Tensor, allowed: Tensor, queries: int) -> tuple[Tensor, Tensor]:
        """Masked multi-head attention of the first `queries` tokens over all of them."""
        config = self.config
        split = (config.heads, config.hidden // config.heads)
        weight, bias = self.in_proj.weight, self.in_proj.bias
        query = functional.linear(
            tokens[:, :queries], weight[: config.hidden], bias[: config.hidden]
        )
        key, value = functional.linear(
            tokens, weight[config.hidden :], bias[config.hidden :]
        ).chunk(2, dim=-1)
        query, key, value = (
            tensor.view(*tensor.shape[:2], *split).transpose(1, 2) for tensor in (query, key, value)
        )
        allowed = allowed[:, None, :queries]  # (B, 1, queries, T)
        if config.sparse_top_k is not None:
            allowed = _keep_largest(query, key, allowed, config.sparse_top_k)
        mixed = functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=allowed,
            dropout_p=config.attention_dropout if self.training else 0.0,
        )
        if config.entropy_weight > 0:
            entropy = _attention_entropy(
                query[:, :, :SPECIAL_TOKENS], key, allowed[:, :, :SPECIAL_TOKENS]
            )
        else:
            entropy = tokens.new_zeros(tokens.shape[0])
        return self.out_proj(mixed.transpose(1, 2).flatten(2)), entropy


class Gate(nn.Module):
    """The share of each channel that comes from the inter-modal branch (the paper's gate).

    `g = sigmoid(W inter + W' intra + b)` and `out = g * inter + (1 - g) * intra`.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.inter = nn.Linear(hidden, hidden, bias=False)
        self.intra = nn.Linear(hidden, hidden)

    def forward(self, intra: Tensor, inter: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each branch adds to the mix, (B, H): intra-modal, then inter-modal."""
        share = torch.sigmoid(self.inter(inter) + self.intra(intra))
        return (1 - share) * intra, share * inter


class SemiIIN(nn.Module):
    """The whole model, or one of its ablations by `config.variant`."""

    positions: Tensor

    def __init__(self, config: SemiIINConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.hidden
        self.tokenizers = nn.ModuleDict(
            {
                modality: Tokenizer(config.width(modality), hidden, config.convs(modality))
                for modality in MODALITIES
            }
        )
        self.val_token = nn.Parameter(torch.empty(hidden))
        self.cls_token = nn.Parameter(torch.empty(hidden))
        self.type_embedding = nn.Parameter(torch.empty(len(MODALITIES), hidden))
        # It exists even when the switch leaves it unused: the published 1.33 M of the baseline
        # include it, and one checkpoint can then be measured with and without it.
        self.position_embedding = nn.Parameter(torch.empty(config.slots, hidden))
        self.register_buffer("positions", torch.empty(config.slots, hidden), persistent=False)
        masks = {"unmasked": global_mask, "intra": intra_mask, "inter": inter_mask}
        names = {"global": ["unmasked"], "intra": ["intra"], "inter": ["inter"]}
        self.branch_masks = {
            name: masks[name] for name in names.get(config.variant, ["intra", "inter"])
        }
        self.branches = nn.ModuleDict({name: Branch(config) for name in self.branch_masks})
        self.gates = nn.ModuleDict(
            {name: Gate(hidden) for name in ("val", "cls") if config.variant == "gate"}
        )
        widths = [hidden * (2 if config.variant == "concat" else 1), *config.head_widths]
        self.shared_head = nn.Sequential(
            *(nn.Linear(inner, outer) for inner, outer in pairwise(widths))
        )
        self.valence_head = nn.Linear(widths[-1], 1)
        self.class_head = nn.Linear(widths[-1], config.classes)
        self.feature_dropouts = nn.ModuleDict(
            {modality: FeatureDropout(config, modality) for modality in MODALITIES}
        )
        if not self.positions.is_meta:  # there, to draw them imports half of torch
            self._initialise()

    def _initialise(self) -> None:
        """Draw the learned tokens and embeddings, and compute the positions."""
        for token in (self.val_token, self.cls_token, self.position_embedding):
            nn.init.trunc_normal_(token, std=0.02)
        nn.init.normal_(self.type_embedding, std=0.05)
        self.positions.copy_(sinusoidal_positions(*self.positions.shape))

    def forward(
        self,
        *,
        audio: Tensor | None = None,
        text: Tensor | None = None,
        vision: Tensor | None = None,
        audio_mask: Tensor | None = None,
        text_mask: Tensor | None = None,
        vision_mask: Tensor | None = None,
    ) -> SemiIINOutput:
        """Score a batch.

        Args:
            audio: (B, L, audio_width) float features; None where no sample has audio.
            text: (B, L, text_width) likewise.
            vision: (B, L, vision_width) likewise.
            audio_mask: (B, L) bool, True = a real frame; None = all are. A row of all False
                means that this sample has no audio.
            text_mask: likewise.
            vision_mask: likewise.

        Returns:
            One row for each sample. A sample without any modality gives a finite row without
            meaning; callers treat it as no evidence.

        Raises:
            SemiIINError: for no modality, a wrong width, or more frames than the maximum.
        """
        tokens, real, groups, slots = self._embed(
            {"audio": audio, "text": text, "vision": vision},
            {"audio": audio_mask, "text": text_mask, "vision": vision_mask},
        )
        branch_results = {
            name: branch(
                tokens, self.positions[slots].to(tokens.dtype), self._allowed(name, groups, real)
            )
            for name, branch in self.branches.items()
        }
        val, cls = (
            self._fuse(token, [rows[:, index] for rows, _ in branch_results.values()])
            for index, token in enumerate(("val", "cls"))
        )
        entropies = [entropy for _, entropy in branch_results.values()]
        return SemiIINOutput(
            valence=self.valence_head(self.shared_head(sum(val))).squeeze(-1),
            class_logits=self.class_head(self.shared_head(sum(cls))),
            valence_gate=self._share(val, self.valence_head),
            class_gate=self._share(cls, self.class_head),
            attention_entropy=torch.stack(entropies).mean(dim=0),
        )

    def _embed(
        self,
        features: dict[Modality, Tensor | None],
        masks: dict[Modality, Tensor | None],
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the sequence `[val] [cls] audio text vision` of the modalities that are present.

        Returns:
            tokens (B, T, H), which of them are real (B, T) bool, their groups (T,) and slots (T,).
        """
        present = {name: value for name, value in features.items() if value is not None}
        _require(bool(present), "the model needs features of at least one modality")
        parts: list[Tensor] = []
        real: list[Tensor] = []
        slots: list[Tensor] = [torch.arange(SPECIAL_TOKENS, device=self.val_token.device)]
        groups: list[Tensor] = [torch.zeros_like(slots[0])]
        for modality, value in present.items():
            self._check(modality, value, masks[modality])
            mask = masks[modality]
            mask = value.new_ones(value.shape[:2], dtype=torch.bool) if mask is None else mask
            part, part_real = self.tokenizers[modality](
                self.feature_dropouts[modality](value), mask
            )
            parts.append(part + self.type_embedding[MODALITIES.index(modality)])
            real.append(part_real)
            first = self.config.first_slot(modality)
            slots.append(first + torch.arange(part.shape[1], device=value.device))
            groups.append(torch.full_like(slots[-1], 1 + MODALITIES.index(modality)))
        batch = parts[0].shape[0]
        special = torch.stack([self.val_token, self.cls_token]).to(parts[0].dtype)
        tokens = torch.cat([special.expand(batch, -1, -1), *parts], dim=1)
        slot = torch.cat(slots)
        if self.config.use_position_embedding:
            tokens = tokens + self.position_embedding[slot].to(tokens.dtype)
        always = real[0].new_ones(batch, SPECIAL_TOKENS)
        return tokens, torch.cat([always, *real], dim=1), torch.cat(groups), slot

    def _check(self, modality: Modality, features: Tensor, mask: Tensor | None) -> None:
        """Refuse features or a mask that do not fit the configuration."""
        width, limit = self.config.width(modality), self.config.max_frames(modality)
        _require(
            features.ndim == 3 and features.shape[2] == width,
            f"{modality} features are {tuple(features.shape)}, "
            f"but this model takes (batch, frames, {width})",
        )
        _require(
            features.shape[1] <= limit,
            f"{modality} has {features.shape[1]} frames, but this model takes at most {limit} "
            f"(max_{modality} = {self.config.max_tokens(modality)} tokens): cut it or raise the "
            "maximum",
        )
        _require(
            mask is None or (mask.dtype == torch.bool and mask.shape == features.shape[:2]),
            f"{modality}_mask must be a bool tensor of shape {tuple(features.shape[:2])}",
        )

    def _allowed(self, branch: str, groups: Tensor, real: Tensor) -> Tensor:
        """Return the mask of one branch, (B, T, T) bool, query by key; no row is empty.

        `val` and `cls` of a sample without any modality attend to themselves.
        """
        allowed = self.branch_masks[branch](groups) & real[:, None, :]
        empty = ~allowed.any(dim=-1, keepdim=True)
        itself = torch.eye(len(groups), dtype=torch.bool, device=groups.device)
        return allowed | (empty & itself)

    def _fuse(self, token: str, rows: list[Tensor]) -> tuple[Tensor, ...]:
        """Fuse one token's branch results (B, H) to parts whose sum is the heads' input."""
        match self.config.variant:
            case "gate":
                parts: tuple[Tensor, Tensor] = self.gates[token](*rows)
                return parts
            case "sum":
                return (rows[0] + rows[1],)
            case "product":
                return (rows[0] * rows[1],)
            case "concat":
                return (torch.cat(rows, dim=-1),)
            case _:
                return (rows[0],)

    def _share(self, parts: tuple[Tensor, ...], head: nn.Module) -> Tensor:
        """Return the share (B,) of the inter-modal part in a head's output; NaN without a gate."""
        if self.config.variant != "gate":
            return parts[0].new_full(parts[0].shape[:1], math.nan)
        bias = head(self.shared_head(torch.zeros_like(parts[0])))
        effects = [head(self.shared_head(part)) - bias for part in parts]
        if effects[0].shape[-1] > 1:  # softmax does not see what all logits have in common
            effects = [effect - effect.mean(dim=-1, keepdim=True) for effect in effects]
        intra, inter = (effect.norm(dim=-1) + 1e-6 for effect in effects)
        share: Tensor = inter / (intra + inter)
        return share


def _keep_largest(query: Tensor, key: Tensor, allowed: Tensor, count: int) -> Tensor:
    """Return the allowed keys with the `count` largest logits. (B, N, queries, T) bool."""
    logits = (query @ key.transpose(-2, -1)).masked_fill(~allowed, -math.inf)
    largest = logits.topk(min(count, logits.shape[-1]), dim=-1).indices
    return torch.zeros_like(logits, dtype=torch.bool).scatter(-1, largest, True) & allowed


def _attention_entropy(query: Tensor, key: Tensor, allowed: Tensor) -> Tensor:
    """Return the mean entropy (B,) of attention over heads and queries, divided by the largest."""
    logits = (query @ key.transpose(-2, -1)).float() / math.sqrt(query.shape[-1])
    log_weights = logits.masked_fill(~allowed, -math.inf).log_softmax(dim=-1)
    finite = log_weights.masked_fill(~allowed, 0.0)
    entropy = -(finite.exp().masked_fill(~allowed, 0.0) * finite).sum(dim=-1)
    largest = allowed.sum(dim=-1).clamp(min=2).log()
    return (entropy / largest).mean(dim=(1, 2))


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise SemiIINError(message)
