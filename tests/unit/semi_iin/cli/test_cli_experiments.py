"""Commands of the experiments."""

import csv
from pathlib import Path

import numpy as np
import pytest

from tests.unit.semi_iin.cli.conftest import CommandLine


@pytest.mark.slow
def test_ablate_writes_a_table(on_made_up: CommandLine, tmp_path: Path) -> None:
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


def test_ablate_lists_its_rows_when_only_matches_none(on_made_up: CommandLine) -> None:
    code, _, err = on_made_up("ablate", "--only", "quantum")
    assert code == 1
    assert "intra only" in " ".join(err.split())


def test_robustness_writes_a_table_and_shares_the_ablation(
    on_made_up: CommandLine, tmp_path: Path
) -> None:
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


@pytest.mark.slow
def test_sweep_k_writes_a_table_and_a_plot(on_made_up: CommandLine, tmp_path: Path) -> None:
    code, _, _ = on_made_up("sweep-k", "--seeds", 1, "--ks", "1,2", "--shares", "0.5,1")
    assert code == 0
    rows = list(csv.DictReader((tmp_path / "run" / "sweep_k.csv").read_text().splitlines()))
    assert [(row["k"], row["share"]) for row in rows] == [
        ("0", "0.0"), ("0", "0.0"), ("1", "0.5"), ("1", "1.0"), ("2", "0.5"), ("2", "1.0"),
    ]  # fmt: skip
    assert [row["retrained"] for row in rows] == ["no", *["yes"] * 5]
    assert (tmp_path / "run" / "sweep_k.png").exists()


@pytest.mark.parametrize("wrong", [("--ks", "x"), ("--ks", "0"), ("--shares", "2")])
def test_sweep_k_refuses_values_out_of_range(
    on_made_up: CommandLine, wrong: tuple[str, ...]
) -> None:
    code, _, err = on_made_up("sweep-k", *wrong)
    assert code == 1
    assert "Traceback" not in err


@pytest.mark.slow
def test_gates_of_a_run_and_of_data(
    run: CommandLine, on_made_up: CommandLine, made_up: Path, tmp_path: Path
) -> None:
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


def test_same_utterance_names_the_file_that_is_missing(run: CommandLine, tmp_path: Path) -> None:
    config = Path(__file__).parents[4] / "configs" / "same-utterance.toml"
    code, _, err = run("same-utterance", config, "--run", tmp_path, "--data-root", tmp_path)
    assert code == 1
    assert "mosi_trimodal_trainvalid.npz cannot be read as same-utterance features" in " ".join(
        err.split()
    )


@pytest.mark.slow
def test_same_utterance_writes_a_table_for_each_set(run: CommandLine, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    label = generator.uniform(-3, 3, 12).astype(np.float32)
    kinds = {
        kind: (label[:, None] + generator.normal(0, 1, (12, 3))).astype(np.float32)
        for kind in ("audio", "video", "text100")
    }
    np.savez(
        tmp_path / "mosi.npz",
        id=np.array([f"video{index // 2}_{index}" for index in range(12)]),
        poria_split=np.array(["test"] * 12),
        label=label,
        audio=kinds["audio"],
        video=kinds["video"],
        text100=kinds["text100"],
    )
    (tmp_path / "made.toml").write_text(
        'name = "made"\n[[sets]]\ntitle = "Made"\nkind = "mosi"\npath = "mosi.npz"\n'
        "folds = 2\nrepetitions = 1\nepochs = 1\n"
        "[model]\nhidden = 8\nheads = 2\nhead_widths = [8]\naudio_convs = [[3, 1, 1]]\n"
    )
    where = ("--run", tmp_path / "run", "--data-root", tmp_path)
    code, out, _ = run("same-utterance", tmp_path / "made.toml", *where)
    assert code == 0
    assert (tmp_path / "run" / "same-utterance.md").read_text() in out
    assert "| Semi-IIN, vision alone |" in out
