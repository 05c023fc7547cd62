"""Whisper through CTranslate2: the audio of one utterance → words with times and confidence.

What enters: the utterance's audio, all of it so far. What leaves: hypotheses. `models` finds the
model's files, a CTranslate2 folder. This module does not know where utterances begin and end, and
knows neither windows nor threads.

Whisper was trained on 30 s of audio at once. An utterance that fits is encoded in 10 s, a running
one in 5 s, which costs a ninth and a twentieth. The decoder sometimes repeats itself on so short a
window: a running utterance is cut at the repetition, and one that has ended is decoded again in
30 s. A running utterance is decoded greedily; one that has ended, whose words are given out for
good, by a beam. Words that are settled are not decoded again: the decoder is made to begin with
them, and the audio of all but the last two seconds of them is cut away, so that an answer costs the
same however long somebody speaks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from streamer.config import AsrConfig
from streamer.errors import ConfigError, ModelError
from streamer.records import NS_PER_S, SAMPLE_RATE_HZ
from streamer.speech import models
from streamer.speech.loudness import LARGEST_GAIN, PEAK
from streamer.speech.streaming import WordHypothesis
from streamer.speech.torch_threads import one_thread

LONGEST_NS = 29 * NS_PER_S
"""The longest utterance; a model reads 30 s at once."""
SHORTEST_SAMPLES = SAMPLE_RATE_HZ // 10
"""Shorter audio holds no word."""
FRAMES_PER_S = 100
RUNNING_FRAMES, SHORT_FRAMES, FULL_FRAMES = 500, 1000, 3000
"""Frames of the log-mel spectrogram that are encoded, of an utterance that runs, of one that has
ended, and of one that failed; the shorter the window, the more often the decoder makes loops."""
MARGIN_FRAMES = FRAMES_PER_S
"""Silence after the utterance that fits into its window."""
BEAM = 5
"""Texts that are followed at once for an utterance that has ended."""
TIME_STEP_S = 0.02
"""Duration of one position of the encoder's output."""
TOKENS_AT_LEAST, ENGLISH_TOKENS_PER_S, TOKENS_PER_S = 10, 6, 12
"""No speech has more tokens; a decoder that gives more repeats itself. English words are about one
token each, Chinese and Japanese characters up to two."""
LONG_NS, CONTEXT_NS = 4 * NS_PER_S, 2 * NS_PER_S
"""Audio from which on what is settled is cut away, and how much of that stays as context."""
LEAST_LOG_PROBABILITY = -1.0
"""Mean log-probability of the tokens below which a text is an invention."""
NO_SPEECH_PROBABILITY, SURE_LOG_PROBABILITY = 0.6, -0.5
"""A text is also an invention where no speech is this likely and the tokens are not this sure."""
LEAST_CONFIDENCE = 0.2
"""Mean confidence of the words below which they are an invention, as those of laughter are."""
REPETITIONS = {1: 4, 2: 3, 3: 2}
"""Length of a phrase in words → how often in a row it is a loop; longer phrases as 3."""
PUNCTUATION = ".,!?;:-…。、，！？"
WITHOUT_SPACES = frozenset({"zh", "yue", "ja", "th", "lo", "my"})
"""Languages written without spaces: there a character counts as a word."""


class Whisper:
    """A recogniser of one participant's utterances; keeps their audio and decodes it when asked."""

    longest_ns = LONGEST_NS

    def __init__(self, config: AsrConfig) -> None:
        """Load the model, or share the one that this process has loaded.

        Raises:
            ModelError: the weights are missing or damaged.
            ConfigError: the model does not support the language or cannot translate.
        """
        self._model = load(config)
        self._model.check(config)
        self._language = None if config.language == "auto" else short_code(config.language)
        self._translate = config.translate
        self._audio: list[NDArray[np.float32]] = []
        self._from_ns = 0  # where in the utterance the audio begins
        self._settled: list[WordHypothesis] = []  # in that audio

    def begin(self) -> None:
        """Start a new utterance."""
        self._audio, self._settled, self._from_ns = [], [], 0

    def feed(self, samples: NDArray[np.float32]) -> None:
        """Append (n,) samples in [-1, 1] at SAMPLE_RATE_HZ."""
        self._audio.append(samples)

    def settle(self, words: Sequence[WordHypothesis]) -> None:
        """Take these words for said; cut their audio away where the utterance gets too long."""
        self._settled += words
        fed = sum(map(len, self._audio))
        if self._translate or not self._settled or fed <= _samples(LONG_NS):
            return  # a translation is in another order than its audio
        keep_from_ns = self._settled[-1].end_ns - CONTEXT_NS
        ends = [word.end_ns for word in self._settled if word.end_ns <= keep_from_ns]
        if ends:
            self._settled = self._settled[len(ends) :]
            audio = np.concatenate(self._audio)
            self._audio = [audio[_samples(ends[-1] - self._from_ns) :]]
            self._from_ns = ends[-1]

    def hypothesis(self) -> list[WordHypothesis]:
        """Decode what follows the settled words so far."""
        return self._decode(ended=False)

    def end(self) -> list[WordHypothesis]:
        """Decode what follows the settled words, and discard the audio."""
        words = self._decode(ended=True)
        self._audio = []
        return words

    def _decode(self, *, ended: bool) -> list[WordHypothesis]:
        audio = np.concatenate(self._audio) if self._audio else np.zeros(0, np.float32)
        if len(audio) < SHORTEST_SAMPLES:
            return []
        language = self._language
        if self._settled and not self._translate:
            language = self._settled[-1].language
        words = self._model.decode(
            audio,
            language,
            translate=self._translate,
            ended=ended,
            said=[token for word in self._settled for token in word.tokens],
        )
        return [
            replace(
                word, start_ns=word.start_ns + self._from_ns, end_ns=word.end_ns + self._from_ns
            )
            for word in words
        ]


def most_tokens(samples: int, language: str) -> int:
    """Return how many tokens speech of so many samples has at most in a language's text."""
    per_s = ENGLISH_TOKENS_PER_S if language == "en" else TOKENS_PER_S
    return TOKENS_AT_LEAST + samples * per_s // SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Token:
    """A decoded token: `[start, end)` in seconds, and its probability."""

    id: int
    start: float
    end: float
    chance: float


@dataclass(frozen=True, slots=True)
class _Decoded:
    """One pass of the decoder: the text's tokens and how likely the text is.

    `said` are the tokens that it was made to begin with, and count as certain; `tokens` follow.
    """

    said: list[int]
    tokens: list[int]
    log_probability: float
    no_speech: float
    encoded: Any
    prompt: list[int]

    @property
    def invented(self) -> bool:
        """Whether the model most likely wrote text for audio that is not speech."""
        return self.log_probability < LEAST_LOG_PROBABILITY or (
            self.no_speech > NO_SPEECH_PROBABILITY and self.log_probability < SURE_LOG_PROBABILITY
        )


class Model:
    """A loaded model with its tokenizer and its log-mel spectrogram; any thread may call it.

    One call computes at a time.
    """

    def __init__(self, folder: Path, device: str, threads: int) -> None:
        import ctranslate2
        from tokenizers import Tokenizer

        from semi_iin.mel import LogMel  # imports torch

        self.name = folder.name
        self._storage = ctranslate2.StorageView
        self._network: Any = ctranslate2.models.Whisper(
            str(folder),
            device=device,
            compute_type="int8" if device == "cpu" else "float16",
            intra_threads=threads,
        )
        self._tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._log_mel = LogMel(self._network.n_mels)
        self.multilingual: bool = self._network.is_multilingual
        self._lock = threading.Lock()

    @property
    def languages(self) -> frozenset[str]:
        """Two-letter codes of the languages that the model reads."""
        if not self.multilingual:
            return frozenset({"en"})
        names = (name[2:-2] for name in self._tokenizer.get_vocab() if name.startswith("<|"))
        return frozenset(name for name in names if name.islower() and 2 <= len(name) <= 3)

    def check(self, config: AsrConfig) -> None:
        """Raise ConfigError if the model lacks the language, or cannot translate."""
        if config.translate and not self.multilingual:
            raise ConfigError(
                f"asr.translate requires a multilingual Whisper model and {self.name} reads "
                'English only; set asr.whisper_model to "base".'
            )
        language = short_code(config.language)
        if language == "auto":
            return
        if language not in self.languages:
            fix = (
                "use a two-letter code that it supports"
                if self.multilingual
                else 'set asr.whisper_model to "base", which reads 99 languages'
            )
            raise ConfigError(
                f"The Whisper model {self.name} does not support asr.language = "
                f"{config.language!r}; {fix}."
            )

    def decode(
        self,
        audio: NDArray[np.float32],
        language: str | None,
        *,
        translate: bool = False,
        ended: bool = True,
        said: Sequence[int] = (),
    ) -> list[WordHypothesis]:
        """Return the words of at most 30 s of audio, (n,) in [-1, 1]; times from its first sample.

        Args:
            audio: one utterance.
            language: a two-letter code, or None to detect it.
            translate: give English words for speech in any language.
            ended: whether the utterance is over; a running one is decoded at less cost.
            said: tokens of the words with which the audio begins; those that follow are returned.
        """
        frames = -(-len(audio) * FRAMES_PER_S // SAMPLE_RATE_HZ)
        least = SHORT_FRAMES if ended else RUNNING_FRAMES
        short = max(least, frames + MARGIN_FRAMES) // 2 * 2
        short, beam = min(short, FULL_FRAMES), BEAM if ended else 1
        decoded, language = self._generate(audio, short, beam, language, translate, said)
        tokens, repeats = self._before_repetition(decoded)
        failed = repeats or (decoded.invented and (tokens or not said))
        if ended and short < FULL_FRAMES and failed:
            decoded, language = self._generate(audio, FULL_FRAMES, beam, language, translate, said)
            tokens, _ = self._before_repetition(decoded)
        if decoded.invented:
            return []
        spoken = self._align(decoded, tokens, frames)
        text_language = "en" if translate else language
        words = words_of(spoken, self._tokenizer.decode, text_language in WITHOUT_SPACES)
        if not words or np.mean([word.confidence for word in words]) < LEAST_CONFIDENCE:
            return []
        return [replace(word, language=text_language) for word in words]

    def _generate(
        self,
        audio: NDArray[np.float32],
        frames: int,
        beam: int,
        language: str | None,
        translate: bool,
        said: Sequence[int] = (),
    ) -> tuple[_Decoded, str]:
        samples = frames * SAMPLE_RATE_HZ // FRAMES_PER_S
        with one_thread():
            features = self._log_mel(_amplified(audio), samples)[None]
        with self._lock:
            encoded = self._network.encode(self._storage.from_array(np.ascontiguousarray(features)))
            if language is None:
                language = self._detect(encoded)
            prompt = self._prompt(language, translate)
            before = self._without_end(said)
            limit = most_tokens(len(audio), "en" if translate else language)
            result = self._network.generate(
                encoded,
                [[*prompt, *before]],
                beam_size=beam,
                max_length=max(2 * limit, limit + len(prompt) + len(before)),
                return_scores=True,
                return_no_speech_prob=True,
            )[0]
        end = self._id("<|endoftext|>")
        tokens = [token for token in result.sequences_ids[0][len(before) :] if token < end]
        return (
            _Decoded(before, tokens, result.scores[0], result.no_speech_prob, encoded, prompt),
            language,
        )

    def _without_end(self, said: Sequence[int]) -> list[int]:
        """Return tokens without the punctuation after the last word, which may yet change."""
        tokens = list(said)
        while tokens and self._text(tokens[-1:]).strip() in PUNCTUATION:
            tokens.pop()
        return tokens

    def _detect(self, encoded: Any) -> str:
        if not self.multilingual:
            return "en"
        [(name, _), *_] = self._network.detect_language(encoded)[0]
        return str(name[2:-2])

    def _prompt(self, language: str, translate: bool) -> list[int]:
        names = ["<|startoftranscript|>"]
        if self.multilingual:
            names += [f"<|{language}|>", "<|translate|>" if translate else "<|transcribe|>"]
        return [self._id(name) for name in (*names, "<|notimestamps|>")]

    def _id(self, token: str) -> int:
        return cast(int, self._tokenizer.token_to_id(token))

    def _before_repetition(self, decoded: _Decoded) -> tuple[list[int], bool]:
        """Return the tokens of whole new words before a repetition, and whether there is one."""
        loop = self._loop([*decoded.said, *decoded.tokens])
        tokens = [*decoded.said, *decoded.tokens][:loop][len(decoded.said) :]
        return tokens, loop is not None

    def _loop(self, tokens: list[int]) -> int | None:
        """Return the number of tokens before a phrase repeats as only a decoder does, or None."""
        words = _grouped(tokens, self._text, characters=False)
        texts = ["".join(filter(str.isalnum, self._text(word).lower())) for word in words]
        ends = np.cumsum([len(word) for word in words]).tolist()
        for first in range(len(texts)):
            for length in range(1, (len(texts) - first) // 2 + 1):
                phrase = texts[first : first + length]
                times = REPETITIONS[min(length, 3)]
                if any(phrase) and phrase * times == texts[first : first + length * times]:
                    return int(ends[first + length - 1])
        return None

    def _text(self, tokens: list[int]) -> str:
        return cast(str, self._tokenizer.decode(tokens))

    def _align(self, decoded: _Decoded, tokens: list[int], frames: int) -> list[Token]:
        """Give each token after those that are said its time, by the decoder's cross-attention."""
        if not tokens:
            return []
        new, tokens = len(tokens), [*decoded.said, *tokens]
        with self._lock:
            aligned = self._network.align(
                decoded.encoded, decoded.prompt[:-1], [tokens], frames, median_filter_width=7
            )[0]
        starts = np.full(len(tokens) + 1, np.nan)
        for token, position in reversed(aligned.alignments):
            if token <= len(tokens):
                starts[token] = position * TIME_STEP_S
        last = aligned.alignments[-1][1] * TIME_STEP_S if aligned.alignments else 0.0
        starts[-1] = last if np.isnan(starts[-1]) else starts[-1]
        for index in range(len(tokens) - 1, -1, -1):
            if np.isnan(starts[index]):
                starts[index] = starts[index + 1]
        return [
            Token(token, float(start), float(end), float(chance))
            for token, start, end, chance in zip(
                tokens, starts[:-1], starts[1:], aligned.text_token_probs, strict=False
            )
        ][-new:]


def _amplified(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return an utterance, (n,), louder where it is soft: Whisper misreads peaks below 0.001."""
    peak = float(np.abs(audio).max(initial=0.0))
    gain = min(LARGEST_GAIN, PEAK / max(peak, 1e-9))
    return audio * np.float32(max(1.0, gain))


def short_code(language: str) -> str:
    """Return the two-letter code of a language tag: `en` of `en-GB`."""
    return language.lower().split("-")[0]


def _grouped(
    tokens: Sequence[int], text_of: Callable[[list[int]], str], *, characters: bool
) -> list[list[int]]:
    """Join tokens to words: at spaces, or at whole characters."""
    groups: list[list[int]] = []
    for token in tokens:
        begins = text_of([token]).startswith(" ")
        if characters and groups:
            begins = "\ufffd" not in text_of(groups[-1])  # else half a character
        if begins or not groups:
            groups.append([])
        groups[-1].append(token)
    return groups


def _samples(duration_ns: int) -> int:
    return duration_ns * SAMPLE_RATE_HZ // NS_PER_S


def words_of(
    tokens: Sequence[Token],
    decode: Callable[[list[int]], str],
    without_spaces: bool,
) -> list[WordHypothesis]:
    """Join tokens to words: at spaces, or at whole characters in a language without spaces.

    The confidence of a word is that of its least probable token. Punctuation belongs to the word
    before it.
    """
    groups = _grouped([token.id for token in tokens], decode, characters=without_spaces)
    words, first = [], 0
    for group in groups:
        parts = tokens[first : first + len(group)]
        first += len(group)
        text = decode(group).replace("\ufffd", "").strip()
        if any(map(str.isalnum, text)):
            start_ns, end_ns = round(parts[0].start * NS_PER_S), round(parts[-1].end * NS_PER_S)
            chance = min(token.chance for token in parts)
            spelling = tuple(token.id for token in parts)
            words.append(WordHypothesis(text, start_ns, end_ns, chance, tokens=spelling))
    return words


def load(config: AsrConfig) -> Model:
    """Return the model of the settings, loaded once per process.

    Raises:
        ModelError: its files are missing or damaged, or the device cannot run it.
    """
    return _load(models.find(config), config.device, config.threads)


@lru_cache(maxsize=1)
def _load(folder: Path, device: str, threads: int) -> Model:
    import ctranslate2

    if device == "auto":
        device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
    if device not in ("cpu", "cuda"):
        device = "cpu"
    try:
        return Model(folder, device, threads)
    except Exception as error:
        # CTranslate2 and tokenizers raise RuntimeError, ValueError or Exception itself; each means
        # that this folder is no usable Whisper model, or that the device is missing.
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelError(
            f"The Whisper model in {folder} cannot be loaded on {device}: {reason}; run "
            "`streamer models verify`, or name another model in asr.whisper_model."
        ) from error
