"""The command line on a tiny checkpoint and data made here."""

import csv
import json
import wave

import numpy as np
import pytest
import torch

from semi_iin import checkpoint, cli
from semi_iin.features import Encoders
from semi_iin.model import SemiIIN
from semi_iin.model_config import SemiIINConfig

EMOTIONS = ["angry", "happy", "neutral", "sad"]


@pytest.fixture(scope="module")
def tiny(tiny_bert, tmp_path_factory):
    """A checkpoint of random weights over all three tiny encoders."""
    torch.manual_seed(0)
    encoders = Encoders.build(
        {
            "text": {"kind": "transformer_text", "source": str(tiny_bert), "context_tokens": 8},
            "audio": {
                "kind": "log_mel_audio",
                "width": 12,
                "channels": [4, 4, 4, 4],
                "emotions": EMOTIONS,
            },
            "vision": {
                "kind": "face_cnn",
                "width": 10,
                "channels": [4, 4, 4, 4],
                "emotions": EMOTIONS,
            },
        }
    )
    model = SemiIIN(
        SemiIINConfig(
            audio_width=12,
            text_width=16,
            vision_width=10,
            hidden=16,
            heads=2,
            head_widths=(8,),
            max_audio=50,
            max_text=40,
            max_vision=20,
        )
    )
    weights = {f"model.{name}": value for name, value in model.state_dict().items()}
    return checkpoint.save(
        tmp_path_factory.mktemp("checkpoints") / "tiny",
        weights | encoders.tensors(),
        {
            "name": "tiny-1",
            "model": model.config.to_dict(),
            "encoders": encoders.specs(),
            "provenance": {"data": "made up"},
        },
    )


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line; gives exit code, standard output and standard error."""

    def call(*arguments: object):
        monkeypatch.setattr("sys.argv", ["semi-iin", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return ended.value.code, captured.out, captured.err

    return call


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "reviews.csv"
    rows = [("I love this film", 2.4), ("it was bad", -1.6), ("it was it", 0.0), ("good", 1.0)]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


METRICS = ["mae", "corr", "acc7", "acc2_nonneg", "acc2_nonzero", "f1_nonneg", "f1_nonzero", "ece"]


def test_evaluate_texts_as_json(run, tiny, texts):
    code, out, err = run("evaluate", tiny, "--data", texts, "--json", "--device", "cpu")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert list(report) == ["n", *METRICS]
    assert report["n"] == 4
    assert report["mae"]["ci95"][0] <= report["mae"]["value"] <= report["mae"]["ci95"][1]


def test_evaluate_texts_as_a_table(run, tiny, texts):
    code, out, _ = run("evaluate", tiny, "--data", texts, "--device", "cpu")
    assert code == 0
    assert "acc2_nonzero" in out
    assert "4 samples" in out


def test_a_blank_text_counts_as_knowing_nothing(run, tiny, tmp_path):
    (tmp_path / "some.csv").write_text('text,label\ngood,1.0\n" ",2.0\n')
    report = json.loads(run("evaluate", tiny, "--data", tmp_path / "some.csv", "--json")[1])
    assert (report["n"], report["unscored"]) == (2, 1)


def test_evaluating_twice_gives_the_same(run, tiny, texts):
    first = run("evaluate", tiny, "--data", texts, "--json", "--device", "cpu")
    assert run("evaluate", tiny, "--data", texts, "--json", "--device", "cpu") == first


def test_context_and_modalities_can_be_withheld(run, tiny, tmp_path):
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


def test_evaluate_voices(run, tiny, tmp_path):
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
        assert list(report) == ["n", "accuracy", "valence_sign_balanced_accuracy"]
        assert report["n"] == 6


def test_evaluate_faces(run, tiny, tmp_path):
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


def test_evaluate_ready_features(run, tiny, tmp_path):
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


def test_info_says_what_a_checkpoint_is(run, tiny):
    code, out, _ = run("info", tiny, "--json")
    assert code == 0
    described = json.loads(out)
    assert described["name"] == "tiny-1"
    assert described["weights"].keys() == {"model", "audio_encoder", "vision_encoder"}
    assert described["bytes"] > 1000
    assert described["provenance"] == {"data": "made up"}
    code, out, _ = run("info", tiny)
    assert code == 0
    assert "tiny-1" in out


def test_export_writes_a_checked_file(run, tiny, tmp_path):
    code, out, _ = run("export", tiny, "--to", tmp_path / "model.pt2", "--json")
    assert code == 0
    exported = json.loads(out)
    assert exported["format"] == "torch"
    assert exported["largest_difference"] < 1e-4
    assert (tmp_path / "model.pt2").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["info", "nowhere"], "there is no checkpoint at nowhere"),
        (["evaluate", "{tiny}", "--data", "none.csv"], "there are no data at none.csv"),
        (["evaluate", "{tiny}", "--data", "{texts}", "--format", "tsv"], "no data format 'tsv'"),
        (["evaluate", "{tiny}", "--data", "{texts}", "--split", "test"], "no samples in the part"),
        (["evaluate", "{tiny}", "--data", "{texts}", "--modalities", "smell"], "no modality"),
        (["evaluate", "{tiny}", "--data", "{texts}", "--device", "cuda:77"], "device"),
        (["export", "{tiny}", "--to", "x.bin", "--format", "tflite"], "no export format"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_sentence(run, tiny, texts, arguments, message):
    filled = [word.format(tiny=tiny, texts=texts) for word in arguments]
    code, out, err = run(*filled)
    assert code == 1
    assert out == ""
    assert message in " ".join(err.split())
    assert "Traceback" not in err


def test_a_wrong_argument_is_a_usage_error(run):
    code, _, err = run("evaluate")
    assert code == 2
    assert "checkpoint" in err.lower()


# --- commands that train --------------------------------------------------------------------------

CONFIG = """
name = "made-up"
device = "cpu"

[[data]]
path = "set"
format = "features"
labels = "set/labels.csv"
part = "made up"
selection = 3

[[data]]
path = "pool"
format = "features"

[model]
audio_width = 4
text_width = 5
vision_width = 3
hidden = 8
heads = 2
head_widths = [8]
max_audio = 6
max_text = 6
max_vision = 6
audio_convs = [[3, 1, 1]]

[training]
epochs = 1
batch_size = 8
learning_rate = 3e-3

[self_training]
k = 2
"""


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    """A configuration over generated features: 36 labelled utterances of 12 videos, 20 without."""
    root = tmp_path_factory.mktemp("made-up")
    generator = np.random.default_rng(0)

    def write(name: str, folder: str, valence: float) -> None:
        for part, width in (("audio", 4), ("text", 5), ("visual", 3)):
            (root / folder / part).mkdir(parents=True, exist_ok=True)
            rows = generator.normal(0, 0.3, (5, width)).astype(np.float32)
            rows[:, 0] += valence
            np.save(root / folder / part / f"{name}.npy", rows)

    lines = ["id,video_id,text,label,split"]
    for index, valence in enumerate(generator.uniform(-2.8, 2.8, 36).round(2)):
        video = index // 3
        write(f"u{index}", "set", valence)
        lines.append(f"u{index},v{video},x,{valence},{'valid' if video > 8 else 'train'}")
    for index, valence in enumerate(generator.uniform(-2.8, 2.8, 20)):
        write(f"p{index}", "pool", valence)
    (root / "set" / "labels.csv").write_text("\n".join(lines))
    (root / "made_up.toml").write_text(CONFIG)
    return root


@pytest.fixture
def on_made_up(run, made_up, tmp_path):
    """Run a command on that configuration, in a directory of its own."""

    def call(command: str, *more: object):
        where = ("--run", tmp_path / "run", "--data-root", made_up)
        return run(command, made_up / "made_up.toml", *where, *more)

    return call


def test_train_prints_the_checkpoint_and_goes_on(on_made_up, tmp_path):
    code, out, _ = on_made_up("train")
    assert code == 0
    assert out.strip() == str(tmp_path / "run" / "checkpoint")
    first = checkpoint.load(out.strip()).tensors
    code, out, _ = on_made_up("train")
    assert code == 0
    for name, value in checkpoint.load(out.strip()).tensors.items():
        assert torch.equal(value, first[name])


def test_self_training_writes_pseudo_labels_and_a_checkpoint(on_made_up, tmp_path):
    code, out, _ = on_made_up("self-train")
    assert code == 0
    rows = list(
        csv.DictReader(
            (tmp_path / "run" / "self_training" / "round-1" / "pseudo_labels.csv")
            .read_text()
            .splitlines()
        )
    )
    assert rows
    assert all(row["id"].startswith("p") for row in rows)
    saved = checkpoint.load(out.strip())
    assert saved.config["provenance"]["pseudo_labels"] == [len(rows)]
    assert saved.config["metrics"].keys() == {"selection", "supervised"}


def test_ablate_writes_a_table(on_made_up, tmp_path):
    table = tmp_path / "tables" / "ablation"
    code, out, _ = on_made_up("ablate", "--seeds", 2, "--only", "sum", "--only", "(", "--to", table)
    assert code == 0
    rows = list(csv.DictReader(table.with_suffix(".csv").read_text().splitlines()))
    assert [row["model"] for row in rows] == [
        "intra + inter, gate (Semi-IIN)",
        "global attention, no position embedding (release)",
        "intra + inter, sum",
        "gate, sparse attention (16 keys)",
        "gate, sparse attention (4 keys)",
    ]
    assert {row["part"] for row in rows} == {"made up"}
    assert "±" in table.with_suffix(".md").read_text()
    assert "±" in out


def test_ablate_names_its_rows_when_none_is_meant(on_made_up):
    code, _, err = on_made_up("ablate", "--only", "quantum")
    assert code == 1
    assert "intra only" in " ".join(err.split())


def test_robustness_writes_a_table_and_shares_the_ablation(on_made_up, tmp_path):
    on_made_up("ablate", "--seeds", 1, "--only", "Semi-IIN")
    code, _, _ = on_made_up("robustness", "--seeds", 1)
    assert code == 0
    rows = list(csv.DictReader((tmp_path / "run" / "robustness.csv").read_text().splitlines()))
    assert [row["condition"] for row in rows[::2]] == [
        "nothing corrupted",
        "only audio + text", "only audio + vision", "only text + vision",
        "only audio", "only text", "only vision",
        "audio contradicts", "audio is noise",
        "text contradicts", "text is noise",
        "vision contradicts", "vision is noise",
    ]  # fmt: skip
    assert not (tmp_path / "run" / "robustness").exists()  # the fits are the ablation's


def test_sweep_k_writes_a_table_and_a_plot(on_made_up, tmp_path):
    code, _, _ = on_made_up("sweep-k", "--seeds", 1, "--ks", "1,2", "--shares", "0.5,1")
    assert code == 0
    rows = list(csv.DictReader((tmp_path / "run" / "sweep_k.csv").read_text().splitlines()))
    assert [(row["k"], row["share"]) for row in rows] == [
        ("0", "0.0"), ("0", "0.0"), ("1", "0.5"), ("1", "1.0"), ("2", "0.5"), ("2", "1.0"),
    ]  # fmt: skip
    assert [row["retrained"] for row in rows] == ["no", *["yes"] * 5]
    assert (tmp_path / "run" / "sweep_k.png").exists()


@pytest.mark.parametrize("wrong", [("--ks", "x"), ("--ks", "0"), ("--shares", "2")])
def test_sweep_k_refuses_numbers_that_mean_nothing(on_made_up, wrong):
    code, _, err = on_made_up("sweep-k", *wrong)
    assert code == 1
    assert "Traceback" not in err


def test_gates_of_a_run_and_of_data(run, on_made_up, made_up, tmp_path):
    trained = on_made_up("train")[1].strip()
    table = tmp_path / "gates"
    for source in (
        ("--config", made_up / "made_up.toml", "--data-root", made_up),
        ("--data", made_up / "set", "--labels", made_up / "set" / "labels.csv"),
    ):
        code, out, _ = run("gates", trained, *source, "--to", table)
        assert code == 0
        assert "audio + text + vision" in out
        for name in ("gates_by_class.csv", "gates_by_intensity.md", "gates.png"):
            assert (tmp_path / name).exists()
    code, _, err = run("gates", trained)
    assert code == 1
    assert "either --data or --config" in " ".join(err.split())


def test_features_are_written_in_a_layout_that_is_read_back(run, tiny, texts, tmp_path):
    code, out, _ = run("features", tiny, "--data", texts, "--to", tmp_path / "made")
    assert code == 0
    made = tmp_path / "made"
    assert out.strip() == str(made)
    from_text = run("evaluate", tiny, "--data", texts, "--json", "--device", "cpu")
    from_features = run("evaluate", tiny, "--data", made, "--labels", made / "labels.csv", "--json")
    first, second = json.loads(from_text[1]), json.loads(from_features[1])
    assert first["mae"]["value"] == pytest.approx(second["mae"]["value"], abs=1e-2)
