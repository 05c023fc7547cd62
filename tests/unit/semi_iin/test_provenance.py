"""What trained a checkpoint, through all checkpoints that it took weights from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from semi_iin import checkpoint
from semi_iin.provenance import inherited, training_folders
from semi_iin.settings import RunConfig
from tests.unit.semi_iin.generated import SMALL


def run(
    root: Path,
    name: str,
    folders: Sequence[str],
    *,
    trained: Sequence[str] = (),
    taken: dict[str, Path] | None = None,
    start: Path | None = None,
) -> Path:
    """Write the checkpoint of a run that trains some encoders and takes others."""
    formats = {"ravdess": "ravdess", "crema-d": "crema-d", "fer2013": "expression-npz"}
    encoders: dict[str, dict[str, Any]] = {
        modality: {"checkpoint": str(path)} for modality, path in (taken or {}).items()
    }
    for modality in trained:
        encoders.setdefault(modality, {})["training"] = {}
    config = RunConfig.model_validate(
        {
            "name": name,
            "data": [
                {"path": f"{folder}/data", "format": formats.get(folder, "text-csv")}
                for folder in folders
            ],
            "encoders": encoders,
            "start": str(start or ""),
        }
    )
    content = {
        "model": SMALL.to_dict(),
        "provenance": {
            "configuration": config.model_dump(mode="json", exclude_defaults=True),
            **inherited(config),
        },
    }
    return checkpoint.save(root / name, {}, content)


def folders_of(path: Path) -> set[str]:
    return set(training_folders(checkpoint.load(path).config["provenance"]))


def test_data_behind_a_checkpoint_of_a_checkpoint_are_listed(tmp_path: Path) -> None:
    words = run(tmp_path, "words", ["sst", "meld"], trained=["text"])
    voices = run(tmp_path, "voices", ["crema-d", "sst"], trained=["audio"])
    first = run(
        tmp_path, "first", ["mosi", "fer2013"], trained=["vision"],
        taken={"text": words, "audio": voices}, start=words,
    )  # fmt: skip
    second = run(
        tmp_path, "second", ["mosi"], taken=dict.fromkeys(("text", "audio", "vision"), first)
    )
    assert folders_of(first) == {"mosi", "fer2013", "sst", "meld", "crema-d"}
    assert folders_of(second) == folders_of(first)
    for path in (words, voices, first):  # the later checkpoint needs none of them
        (path / checkpoint.CONFIG).unlink()
    assert folders_of(second) == {"mosi", "fer2013", "sst", "meld", "crema-d"}


def test_only_data_that_can_teach_an_encoder_come_with_it(tmp_path: Path) -> None:
    both = run(tmp_path, "both", ["sst", "crema-d"], trained=["text", "audio"])
    assert folders_of(run(tmp_path, "heard", ["mosi"], taken={"audio": both})) == {
        "mosi",
        "crema-d",
    }


def test_an_encoder_that_was_trained_further_has_the_data_of_both_runs(tmp_path: Path) -> None:
    first = run(tmp_path, "first", ["sst"], trained=["text"])
    further = run(tmp_path, "further", ["meld"], trained=["text"], taken={"text": first})
    last = run(tmp_path, "last", ["mosi"], taken={"text": further})
    assert folders_of(last) == {"mosi", "meld", "sst"}


def test_the_data_of_the_model_to_start_from_are_listed(tmp_path: Path) -> None:
    first = run(tmp_path, "first", ["mosei"])
    second = run(tmp_path, "second", ["sst"], start=first)
    third = run(tmp_path, "third", ["mosi"], start=second)
    assert folders_of(third) == {"mosi", "sst", "mosei"}


def test_a_checkpoint_without_provenance_adds_nothing(tmp_path: Path) -> None:
    plain = checkpoint.save(tmp_path / "plain", {}, {"model": SMALL.to_dict()})
    assert folders_of(run(tmp_path, "next", ["mosi"], taken={"text": plain})) == {"mosi"}
