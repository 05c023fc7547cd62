"""Commands of the experiments."""

import csv
from pathlib import Path

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
