"""Gates: how far the gate relies on inter-modal interaction."""

import statistics
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import torch

from semi_iin.errors import SemiIINError
from semi_iin.experiments.evaluation import CHUNK, Advance
from semi_iin.experiments.reporting import Row, new_figure, save_figure
from semi_iin.features import collate
from semi_iin.labels import CLASS_NAMES
from semi_iin.modalities import MODALITIES, Modality
from semi_iin.model import SemiIIN
from semi_iin.task import Example, load, only

INTENSITIES = ("0", "(0, 1]", "(1, 2]", "(2, 3]")
ORDERS = {"class": CLASS_NAMES, "intensity": INTENSITIES}


def gate_shares(
    model: SemiIIN,
    examples: Sequence[Example],
    advance: Advance = lambda done, total: None,
) -> list[Row]:
    """Measure the gate's inter-modal share, by example and subset of modalities.

    Args:
        model: with a gate; it is set to evaluation.
        examples: labelled; each is scored with every subset of the modalities that it has.
        advance: called after every subset with the number of subsets done, and of all.

    Returns:
        One record for each example and subset: `part`, `modalities`, `class`, `intensity`,
        `valence_gate` and `class_gate`.

    Raises:
        SemiIINError: when the model has no gate.
    """
    if model.config.variant != "gate":
        raise SemiIINError(f"the model has no gate: its variant is {model.config.variant}")
    model.eval()
    subsets: list[tuple[Modality, ...]] = [
        subset for count in range(1, 4) for subset in combinations(MODALITIES, count)
    ]
    records: list[Row] = []
    for done, subset in enumerate(subsets, start=1):
        chosen = [
            only(example, subset)
            for example in examples
            if all(name in example.features for name in subset)
        ]
        for first in range(0, len(chosen), CHUNK):
            records += _gate_records(model, chosen[first : first + CHUNK], " + ".join(subset))
        advance(done, len(subsets))
    return records


def summarise_gates(records: Sequence[Row], by: str) -> list[Row]:
    """Group gate shares by `modalities`, `class` or `intensity`, within each subset.

    Returns:
        One record for each group that has clips: `modalities`, `by`, `n`, and the gates' values.
    """
    order = ORDERS.get(by, ())
    groups: dict[tuple[str, str], list[Row]] = {}
    for record in records:
        groups.setdefault((record["modalities"], record[by]), []).append(record)
    subsets = list(dict.fromkeys(record["modalities"] for record in records))

    def position(key: tuple[str, str]) -> tuple[int, int]:
        return subsets.index(key[0]), order.index(key[1]) if order else 0

    return [
        {"modalities": key[0]}
        | ({by: key[1]} if order else {})
        | {
            "n": len(groups[key]),
            "valence_gate": [record["valence_gate"] for record in groups[key]],
            "class_gate": [record["class_gate"] for record in groups[key]],
        }
        for key in sorted(groups, key=position)
    ]


def gate_lines(records: Sequence[Row], by: str) -> tuple[list[str], dict[str, dict[int, float]]]:
    """Return what `plot_gates` draws by `class` or `intensity`.

    Returns:
        The groups that have clips, in order, and for each subset of modalities the mean gate by the
        index of the group; a subset may lack groups.
    """
    rows, order = summarise_gates(records, by), ORDERS[by]
    groups = [name for name in order if any(row[by] == name for row in rows)]
    lines: dict[str, dict[int, float]] = {}
    for row in rows:
        line = lines.setdefault(row["modalities"], {})
        line[groups.index(row[by])] = statistics.fmean(row["valence_gate"])
    return groups, lines


def plot_gates(records: Sequence[Row], path: Path) -> None:
    """Draw gate shares by class and by intensity, one line for each subset of modalities."""
    figure, axes = new_figure(2)
    for axis, by in zip(axes, ("class", "intensity"), strict=True):
        groups, lines = gate_lines(records, by)
        for subset, line in lines.items():
            axis.plot(list(line), list(line.values()), marker="o", label=subset)
        axis.set_xticks(range(len(groups)), groups)
        axis.set_xlabel(f"sentiment {by}")
        axis.set_ylabel("inter-modal share of the valence gate")
        axis.tick_params(axis="x", rotation=30)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    save_figure(figure, path)


def _gate_records(model: SemiIIN, examples: Sequence[Example], modalities: str) -> list[Row]:
    device = next(model.parameters()).device
    batch = collate([load(example, model.config) for example in examples])
    with torch.inference_mode():
        output = model(**{name: value.to(device) for name, value in batch.inputs().items()})
    return [
        {
            "part": example.part,
            "modalities": modalities,
            "class": CLASS_NAMES[example.sentiment],
            "intensity": _intensity(example.valence or 0.0),
            "valence_gate": valence_gate,
            "class_gate": class_gate,
        }
        for example, valence_gate, class_gate in zip(
            examples, output.valence_gate.tolist(), output.class_gate.tolist(), strict=True
        )
    ]


def _intensity(label: float) -> str:
    return INTENSITIES[int(np.ceil(min(abs(label), 3.0)))]
