"""The ablation."""

from semi_iin.experiments.ablation import ABLATION, ablate
from semi_iin.experiments.bench import Bench
from semi_iin.model import SemiIIN


def test_an_ablation_trains_each_row_with_each_seed(bench: Bench) -> None:
    rows = {"gate": {"variant": "gate"}, "global": {"variant": "global"}}
    records = ablate(bench, [0, 1], rows)
    assert [record["model"] for record in records] == ["gate", "global"]
    for record in records:
        assert len(record["mae"]) == len(record["corr"]) == 2
        assert record["mae"][0] != record["mae"][1]
        assert all(0 < value < 3 for value in record["mae"])
    assert records[0]["mae"] != records[1]["mae"]


def test_a_finished_ablation_returns_the_same_records(bench: Bench) -> None:
    rows: dict[str, dict[str, object]] = {"gate": {}}
    assert ablate(bench, [0], rows) == ablate(bench, [0], rows)


def test_every_row_of_the_published_ablation_can_be_built(bench: Bench) -> None:
    built = {name: bench.build(0, row) for name, row in ABLATION.items()}
    assert all(isinstance(model, SemiIIN) for model in built.values())
    assert len({str(model.config) for model in built.values()}) == len(built)
    # The first row is the paper's model itself.
    assert next(iter(built.values())).config == bench.config
