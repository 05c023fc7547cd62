"""Whisper through transformers as an Engine: words with times and probabilities.

Reads weights from disk (the hub's cache or a folder), downloads only when the configuration says
so. One model per process and device, shared by all participants, who take turns. Each answer
decodes the utterance so far from its start, greedily and without sampling, so it is deterministic;
word times come from the decoder's attention to the sound.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from streamer.config import AsrConfig
from streamer.errors import ConfigError, ModelError
from streamer.records import NS_PER_S, SAMPLE_RATE_HZ
from streamer.speech.listening import Heard

LONGEST_NS = 29 * NS_PER_S
"""Whisper hears 30 s at once."""
SHORTEST_SAMPLES = SAMPLE_RATE_HZ // 10
TOKENS_PER_S = 12
"""No speech has more; what goes on beyond is a decoder that repeats itself."""
TOKENS_AT_LEAST = 16
WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
WITHOUT_SPACES = frozenset({"zh", "yue", "ja", "th", "lo", "my"})
"""Languages in which a word here is a character, because they are written without spaces."""


def weights_on_disk(model: str) -> bool:
    """Whether `model`, a folder or a hub id, can be loaded without a network."""
    from huggingface_hub import try_to_load_from_cache

    folder = Path(model).expanduser()
    if folder.is_dir():
        return (folder / "config.json").is_file() and any(
            (folder / name).is_file() for name in WEIGHT_FILES
        )
    try:
        return isinstance(try_to_load_from_cache(model, "config.json"), str) and any(
            isinstance(try_to_load_from_cache(model, name), str) for name in WEIGHT_FILES
        )
    except ValueError:  # not even the shape of a hub id
        return False


class Whisper:
    """An Engine that keeps the utterance's sound and decodes it when asked."""

    longest_ns = LONGEST_NS

    def __init__(self, config: AsrConfig) -> None:
        """Load the model, or share the one that is loaded.

        Raises:
            ModelError: the weights are not there or damaged.
            ConfigError: they do not know the language.
        """
        self._model = _load(config.whisper_model, config.device, config.local_files_only)
        self._model.check_language(config.language)
        self._language = config.language.lower().split("-")[0]
        self._sound: list[NDArray[np.float32]] = []

    def begin(self) -> None:
        """A new utterance starts."""
        self._sound = []

    def feed(self, samples: NDArray[np.float32]) -> None:
        """Keep (n,) samples in [-1, 1]."""
        self._sound.append(samples)

    def heard(self) -> list[Heard]:
        """Decode the utterance so far."""
        sound = np.concatenate(self._sound) if self._sound else np.zeros(0, np.float32)
        if len(sound) < SHORTEST_SAMPLES:
            return []
        return self._model.decode(sound, self._language)

    def end(self) -> list[Heard]:
        """Decode the whole utterance and forget it."""
        words = self.heard()
        self._sound = []
        return words


@dataclass(frozen=True, slots=True)
class Token:
    """A decoded token: `[start, end)` in seconds, and the probability that it was given."""

    id: int
    start: float
    end: float
    chance: float


class _Model:
    """The network, its tokenizer and its feature extractor, on one device."""

    def __init__(self, name: str, device: str, local_files_only: bool) -> None:
        from transformers import AutoProcessor, WhisperForConditionalGeneration

        where = {"local_files_only": local_files_only}
        self._name = name
        self._turn = threading.Lock()
        processor = AutoProcessor.from_pretrained(name, **where)
        self._tokenizer, self._features = processor.tokenizer, processor.feature_extractor
        network = WhisperForConditionalGeneration.from_pretrained(
            name,
            attn_implementation="eager",  # the only one that gives its attention
            dtype=torch.float16 if device == "cuda" else torch.float32,
            **where,
        )
        self._network: Any = network.to(device).eval()
        self._settings: Any = network.generation_config
        self._prepare(network.config)

    def _prepare(self, config: Any) -> None:
        """Greedy decoding of plain text with scores; attention heads for the word times."""
        settings = self._settings
        first_time = self._tokenizer.convert_tokens_to_ids("<|notimestamps|>") + 1
        self._first_special = self._tokenizer.convert_tokens_to_ids("<|endoftext|>")
        settings.no_timestamps_token_id = first_time - 1
        settings.suppress_tokens = sorted(
            {*(settings.suppress_tokens or ()), *range(first_time, config.vocab_size)}
        )
        settings.return_dict_in_generate = settings.output_scores = True
        settings.num_beams, settings.do_sample, settings.max_new_tokens = 1, False, None
        settings.forced_decoder_ids = None
        if not getattr(settings, "alignment_heads", None):
            settings.alignment_heads = [
                [layer, head]
                for layer in range(config.decoder_layers // 2, config.decoder_layers)
                for head in range(config.decoder_attention_heads)
            ]
        self._longest_tokens: int = config.max_target_positions

    def check_language(self, language: str) -> None:
        """Raise ConfigError when the model does not know `language`, as `en` or `en-GB`."""
        short = language.lower().split("-")[0]
        if getattr(self._settings, "is_multilingual", False):
            known = {code.strip("<|>") for code in self._settings.lang_to_id}
        else:
            known = {"en"}
        if short not in known:
            raise ConfigError(
                f"Whisper {self._name} does not know the language {language!r}; set asr.language "
                "to one that it knows, as a two-letter code, or name a multilingual model."
            )

    def decode(self, sound: NDArray[np.float32], language: str) -> list[Heard]:
        """The words of at most 30 s of sound, (n,) in [-1, 1], times from its first sample."""
        features = self._features(
            sound, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt", return_attention_mask=True
        )
        options: dict[str, Any] = {"max_length": self._token_limit(len(sound))}
        if getattr(self._settings, "is_multilingual", False):
            options |= {"language": language, "task": "transcribe"}
        with self._turn, torch.inference_mode():
            result = self._network.generate(
                features.input_features.to(self._network.device, self._network.dtype),
                attention_mask=features.attention_mask.to(self._network.device),
                return_timestamps=False,
                return_token_timestamps=True,
                **options,
            )
        tokens = result["sequences"][0].tolist()
        times = result["token_timestamps"][0].tolist()
        prompt = len(tokens) - len(result["scores"])
        chances = [
            torch.softmax(step[0].float(), -1)[token].item()
            for step, token in zip(result["scores"], tokens[prompt:], strict=True)
        ]
        # The time of a token is where it ends; it starts where the one before it ends.
        starts = [0.0, *times[prompt:-1]]
        spoken = [
            Token(token, start, max(start, end), chance)
            for token, start, end, chance in zip(
                tokens[prompt:], starts, times[prompt:], chances, strict=True
            )
            if token < self._first_special
        ]
        return words_of(spoken, self._tokenizer.decode, language in WITHOUT_SPACES)

    def _token_limit(self, samples: int) -> int:
        return min(
            self._longest_tokens,
            TOKENS_AT_LEAST + samples * TOKENS_PER_S // SAMPLE_RATE_HZ,
        )


def words_of(
    tokens: Sequence[Token], decode: Callable[[list[int]], str], without_spaces: bool
) -> list[Heard]:
    """Join tokens to words: at spaces, or at whole characters in a language without spaces.

    A word is as sure as its least sure token; punctuation goes with the word before it.
    """

    def text_of(some: Sequence[Token]) -> str:
        return decode([token.id for token in some])

    groups: list[list[Token]] = []
    for token in tokens:
        begins = text_of([token]).startswith(" ")
        if without_spaces and groups:
            begins = "\ufffd" not in text_of(groups[-1])  # else half a character
        if begins or not groups:
            groups.append([])
        groups[-1].append(token)
    words = []
    for group in groups:
        text = text_of(group).replace("\ufffd", "").strip()
        if any(map(str.isalnum, text)):
            start_ns, end_ns = round(group[0].start * NS_PER_S), round(group[-1].end * NS_PER_S)
            words.append(Heard(text, start_ns, end_ns, min(token.chance for token in group)))
    return words


@lru_cache(maxsize=1)
def _load(name: str, device: str, local_files_only: bool) -> _Model:
    """The model, loaded once per process; raises ModelError in one sentence."""
    if device == "auto":
        device = "mps" if torch.backends.mps.is_available() else "cpu"
        device = "cuda" if torch.cuda.is_available() else device
    if local_files_only and not weights_on_disk(name):
        raise ModelError(
            f"The weights of the Whisper model {name} are not on this disk; name a folder that has "
            "them in asr.whisper_model, set asr.local_files_only to false to download them, or set "
            'asr.engine to "pocketsphinx".'
        )
    try:
        with _quiet():
            return _Model(str(Path(name).expanduser()), device, local_files_only)
    except Exception as error:
        # transformers raises whatever its readers raise: OSError, ValueError, RuntimeError,
        # SafetensorError, KeyError …; each means that this folder is no usable Whisper.
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelError(
            f"The Whisper model {name} cannot be loaded on {device}: {reason}; mend or replace its "
            'files, or set asr.engine to "pocketsphinx".'
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' progress bars off the terminal, and one notice that it sends itself."""
    from transformers.utils import logging as transformers_logging

    generation = logging.getLogger("transformers.generation.utils")
    if not any(isinstance(known, _OwnDeprecation) for known in generation.filters):
        generation.addFilter(_OwnDeprecation())
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


class _OwnDeprecation(logging.Filter):
    """Whisper's `generate` calls its base class in a way that the base class deprecates."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("Passing `generation_config` together with")
