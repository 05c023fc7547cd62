"""Soft labels of a teacher."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from semi_iin import checkpoint as checkpoints
from semi_iin.clips import Clip
from semi_iin.data.samples import Sample
from semi_iin.errors import SemiIINError
from semi_iin.features import Encoders
from semi_iin.pretraining.teacher import soft_labels, taught
from semi_iin.run import prepare, train
from semi_iin.settings import RunConfig
from tests.unit.semi_iin.generated import run_config, write_sets

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def teacher(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    write_sets(folder / "data")
    (folder / "data" / "meeting.csv").write_text(
        "id,text\n" + "\n".join(f"{index},it was good" for index in range(6)), encoding="utf-8"
    )
    content = run_config(tiny_bert).model_dump(exclude_defaults=True)
    content["data"] = [content["data"][0]]
    content["encoders"] = {"text": content["encoders"]["text"]}
    train(RunConfig.model_validate(content), folder / "run", data_root=folder / "data")
    return folder


@pytest.mark.slow
def test_equal_texts_get_equal_labels_in_the_order_of_the_samples(
    teacher: Path, tmp_path: Path
) -> None:
    texts = ["i love this film", "bad", "i love this film", "it was good"]
    samples = [Sample(str(index), text=text) for index, text in enumerate(texts)]
    checkpoint = str(teacher / "run" / "checkpoint")
    labels = soft_labels(checkpoint, samples, tmp_path, CPU)
    assert labels.dtype == np.float32 and labels[0] == labels[2] and labels[0] != labels[1]
    turned = soft_labels(checkpoint, samples[::-1], tmp_path, CPU)
    assert np.array_equal(turned, labels[::-1])


def test_a_label_is_mixed_with_the_teachers_where_it_is_a_valence() -> None:
    samples = [
        Sample("a", text="good", label=3.0),
        Sample("b", text="bad", label=-1.0, scale="sign"),
        Sample("c", text="so"),
    ]
    labelled = taught(samples, np.array([1.5, -2.0, 0.5], dtype=np.float32))
    assert [sample.valence for sample in labelled] == pytest.approx([2.0, -2.0, 0.5])


@pytest.mark.slow
def test_semi_iin_learns_from_the_teacher_on_texts_without_labels(
    tiny_bert: Path, teacher: Path, tmp_path: Path
) -> None:
    content = run_config(tiny_bert).model_dump(exclude_defaults=True)
    content["data"] = [content["data"][0], {"path": "meeting.csv", "part": "meeting"}]
    checkpoint = str(teacher / "run" / "checkpoint")
    content |= {"encoders": {"text": {"checkpoint": checkpoint}}, "teacher": checkpoint}
    config = RunConfig.model_validate(content)
    examples = prepare(config, tmp_path, teacher / "data").examples
    (valence,) = {example.valence for example in examples if example.part == "meeting"}
    sample = Sample("0", text="it was good")
    assert valence == pytest.approx(soft_labels(checkpoint, [sample], tmp_path, CPU)[0], abs=1e-5)
    assert len([example for example in examples if example.part == "meeting"]) == 6


@pytest.mark.slow
def test_a_text_encoder_goes_on_from_a_checkpoint(
    tiny_bert: Path, teacher: Path, tmp_path: Path
) -> None:
    content = run_config(tiny_bert).model_dump(exclude_defaults=True)
    content["data"] = [content["data"][0]]
    first = str(teacher / "run" / "checkpoint")
    training = {"epochs": 1, "batch_size": 64, "learning_rate": 1e-6}
    text = {"checkpoint": first, "training": training, "rank": 4}
    content |= {"encoders": {"text": text}, "start": first}
    second = train(RunConfig.model_validate(content), tmp_path / "run", data_root=teacher / "data")
    old, new = checkpoints.load(first), checkpoints.load(second)
    assert new.config["encoders"] == old.config["encoders"]
    source, before, after = (
        Encoders.build({"text": old.config["encoders"]["text"]}, tensors).rows(
            [Clip(text="it was good")]
        )[0]["text"]
        for tensors in ({}, old.tensors, new.tensors)
    )
    assert 0 < float((after - before).norm()) < 0.1 * float((before - source).norm())


@pytest.mark.slow
def test_a_student_is_trained_on_labels_and_on_the_teacher(
    tiny_bert: Path, teacher: Path, tmp_path: Path
) -> None:
    content = run_config(tiny_bert).model_dump(exclude_defaults=True)
    content["data"] = [content["data"][0], {"path": "meeting.csv"}]
    text = content["encoders"]["text"]
    content["encoders"] = {"text": {**text, "teacher": str(teacher / "run" / "checkpoint")}}
    student = RunConfig.model_validate(content)
    stages: list[str] = []
    path = train(
        student,
        tmp_path / "run",
        data_root=teacher / "data",
        report=lambda progress: stages.append(progress.stage),
    )
    assert (path / "model.safetensors").is_file() and "teacher" in stages


def test_labels_are_kept_by_the_content_of_the_teacher(teacher: Path, tmp_path: Path) -> None:
    samples = [Sample("0", text="good")]
    checkpoint = tmp_path / "teacher"
    shutil.copytree(teacher / "run" / "checkpoint", checkpoint)
    kept = tmp_path / "kept"
    soft_labels(str(checkpoint), samples, kept, CPU)
    shutil.move(checkpoint, tmp_path / "moved")
    soft_labels(str(tmp_path / "moved"), samples, kept, CPU)
    assert len(list(kept.iterdir())) == 1, "the same teacher elsewhere"

    shutil.copytree(tmp_path / "moved", checkpoint)
    text = (checkpoint / "config.json").read_text()
    (checkpoint / "config.json").write_text(text.replace('"name"', '"name" '))
    soft_labels(str(checkpoint), samples, kept, CPU)
    assert len(list(kept.iterdir())) == 2, "another teacher where the first one was"


@pytest.mark.slow
@pytest.mark.parametrize(("share", "distinct"), [(0.0, 4), (0.5, 12)])
def test_the_teacher_of_a_student_without_context_reads_none_either(
    tiny_bert: Path, teacher: Path, tmp_path: Path, share: float, distinct: int
) -> None:
    content = run_config(tiny_bert).model_dump(exclude_defaults=True)
    content["data"] = [content["data"][0]]
    text = {**content["encoders"]["text"], "teacher": str(teacher / "run" / "checkpoint")}
    content["encoders"] = {"text": {**text, "context": share, "head": "linear"}}
    prepare(RunConfig.model_validate(content), tmp_path, teacher / "data")
    (kept,) = (tmp_path / "teacher").glob("*.npy")
    assert len(np.load(kept)) == distinct  # four texts, each first, second or third in its video


def test_only_words_have_a_teacher(tiny_bert: Path, teacher: Path, tmp_path: Path) -> None:
    content = run_config(tiny_bert).model_dump(exclude_defaults=True)
    content["encoders"]["audio"]["teacher"] = "somewhere"
    with pytest.raises(SemiIINError, match="only the text encoder has a teacher"):
        train(RunConfig.model_validate(content), tmp_path, data_root=teacher / "data")
    content["encoders"]["audio"] |= {"teacher": "", "head": "linear"}
    with pytest.raises(SemiIINError, match=r"encoders\.audio\.head: .* remove it"):
        train(RunConfig.model_validate(content), tmp_path, data_root=teacher / "data")
    del content["encoders"]["audio"]["head"]
    content["encoders"]["audio"] |= {"checkpoint": "somewhere"}
    with pytest.raises(SemiIINError, match="only the text encoder can be trained from a check"):
        train(RunConfig.model_validate(content), tmp_path, data_root=teacher / "data")
