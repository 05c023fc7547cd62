"""Whisper: model files by name, decoding, and the words of tokens.

`tiny_whisper` has random weights in the real file format. `scripts/setup test` fetches the
published whisper-tiny.en and whisper-base.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from semi_iin import weights
from semi_iin.data.media import Media, read_audio
from streamer.config import AsrConfig, build
from streamer.errors import ConfigError, ModelError
from streamer.records import NS_PER_S, SAMPLE_RATE_HZ
from streamer.speech import models
from streamer.speech.streaming import WordHypothesis
from streamer.speech.whisper import (
    CONTEXT_NS,
    LONG_NS,
    RUNNING_FRAMES,
    Model,
    Token,
    Whisper,
    load,
    most_tokens,
    words_of,
)

LANGUAGES = ("en", "de", "ja")


@pytest.fixture(scope="session")
def tiny_whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of CTranslate2 files, made from a random model of 16 channels."""
    from ctranslate2.converters import TransformersConverter
    from tokenizers import AddedToken
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperTokenizer,
    )

    source = tmp_path_factory.mktemp("random") / "whisper"
    special = ["endoftext", "startoftranscript", *LANGUAGES, "translate", "transcribe"]
    special += ["startoflm", "startofprev", "nospeech", "notimestamps"]
    names = [f"<|{name}|>" for name in special]
    times = [f"<|{i * 0.02:.2f}|>" for i in range(1501)]
    letters = sorted(ByteLevel.alphabet())
    tokens = [*letters, *names, *times]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = WhisperTokenizer(vocab=vocabulary, merges=[])
    tokenizer.add_tokens([AddedToken(name, special=True) for name in names])
    tokenizer.add_tokens([AddedToken(time, special=False) for time in times])
    torch.manual_seed(0)
    end, start = vocabulary["<|endoftext|>"], vocabulary["<|startoftranscript|>"]
    model = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=len(vocabulary),
            d_model=16,
            encoder_layers=1,
            decoder_layers=2,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=16,
            decoder_ffn_dim=16,
            pad_token_id=end,
            bos_token_id=end,
            eos_token_id=end,
            decoder_start_token_id=start,
        )
    )
    model.generation_config = GenerationConfig(
        is_multilingual=True,
        lang_to_id={f"<|{name}|>": vocabulary[f"<|{name}|>"] for name in LANGUAGES},
        task_to_id={"translate": vocabulary["<|translate|>"]},
        alignment_heads=[[0, 0], [1, 1]],
        no_timestamps_token_id=vocabulary["<|notimestamps|>"],
        suppress_tokens=[],
        begin_suppress_tokens=[],
    )
    model.save_pretrained(source)
    tokenizer.save_pretrained(source)
    WhisperFeatureExtractor(feature_size=80).save_pretrained(source)
    folder = source.with_name("tiny")
    TransformersConverter(str(source), copy_files=["tokenizer.json"]).convert(str(folder))
    return folder


@pytest.fixture
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of fetched weights, and an empty cache of the hub."""
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


@pytest.fixture(scope="session")
def tiny_en() -> Iterator[Model]:
    """The published whisper-tiny.en."""
    yield load(asr(whisper_model="tiny.en"))


def asr(**settings: object) -> AsrConfig:
    return build({"asr": settings}).asr


def noise(seconds: float, level: float = 0.5) -> NDArray[np.float32]:
    samples = np.random.default_rng(0).uniform(-level, level, round(seconds * SAMPLE_RATE_HZ))
    return samples.astype(np.float32)


# --- finding models -------------------------------------------------------------------------


def test_a_folder_is_found_only_when_it_is_complete(tiny_whisper: Path, tmp_path: Path) -> None:
    assert models.find(asr(whisper_model=str(tiny_whisper))) == tiny_whisper
    partial = tmp_path / "partial"
    shutil.copytree(tiny_whisper, partial)
    (partial / "tokenizer.json").unlink()
    assert models.on_disk(asr(whisper_model=str(partial))) is None
    with pytest.raises(ModelError, match=r"set asr\.whisper_model to a folder"):
        models.find(asr(whisper_model=str(partial)))


@pytest.mark.parametrize(
    ("settings", "command"),
    [
        ({}, "streamer models get whisper-tiny.en"),
        ({"language": "en-GB"}, "streamer models get whisper-tiny.en"),
        ({"language": "de"}, "streamer models get whisper-base"),
        ({"language": "auto"}, "streamer models get whisper-base"),
        ({"translate": True}, "streamer models get whisper-base"),
        ({"whisper_model": "base"}, "streamer models get whisper-base"),
        ({"whisper_model": "whisper-base"}, "streamer models get whisper-base"),
    ],
)
def test_a_missing_model_names_the_command_that_fetches_it(
    settings: dict[str, object], command: str, no_weights: Path
) -> None:
    assert models.on_disk(asr(**settings)) is None
    with pytest.raises(ModelError, match=r"on this disk") as error:
        models.find(asr(**settings))
    assert f"`{command}`" in str(error.value)


def test_a_larger_model_is_looked_for_in_the_cache_of_the_hub(
    tiny_whisper: Path, no_weights: Path
) -> None:
    repository = no_weights / "hub" / "models--Systran--faster-whisper-small"
    snapshot = repository / "snapshots" / "0"
    shutil.copytree(tiny_whisper, snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0")
    folder = models.find(asr(whisper_model="small"))
    assert (folder / "model.bin").is_file()


def test_a_better_model_on_disk_is_taken_first(no_weights: Path) -> None:
    for name in ("whisper-tiny.en", "whisper-base"):
        place = no_weights / name
        place.mkdir()
        for file in weights.known(name).files:
            with open(place / file.name, "wb") as sparse:
                sparse.truncate(file.size)
    assert models.on_disk(asr()) == "whisper-base"
    assert models.on_disk(asr(whisper_model="tiny.en")) == "whisper-tiny.en"
    assert models.on_disk(asr(whisper_model="whisper-tiny.en")) == "whisper-tiny.en"


# --- the engine on random weights -----------------------------------------------------------


def test_a_model_gives_words_with_times_and_confidence(tiny_whisper: Path) -> None:
    model = load(asr(whisper_model=str(tiny_whisper)))
    decoded, language = model._generate(noise(2), 1000, 5, "en", False)
    tokens = model._align(decoded, decoded.tokens, 200)
    assert language == "en"
    assert [token.id for token in tokens] == decoded.tokens
    assert all(0 <= token.start <= token.end <= 30 for token in tokens)
    assert all(0 < token.chance < 1 for token in tokens)


class Watched(Model):
    """A model that notes its passes, each with its frames, its beam and torch's threads."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "cpu", 1)
        self.passes: list[tuple[int, int]] = []
        self.threads: set[int] = set()
        log_mel = self._log_mel

        def counted(samples: NDArray[np.float32], length: int) -> NDArray[np.float32]:
            self.threads.add(torch.get_num_threads())
            return log_mel(samples, length)

        self._log_mel = counted  # type: ignore[assignment]

    def _generate(
        self, audio: NDArray[np.float32], frames: int, beam: int, *rest: Any
    ) -> tuple[Any, str]:
        self.passes.append((frames, beam))
        return super()._generate(audio, frames, beam, *rest)


def test_only_an_utterance_that_has_ended_is_decoded_twice_and_by_a_beam(
    tiny_whisper: Path,
) -> None:
    model = Watched(tiny_whisper)
    assert model.decode(noise(2), "en", ended=False) == [], "random weights are not sure"
    assert model.passes == [(RUNNING_FRAMES, 1)]
    assert model.decode(noise(2), "en") == []
    assert model.passes[1:] == [(1000, 5), (3000, 5)]
    model.decode(noise(12), "en", ended=False)
    assert model.passes[3:] == [(1300, 1)], "a second of silence follows the utterance"


def test_the_spectrogram_takes_one_thread(tiny_whisper: Path) -> None:
    before = torch.get_num_threads()
    model = Watched(tiny_whisper)
    model.decode(noise(1), "en")
    assert model.threads == {1}
    assert torch.get_num_threads() == before


def test_a_language_or_task_that_the_model_lacks_is_one_sentence(tiny_whisper: Path) -> None:
    with pytest.raises(ConfigError, match=r"does not support asr\.language = 'fr'"):
        Whisper(asr(whisper_model=str(tiny_whisper), language="fr"))
    with pytest.raises(ConfigError, match=r"asr\.translate requires a multilingual"):
        Whisper(asr(whisper_model=str(tiny_whisper), translate=True))
    Whisper(asr(whisper_model=str(tiny_whisper), language="en-GB"))


def test_damaged_files_are_one_sentence(tiny_whisper: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_whisper, broken)
    (broken / "model.bin").write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"cannot be loaded on cpu: .*streamer models verify"):
        Whisper(asr(whisper_model=str(broken)))
    (broken / "model.bin").write_bytes((tiny_whisper / "model.bin").read_bytes())
    (broken / "tokenizer.json").write_text(json.dumps({"version": "1.0"}))
    with pytest.raises(ModelError, match="cannot be loaded on cpu"):
        Whisper(asr(whisper_model=str(broken)))


def test_too_little_audio_has_no_words(tiny_whisper: Path) -> None:
    engine = Whisper(asr(whisper_model=str(tiny_whisper)))
    engine.begin()
    engine.feed(noise(0.05))
    assert engine.hypothesis() == engine.end() == []


class OneMore:
    """A model that reads a word of half a second after those that are said; notes the audio."""

    def __init__(self) -> None:
        self.heard: list[tuple[float, tuple[int, ...]]] = []

    def decode(
        self, audio: NDArray[np.float32], *_: object, said: Sequence[int], **__: object
    ) -> list[WordHypothesis]:
        self.heard.append((len(audio) / SAMPLE_RATE_HZ, tuple(said)))
        start_ns, token = len(said) * NS_PER_S // 2, int(2 * audio[0]) + len(said)
        word = WordHypothesis(f"w{token}", start_ns, start_ns + NS_PER_S // 2, 1.0, "en")
        return [replace(word, tokens=(token,))]


def test_settled_words_are_not_decoded_again_and_their_audio_is_cut_away(
    tiny_whisper: Path,
) -> None:
    """Each sample is its time in seconds; word n is said from n/2 to (n+1)/2 seconds."""
    engine, model = Whisper(asr(whisper_model=str(tiny_whisper))), OneMore()
    engine._model = model  # type: ignore[assignment]
    engine.begin()
    engine.feed((np.arange(20 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ).astype(np.float32))
    words = []
    for _ in range(12):
        words += engine.hypothesis()
        engine.settle(words[-1:])
    assert [word.text for word in words] == [f"w{n}" for n in range(12)]
    assert [word.start_ns for word in words] == [n * NS_PER_S // 2 for n in range(12)]
    context = CONTEXT_NS * 2 // NS_PER_S
    assert model.heard[3] == (20, (0, 1, 2))
    assert model.heard[11] == (20 - (11 - context) / 2, tuple(range(11 - context, 11)))
    engine.begin()
    engine.feed(np.zeros(LONG_NS * SAMPLE_RATE_HZ // NS_PER_S, np.float32))
    engine.settle(words)
    engine.end()
    assert model.heard[-1] == (LONG_NS / NS_PER_S, tuple(range(12))), "short enough as it is"


# --- repetition and invention ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "remains"),
    [
        ("no no no that is fine", "no no no that is fine"),
        ("Okay. Okay. Okay. Okay. Okay.", "Okay."),
        ("you know you know it is good", "you know you know it is good"),
        ("I see. I see. I see. Good", "I see."),
        (
            "kids are talking by the door, kids are talking by the door",
            "kids are talking by the door,",
        ),
        ("very very good", "very very good"),
    ],
)
def test_a_phrase_that_only_a_decoder_repeats_is_cut(
    tiny_en: Model, text: str, remains: str
) -> None:
    tokens = tiny_en._tokenizer.encode(f" {text}", add_special_tokens=False).ids
    loop = tiny_en._loop(tokens)
    left = tokens if loop is None else tokens[:loop]
    assert tiny_en._text(left).strip() == remains


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["silence", "noise", "tone", "chords", "clicks"])
def test_audio_without_speech_gives_no_words(tiny_en: Model, kind: str) -> None:
    seconds = 8
    time = np.arange(seconds * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    samples = {
        "silence": np.zeros(len(time)),
        "noise": noise(seconds, 0.1),
        "tone": 0.3 * np.sin(2 * np.pi * 440 * time),
        "chords": sum(0.1 * np.sin(2 * np.pi * hz * time) for hz in (261.6, 329.6, 392.0))
        * (1 + np.sin(2 * np.pi * 2 * time)),
        "clicks": (np.arange(len(time)) % 8000 < 20) * 0.8,
    }[kind]
    assert tiny_en.decode(np.asarray(samples, np.float32), "en") == []


@pytest.mark.parametrize(("language", "fastest_per_s"), [("en", 5), ("zh", 10), ("ja", 11)])
def test_fast_speech_fits_into_the_tokens_that_a_text_may_have(
    language: str, fastest_per_s: float
) -> None:
    for seconds in (1, 5, 20):
        most = most_tokens(seconds * SAMPLE_RATE_HZ, language)
        assert fastest_per_s * seconds <= most <= 2.5 * fastest_per_s * seconds + 10


# --- published weights on real speech -------------------------------------------------------


def test_words_of_a_real_recording_have_their_text_and_times(
    tiny_en: Model, shared_data: Path
) -> None:
    audio = read_audio(Media(shared_data / "meetings" / "whisper.cpp__jfk.wav"))
    assert audio is not None
    words = tiny_en.decode(audio, "en")
    text = " ".join(word.text for word in words).lower()
    assert "ask not what your country can do for you" in text.replace(",", "")
    assert all(word.start_ns <= word.end_ns for word in words)
    starts = [word.start_ns for word in words]
    assert starts == sorted(starts)
    assert words[-1].end_ns <= len(audio) / SAMPLE_RATE_HZ * NS_PER_S


def test_what_follows_settled_words_is_what_follows_them_in_the_whole(
    tiny_en: Model, shared_data: Path
) -> None:
    audio = read_audio(Media(shared_data / "meetings" / "whisper.cpp__jfk.wav"))
    assert audio is not None
    whole = tiny_en.decode(audio, "en", ended=False)
    said = [token for word in whole[:6] for token in word.tokens]
    rest = tiny_en.decode(audio, "en", ended=False, said=said)
    assert [word.text for word in rest] == [word.text for word in whole[6:]]
    assert all(
        abs(word.start_ns - same.start_ns) <= NS_PER_S // 5
        for word, same in zip(rest, whole[6:], strict=True)
    )


def test_a_very_soft_recording_has_the_words_of_a_loud_one(
    tiny_en: Model, shared_data: Path
) -> None:
    audio = read_audio(Media(shared_data / "meetings" / "whisper.cpp__jfk.wav"))
    assert audio is not None
    soft = (np.round(0.002 * audio * 32_768) / 32_768).astype(np.float32)  # a peak of 51 steps
    text = " ".join(word.text for word in tiny_en.decode(soft, "en")).lower()
    assert "ask not what your country can do for you" in re.sub(r"[^a-z ]", "", text)


@pytest.mark.slow
def test_another_language_is_detected_and_translated(shared_data: Path) -> None:
    model = load(asr(whisper_model="base", language="auto"))
    audio = read_audio(Media(shared_data / "meetings" / "faster-whisper__multilingual.mp3", 42, 56))
    assert audio is not None
    german = " ".join(word.text for word in model.decode(audio, None))
    assert "das Recht, die Software zu verwenden" in german
    english = " ".join(word.text for word in model.decode(audio, None, translate=True))
    assert "right to use the software" in english


# --- tokens and words -----------------------------------------------------------------------


def decode(ids: list[int]) -> str:
    """Token numbers are characters; 0 is a space, 1 is half a character."""
    return "".join({0: " ", 1: "\ufffd"}.get(number, chr(number)) for number in ids)


def tokens(text: str) -> list[Token]:
    return [
        Token({" ": 0}.get(letter, ord(letter)), k / 10, (k + 1) / 10, 1 - k / 100)
        for k, letter in enumerate(text)
    ]


def test_tokens_become_words_at_spaces() -> None:
    words = words_of(tokens(" so it goes."), decode, without_spaces=False)
    assert [word.text for word in words] == ["so", "it", "goes."]
    assert [round(word.start_ns / NS_PER_S, 1) for word in words] == [0.0, 0.3, 0.6]
    assert words[0].confidence == pytest.approx(0.98)


def test_tokens_become_characters_where_there_are_no_spaces() -> None:
    words = words_of(tokens("日本"), decode, without_spaces=True)
    assert [word.text for word in words] == ["日", "本"]


def test_half_a_character_is_no_word() -> None:
    halves = [Token(1, 0.0, 0.1, 1.0), Token(ord("a"), 0.1, 0.2, 1.0)]
    assert [word.text for word in words_of(halves, decode, without_spaces=True)] == ["a"]
