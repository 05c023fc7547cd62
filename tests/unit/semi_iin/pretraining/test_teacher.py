"""Soft labels of a teacher."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from semi_iin.data.samples import Sample
from semi_iin.errors import SemiIINError
from semi_iin.pretraining.teacher import soft_labels
from semi_iin.run import train
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


def test_only_words_have_a_teacher(tiny_bert: Path, teacher: Path, tmp_path: Path) -> None:
    content = run_config(tiny_bert).model_dump(exclude_defaults=True)
    content["encoders"]["audio"]["teacher"] = "somewhere"
    with pytest.raises(SemiIINError, match="only the text encoder has a teacher"):
        train(RunConfig.model_validate(content), tmp_path, data_root=teacher / "data")
