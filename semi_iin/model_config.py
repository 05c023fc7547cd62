"""Sizes and switches of a Semi-IIN; a checkpoint keeps them in `config.json` under `model`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from semi_iin.errors import SemiIINError
from semi_iin.modalities import MODALITIES, Modality

Variant = Literal["global", "intra", "inter", "sum", "product", "concat", "gate"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)
SPECIAL_TOKENS = 2  # `val` and `cls`, always the first two of the sequence

Convolution = tuple[int, int, int]  # kernel, stride, padding

MAX_WIDTH, MAX_LAYERS, MAX_KERNEL = 65_536, 64, 1024
MAX_SLOTS = 8192
"""Of the full sequence: attention masks have its square."""
LARGEST = {
    "audio_width": MAX_WIDTH, "text_width": MAX_WIDTH, "vision_width": MAX_WIDTH,
    "hidden": 16_384, "heads": 1024, "ffn_multiple": 64, "applications": MAX_LAYERS,
    "classes": 1000, "max_audio": MAX_SLOTS, "max_text": MAX_SLOTS, "max_vision": MAX_SLOTS,
}  # fmt: skip
"""The largest of each size; the smallest is 1. A configuration may be anybody's."""


@dataclass(frozen=True)
class SemiIINConfig:
    """Sizes and switches of one model; the defaults are the paper's.

    Attributes:
        audio_width: feature width D of the audio encoder (HuBERT-large in the paper).
        text_width: feature width D of the text encoder (RoBERTa-large).
        vision_width: feature width D of the vision encoder (FAb-Net).
        audio_columns: how many of the last audio features are what the encoder's own head gives,
            not states; dropout spares them.
        vision_columns: the same of the vision features.
        hidden: width H of every token.
        heads: attention heads N; divides `hidden`.
        ffn_multiple: width of the feed-forward layer, as a multiple of `hidden`.
        applications: how often each branch applies its one layer, with the same weights.
        classes: sentiment classes.
        head_widths: widths of the linear layers that both heads share.
        max_audio: maximum of audio tokens after the convolutions.
        max_text: maximum of text tokens after the convolutions.
        max_vision: maximum of vision tokens after the convolutions.
        audio_convs: (kernel, stride, padding) of each audio convolution, in order.
        text_convs: the same for text.
        vision_convs: the same for vision.
        feature_dropout: on the encoder features.
        audio_dropout: on audio features in place of `feature_dropout`; None = the same.
        embedding_dropout: on a branch's scaled input with its positions.
        attention_dropout: on attention weights.
        relu_dropout: after the feed-forward ReLU.
        residual_dropout: on each addition to the residual stream.
        variant: the kind of model. `global`: one branch, every token attends to every token (the
            paper's baseline). `intra`, `inter`: one masked branch. `sum`, `product`, `concat`:
            both masked branches, fused without a gate. `gate`: the paper's model.
        use_position_embedding: add the learned position embedding. The release's baseline omits
            it, which confounds its ablation; here both can be measured.
        sparse_top_k: use only the k largest attention logits of each query and head; None = all.
        entropy_weight: weight of `SemiIINOutput.attention_entropy` in the training loss; above
            zero it makes `val` and `cls` attend more sharply.
    """

    audio_width: int = 1024
    text_width: int = 1024
    vision_width: int = 256
    audio_columns: int = 0
    vision_columns: int = 0
    hidden: int = 128
    heads: int = 4
    ffn_multiple: int = 4
    applications: int = 2
    classes: int = 7
    head_widths: tuple[int, ...] = (128, 64)
    max_audio: int = 100
    max_text: int = 100
    max_vision: int = 50
    audio_convs: tuple[Convolution, ...] = ((4, 2, 1), (4, 4, 1))
    text_convs: tuple[Convolution, ...] = ((3, 1, 1),)
    vision_convs: tuple[Convolution, ...] = ((3, 1, 1),)
    feature_dropout: float = 0.5
    audio_dropout: float | None = None
    embedding_dropout: float = 0.2
    attention_dropout: float = 0.1
    relu_dropout: float = 0.2
    residual_dropout: float = 0.2
    variant: Variant = "gate"
    use_position_embedding: bool = True
    sparse_top_k: int | None = None
    entropy_weight: float = 0.0

    def __post_init__(self) -> None:
        """Refuse sizes that cannot be built.

        Raises:
            SemiIINError: naming the setting and its range.
        """
        for name, largest in LARGEST.items():
            value = getattr(self, name)
            _require(
                isinstance(value, int) and 1 <= value <= largest,
                f"{name} must be a whole number from 1 to {largest}, not {value}",
            )
        _require(
            self.slots <= MAX_SLOTS,
            f"max_audio, max_text and max_vision together must be less than {MAX_SLOTS}",
        )
        _require(
            len(self.head_widths) <= MAX_LAYERS
            and all(isinstance(n, int) and 1 <= n <= MAX_WIDTH for n in self.head_widths),
            f"head_widths must be up to {MAX_LAYERS} numbers from 1 to {MAX_WIDTH}",
        )
        _require(self.hidden % 2 == 0, f"hidden = {self.hidden} must be even")
        _require(
            self.hidden % self.heads == 0,
            f"hidden = {self.hidden} must be a multiple of heads = {self.heads}",
        )
        _require(self.variant in VARIANTS, f"variant = {self.variant!r} must be one of {VARIANTS}")
        _require(
            self.sparse_top_k is None or self.sparse_top_k >= 1,
            "sparse_top_k must be at least 1, or absent to keep every key",
        )
        _require(self.entropy_weight >= 0, "entropy_weight must not be negative")
        for name in ("feature", "audio", "embedding", "attention", "relu", "residual"):
            rate = getattr(self, f"{name}_dropout")
            _require(rate is None or 0 <= rate < 1, f"{name}_dropout must be in [0, 1)")
        for modality in MODALITIES:
            _require(
                isinstance(self.columns(modality), int)
                and 0 <= self.columns(modality) <= self.width(modality),
                f"{modality}_columns must be a whole number from 0 to {modality}_width",
            )
            _require(
                1 <= len(self.convs(modality)) <= MAX_LAYERS,
                f"{modality}_convs must hold from 1 to {MAX_LAYERS} convolutions",
            )
            for kernel, stride, padding in self.convs(modality):
                _require(
                    1 <= kernel <= MAX_KERNEL
                    and 1 <= stride <= MAX_KERNEL
                    and 0 <= 2 * padding <= kernel,
                    f"{modality}_convs holds {(kernel, stride, padding)}, where kernel and stride "
                    f"must be from 1 to {MAX_KERNEL} and padding at most half of the kernel",
                )

    def width(self, modality: Modality) -> int:
        """Return the feature width D of a modality's encoder."""
        return int(getattr(self, f"{modality}_width"))

    def columns(self, modality: Modality) -> int:
        """Return how many of a modality's last features are no states of its encoder."""
        return 0 if modality == "text" else int(getattr(self, f"{modality}_columns"))

    def convs(self, modality: Modality) -> tuple[Convolution, ...]:
        """Return the modality's convolutions as (kernel, stride, padding)."""
        convolutions: tuple[Convolution, ...] = getattr(self, f"{modality}_convs")
        return convolutions

    def max_tokens(self, modality: Modality) -> int:
        """Return the maximum of a modality's tokens, after its convolutions."""
        return int(getattr(self, f"max_{modality}"))

    def max_frames(self, modality: Modality) -> int:
        """Return the most frames of a modality before convolution (803 for the paper's audio)."""
        frames = self.max_tokens(modality)
        for kernel, stride, padding in reversed(self.convs(modality)):
            frames = frames * stride + kernel - 1 - 2 * padding
        return frames

    def first_slot(self, modality: Modality) -> int:
        """Return the index of the modality's first token in the full sequence."""
        before = MODALITIES[: MODALITIES.index(modality)]
        return SPECIAL_TOKENS + sum(self.max_tokens(earlier) for earlier in before)

    @property
    def slots(self) -> int:
        """The length of the full sequence (252 in the paper)."""
        return SPECIAL_TOKENS + self.max_audio + self.max_text + self.max_vision

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able mapping that `from_dict` reads back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SemiIINConfig":
        """Build a configuration from a mapping; absent keys have their default.

        Raises:
            SemiIINError: for a key that is no setting, or a value of the wrong shape.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        _require(not unknown, f"unknown model setting {', '.join(unknown)}")
        try:
            return cls(**{name: _freeze(value) for name, value in values.items()})
        except (TypeError, ValueError) as error:
            raise SemiIINError(f"the model configuration cannot be read: {error}") from error


def _freeze(value: Any) -> Any:
    """Turn lists, as JSON and TOML give them, into tuples."""
    return tuple(_freeze(item) for item in value) if isinstance(value, list) else value


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise SemiIINError(message)
