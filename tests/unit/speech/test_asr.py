"""Speech recognition: the listener on made-up sound, then each real engine on what it can hear.

The made-up speech is a staircase: a stretch of samples of one height is one word. `FakeVoice` calls
everything louder than 0.5 speech; `FakeEngine` reads the stairs, and is wrong about the last step
while it is still short, as recognisers are.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from streamer import speech as asr
from streamer.config import AsrConfig, Config, build
from streamer.errors import ConfigError, ModelError, SourceError
from streamer.records import NS_PER_S, SAMPLE_RATE_HZ, AudioChunk, Word
from streamer.speech.captions import Captions
from streamer.speech.listening import PRE_ROLL_FRAMES, Heard, Listener, Transcriber, Transcript
from streamer.speech.sphinx import PocketSphinx
from streamer.speech.transcripts import Subtitles
from streamer.speech.vad import FRAME_NS, FRAME_SAMPLES, Silero
from streamer.speech.whisper import Token, Whisper, weights_on_disk, words_of

Sound = NDArray[np.float32]
MS = 1_000_000


# --- made-up sound ------------------------------------------------------------------------------


def step(word: int, ms: int) -> Sound:
    """`ms` of the word number `word`."""
    return np.full(ms * 16, 0.6 + word / 1000, np.float32)


def silence(ms: int) -> Sound:
    return np.zeros(ms * 16, np.float32)


class FakeVoice:
    """Speech is what is louder than 0.5; a hum of 0.45 keeps speech going but starts none."""

    def __init__(self) -> None:
        self.forgotten = 0

    def probabilities(self, frames: Sound) -> list[float]:
        assert frames.shape[1] == FRAME_SAMPLES
        return [float(frame.max()) for frame in frames]

    def forget(self) -> None:
        self.forgotten += 1


class FakeEngine:
    """Reads the stairs; what is heard last is a `?` until it has lasted `sure_ms`."""

    longest_ns = 60 * NS_PER_S

    def __init__(self, sure_ms: int = 0) -> None:
        self.sure_ms = sure_ms
        self.sound: list[Sound] = []
        self.utterances: list[Sound] = []

    def begin(self) -> None:
        self.sound = []

    def feed(self, samples: Sound) -> None:
        self.sound.append(samples.copy())

    def heard(self) -> list[Heard]:
        found: list[Heard] = []
        at = 0
        for height, run in groupby(np.concatenate(self.sound).tolist()):
            length = len(list(run))
            start_ns, end_ns = (n * NS_PER_S // SAMPLE_RATE_HZ for n in (at, at + length))
            at += length
            text = f"w{round((height - 0.6) * 1000)}" if height > 0.55 else ""
            found.append(Heard(text, start_ns, end_ns, 0.75))
        last = found[-1]
        if last.text and last.end_ns - last.start_ns < self.sure_ms * MS:
            found[-1] = Heard("?", last.start_ns, last.end_ns, 0.1)
        return found

    def end(self) -> list[Heard]:
        self.utterances.append(np.concatenate(self.sound))
        return self.heard()


class ScriptedEngine(FakeEngine):
    """Gives the answers that it is told, whatever it hears; the last one when it ends."""

    def __init__(self, *answers: Sequence[tuple[str, int, int]]) -> None:
        super().__init__()
        self.answers = [[Heard(t, a * MS, b * MS, 1.0) for t, a, b in one] for one in answers]

    def heard(self) -> list[Heard]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def end(self) -> list[Heard]:
        return self.answers[-1]


def listener(engine: FakeEngine | None = None, **settings: object) -> Listener:
    config = AsrConfig.model_validate({"interval_s": 1.0, "min_silence_s": 0.4, **settings})
    return Listener(FakeVoice(), engine, config, "made up")


def chunks(sound: Sound, samples: int = 1600, start_ns: int = 0) -> list[AudioChunk]:
    return [
        AudioChunk(start_ns + at * NS_PER_S // SAMPLE_RATE_HZ, sound[at : at + samples])
        for at in range(0, len(sound), samples)
    ]


@dataclass
class Heaps:
    """Everything that a transcriber gave, and the promises checked on the way."""

    words: list[Word]
    speech: list[tuple[int, int]]
    given_at: dict[str, int]  # event time of the chunk's end at which a word came out
    watermark_ns: int = 0
    speech_watermark_ns: int = 0

    def take(self, news: Transcript, now_ns: int) -> None:
        assert news.watermark_ns >= self.watermark_ns, "the watermark never falls"
        assert news.speech_watermark_ns >= self.speech_watermark_ns
        for word in news.words:
            assert word.start_ns >= self.watermark_ns, "no word comes behind the watermark"
            assert word.end_ns <= now_ns, "no word comes from the future"
            assert not self.words or word.start_ns >= self.words[-1].end_ns
            self.words.append(word)
            self.given_at.setdefault(word.text, now_ns)
        for start_ns, end_ns in news.speech:
            assert self.speech_watermark_ns <= start_ns < end_ns <= now_ns
            if self.speech and self.speech[-1][1] == start_ns:
                start_ns = self.speech.pop()[0]
            self.speech.append((start_ns, end_ns))
        self.watermark_ns = news.watermark_ns
        self.speech_watermark_ns = news.speech_watermark_ns

    @property
    def texts(self) -> list[str]:
        return [word.text for word in self.words]


def hear(transcriber: Transcriber, pieces: Sequence[AudioChunk]) -> Heaps:
    heaps = Heaps([], [], {})
    for chunk in pieces:
        heaps.take(transcriber.push(chunk), chunk.end_ns)
    heaps.take(transcriber.finish(), pieces[-1].end_ns)
    return heaps


TALK = np.concatenate(
    [silence(1000)]
    + [step(n, 400) for n in range(12)]  # 4.8 s without a pause
    + [silence(1500), step(50, 300), silence(200), step(51, 333), silence(700), step(52, 100)]
)


# --- the listener -------------------------------------------------------------------------------


def test_words_have_their_own_times() -> None:
    heaps = hear(listener(FakeEngine(200)), chunks(TALK))
    assert heaps.texts == [f"w{n}" for n in [*range(12), 50, 51, 52]]
    starts = [1000 + 400 * n for n in range(12)] + [7300, 7800, 8833]
    assert [word.start_ns for word in heaps.words] == [ms * MS for ms in starts]
    assert heaps.words[-1].end_ns == 8933 * MS
    assert {word.confidence for word in heaps.words} == {0.75}


@pytest.mark.parametrize("samples", [100, 512, 1600, 7000, len(TALK)])
def test_the_same_sound_gives_the_same_words_however_it_is_cut(samples: int) -> None:
    whole = hear(listener(FakeEngine(200)), chunks(TALK, FRAME_SAMPLES))
    cut = hear(listener(FakeEngine(200)), chunks(TALK, samples))
    assert cut.words == whole.words
    assert cut.speech == whole.speech
    assert cut.watermark_ns == whole.watermark_ns
    frame_ns, cut_ns = FRAME_NS, samples * NS_PER_S // SAMPLE_RATE_HZ
    for text, at_ns in cut.given_at.items():
        assert at_ns <= whole.given_at[text] + cut_ns + frame_ns


@pytest.mark.parametrize("interval_s", [0.5, 1.0])
def test_words_come_out_within_two_intervals_while_speech_goes_on(interval_s: float) -> None:
    talk = np.concatenate([silence(300), *(step(n, 250) for n in range(40))])
    heaps = hear(listener(FakeEngine(200), interval_s=interval_s), chunks(talk))
    for word in heaps.words:
        late_ns = heaps.given_at[word.text] - word.end_ns
        assert late_ns <= 2 * interval_s * NS_PER_S + FRAME_NS + 100 * MS


def test_a_word_goes_out_when_two_answers_agree_on_it_and_not_before() -> None:
    engine = ScriptedEngine(
        [("no", 0, 300), ("I", 400, 500)],
        [("know", 0, 300), ("I", 400, 500)],  # disagrees from the first word on
        [("know", 0, 300), ("why", 400, 700)],
        [("know", 0, 300), ("why", 400, 1100)],  # the second word's end moved
        [("know", 0, 300), ("why", 400, 1100), ("not", 1200, 1300)],
    )
    heaps = hear(listener(engine), chunks(step(1, 5500)))
    first_ask_ns = 1024 * MS  # the first frame that ends after a second
    at_ms = {text: round((at - first_ask_ns) / NS_PER_S) for text, at in heaps.given_at.items()}
    assert at_ms == {"know": 2, "why": 4, "not": 4}
    assert heaps.texts == ["know", "why", "not"]


def test_what_is_settled_stays_and_is_not_said_again() -> None:
    engine = ScriptedEngine(
        [("one", 0, 500), ("two", 500, 900)],
        [("one", 0, 500), ("two", 500, 900)],
        [("won", 0, 450), ("too", 450, 1000), ("three", 1000, 1500)],
    )
    heaps = hear(listener(engine), chunks(step(1, 2800)))
    assert heaps.texts == ["one", "two", "three"]


def test_overlapping_answers_are_put_in_order() -> None:
    engine = ScriptedEngine([("one", 0, 600), ("two", 500, 1200), ("three", 1200, 99_000)])
    heaps = hear(listener(engine), chunks(step(1, 1504)))
    assert [(w.start_ns // MS, w.end_ns // MS) for w in heaps.words] == [
        (0, 600),
        (600, 1200),
        (1200, 1504),
    ]


def test_silence_is_kept_from_the_engine_and_speech_is_told() -> None:
    engine = FakeEngine()
    heaps = hear(listener(engine), chunks(TALK))
    assert len(engine.utterances) == 3
    heard_s = sum(map(len, engine.utterances)) / SAMPLE_RATE_HZ
    assert heard_s < 5.733 + 3 * (0.4 + 0.256 + 0.1)
    truth = [(1000, 5800), (7300, 7600), (7800, 8133), (8833, 8933)]
    assert len(heaps.speech) == len(truth) - 1  # the pause of 200 ms is part of one utterance …
    spans = [heaps.speech[0], (heaps.speech[1][0], heaps.speech[1][1]), heaps.speech[2]]
    for (start_ns, end_ns), (start_ms, end_ms) in zip(
        spans, [truth[0], (7300, 8133), truth[3]], strict=True
    ):
        assert abs(start_ns - start_ms * MS) <= FRAME_NS
        assert abs(end_ns - end_ms * MS) <= FRAME_NS


def test_soft_first_sounds_are_heard_too() -> None:
    engine = FakeEngine()
    hear(listener(engine), chunks(np.concatenate([silence(1024), step(1, 320)])))
    (utterance,) = engine.utterances
    assert np.argmax(utterance > 0) == PRE_ROLL_FRAMES * FRAME_SAMPLES


def test_silence_and_speech_move_the_watermark() -> None:
    ear = listener(FakeEngine())
    quiet = [ear.push(chunk) for chunk in chunks(silence(3200))]
    assert quiet[-1].watermark_ns == 3200 * MS - PRE_ROLL_FRAMES * FRAME_NS
    assert quiet[-1].speech_watermark_ns == 3200 * MS
    loud = [ear.push(chunk) for chunk in chunks(step(1, 640), start_ns=3200 * MS)]
    assert loud[-1].watermark_ns == quiet[-1].watermark_ns  # nothing is settled yet
    assert loud[-1].speech_watermark_ns == 3840 * MS
    assert ear.finish().watermark_ns == 3840 * MS


def test_a_pause_inside_an_utterance_is_settled_too() -> None:
    hum = np.full(16 * 5000, 0.45, np.float32)  # no word in it, and yet the utterance goes on
    ear = listener(FakeEngine())
    heaps = Heaps([], [], {})
    for chunk in chunks(np.concatenate([step(1, 500), hum])):
        heaps.take(ear.push(chunk), chunk.end_ns)
    assert heaps.texts == ["w1"]
    assert heaps.watermark_ns == 500 * MS
    assert heaps.speech == [(0, 5472 * MS)]


def test_a_long_utterance_is_cut_at_a_quiet_moment() -> None:
    hum = np.full(16 * 64, 0.45, np.float32)
    talk = np.concatenate([*(step(n, 400) for n in range(22)), hum, step(90, 3000)])
    engine = FakeEngine()
    heaps = hear(listener(engine, max_utterance_s=10), chunks(talk))
    first, second = (len(utterance) / 16 for utterance in engine.utterances)
    assert first == pytest.approx(8800, abs=32)
    assert first + second == pytest.approx(len(talk) / 16, abs=32)
    assert heaps.texts == [f"w{n}" for n in [*range(22), 90]]
    spoken_ns = sum(end_ns - start_ns for start_ns, end_ns in heaps.speech)
    assert spoken_ns >= len(talk) // 16 * MS - FRAME_NS


def test_speech_without_end_is_heard_in_bounded_memory() -> None:
    engine = FakeEngine()
    engine.longest_ns = 4 * NS_PER_S
    talk = np.concatenate([step(n, 300) for n in range(100)])
    heaps = hear(listener(engine, max_utterance_s=10), chunks(talk))
    assert max(map(len, engine.utterances)) <= 4 * SAMPLE_RATE_HZ + FRAME_SAMPLES
    assert set(heaps.texts) == {f"w{n}" for n in range(100)}
    assert heaps.watermark_ns == 30 * NS_PER_S


def test_a_hole_in_the_sound_ends_the_utterance() -> None:
    engine = FakeEngine()
    voice = FakeVoice()
    ear = Listener(voice, engine, AsrConfig(), "made up")
    pieces = [*chunks(step(1, 530)), *chunks(step(2, 530), start_ns=5 * NS_PER_S)]
    heaps = hear(ear, pieces)
    assert [(w.text, w.start_ns // MS, w.end_ns // MS) for w in heaps.words] == [
        ("w1", 0, 530),
        ("w2", 5000, 5530),
    ]
    assert heaps.speech == [(0, 530 * MS), (5000 * MS, 5530 * MS)]
    assert voice.forgotten == 3  # at the start, at the hole and at the end


def test_sound_that_comes_twice_is_heard_once() -> None:
    sound = np.concatenate([step(n, 400) for n in range(5)])
    again = [*chunks(sound[:24_000]), *chunks(sound[16_000:], start_ns=NS_PER_S)]
    assert (
        hear(listener(FakeEngine()), again).words
        == hear(listener(FakeEngine()), chunks(sound)).words
    )


def test_samples_that_are_no_numbers_are_silence() -> None:
    engine = FakeEngine()
    broken = step(1, 1000)
    broken[100:200], broken[300], broken[400] = np.nan, np.inf, -np.inf
    hear(listener(engine), chunks(broken))
    assert np.isfinite(engine.utterances[0]).all()


def test_clock_jitter_is_no_hole() -> None:
    engine = FakeEngine()
    jittered = [
        AudioChunk(chunk.event_time_ns + (n % 3) * 5 * MS, chunk.samples)
        for n, chunk in enumerate(chunks(step(1, 2000)))
    ]
    ear = listener(engine)
    for chunk in jittered:
        ear.push(chunk)
    ear.finish()
    assert len(engine.utterances) == 1


def test_time_that_passes_without_sound_settles_and_moves_on() -> None:
    ear = listener(FakeEngine())
    for chunk in chunks(step(1, 500)):
        ear.push(chunk)
    news = ear.advance(4 * NS_PER_S)
    assert [word.text for word in news.words] == ["w1"]
    assert (news.watermark_ns, news.speech_watermark_ns) == (4 * NS_PER_S, 4 * NS_PER_S)
    assert ear.advance(3 * NS_PER_S).watermark_ns == 4 * NS_PER_S
    assert ear.finish().watermark_ns == 4 * NS_PER_S


def test_without_an_engine_there_is_speech_and_no_word() -> None:
    heaps = hear(listener(None), chunks(TALK))
    assert heaps.words == []
    assert heaps.speech == hear(listener(FakeEngine()), chunks(TALK)).speech
    assert heaps.watermark_ns == len(TALK) // 16 * MS


def test_nothing_pushed_nothing_heard() -> None:
    assert listener(FakeEngine()).finish() == Transcript([], [], 0, 0)
    assert listener(FakeEngine()).push(AudioChunk(0, silence(0))) == Transcript([], [], 0, 0)


# --- subtitles as a transcriber -----------------------------------------------------------------

WORDS = tuple(Word(f"w{n}", n * 500 * MS, (n + 1) * 500 * MS) for n in range(6))


def test_captions_give_words_with_the_sound_and_the_rest_at_the_end() -> None:
    captions = Captions(Subtitles(WORDS), listener(None), "a file")
    heaps = Heaps([], [], {})
    for chunk in chunks(step(1, 1200)):
        news = captions.push(chunk)
        assert news.watermark_ns == chunk.end_ns
        heaps.words += news.words
        heaps.speech += news.speech
    assert heaps.texts == ["w0", "w1", "w2"]
    assert heaps.speech[0][0] == 0
    last = captions.finish()
    assert [word.text for word in last.words] == ["w3", "w4", "w5"]
    assert last.watermark_ns == 3000 * MS
    assert captions.finish().words == []


def test_captions_of_a_recording_without_sound_follow_its_time() -> None:
    captions = Captions(Subtitles(WORDS), None, "a file")
    assert [word.text for word in captions.advance(700 * MS).words] == ["w0", "w1"]
    news = captions.advance(1100 * MS)
    assert ([word.text for word in news.words], news.watermark_ns) == (["w2"], 1100 * MS)
    assert news.speech_watermark_ns == 1100 * MS


# --- choosing -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class FakeSource:
    has_audio: bool = True
    subtitle_path: Path | None = None
    subtitle_stream: int | None = None
    path: Path | None = None


def settings(**asr_settings: object) -> Config:
    return build({"asr": {"whisper_model": "nobody/has-this", **asr_settings}})


@pytest.fixture
def vtt(tmp_path: Path) -> Path:
    path = tmp_path / "talk.vtt"
    path.write_text("WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n\nx --> y\nlost\n")
    return path


def test_auto_takes_subtitles_when_there_and_says_so(
    vtt: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    name, chosen = asr.choose(settings(), FakeSource(subtitle_path=vtt))
    assert (name, chosen.description) == ("subtitles", f"subtitles ({vtt})")
    assert f"words: subtitles ({vtt})" in caplog.messages
    assert "talk.vtt, line 6: the cue's times are not times." in caplog.messages
    assert [w.text for w in chosen.push(AudioChunk(0, silence(100))).words] == ["hello"]


def test_auto_takes_pocketsphinx_when_there_is_nothing_better() -> None:
    name, chosen = asr.choose(settings(), FakeSource())
    assert name == "pocketsphinx"
    assert chosen.description == (
        "PocketSphinx (no subtitles, no weights of nobody/has-this on disk)"
    )


def test_auto_goes_on_without_subtitles_that_cannot_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = FakeSource(subtitle_path=tmp_path / "gone.vtt")
    name, chosen = asr.choose(settings(), source)
    assert name == "pocketsphinx"
    assert "no readable subtitles" in chosen.description
    assert any("gone.vtt cannot be read" in message for message in caplog.messages)
    with pytest.raises(SourceError, match="cannot be read"):
        asr.choose(settings(engine="subtitles"), source)


@pytest.mark.parametrize(
    ("config", "source", "description"),
    [
        (settings(engine="none"), FakeSource(), "none (asr.engine says so)"),
        (settings(), FakeSource(has_audio=False), "none (no subtitles, no sound)"),
        (settings(engine="whisper"), FakeSource(has_audio=False), "none (no sound)"),
        (
            settings(language="de"),
            FakeSource(),
            "none (no subtitles, no weights of nobody/has-this on disk, "
            "and PocketSphinx knows English only)",
        ),
        (
            build({"session": {"modalities": ["audio", "vision"]}}),
            FakeSource(),
            "none (text is not among the modalities)",
        ),
    ],
)
def test_when_there_are_no_words_it_says_why(
    config: Config, source: FakeSource, description: str
) -> None:
    name, chosen = asr.choose(config, source)
    assert (name, chosen.description) == ("none", description)
    assert chosen.push(AudioChunk(0, silence(640))).words == []


@pytest.mark.parametrize(
    ("config", "error", "says"),
    [
        (settings(engine="subtitles"), ConfigError, "the source has none; put a .vtt or .srt"),
        (settings(engine="pocketsphinx", language="de"), ConfigError, "knows English only"),
        (settings(engine="whisper"), ModelError, "nobody/has-this are not on this disk; name"),
    ],
)
def test_what_cannot_be_is_one_sentence(config: Config, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        asr.choose(config, FakeSource())


# --- Silero and PocketSphinx on speech ----------------------------------------------------------


@pytest.fixture(scope="module")
def speak(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Sound]:
    """A voice: text → 16 kHz sound between half seconds of silence."""
    program = shutil.which("espeak-ng")
    if program is None:
        pytest.skip("espeak-ng is not installed; scripts/setup installs it")

    def voice(text: str) -> Sound:
        path = tmp_path_factory.mktemp("speech") / "a.wav"
        subprocess.run([program, "-v", "en-us+f3", "-s", "150", "-w", path, text], check=True)
        return np.concatenate([silence(500), read(path), silence(500)])

    return voice


def read(path: Path) -> Sound:
    """Any sound file as 16 kHz mono."""
    import av

    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
    with av.open(str(path)) as container:
        frames = [f for frame in container.decode(audio=0) for f in resampler.resample(frame)]
    frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def test_silero_hears_speech_and_not_silence_nor_noise(speak: Callable[[str], Sound]) -> None:
    voice = Silero()

    def share(sound: Sound) -> float:
        frames = sound[: len(sound) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
        voice.forget()
        return float(np.mean([p >= 0.5 for p in voice.probabilities(frames)]))

    noise = np.random.default_rng(0).normal(0, 0.05, 32_000).astype(np.float32)
    assert share(speak("we are talking about the weather again")[8000:-8000]) > 0.6
    assert share(silence(2000)) == 0.0
    assert share(noise) < 0.1


def test_silero_leaves_torch_its_threads(speak: Callable[[str], Sound]) -> None:
    before = torch.get_num_threads()
    voice = Silero()
    voice.probabilities(speak("hello")[:5120].reshape(-1, FRAME_SAMPLES))
    assert torch.get_num_threads() == before


def test_pocketsphinx_hears_english_the_same_every_time(speak: Callable[[str], Sound]) -> None:
    sound = speak("I think this is great news and we are very happy")
    first = hear(Listener(Silero(), PocketSphinx(), AsrConfig(), ""), chunks(sound))
    again = hear(Listener(Silero(), PocketSphinx(), AsrConfig(), ""), chunks(sound, 777))
    assert first.words == again.words
    assert first.texts[:2] == ["i", "think"]  # it understands this machine voice only in part
    end_ns = len(sound) // 16 * MS
    assert all(400 * MS <= word.start_ns < word.end_ns <= end_ns for word in first.words)
    assert len({word.confidence for word in first.words}) > 1
    assert not any(c in "<>[]()+" for word in first.words for c in word.text)


def test_pocketsphinx_hears_nothing_in_silence() -> None:
    heaps = hear(Listener(Silero(), PocketSphinx(), AsrConfig(), ""), chunks(silence(3000)))
    assert (heaps.words, heaps.speech) == ([], [])


def test_actors_are_understood_at_least_in_part(shared_data: Path) -> None:
    files = sorted(shared_data.glob("ravdess/Actor_0[14]/03-01-01-01-01-01-*.flac"))
    truth = set("kids are talking by the door".split())
    right = 0
    for path in files:
        heaps = hear(Listener(Silero(), PocketSphinx(), AsrConfig(), ""), chunks(read(path)))
        right += len(truth & set(heaps.texts))
    assert right >= len(files) * len(truth) / 3


# --- Whisper ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny_whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Whisper of two thousand random weights, its tokens single bytes, saved as a folder."""
    from tokenizers import AddedToken
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperTokenizer,
    )
    from transformers.utils import logging as transformers_logging

    folder = tmp_path_factory.mktemp("tiny-whisper")
    special = "endoftext startoftranscript en de translate transcribe startoflm startofprev"
    names = [f"<|{name}|>" for name in f"{special} nospeech notimestamps".split()]
    times = [f"<|{i * 0.02:.2f}|>" for i in range(1501)]
    vocabulary = {
        token: n for n, token in enumerate([*sorted(ByteLevel.alphabet()), *names, *times])
    }
    tokenizer = WhisperTokenizer(vocab=vocabulary, merges=[])
    tokenizer.add_tokens([AddedToken(name, special=True) for name in names])
    tokenizer.add_tokens([AddedToken(time, special=False) for time in times])
    letters = set("abcdefghijklmnopqrstuvwxyz\u0120")  # the last one is a space
    end, start = vocabulary["<|endoftext|>"], vocabulary["<|startoftranscript|>"]
    torch.manual_seed(0)
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
            max_target_positions=24,
            pad_token_id=end,
            bos_token_id=end,
            eos_token_id=end,
            decoder_start_token_id=start,
        )
    )
    model.generation_config = GenerationConfig(
        is_multilingual=True,
        lang_to_id={name: vocabulary[name] for name in ("<|en|>", "<|de|>")},
        task_to_id={name: vocabulary[f"<|{name}|>"] for name in ("translate", "transcribe")},
        no_timestamps_token_id=vocabulary["<|notimestamps|>"],
        suppress_tokens=[n for token, n in vocabulary.items() if token not in letters],
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=start,
        max_length=24,
    )
    transformers_logging.disable_progress_bar()
    model.save_pretrained(folder)
    transformers_logging.enable_progress_bar()
    tokenizer.save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    return folder


def test_whisper_gives_words_with_times_and_confidence(tiny_whisper: Path) -> None:
    config = settings(engine="whisper", whisper_model=str(tiny_whisper), device="cpu")
    noise = np.random.default_rng(0).uniform(-1, 1, 32_000).astype(np.float32)
    first = hear(Listener(FakeVoice(), Whisper(config.asr), config.asr, ""), chunks(noise))
    again = hear(Listener(FakeVoice(), Whisper(config.asr), config.asr, ""), chunks(noise, 999))
    assert first.words
    assert all(0 < word.confidence < 1 for word in first.words)
    assert again.words == first.words


def test_auto_takes_whisper_when_its_weights_are_on_disk(tiny_whisper: Path) -> None:
    name, chosen = asr.choose(settings(whisper_model=str(tiny_whisper)), FakeSource())
    assert name == "whisper"
    assert chosen.description == (
        f"Whisper {tiny_whisper} (no subtitles, and its weights are on disk)"
    )


def test_whisper_hears_thirty_seconds_at_most(tiny_whisper: Path) -> None:
    config = settings(whisper_model=str(tiny_whisper), max_utterance_s=600, interval_s=600).asr
    engine = Whisper(config)
    loud = np.full(SAMPLE_RATE_HZ * 61, 0.9, np.float32)
    heaps = hear(Listener(FakeVoice(), engine, config, ""), chunks(loud, SAMPLE_RATE_HZ))
    assert heaps.watermark_ns == 61 * NS_PER_S


def test_a_whisper_that_does_not_know_the_language_is_one_sentence(tiny_whisper: Path) -> None:
    config = settings(engine="whisper", whisper_model=str(tiny_whisper), language="fr")
    with pytest.raises(ConfigError, match=r"does not know the language 'fr'; set asr\.language"):
        asr.choose(config, FakeSource())
    asr.choose(settings(whisper_model=str(tiny_whisper), language="de-AT"), FakeSource())


def test_damaged_weights_are_one_sentence(tiny_whisper: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(tiny_whisper, tmp_path / "broken"))
    (broken / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match=r"cannot be loaded on \w+: .*; mend or replace"):
        asr.choose(settings(engine="whisper", whisper_model=str(broken)), FakeSource())


def test_weights_on_disk_are_found_in_a_folder_only_when_whole(
    tiny_whisper: Path, tmp_path: Path
) -> None:
    assert weights_on_disk(str(tiny_whisper))
    assert not weights_on_disk(str(tmp_path))
    assert not weights_on_disk("nobody/has-this")
    assert not weights_on_disk("not even / a name /")


def bytes_as_tokens(text: str) -> list[Token]:
    return [Token(b, n / 10, (n + 1) / 10, 0.5 + n / 100) for n, b in enumerate(text.encode())]


def decode_bytes(ids: list[int]) -> str:
    return bytes(ids).decode("utf-8", "replace")


def test_tokens_become_words_at_spaces() -> None:
    words = words_of(bytes_as_tokens("so, it's grüße!"), decode_bytes, without_spaces=False)
    assert [word.text for word in words] == ["so,", "it's", "grüße!"]
    assert (words[1].start_ns, words[1].end_ns) == (300 * MS, 800 * MS)
    assert words[1].confidence == pytest.approx(0.53)
    assert all(a.end_ns == b.start_ns for a, b in pairwise(words))


def test_tokens_become_characters_where_there_are_no_spaces() -> None:
    words = words_of(bytes_as_tokens("日本。"), decode_bytes, without_spaces=True)
    assert [(word.text, word.start_ns // MS, word.end_ns // MS) for word in words] == [
        ("日", 0, 300),
        ("本", 300, 600),
    ]


def test_half_a_character_is_no_word() -> None:
    half = bytes_as_tokens("日")[:2]
    assert words_of(half, decode_bytes, without_spaces=True) == []
    assert words_of([], decode_bytes, without_spaces=False) == []
