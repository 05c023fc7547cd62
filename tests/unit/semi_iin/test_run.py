"""Whole runs on generated data."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from semi_iin import checkpoint
from semi_iin.clips import Clip
from semi_iin.errors import SemiIINError
from semi_iin.predict import Predictor
from semi_iin.run import prepare, train
from semi_iin.settings import RunConfig
from semi_iin.task import build_model
from tests.unit.semi_iin.generated import recordings, run_config, tones, write_sets


@pytest.mark.slow
def test_a_run_writes_a_checkpoint_that_predicts(tiny_bert: Path, tmp_path: Path) -> None:
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
    audio = tones(1, 5)[0][1]
    face = np.zeros((50, 50, 3), dtype=np.uint8)
    (prediction,) = predictor.predict([Clip(audio=audio, text="good", faces=[face])])
    assert prediction.modalities == ("audio", "text", "vision")
    loaded = checkpoint.load(path)
    assert loaded.config["encoders"]["audio"]["emotions"] == ["happy", "neutral", "sad"]
    assert set(loaded.config["metrics"]["selection"]) >= {"talk_mae", "composed_mae", "score"}

    again = train(config, tmp_path / "run", data_root=tmp_path / "data")
    for name, value in checkpoint.load(again).tensors.items():
        assert torch.equal(value, loaded.tensors[name]), name


@pytest.mark.slow
def test_encoders_of_a_checkpoint_are_used_unchanged(tiny_bert: Path, tmp_path: Path) -> None:
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
    start_from_the_first(content, first, tmp_path)
    with_a_key_of_the_spec_replaced(content, tmp_path)


def with_a_key_of_the_spec_replaced(content: dict[str, Any], tmp_path: Path) -> None:
    """`spec` beside `checkpoint`: keys that replace those of the checkpoint's spec."""
    content["encoders"]["audio"]["spec"] = {"emotion_columns": True}
    prepared = prepare(RunConfig.model_validate(content), tmp_path / "four", tmp_path / "data")
    audio = prepared.encoders.encoders["audio"]
    assert audio.width == audio.spec["width"] + len(audio.spec["emotions"]) + 2


def start_from_the_first(content: dict[str, Any], first: Path, tmp_path: Path) -> None:
    """`start`: a checkpoint's Semi-IIN, where the shapes fit, is where training starts."""
    content |= {
        "start": str(first),
        "model": {**content.get("model", {}), "text_convs": [[5, 1, 2]]},
    }
    config = RunConfig.model_validate(content)
    prepared = prepare(config, tmp_path / "three", tmp_path / "data")
    model = build_model(config, prepared.encoders, prepared.start).state_dict()
    old = checkpoint.load(first).under("model.")
    assert torch.equal(model["val_token"], old["val_token"].float())
    (changed,) = (name for name, value in old.items() if model[name].shape != value.shape)
    assert changed == "tokenizers.text.convs.0.weight"
    with pytest.raises(SemiIINError, match="no weight to start from fits"):
        build_model(config, prepared.encoders, {"val_token": torch.zeros(3)})


@pytest.mark.slow
def test_a_run_of_voices_alone_writes_a_checkpoint_that_needs_no_source(tmp_path: Path) -> None:
    for actor in (1, 17):
        recordings(tmp_path / "voices", tones(8, actor), actor)
    config = RunConfig.model_validate(
        {
            "name": "voices",
            "device": "cpu",
            "data": [{"path": "voices", "format": "ravdess"}],
            "encoders": {
                "audio": {
                    "spec": {
                        "kind": "whisper_audio", "layers": 1, "states": 16, "mels": 8, "width": 8,
                    },
                    "training": {"epochs": 1, "batch_size": 4},
                },
            },
            "model": {"hidden": 16, "head_widths": [16, 8], "audio_convs": [[3, 2, 1]]},
            "training": {"epochs": 1, "batch_size": 4},
        }
    )  # fmt: skip
    path = train(config, tmp_path / "run", data_root=tmp_path)
    predictor = Predictor.from_checkpoint(path, device="cpu")
    clip = Clip(audio=tones(1, 5)[0][1])
    (prediction,) = predictor.predict([clip])
    assert prediction.modalities == ("audio",)
    assert predictor.emotions([clip], modality="audio")[0] in ("happy", "sad")


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


def test_raw_clips_are_encoded_and_trained_on(tiny_bert: Path, tmp_path: Path) -> None:
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


def test_data_without_examples_name_the_part_and_what_to_write(tmp_path: Path) -> None:
    write_sets(tmp_path / "data")
    data = {"path": "voices", "format": "ravdess"}
    audio = {"spec": {"kind": "log_mel_audio"}, "training": {"epochs": 1}}

    def run_of(**changes: object) -> RunConfig:
        return RunConfig.model_validate(
            {"name": "made", "device": "cpu", "data": [data], **changes}
        )

    with pytest.raises(SemiIINError, match=r"select by.*talk has 48 .* and 0 .*`selection = 10`"):
        prepare(run_of(data=[{"path": "talk.csv"}]), tmp_path / "a", tmp_path / "data")
    unlabelled = tmp_path / "data" / "unlabelled.csv"
    unlabelled.write_text("text,split\ngood day,train\nbad day,train\n", encoding="utf-8")
    with pytest.raises(SemiIINError, match=r"unlabelled has 2 \(0 labelled\) to train on"):
        prepare(run_of(data=[{"path": "unlabelled.csv"}]), tmp_path / "u", tmp_path / "data")
    only = {"path": "talk.csv", "reported": 1}
    with pytest.raises(SemiIINError, match=r"train on.*talk has 0 .*`reported`"):
        prepare(run_of(data=[only]), tmp_path / "b", tmp_path / "data")
    texts = run_of(data=[{"path": "talk.csv"}], encoders={"audio": audio})
    with pytest.raises(SemiIINError, match="training of the audio encoder needs"):
        prepare(texts, tmp_path / "c", tmp_path / "data")
