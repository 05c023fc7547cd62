"""Commands on a checkpoint."""

import csv
import json
import wave
from pathlib import Path

import numpy as np
import pytest
import torch

from semi_iin.encoders.fab_net import FabNetEncoder
from tests.unit.semi_iin.cli.conftest import CommandLine
from tests.unit.semi_iin.generated import fab_net_state

METRICS = ["mae", "corr", "acc7", "acc2_nonneg", "acc2_nonzero", "f1_nonneg", "f1_nonzero", "ece",
           "ece_if_calibrated"]  # fmt: skip


def test_evaluate_texts_as_json(run: CommandLine, tiny: Path, texts: Path) -> None:
    code, out, err = run("evaluate", tiny, "--data", texts, "--json", "--device", "cpu")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert list(report) == ["n", *METRICS]
    assert report["n"] == 4
    assert report["mae"]["ci95"][0] <= report["mae"]["value"] <= report["mae"]["ci95"][1]


def test_evaluate_texts_as_a_table(run: CommandLine, tiny: Path, texts: Path) -> None:
    code, out, _ = run("evaluate", tiny, "--data", texts, "--device", "cpu")
    assert code == 0
    assert "acc2_nonzero" in out
    assert "4 samples" in out


def test_a_blank_text_counts_as_a_prediction_of_0(
    run: CommandLine, tiny: Path, tmp_path: Path
) -> None:
    (tmp_path / "some.csv").write_text('text,label\ngood,1.0\n" ",2.0\n')
    report = json.loads(run("evaluate", tiny, "--data", tmp_path / "some.csv", "--json")[1])
    assert (report["n"], report["unscored"]) == (2, 1)


def test_evaluating_twice_prints_the_same(run: CommandLine, tiny: Path, texts: Path) -> None:
    first = run("evaluate", tiny, "--data", texts, "--json", "--device", "cpu")
    assert run("evaluate", tiny, "--data", texts, "--json", "--device", "cpu") == first


def test_context_and_modalities_can_be_withheld(
    run: CommandLine, tiny: Path, tmp_path: Path
) -> None:
    path = tmp_path / "video.csv"
    rows = [("v1", "0", "it was bad", -2.0), ("v1", "1", "I love it", 1.4), ("v2", "0", "good", 1)]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("video_id", "clip_id", "text", "label"), *rows])
    arguments = ("evaluate", tiny, "--data", path, "--json", "--device", "cpu")
    with_context = json.loads(run(*arguments)[1])
    without = json.loads(run(*arguments, "--no-context")[1])
    assert with_context["mae"]["value"] != without["mae"]["value"]
    code, _, err = run(*arguments, "--modalities", "audio,vision")
    assert code == 1
    assert "no sample has a modality that the checkpoint reads: audio, vision" in err


def test_evaluate_voices(run: CommandLine, tiny: Path, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for actor in (1, 2):
        for emotion in (3, 4, 5):  # happy, sad, angry
            folder = tmp_path / f"Actor_{actor:02}"
            folder.mkdir(exist_ok=True)
            name = folder / f"03-01-{emotion:02}-01-01-01-{actor:02}.wav"
            with wave.open(str(name), "wb") as file:
                file.setparams((1, 2, 16_000, 0, "NONE", ""))
                file.writeframes((generator.normal(0, 3000, 8000)).astype(np.int16).tobytes())
    for extra in ([], ["--format", "ravdess"]):
        code, out, _ = run("evaluate", tiny, "--data", tmp_path, "--json", *extra)
        assert code == 0
        report = json.loads(out)
        assert list(report) == [
            "n", "accuracy", "valence_sign_balanced_accuracy", "sign_auc", "ece_sign",
            "ece_sign_if_calibrated",
        ]  # fmt: skip
        assert report["n"] == 6


def test_evaluate_faces(run: CommandLine, tiny: Path, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    np.savez(
        tmp_path / "faces.npz",
        images=generator.integers(0, 255, (9, 48, 48), dtype=np.uint8),
        labels=np.array([0, 1, 2] * 3),
        classes=np.array(["Anger", "Happiness", "Neutral"]),
    )
    code, out, _ = run("evaluate", tiny, "--data", tmp_path / "faces.npz", "--json")
    assert code == 0
    report = json.loads(out)
    assert report["n"] == 9
    assert 0 <= report["accuracy"]["value"] <= 1
    assert 0 <= report["valence_sign_balanced_accuracy"]["value"] <= 1


def test_evaluate_ready_features(run: CommandLine, tiny: Path, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for folder, width in (("audio", 12), ("text", 16), ("visual", 10)):
        (tmp_path / folder).mkdir()
        for name in ("a", "b", "c"):
            np.save(tmp_path / folder / f"{name}.npy", generator.normal(size=(5, width)))
    (tmp_path / "labels.csv").write_text("id,text,label\na,x,1.0\nb,x,-2.0\nc,x,0.4\n")
    code, out, err = run(
        "evaluate", tiny, "--data", tmp_path, "--labels", tmp_path / "labels.csv", "--json"
    )
    assert (code, err) == (0, "")
    assert json.loads(out)["n"] == 3


def test_info_describes_a_checkpoint(run: CommandLine, tiny: Path) -> None:
    code, out, _ = run("info", tiny, "--json")
    assert code == 0
    described = json.loads(out)
    assert described["name"] == "tiny-1"
    assert described["weights"].keys() == {"model", "audio_encoder", "vision_encoder"}
    assert described["bytes"] > 1000
    assert described["provenance"] == {"data": "made up"}


def test_info_fits_a_screen(run: CommandLine, tiny: Path) -> None:
    code, out, _ = run("info", tiny)
    assert code == 0
    assert "tiny-1" in out
    assert "log_mel_audio" in out
    assert len(out.splitlines()) <= 24
    assert len(run("info", "default")[1].splitlines()) <= 24


@pytest.mark.slow
def test_export_writes_a_checked_file(run: CommandLine, tiny: Path, tmp_path: Path) -> None:
    code, out, _ = run("export", tiny, "--to", tmp_path / "model.pt2", "--json")
    assert code == 0
    exported = json.loads(out)
    assert exported["format"] == "torch"
    assert exported["largest_difference"] < 1e-4
    assert (tmp_path / "model.pt2").exists()


def test_written_features_can_be_evaluated(
    run: CommandLine, tiny: Path, texts: Path, tmp_path: Path
) -> None:
    code, out, _ = run("features", tiny, "--data", texts, "--to", tmp_path / "made")
    assert code == 0
    made = tmp_path / "made"
    assert out.strip() == str(made)
    from_text = run("evaluate", tiny, "--data", texts, "--json", "--device", "cpu")
    from_features = run("evaluate", tiny, "--data", made, "--labels", made / "labels.csv", "--json")
    first, second = json.loads(from_text[1]), json.loads(from_features[1])
    assert first["mae"]["value"] == pytest.approx(second["mae"]["value"], abs=1e-2)


def test_convert_writes_published_weights_as_safetensors(run: CommandLine, tmp_path: Path) -> None:
    torch.save({"state_dict_model": fab_net_state()}, tmp_path / "release.pth")
    target = tmp_path / "fab_net.safetensors"
    code, out, _ = run("convert", "fab-net", tmp_path / "release.pth", "--to", target)
    assert (code, out.strip()) == (0, str(target))
    FabNetEncoder({"weights": str(target)})
    code, _, err = run("convert", "vgg", tmp_path / "release.pth", "--to", target)
    assert code == 1
    assert "KIND is 'vgg', but it must be one of fab-net, semi-iin" in " ".join(err.split())
