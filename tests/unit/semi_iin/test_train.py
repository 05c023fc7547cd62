"""The loop, its tasks and a whole run, on data made here."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.random import Generator
from torch import Tensor, nn

from semi_iin import checkpoint
from semi_iin.calibration import fit_temperature
from semi_iin.clips import Clip
from semi_iin.composing import Composer
from semi_iin.data.samples import Sample
from semi_iin.encoders.audio import LogMelEncoder
from semi_iin.encoders.text import TextEncoder
from semi_iin.encoders.vision import FaceEncoder
from semi_iin.errors import SemiIINError
from semi_iin.features import Encoders
from semi_iin.labels import emotion_sign, valence_sign
from semi_iin.loop import Metrics, Progress, fit, length_batches
from semi_iin.model import SemiIIN
from semi_iin.model_config import SemiIINConfig
from semi_iin.parts import read_parts
from semi_iin.predict import Predictor
from semi_iin.pretraining.face import FaceTask, altered_crops
from semi_iin.pretraining.text import TextTask, bare
from semi_iin.pretraining.voice import VoiceTask, altered_audio
from semi_iin.run import prepare, train
from semi_iin.settings import Objective, RunConfig, Training, read_config
from semi_iin.task import Example, SentimentTask, score

SMALL = SemiIINConfig(
    audio_width=6, text_width=5, vision_width=4, hidden=16, head_widths=(16, 8),
    audio_convs=((3, 2, 1),), feature_dropout=0.1,
)  # fmt: skip


class Line:
    """A task whose weights, loss and data fit on one line: learn y = 3 x with noise in x."""

    def __init__(self, broken_at: int | None = None) -> None:
        torch.manual_seed(7)
        self.module = nn.Sequential(nn.Linear(1, 4), nn.Dropout(0.2), nn.Linear(4, 1))
        self.broken_at, self.steps = broken_at, 0
        self.settings: dict[str, float] = {"slope": 3.0}
        self.scores: list[float] = []

    def batches(self, epoch: int) -> list[list[int]]:
        return length_batches([1] * 20, 4, (0, epoch))

    def loss(self, batch: list[int], random: Generator) -> Tensor:
        if self.steps == self.broken_at:
            raise KeyboardInterrupt
        self.steps += 1
        x = torch.tensor(batch, dtype=torch.float32)[:, None] / 10
        noisy = x + torch.from_numpy(random.normal(0, 0.01, x.shape)).float()
        return (self.module(noisy) - 3 * x).square().mean()

    def measure(self) -> Metrics:
        x = torch.linspace(0, 2, 20)[:, None]
        return {"score": float((self.module(x) - 3 * x).detach().abs().mean())}


LINE = Training(epochs=6, learning_rate=0.05, weight_decay=0.0)


def weights(task: Line) -> Tensor:
    return torch.cat([value.flatten() for value in task.module.state_dict().values()])


def test_the_loop_learns_and_leaves_the_best_weights(tmp_path: Path) -> None:
    task = Line()
    before = task.measure()["score"]
    best = fit(task, LINE.model_copy(update={"epochs": 40}), tmp_path)
    assert best["score"] < before / 4
    assert task.module.eval() and task.measure() == pytest.approx(best)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, 41))
    assert best["score"] == min(line["score"] for line in lines)


@pytest.mark.parametrize("average", [0.0, 0.9], ids=["plain", "averaged"])
@pytest.mark.parametrize("stop", [3, 5, 12], ids=["mid epoch", "between epochs", "later"])
def test_a_killed_run_goes_on_and_ends_the_same(tmp_path: Path, stop: int, average: float) -> None:
    training = LINE.model_copy(update={"average": average, "decay": True, "warmup": 0.2})
    whole = Line()
    expected = fit(whole, training, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(Line(broken_at=stop), training, tmp_path / "killed", save_every=2)
    resumed = Line()
    torch.manual_seed(99)  # whatever the new process starts with
    found = fit(resumed, training, tmp_path / "killed", save_every=2)
    assert resumed.steps < whole.steps
    assert found == expected
    assert torch.equal(weights(resumed), weights(whole))


def test_a_finished_run_is_not_done_again(tmp_path: Path) -> None:
    first = Line()
    expected = fit(first, LINE, tmp_path)
    again = Line(broken_at=0)
    assert fit(again, LINE, tmp_path) == expected
    assert torch.equal(weights(again), weights(first))
    with pytest.raises(SemiIINError, match="another run"):
        fit(Line(), LINE.model_copy(update={"epochs": LINE.epochs + 1}), tmp_path)


def test_another_runs_state_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(Line(broken_at=7), LINE, tmp_path, save_every=2)
    with pytest.raises(SemiIINError, match="another run"):
        fit(Line(), LINE.model_copy(update={"learning_rate": 0.01}), tmp_path)
    with pytest.raises(SemiIINError, match="another run"):
        fit(Line(), LINE, tmp_path, seed=5)
    other = Line()
    other.settings = {"slope": 4.0}
    with pytest.raises(SemiIINError, match="another run"):
        fit(other, LINE, tmp_path)


def test_it_stops_when_nothing_improves(tmp_path: Path) -> None:
    class Flat(Line):
        def measure(self) -> Metrics:
            return {"score": 1.0}

    task = Flat()
    fit(task, LINE.model_copy(update={"epochs": 50, "patience": 3}), tmp_path)
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 1 + 3


def test_the_last_weights_are_kept_when_asked(tmp_path: Path) -> None:
    class Worse(Line):
        def measure(self) -> Metrics:
            self.scores.append(float(len(self.scores)))
            return {"score": self.scores[-1]}

    assert fit(Worse(), LINE, tmp_path / "best") == {"score": 0.0}
    last = LINE.model_copy(update={"keep": "last"})
    assert fit(Worse(), last, tmp_path / "last") == {"score": 5.0}


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    class Broken(Line):
        def loss(self, batch: list[int], random: Generator) -> Tensor:
            return super().loss(batch, random) * float("nan")

    with pytest.raises(SemiIINError, match="the loss is nan at step 0"):
        fit(Broken(), LINE, tmp_path)


def test_progress_is_reported_each_step(tmp_path: Path) -> None:
    seen: list[Progress] = []
    fit(Line(), LINE, tmp_path / "line", report=seen.append)
    assert [progress.step for progress in seen] == list(range(1, 31))
    assert {(progress.stage, progress.steps) for progress in seen} == {("line", 30)}


def test_tensorboard_can_read_the_run(tmp_path: Path) -> None:
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    fit(Line(), LINE, tmp_path)
    events = loader.EventAccumulator(str(tmp_path / "events")).Reload()
    assert set(events.Tags()["scalars"]) == {"loss", "score"}
    assert [event.step for event in events.Scalars("loss")] == list(range(1, 7))


def test_batches_hold_every_sample_once_and_like_lengths() -> None:
    lengths = list(range(1000))
    batches = length_batches(lengths, 8, (1, 2), window=25)
    assert sorted(index for batch in batches for index in batch) == lengths
    assert length_batches(lengths, 8, (1, 2), window=25) == batches
    assert length_batches(lengths, 8, (1, 3), window=25) != batches
    spread = np.mean([max(batch) - min(batch) for batch in batches])
    assert spread < 100  # eight of a thousand at random would spread over about 780


# --- Semi-IIN -----------------------------------------------------------------------------------


def examples(count: int, seed: int = 0) -> list[Example]:
    """Texts whose first feature says the valence."""
    random = np.random.default_rng(seed)
    made = []
    for valence in random.uniform(-3, 3, count):
        features = random.normal(0, 0.3, (int(random.integers(2, 9)), 5))
        features[:, 0] = valence
        made.append(
            Example(
                {"text": torch.from_numpy(features).float()},
                float(valence),
                int(np.digitize(valence, (-2.5, -1.5, -0.5, 0.5, 1.5, 2.5))),
                "made",
            )
        )
    return made


def test_semi_iin_learns_valence_from_text(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = SemiIIN(SMALL)
    held = examples(60, seed=1)
    task = SentimentTask(model, examples(300), held, batch_size=16)
    metrics = fit(task, Training(epochs=12, learning_rate=3e-3), tmp_path)
    assert metrics["made_mae"] < 0.5 and metrics["made_corr"] > 0.95
    valence, logits = score(model, held, batch_size=7)
    assert np.abs(valence - [example.valence for example in held]).mean() == pytest.approx(
        metrics["score"], abs=1e-4
    )
    assert (logits.argmax(axis=1) == [example.sentiment for example in held]).mean() > 0.5


def test_the_loss_is_the_papers() -> None:
    torch.manual_seed(0)
    model = SemiIIN(SMALL).eval()
    labelled, pseudo = examples(2)
    pseudo = replace(pseudo, valence=None, sentiment=3)
    task = SentimentTask(model, [labelled, pseudo], [labelled], batch_size=2)
    with torch.no_grad():
        output = [model(text=example.features["text"][None]) for example in (labelled, pseudo)]
    entropy = [
        float(nn.functional.cross_entropy(out.class_logits, torch.tensor([example.sentiment])))
        for out, example in zip(output, (labelled, pseudo), strict=True)
    ]
    squared = float((output[0].valence.detach() - labelled.valence).square())
    expected = 0.6 * squared + 0.4 * entropy[0] + 0.2 * entropy[1]
    found = task.loss([0, 1], np.random.default_rng(0))
    assert float(found.detach()) == pytest.approx(expected, rel=1e-4)


def test_modality_dropout_always_leaves_something() -> None:
    model = SemiIIN(SMALL)
    whole = Example(
        {"audio": torch.ones(4, 6), "text": torch.ones(3, 5), "vision": torch.ones(2, 4)}, 1.0, 4
    )
    task = SentimentTask(
        model, [whole], [whole], batch_size=1, objective=Objective(modality_dropout=1.0)
    )
    random = np.random.default_rng(0)
    rows = [task._drop(dict(whole.features), random) for _ in range(200)]
    kept = {tuple(row) for row in rows}
    assert len(kept) == 6  # every subset but the empty and the whole


def test_a_run_without_examples_is_refused() -> None:
    with pytest.raises(SemiIINError, match="at least one example"):
        SentimentTask(SemiIIN(SMALL), [], examples(1), batch_size=1)


def test_features_on_disk_are_read_and_cut(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((500, 5), dtype=np.float16))
    held = [Example({"text": tmp_path / "a.npy"}, 0.0, 3)]
    valence, logits = score(SemiIIN(SMALL), held)
    assert valence.shape == (1,) and logits.shape == (1, 7)


def test_calibration_finds_the_temperature() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 1.5, (4000, 7))
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    drawn = [int(random.choice(7, p=row)) for row in chances]
    assert fit_temperature(logits * 2.0, drawn) == pytest.approx(2.0, rel=0.1)


# --- the embedded encoders ----------------------------------------------------------------------


def test_a_text_encoder_is_fine_tuned_but_not_its_words(tiny_bert: Path, tmp_path: Path) -> None:
    encoder = TextEncoder({"source": str(tiny_bert), "context_tokens": 4})
    before = {name: value.clone() for name, value in encoder.backbone.named_parameters()}
    texts = {"i love this film": 2.0, "good": 1.5, "i hate this film": -2.0, "bad": -1.5}
    samples = [
        Sample(f"{index}", label=label, text=text, context="it was")
        for index, (text, label) in enumerate(texts.items())
    ]
    torch.manual_seed(0)
    model = SemiIIN(replace(SMALL, text_width=16))
    task = TextTask(encoder, model, samples * 4, samples, batch_size=4)
    with torch.no_grad():
        start = task.measure()["mae"]
    metrics = fit(task, Training(epochs=12, learning_rate=5e-3, layer_decay=0.9), tmp_path)
    assert metrics["mae"] < 0.7 * start
    changed = {
        name
        for name, value in encoder.backbone.named_parameters()
        if not torch.equal(value, before[name])
    }
    assert "embeddings.word_embeddings.weight" not in changed
    assert "encoder.layer.0.attention.self.query.weight" in changed


def test_words_are_fine_tuned_when_asked(tiny_bert: Path, tmp_path: Path) -> None:
    encoder = TextEncoder({"source": str(tiny_bert)})
    words = encoder.backbone.get_input_embeddings().weight
    before = words.detach().clone()
    samples = [Sample("a", label=2.0, text="good"), Sample("b", label=-2.0, text="bad")]
    model = SemiIIN(replace(SMALL, text_width=16))
    task = TextTask(encoder, model, samples, samples, batch_size=2, words=True)
    fit(task, Training(epochs=1, decoupled=True, weight_decay=0.1), tmp_path)
    ids = encoder.tokenizer(["good", "bad", "film"])["input_ids"]
    good, bad, film = (row[1] for row in ids)
    changed = (words.detach() != before).any(dim=1)
    assert changed[good] and changed[bad] and not changed[film]  # nor decayed


def test_bare_words_are_as_a_recogniser_gives_them() -> None:
    assert bare("Well, I DON'T know -- maybe.") == "well i don't know maybe"
    assert bare("?!") == "?!"  # nothing else is left of it


def tones(count: int, seed: int) -> list[tuple[str, np.ndarray]]:
    random = np.random.default_rng(seed)
    made = []
    for index in range(count):
        low = index % 2 == 0
        time = np.arange(int(random.integers(6000, 12_000))) / 16_000
        hz = random.uniform(150, 300) if low else random.uniform(1500, 3000)
        made.append(("sad" if low else "happy", np.sin(2 * np.pi * hz * time).astype(np.float32)))
    return made


def recordings(folder: Path, made: Sequence[tuple[str, np.ndarray]], actor: int) -> None:
    """Write tones as RAVDESS names its recordings."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, (emotion, samples) in enumerate(made):
        code = {"sad": 4, "happy": 3, "neutral": 1}[emotion]
        path = folder / f"03-01-{code:02d}-01-01-{index:02d}-{actor:02d}.flac"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("flac", rate=16_000)
            frame = av.AudioFrame.from_ndarray(
                (samples * 20_000).astype(np.int16)[None], format="s16", layout="mono"
            )
            frame.sample_rate = 16_000
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                container.mux(packet)


def test_an_audio_encoder_learns_emotions_of_voices(tmp_path: Path) -> None:
    from semi_iin.data.formats import read

    recordings(tmp_path / "voices", tones(24, 0), 1)
    recordings(tmp_path / "voices", tones(10, 1), 17)
    samples = read(tmp_path / "voices", "ravdess")
    torch.manual_seed(0)
    encoder = LogMelEncoder({"width": 16, "channels": [4, 8, 8, 8], "emotions": ["happy", "sad"]})
    task = VoiceTask(
        encoder,
        [sample for sample in samples if sample.split == "train"],
        [sample for sample in samples if sample.split == "valid"],
        batch_size=8,
    )
    metrics = fit(task, Training(epochs=8, learning_rate=5e-3, average=0.8), tmp_path / "run")
    assert metrics["accuracy"] >= 0.8 and metrics["sign_accuracy"] >= 0.8


def test_altered_sound_stays_sound() -> None:
    random = np.random.default_rng(0)
    sound = tones(1, 0)[0][1]
    altered = [altered_audio(sound, random) for _ in range(20)]
    assert all(found.dtype == np.float32 and np.abs(found).max() <= 1 for found in altered)
    assert len({len(found) for found in altered}) > 10
    assert min(len(found) for found in altered) > 0.5 * len(sound)


def drawings(count: int, seed: int) -> list[Sample]:
    """Pictures bright above (happy) or below (sad)."""
    random = np.random.default_rng(seed)
    made = []
    for index in range(count):
        crop = random.integers(0, 80, (48, 48), dtype=np.uint8)
        crop[:24] += 150 * (index % 2 == 0)
        crop[24:] += 150 * (index % 2 == 1)
        made.append(Sample(f"{seed}-{index}", emotion=("happy", "sad")[index % 2], face=crop))
    return made


def test_a_face_encoder_learns_expressions(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = FaceEncoder({"width": 16, "channels": [4, 8, 8, 8], "emotions": ["happy", "sad"]})
    task = FaceTask(encoder, drawings(40, 0), drawings(16, 1), batch_size=8)
    metrics = fit(task, Training(epochs=6, learning_rate=5e-3), tmp_path)
    assert metrics["accuracy"] == 1.0


def test_altered_crops_keep_their_shape_and_are_all_different() -> None:
    crops = torch.rand(8, 1, 48, 48)
    altered = altered_crops(crops, np.random.default_rng(0))
    assert altered.shape == crops.shape and altered.isfinite().all()
    assert all(not torch.allclose(one, other) for one, other in zip(crops, altered, strict=True))
    still = torch.ones(1, 1, 48, 48)
    assert altered_crops(still, np.random.default_rng(3)).max() <= 1.3 + 1e-5


# --- composed clips -----------------------------------------------------------------------------


def pools(width: int) -> dict[int, list[Tensor]]:
    """Features that say their sign."""
    return {sign: [torch.full((3, width), float(sign))] for sign in (-1, 0, 1)}


@pytest.mark.parametrize(("valence", "sign"), [(-3, -1), (-0.5, 0), (0.0, 0), (0.5, 1), (2, 1)])
def test_the_sign_of_a_valence_is_its_classes(valence: float, sign: int) -> None:
    assert valence_sign(valence) == sign


def test_surprise_has_no_sign() -> None:
    assert [emotion_sign(name) for name in ("happy", "sad", "calm", "surprised")] == [
        1, -1, 0, None,
    ]  # fmt: skip


def test_a_composed_clip_agrees_with_its_words() -> None:
    composer = Composer(pools(6), pools(4))
    random = np.random.default_rng(0)
    for valence, sign in ((2.0, 1), (-1.0, -1), (0.2, 0)):
        example = Example({"text": torch.ones(2, 5)}, valence, 0)
        features = composer.compose(example, ("audio", "text", "vision"), random)
        assert list(features) == ["audio", "text", "vision"]
        assert {float(features[name].mean()) for name in ("audio", "vision")} == {float(sign)}  # type: ignore[union-attr]


def test_training_sees_every_choice_of_modalities_and_flat_voices_beside_words() -> None:
    composer = Composer(pools(6), pools(4))
    random = np.random.default_rng(0)
    example = Example({"text": torch.ones(2, 5)}, 2.0, 6)
    seen = [composer(example, random) for _ in range(600)]
    assert {tuple(features) for features in seen} == set(Composer.SHARES)
    beside = [float(row["audio"].mean()) for row in seen if {"audio", "text"} <= set(row)]  # type: ignore[union-attr]
    alone = [float(row["audio"].mean()) for row in seen if "text" not in row and "audio" in row]  # type: ignore[union-attr]
    assert 0.15 < np.mean(np.array(beside) == 0) < 0.45
    assert set(alone) == {1.0}


def test_without_faces_only_voices_are_composed() -> None:
    composer = Composer(pools(6), {-1: [], 0: [], 1: []})
    random = np.random.default_rng(0)
    example = Example({"text": torch.ones(2, 5)}, 2.0, 6)
    assert {tuple(composer(example, random)) for _ in range(200)} == {
        ("text",), ("audio", "text"), ("audio",),
    }  # fmt: skip


# --- a whole run --------------------------------------------------------------------------------


def run_config(tiny_bert: Path) -> RunConfig:
    quick = Training(epochs=2, batch_size=8, learning_rate=3e-3)
    return RunConfig.model_validate(
        {
            "name": "made",
            "device": "cpu",
            "data": [
                {"path": "talk.csv", "part": "talk", "selection": 3},
                {"path": "voices", "format": "ravdess"},
                {"path": "faces.npz", "format": "expression-npz", "selection": 3},
            ],
            "encoders": {
                "text": {
                    "spec": {
                        "kind": "transformer_text", "source": str(tiny_bert), "context_tokens": 4,
                    },
                    "rank": 4,
                    "training": quick.model_dump(),
                },
                "audio": {
                    "spec": {"kind": "log_mel_audio", "width": 12, "channels": [4, 4, 4, 4]},
                    "training": quick.model_dump(),
                },
                "vision": {
                    "spec": {"kind": "face_cnn", "width": 10, "channels": [4, 4, 4, 4]},
                    "training": quick.model_dump(),
                },
            },
            "model": {"hidden": 16, "head_widths": [16, 8], "audio_convs": [[3, 2, 1]]},
            "training": quick.model_dump(),
        }
    )  # fmt: skip


def write_sets(root: Path) -> None:
    root.mkdir()
    texts = [("i love this", 2.0), ("it was bad", -2.0), ("this film", 0.0), ("good", 1.4)]
    lines = ["id,video_id,start,text,label"]
    for index in range(48):
        text, label = texts[index % 4]
        lines.append(f"{index},v{index // 3},{index % 3},{text},{label}")
    (root / "talk.csv").write_text("\n".join(lines), encoding="utf-8")
    for actor in (1, 17):
        voices = tones(8, actor)
        quiet = [("neutral", voices[0][1][::-1].copy()), ("neutral", voices[1][1][::-1].copy())]
        recordings(root / "voices", [*voices, *quiet], actor)
    faces = drawings(45, 0)
    np.savez(
        root / "faces.npz",
        images=np.stack([sample.face for sample in faces if sample.face is not None]),
        labels=np.arange(45) % 3,
        classes=np.array(["happy", "sad", "neutral"]),
    )


def test_a_whole_run_ends_in_a_checkpoint_that_predicts(tiny_bert: Path, tmp_path: Path) -> None:
    write_sets(tmp_path / "data")
    config = run_config(tiny_bert)
    stages: list[str] = []
    path = train(
        config,
        tmp_path / "run",
        data_root=tmp_path / "data",
        report=lambda progress: stages.append(progress.stage),
    )
    order = list(dict.fromkeys(stages))
    assert order == ["audio", "vision", "text", "features talk", "semi_iin"]
    predictor = Predictor.from_checkpoint(path, device="cpu")
    sound = tones(1, 5)[0][1]
    face = np.zeros((50, 50, 3), dtype=np.uint8)
    (found,) = predictor.predict([Clip(audio=sound, text="good", faces=[face])])
    assert found.modalities == ("audio", "text", "vision")
    loaded = checkpoint.load(path)
    assert loaded.config["encoders"]["audio"]["emotions"] == ["happy", "neutral", "sad"]
    assert set(loaded.config["metrics"]["selection"]) >= {"talk_mae", "composed_mae", "score"}

    again = train(config, tmp_path / "run", data_root=tmp_path / "data")
    for name, value in checkpoint.load(again).tensors.items():
        assert torch.equal(value, loaded.tensors[name]), name


def test_encoders_of_a_checkpoint_are_used_as_they_are(tiny_bert: Path, tmp_path: Path) -> None:
    write_sets(tmp_path / "data")
    first = train(run_config(tiny_bert), tmp_path / "one", data_root=tmp_path / "data")
    content = run_config(tiny_bert).model_dump(exclude_defaults=True)
    for encoder in content["encoders"].values():
        del encoder["training"], encoder["spec"]
        encoder["checkpoint"] = str(first)
    second = train(RunConfig.model_validate(content), tmp_path / "two", data_root=tmp_path / "data")
    old, new = checkpoint.load(first), checkpoint.load(second)
    assert new.config["encoders"] == old.config["encoders"]
    for name, value in old.tensors.items():
        if "_encoder." in name:
            assert torch.equal(new.tensors[name], value), name


def test_ready_features_need_no_encoders(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for folder, width in (("audio", 6), ("text", 5), ("visual", 4)):
        (tmp_path / folder).mkdir()
        for index in range(24):
            np.save(tmp_path / folder / f"{index}.npy", random.normal(size=(9, width)))
    rows = [f"{i},x,{i % 5 - 2},{'valid' if i % 4 == 0 else 'train'}" for i in range(24)]
    (tmp_path / "labels.csv").write_text("\n".join(["id,text,label,split", *rows]))
    config = RunConfig.model_validate(
        {
            "name": "paper",
            "device": "cpu",
            "data": [{"path": ".", "format": "features", "labels": "labels.csv", "part": "mosi"}],
            "model": {
                "audio_width": 6, "text_width": 5, "vision_width": 4, "hidden": 16,
                "head_widths": [16, 8],
            },
            "training": {"epochs": 1, "batch_size": 8},
        }
    )  # fmt: skip
    path = train(config, tmp_path / "run", data_root=tmp_path)
    loaded = checkpoint.load(path)
    assert loaded.config["encoders"] == {}
    assert loaded.build_model().config.audio_width == 6


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("name = 1", "name"),
        ('name = "x"\ndata = []\ntrainin = 3', "unknown setting trainin; did you mean training"),
        ('name = "x"\n[[data]]\npath = "a"\nrepat = 2', "did you mean repeat"),
        ('name = "x"\ndata = []\n[training]\nepochs = 0', "training.epochs"),
        ("name =", "cannot be read as TOML"),
    ],
)
def test_a_wrong_configuration_is_named(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "x.toml").write_text(content, encoding="utf-8")
    with pytest.raises(SemiIINError, match=words):
        read_config(tmp_path / "x.toml")


def test_a_configuration_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SemiIINError, match="no configuration at"):
        read_config(tmp_path / "none.toml")


@pytest.mark.parametrize(
    "path",
    sorted((Path(__file__).parents[3] / "configs").glob("*.toml"), key=lambda path: path.name),
    ids=lambda path: path.stem,
)
def test_every_training_configuration_is_valid(path: Path) -> None:
    if "[[data]]" not in path.read_text(encoding="utf-8"):
        return
    config = read_config(path)
    SemiIINConfig.from_dict(config.model)


def test_the_papers_recipe_is_the_default() -> None:
    config = read_config(Path(__file__).parents[3] / "configs" / "mosei.toml")
    assert config.training == Training()
    assert config.objective == Objective()
    assert SemiIIN(SemiIINConfig.from_dict(config.model)).config == SemiIINConfig()
    assert Encoders.build({}).modalities == ()


def test_what_is_kept_for_semi_iin_trains_no_encoder(tiny_bert: Path, tmp_path: Path) -> None:
    write_sets(tmp_path / "data")
    config = run_config(tiny_bert)
    talk, voices, faces = config.data
    other = talk.model_copy(update={"part": "other"})
    kept = talk.model_copy(update={"fusion": 3})
    parts = read_parts(
        config.model_copy(update={"data": (kept, other, voices, faces)}), tmp_path / "data"
    )
    groups = [
        {sample.group for sample in samples}
        for samples in (parts[0].train, parts[0].fusion, parts[0].selection)
    ]
    assert all(groups) and not groups[0] & groups[1] and not (groups[0] | groups[1]) & groups[2]
    assert parts[1].train and not parts[1].fusion  # texts are kept elsewhere
    assert parts[2].fusion == parts[2].train and parts[3].fusion == parts[3].train
    plain = read_parts(config, tmp_path / "data")[0]
    assert plain.fusion == plain.train


def test_raw_clips_are_encoded_whole(tiny_bert: Path, tmp_path: Path) -> None:
    media = tmp_path / "mosi" / "media"
    for index, (_, samples) in enumerate(tones(8, 0)):
        recordings(media, [("sad", samples)], index)
    names = sorted(path.stem for path in media.iterdir())
    rows = [
        f"{name},{name},good,{(-2, 2)[index % 2]},{('train', 'valid')[index % 4 == 3]}"
        for index, name in enumerate(names)
    ]
    labels = tmp_path / "mosi" / "labels.csv"
    labels.write_text("\n".join(["id,video_id,text,label,split", *rows]), encoding="utf-8")
    content = run_config(tiny_bert).model_dump(exclude_defaults=True)
    content["data"] = [
        {
            "path": "mosi", "format": "clips", "labels": "mosi/labels.csv",
            "media": "mosi/media", "part": "mosi",
        }
    ]  # fmt: skip
    for encoder in content["encoders"].values():
        del encoder["training"]
    config = RunConfig.model_validate(content)
    ready = prepare(config, tmp_path / "run", tmp_path)
    assert len(ready.examples) == 6 and len(ready.selection) == 2
    assert {tuple(example.features) for example in ready.examples} == {("audio", "text")}
    path = train(config, tmp_path / "run", data_root=tmp_path)
    predictor = Predictor.from_checkpoint(path, device="cpu")
    assert predictor.modalities == ("audio", "text")  # no face was seen, so none is read
