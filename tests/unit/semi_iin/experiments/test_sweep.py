"""The sweep."""

import pytest

from semi_iin.experiments.bench import Bench
from semi_iin.experiments.sweep import sweep_k
from tests.unit.semi_iin.generated import valence_examples


@pytest.mark.slow
def test_the_sweep_shares_the_supervised_training(bench: Bench) -> None:
    records = sweep_k(
        bench,
        valence_examples(30, seed=4, labelled=False),
        seeds=[0, 1],
        ks=[1, 3],
        shares=[0.5, 1.0],
    )
    assert [(record["retrained"], record["k"], record["share"]) for record in records] == [
        ("no", 0, 0.0),
        ("yes", 0, 0.0),
        ("yes", 1, 0.5),
        ("yes", 1, 1.0),
        ("yes", 3, 0.5),
        ("yes", 3, 1.0),
    ]
    assert records[0]["kept"] == records[1]["kept"] == [0.0, 0.0]
    assert records[0]["mae"] != records[1]["mae"]
    for small, large in zip(records[2:4], records[4:], strict=True):
        assert max(small["kept"]) <= 7
        assert small["kept"] <= large["kept"]
    supervised = sorted((bench.directory / "supervised").iterdir())
    assert [path.name for path in supervised] == ["seed-0", "seed-1"]
    assert not list(bench.directory.glob("k-*/seed-*/supervised"))
