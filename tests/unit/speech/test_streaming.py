"""Speech recognition: the recogniser on made-up sound, then each real engine on what it can hear.

The made-up speech is a staircase: a stretch of samples of one height is one word. `FakeVoice` calls
everything louder than 0.5 speech; `FakeEngine` reads the stairs, and is wrong about the last step
while it is still short, as recognisers are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pytest
from numpy.typing import NDArray

from streamer.config import AsrConfig
from streamer.records import NS_PER_S, SAMPLE_RATE_HZ, AudioChunk, Word
from streamer.speech.activity import FRAME_NS, FRAME_SAMPLES
from streamer.speech.captions import Captions
from streamer.speech.streaming import (
    MAYBE_FRAMES,
    PRE_ROLL_FRAMES,
    StreamingRecogniser,
    Transcriber,
    Transcript,
    WordHypothesis,
)
from streamer.speech.transcripts import Subtitles

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
    confidence = 0.75

    def __init__(self, sure_ms: int = 0) -> None:
        self.sure_ms = sure_ms
        self.sound: list[Sound] = []
        self.utterances: list[Sound] = []
        self.settled_ns = 0

    def begin(self) -> None:
        self.sound, self.settled_ns = [], 0

    def feed(self, samples: Sound) -> None:
        self.sound.append(samples.copy())

    def settle(self, words: Sequence[WordHypothesis]) -> None:
        self.settled_ns = max([self.settled_ns, *(word.end_ns for word in words)])

    def after_settled(self, answer: list[WordHypothesis]) -> list[WordHypothesis]:
        return [w for w in answer if w.start_ns + w.end_ns >= 2 * self.settled_ns]

    def hypothesis(self) -> list[WordHypothesis]:
        words_found: list[WordHypothesis] = []
        at = 0
        for height, run in groupby(np.concatenate(self.sound).tolist()):
            length = len(list(run))
            start_ns, end_ns = (n * NS_PER_S // SAMPLE_RATE_HZ for n in (at, at + length))
            at += length
            text = f"w{round((height - 0.6) * 1000)}" if height > 0.55 else ""
            words_found.append(WordHypothesis(text, start_ns, end_ns, self.confidence))
        last = words_found[-1]
        if last.text and last.end_ns - last.start_ns < self.sure_ms * MS:
            words_found[-1] = WordHypothesis("?", last.start_ns, last.end_ns, 0.1)
        return self.after_settled(words_found)

    def end(self) -> list[WordHypothesis]:
        self.utterances.append(np.concatenate(self.sound))
        return self.hypothesis()


class ScriptedEngine(FakeEngine):
    """Gives the answers that it is told, whatever it hears; the last one when it ends."""

    def __init__(self, *answers: Sequence[tuple[str, int, int]]) -> None:
        super().__init__()
        self.answers = [
            [WordHypothesis(t, a * MS, b * MS, 1.0) for t, a, b in answer] for answer in answers
        ]

    def hypothesis(self) -> list[WordHypothesis]:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return self.after_settled(answer)

    def end(self) -> list[WordHypothesis]:
        return self.after_settled(self.answers[-1])


def recogniser(engine: FakeEngine | None = None, **settings: object) -> StreamingRecogniser:
    config = AsrConfig.model_validate({"interval_s": 1.0, "min_silence_s": 0.4, **settings})
    return StreamingRecogniser(FakeVoice(), engine, config, "made up")


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
    transcripts = Heaps([], [], {})
    for chunk in pieces:
        transcripts.take(transcriber.push(chunk), chunk.end_ns)
    transcripts.take(transcriber.finish(), pieces[-1].end_ns)
    return transcripts


TALK = np.concatenate(
    [silence(1000)]
    + [step(n, 400) for n in range(12)]  # 4.8 s without a pause
    + [silence(1500), step(50, 300), silence(200), step(51, 333), silence(700), step(52, 100)]
)


# --- the recogniser -------------------------------------------------------------------------------


def test_words_have_their_own_times() -> None:
    transcripts = hear(recogniser(FakeEngine(200)), chunks(TALK))
    assert transcripts.texts == [f"w{n}" for n in [*range(12), 50, 51, 52]]
    starts = [1000 + 400 * n for n in range(12)] + [7300, 7800, 8833]
    assert [word.start_ns for word in transcripts.words] == [ms * MS for ms in starts]
    assert transcripts.words[-1].end_ns == 8933 * MS
    assert {word.confidence for word in transcripts.words} == {0.75}


@pytest.mark.parametrize("samples", [100, 512, 1600, 7000, len(TALK)])
def test_the_same_sound_gives_the_same_words_however_it_is_cut(samples: int) -> None:
    whole = hear(recogniser(FakeEngine(200)), chunks(TALK, FRAME_SAMPLES))
    cut = hear(recogniser(FakeEngine(200)), chunks(TALK, samples))
    assert cut.words == whole.words
    assert cut.speech == whole.speech
    assert cut.watermark_ns == whole.watermark_ns
    frame_ns, cut_ns = FRAME_NS, samples * NS_PER_S // SAMPLE_RATE_HZ
    for text, at_ns in cut.given_at.items():
        assert at_ns <= whole.given_at[text] + cut_ns + frame_ns


@pytest.mark.parametrize("interval_s", [0.5, 1.0])
def test_words_come_out_within_two_intervals_while_speech_goes_on(interval_s: float) -> None:
    talk = np.concatenate([silence(300), *(step(n, 250) for n in range(40))])
    transcripts = hear(recogniser(FakeEngine(200), interval_s=interval_s), chunks(talk))
    for word in transcripts.words:
        late_ns = transcripts.given_at[word.text] - word.end_ns
        assert late_ns <= 2 * interval_s * NS_PER_S + FRAME_NS + 100 * MS


def test_a_word_goes_out_when_two_answers_agree_on_it_and_not_before() -> None:
    engine = ScriptedEngine(
        [("no", 0, 300), ("I", 400, 500)],
        [("know", 0, 300), ("I", 400, 500)],  # disagrees from the first word on
        [("know", 0, 300), ("why", 400, 700)],
        [("know", 0, 300), ("why", 400, 1100)],  # the second word's end moved
        [("know", 0, 300), ("why", 400, 1100), ("not", 1200, 1300)],
    )
    transcripts = hear(recogniser(engine, interval_s=0.4), chunks(step(1, 2200)))
    first_ask_ns = 416 * MS  # the first frame that ends after an interval
    asked = {text: round((at - first_ask_ns) / 4e8) for text, at in transcripts.given_at.items()}
    assert asked == {"know": 2, "why": 4, "not": 4}
    assert transcripts.texts == ["know", "why", "not"]


def test_a_word_on_which_no_two_answers_agree_is_settled_two_seconds_after_its_end() -> None:
    """The recogniser hears each word in another way every time."""
    said = [step(word, 400) for word in range(1, 11)]
    answers = [
        [(f"w{word}x{ask}", 400 * word, 400 * word + 350) for word in range(10)]
        for ask in range(12)
    ]
    heard = hear(recogniser(ScriptedEngine(*answers), interval_s=0.8), chunks(np.concatenate(said)))
    assert len(heard.words) == 10, "none is said twice"
    settled_ms = [(heard.given_at[word.text] - word.end_ns) // MS for word in heard.words[:6]]
    assert max(settled_ms) <= 2_100, "two seconds and the chunk that was heard by then"


def test_an_empty_answer_changes_nothing_about_what_two_agree_on() -> None:
    """A recogniser may reject its own text once: it is unsure where a word breaks off."""
    words = [("one", 0, 400), ("two", 400, 800)]
    engine = ScriptedEngine(words, [], words, words)
    heard = hear(recogniser(engine, interval_s=0.5), chunks(step(1, 1700)))
    assert set(heard.given_at.values()) == {1_600 * MS}, "at the third answer"


def test_a_rejected_answer_does_not_delay_what_must_be_settled() -> None:
    engine = ScriptedEngine([("one", 0, 300)], [])
    heard = hear(recogniser(engine, interval_s=0.8), chunks(step(1, 2900)))
    assert heard.given_at["one"] <= 2_300 * MS


def test_an_utterance_that_may_not_be_decoded_is_decoded_as_soon_as_it_may() -> None:
    waiting = recogniser(ScriptedEngine([("one", 2_500, 2_900)]))
    waited_ms: list[int] = []

    def from_the_third_second(waited_ns: int) -> bool:
        waited_ms.append(waited_ns // MS)
        return waited_ns >= 3 * NS_PER_S or len(waited_ms) > 100

    waiting.may_ask = from_the_third_second
    asked_at = hear(waiting, chunks(step(1, 4800))).given_at["one"]
    assert waited_ms[0] == 1_024, "the first frame that ends after an interval"
    first = next(ms for ms in waited_ms if ms >= 3_000)
    after = waited_ms[waited_ms.index(first) + 1]
    assert 900 < after < 1_100, "then an interval later, at the beat of the first"
    assert asked_at >= (first + after) * MS


def test_a_pause_is_not_decoded_and_what_follows_it_is() -> None:
    """The utterance may be about to end, and is decoded then."""
    engine = FakeEngine(200)
    asked = 0
    hypothesis = engine.hypothesis

    def count() -> list[WordHypothesis]:
        nonlocal asked
        asked += 1
        return hypothesis()

    engine.hypothesis = count  # type: ignore[method-assign]
    hear(recogniser(engine), chunks(np.concatenate([step(1, 700), silence(900)])))
    assert asked == 1, "its end alone"
    asked = 0
    talk = [step(1, 850), silence(300), step(2, 500), silence(900)]
    hear(recogniser(engine), chunks(np.concatenate(talk)))
    assert asked == 2, "in the second word, and the end"


def test_what_is_settled_stays_and_is_not_said_again() -> None:
    engine = ScriptedEngine(
        [("one", 0, 500), ("two", 500, 900)],
        [("one", 0, 500), ("two", 500, 900)],
        [("won", 0, 450), ("too", 450, 1000), ("three", 1000, 1500)],
    )
    transcripts = hear(recogniser(engine), chunks(step(1, 2800)))
    assert transcripts.texts == ["one", "two", "three"]


def test_overlapping_answers_are_put_in_order() -> None:
    engine = ScriptedEngine([("one", 0, 600), ("two", 500, 1200), ("three", 1200, 99_000)])
    transcripts = hear(recogniser(engine), chunks(step(1, 1504)))
    assert [(w.start_ns // MS, w.end_ns // MS) for w in transcripts.words] == [
        (0, 600),
        (600, 1200),
        (1200, 1504),
    ]


def test_silence_is_kept_from_the_engine_and_speech_is_told() -> None:
    engine = FakeEngine()
    transcripts = hear(recogniser(engine), chunks(TALK))
    assert len(engine.utterances) == 3
    heard_s = sum(map(len, engine.utterances)) / SAMPLE_RATE_HZ
    assert heard_s < 5.733 + 3 * (0.4 + 0.256 + 0.1)
    truth = [(1000, 5800), (7300, 7600), (7800, 8133), (8833, 8933)]
    assert (
        len(transcripts.speech) == len(truth) - 1
    )  # the pause of 200 ms is part of one utterance …
    spans = [
        transcripts.speech[0],
        (transcripts.speech[1][0], transcripts.speech[1][1]),
        transcripts.speech[2],
    ]
    for (start_ns, end_ns), (start_ms, end_ms) in zip(
        spans, [truth[0], (7300, 8133), truth[3]], strict=True
    ):
        assert abs(start_ns - start_ms * MS) <= FRAME_NS
        assert abs(end_ns - end_ms * MS) <= FRAME_NS


def test_soft_first_sounds_are_heard_too() -> None:
    engine = FakeEngine()
    hear(recogniser(engine), chunks(np.concatenate([silence(1024), step(1, 320)])))
    (utterance,) = engine.utterances
    assert np.argmax(utterance > 0) == PRE_ROLL_FRAMES * FRAME_SAMPLES


def test_silence_and_speech_move_the_watermark() -> None:
    ear = recogniser(FakeEngine())
    quiet = [ear.push(chunk) for chunk in chunks(silence(3200))]
    assert quiet[-1].watermark_ns == 3200 * MS - PRE_ROLL_FRAMES * FRAME_NS
    assert quiet[-1].speech_watermark_ns == 3200 * MS
    loud = [ear.push(chunk) for chunk in chunks(step(1, 640), start_ns=3200 * MS)]
    assert loud[-1].watermark_ns == quiet[-1].watermark_ns  # nothing is committed yet
    assert loud[-1].speech_watermark_ns == 3840 * MS
    assert ear.finish().watermark_ns == 3840 * MS


@pytest.mark.parametrize(("before_ms", "heard_frames"), [(640, 20), (3200, MAYBE_FRAMES)])
def test_unsure_frames_before_speech_are_read_too(before_ms: int, heard_frames: int) -> None:
    engine = FakeEngine()
    unsure = np.full(before_ms * 16, 0.2, np.float32)
    background = np.full(960 * 16, 0.05, np.float32)  # from which they do not stand out
    hear(recogniser(engine), chunks(np.concatenate([background, unsure, step(1, 640)])))
    (utterance,) = engine.utterances
    spoken = int(np.argmax(utterance > 0.5))
    assert int((utterance[:spoken] == np.float32(0.2)).sum()) == heard_frames * FRAME_SAMPLES
    assert spoken - heard_frames * FRAME_SAMPLES <= PRE_ROLL_FRAMES * FRAME_SAMPLES


class Unsure(FakeVoice):
    """Gives from `from_s` to `to_s` seconds `scale` of FakeVoice's probability."""

    def __init__(self, scale: float, from_s: float = 0.0, to_s: float = 99.0) -> None:
        super().__init__()
        self.scale, self.unsure = scale, range(round(from_s * 1000), round(to_s * 1000))
        self.heard_ns = 0

    def probabilities(self, frames: Sound) -> list[float]:
        result = []
        for probability in super().probabilities(frames):
            unsure = self.heard_ns // MS in self.unsure
            result.append(probability * self.scale if unsure else probability)
            self.heard_ns += FRAME_NS
        return result


SHOUT = np.concatenate([silence(960), step(1, 480), step(2, 480), silence(960)])


def shouted(
    voice: Unsure, sound: Sound = SHOUT, confidence: float = 0.75
) -> tuple[FakeEngine, Heaps]:
    engine = FakeEngine()
    engine.confidence = confidence
    ear = StreamingRecogniser(voice, engine, AsrConfig(interval_s=0.4), "made up")
    return engine, hear(ear, chunks(sound))


def test_a_shout_that_the_detector_misses_is_read_when_it_ends() -> None:
    engine, heard = shouted(Unsure(0.3))
    assert heard.texts == ["w1", "w2"]
    assert set(heard.given_at.values()) == {2_400 * MS}, "0.4 s after its end, and no sooner"
    assert heard.speech == [], "the detector took none of it for speech"
    assert len(engine.utterances) == 1


def test_a_loud_sound_is_not_read_where_nothing_in_it_may_be_speech() -> None:
    engine, heard = shouted(Unsure(0.1))
    assert engine.utterances == heard.words == []


def test_words_of_a_loud_sound_of_which_the_engine_is_unsure_are_inventions() -> None:
    engine, heard = shouted(Unsure(0.3), confidence=0.4)
    assert len(engine.utterances) == 1
    assert heard.words == []


def test_speech_that_begins_with_a_shout_is_read_from_the_shout_on() -> None:
    _, heard = shouted(Unsure(0.1, to_s=1.44))
    assert heard.texts == ["w1", "w2"]
    assert heard.speech[0][0] >= 1_440 * MS


def test_a_shout_between_speech_belongs_to_its_utterance() -> None:
    sound = np.concatenate([silence(960), *(step(word, 640) for word in (1, 2, 3)), silence(960)])
    engine, heard = shouted(Unsure(0.1, from_s=1.6, to_s=2.24), sound)
    assert heard.texts == ["w1", "w2", "w3"]
    assert len(engine.utterances) == len(heard.speech) == 1


def test_a_loud_sound_after_speech_does_not_keep_the_utterance_going_for_long() -> None:
    sound = np.concatenate([silence(960), step(1, 640), step(2, 9_000)])
    engine, heard = shouted(Unsure(0.01, from_s=1.6), sound)
    assert heard.speech[-1][1] <= 1_632 * MS
    speech = engine.utterances[0]
    assert len(speech) <= (0.3 + 0.64 + 2.0 + 0.5) * SAMPLE_RATE_HZ


def test_a_noise_long_before_speech_is_not_read() -> None:
    engine = FakeEngine()
    noise = np.full(320 * 16, 0.2, np.float32)
    hear(recogniser(engine), chunks(np.concatenate([noise, silence(640), step(1, 640)])))
    assert np.float32(0.2) not in engine.utterances[0]
    assert np.argmax(engine.utterances[0] > 0.5) == PRE_ROLL_FRAMES * FRAME_SAMPLES


def test_a_pause_inside_an_utterance_is_settled_too() -> None:
    hum = np.full(16 * 5000, 0.45, np.float32)  # no word in it, and yet the utterance goes on
    ear = recogniser(FakeEngine())
    transcripts = Heaps([], [], {})
    for chunk in chunks(np.concatenate([step(1, 500), hum])):
        transcripts.take(ear.push(chunk), chunk.end_ns)
    assert transcripts.texts == ["w1"]
    assert transcripts.watermark_ns == 500 * MS
    assert transcripts.speech == [(0, 5472 * MS)]


def test_a_long_utterance_is_cut_at_a_quiet_moment() -> None:
    hum = np.full(16 * 64, 0.45, np.float32)
    talk = np.concatenate([*(step(n, 400) for n in range(22)), hum, step(90, 3000)])
    engine = FakeEngine()
    transcripts = hear(recogniser(engine, max_utterance_s=10), chunks(talk))
    first, second = (len(utterance) / 16 for utterance in engine.utterances)
    assert first == pytest.approx(8800, abs=32)
    assert first + second == pytest.approx(len(talk) / 16, abs=32)
    assert transcripts.texts == [f"w{n}" for n in [*range(22), 90]]
    spoken_ns = sum(end_ns - start_ns for start_ns, end_ns in transcripts.speech)
    assert spoken_ns >= len(talk) // 16 * MS - FRAME_NS


def test_speech_without_end_is_heard_in_bounded_memory() -> None:
    engine = FakeEngine()
    engine.longest_ns = 4 * NS_PER_S
    talk = np.concatenate([step(n, 300) for n in range(100)])
    transcripts = hear(recogniser(engine, max_utterance_s=10), chunks(talk))
    assert max(map(len, engine.utterances)) <= 4 * SAMPLE_RATE_HZ + FRAME_SAMPLES
    assert set(transcripts.texts) == {f"w{n}" for n in range(100)}
    assert transcripts.watermark_ns == 30 * NS_PER_S


def test_a_hole_in_the_sound_ends_the_utterance() -> None:
    engine = FakeEngine()
    voice = FakeVoice()
    ear = StreamingRecogniser(voice, engine, AsrConfig(), "made up")
    pieces = [*chunks(step(1, 530)), *chunks(step(2, 530), start_ns=5 * NS_PER_S)]
    transcripts = hear(ear, pieces)
    assert [(w.text, w.start_ns // MS, w.end_ns // MS) for w in transcripts.words] == [
        ("w1", 0, 530),
        ("w2", 5000, 5530),
    ]
    assert transcripts.speech == [(0, 530 * MS), (5000 * MS, 5530 * MS)]
    assert voice.forgotten == 3  # at the start, at the hole and at the end


def test_sound_that_comes_twice_is_heard_once() -> None:
    sound = np.concatenate([step(n, 400) for n in range(5)])
    again = [*chunks(sound[:24_000]), *chunks(sound[16_000:], start_ns=NS_PER_S)]
    assert (
        hear(recogniser(FakeEngine()), again).words
        == hear(recogniser(FakeEngine()), chunks(sound)).words
    )


def test_samples_that_are_no_numbers_are_silence() -> None:
    engine = FakeEngine()
    broken = step(1, 1000)
    broken[100:200], broken[300], broken[400] = np.nan, np.inf, -np.inf
    hear(recogniser(engine), chunks(broken))
    assert np.isfinite(engine.utterances[0]).all()


def test_clock_jitter_is_no_hole() -> None:
    engine = FakeEngine()
    jittered = [
        AudioChunk(chunk.event_time_ns + (n % 3) * 5 * MS, chunk.samples)
        for n, chunk in enumerate(chunks(step(1, 2000)))
    ]
    ear = recogniser(engine)
    for chunk in jittered:
        ear.push(chunk)
    ear.finish()
    assert len(engine.utterances) == 1


def test_time_that_passes_without_sound_settles_and_moves_on() -> None:
    ear = recogniser(FakeEngine())
    for chunk in chunks(step(1, 500)):
        ear.push(chunk)
    news = ear.advance(4 * NS_PER_S)
    assert [word.text for word in news.words] == ["w1"]
    assert (news.watermark_ns, news.speech_watermark_ns) == (4 * NS_PER_S, 4 * NS_PER_S)
    assert ear.advance(3 * NS_PER_S).watermark_ns == 4 * NS_PER_S
    assert ear.finish().watermark_ns == 4 * NS_PER_S


def test_without_an_engine_there_is_speech_and_no_word() -> None:
    transcripts = hear(recogniser(None), chunks(TALK))
    assert transcripts.words == []
    assert transcripts.speech == hear(recogniser(FakeEngine()), chunks(TALK)).speech
    assert transcripts.watermark_ns == len(TALK) // 16 * MS


def test_nothing_pushed_nothing_heard() -> None:
    assert recogniser(FakeEngine()).finish() == Transcript([], [], 0, 0)
    assert recogniser(FakeEngine()).push(AudioChunk(0, silence(0))) == Transcript([], [], 0, 0)


# --- subtitles as a transcriber -----------------------------------------------------------------

WORDS = tuple(Word(f"w{n}", n * 500 * MS, (n + 1) * 500 * MS) for n in range(6))


def test_captions_give_words_with_the_sound_and_the_rest_at_the_end() -> None:
    captions = Captions(Subtitles(WORDS), recogniser(None), "a file")
    transcripts = Heaps([], [], {})
    for chunk in chunks(step(1, 1200)):
        news = captions.push(chunk)
        assert news.watermark_ns == chunk.end_ns
        transcripts.words += news.words
        transcripts.speech += news.speech
    assert transcripts.texts == ["w0", "w1", "w2"]
    assert transcripts.speech[0][0] == 0
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
