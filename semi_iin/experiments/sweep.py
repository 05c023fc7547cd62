"""The sweep: self-training over k and the share of unlabeled data."""

import statistics
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from semi_iin.experiments.bench import Bench, rows_by_part
from semi_iin.experiments.reporting import Row, deviation, new_figure, save_figure
from semi_iin.loop import Report
from semi_iin.model import SemiIIN
from semi_iin.self_training import self_train
from semi_iin.settings import SelfTraining
from semi_iin.task import Example


def sweep_k(
    bench: Bench,
    unlabeled: Sequence[Example],
    seeds: Sequence[int],
    ks: Sequence[int],
    shares: Sequence[float],
    settings: SelfTraining | None = None,
    report: Report = lambda progress: None,
) -> list[Row]:
    """Self-train with each k and each share of the unlabeled data.

    The supervised training of a seed is shared by all of its runs. Self-training trains again from
    its weights, which alone changes the model: the control is trained again on the labels alone.

    Returns:
        With k = 0 and share = 0 the supervised model (`retrained` is no) and the control (yes);
        then one record for each pair and reported part: `retrained`, `k`, `share`, `kept`
        (pseudo-labels over the seeds), `part`, `seeds`, and each metric's values over the seeds.
    """
    base = settings or SelfTraining()
    records = []
    for retrained in (False, True):
        measured = []
        for seed in seeds:
            model = _supervised(bench, seed, report)
            if retrained:
                bench.train(model, bench.directory / "again" / f"seed-{seed}", seed, report)
            measured.append(bench.measure(model))
        row: Row = {"retrained": "yes" if retrained else "no", "k": 0, "share": 0.0}
        records += rows_by_part(row | {"kept": [0.0 for _ in seeds]}, measured)
    for k, share in product(ks, shares):
        chosen = base.model_copy(update={"k": k, "share": share})
        measured, counts = [], []
        for seed in seeds:
            model = bench.build(seed)
            counts.append(_self_train(bench, model, unlabeled, seed, chosen, report))
            measured.append(bench.measure(model))
        row = {"retrained": "yes", "k": k, "share": share, "kept": counts}
        records += rows_by_part(row, measured)
    return records


def plot_sweep(records: Sequence[Row], path: Path) -> None:
    """Draw MAE and correlation against k, one line for each share, with one sd over the seeds.

    Every reported part has a row of its own.
    """
    parts = list(dict.fromkeys(record["part"] for record in records))
    figure, axes = new_figure(2, rows=len(parts))
    for axis, (part, metric) in zip(axes, product(parts, ("mae", "corr")), strict=False):
        _draw(axis, [record for record in records if record["part"] == part], metric)
        axis.set_ylabel(f"{part} {metric}".strip())
    lines, labels = axes[0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside upper center", ncols=2)
    save_figure(figure, path)


def _draw(axis: Any, records: Sequence[Row], metric: str) -> None:
    """Draw one metric of one part."""
    for style, label, retrained in (
        ("--", "supervised", "no"),
        (":", "trained again on the labels alone", "yes"),
    ):
        control = next(
            record for record in records if record["k"] == 0 and record["retrained"] == retrained
        )
        axis.axhline(statistics.fmean(control[metric]), color="grey", ls=style, label=label)
    for share in sorted({record["share"] for record in records if record["k"]}):
        line = [record for record in records if record["share"] == share and record["k"]]
        axis.errorbar(
            [record["k"] for record in line],
            [statistics.fmean(record[metric]) for record in line],
            yerr=[deviation(record[metric]) for record in line],
            marker="o",
            capsize=3,
            label=f"{share:.0%} of the unlabeled",
        )
    axis.set_xscale("log")
    axis.set_xlabel("k")


def _supervised(bench: Bench, seed: int, report: Report) -> SemiIIN:
    """Return the model of a seed, trained on labels."""
    model = bench.build(seed)
    bench.train(model, bench.directory / "supervised" / f"seed-{seed}", seed, report)
    return model


def _self_train(
    bench: Bench,
    model: SemiIIN,
    unlabeled: Sequence[Example],
    seed: int,
    settings: SelfTraining,
    report: Report,
) -> float:
    """Self-train a model; return the number of pseudo-labels of the last round."""
    rounds = self_train(
        model,
        bench.examples,
        bench.selection,
        unlabeled,
        bench.directory / f"k-{settings.k}-share-{settings.share:g}" / f"seed-{seed}",
        settings=settings,
        training=bench.training,
        objective=bench.objective,
        compose=bench.compose,
        supervised=bench.directory / "supervised" / f"seed-{seed}",
        seed=seed,
        device=bench.device,
        report=report,
    )
    return float(len(rounds[-1].pseudo_labels))
