"""The commands on a trained checkpoint."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from semi_iin.cli.options import (
    CheckpointArgument,
    ContextOption,
    DataOption,
    DeviceOption,
    DtypeOption,
    FormatOption,
    JsonOption,
    LabelsOption,
    ReportedOption,
    ScaleOption,
    SplitOption,
    read_samples,
    run_directory,
    shares,
)
from semi_iin.cli.progress import bar, stage_bars
from semi_iin.errors import SemiIINError


def features(
    checkpoint: CheckpointArgument,
    data: DataOption,
    to: Annotated[Path, typer.Option("--to", help="Folder of the arrays.")],
    format: FormatOption = None,
    split: SplitOption = None,
    context: ContextOption = True,
    device: DeviceOption = "auto",
) -> None:
    """Encode a data set once, to one array for each sample; resumes a stopped run."""
    from semi_iin.cache import extract
    from semi_iin.checkpoint import load
    from semi_iin.data.features import write_features
    from semi_iin.device import find_device
    from semi_iin.features import Encoders

    loaded = load(checkpoint)
    encoders = Encoders.build(loaded.config.get("encoders", {}), loaded.tensors)
    samples = read_samples(data, format, split)
    if not context:
        samples = [replace(sample, context=None) for sample in samples]
    with bar("encoding") as advance:
        rows = extract(samples, encoders.to(find_device(device)), to / ".shards", report=advance)
    write_features(to, samples, rows)
    print(to)


def evaluate(
    checkpoint: CheckpointArgument,
    data: DataOption,
    format: FormatOption = None,
    labels: LabelsOption = None,
    scale: ScaleOption = "valence",
    split: SplitOption = None,
    context: ContextOption = True,
    modalities: Annotated[
        str | None,
        typer.Option(help="Only these, as in text,audio; default: all.", show_default=False),
    ] = None,
    disturb: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Make the words bare, and this share of them lost, run together or replaced.",
            show_default=False,
        ),
    ] = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Measure a checkpoint on labelled data, each metric with a bootstrap 95 % interval."""
    from semi_iin.experiments import disturbance
    from semi_iin.experiments.evaluation import evaluate_checkpoint

    samples = read_samples(data, format, split, labels, scale)
    if disturb is not None:
        samples = disturbance.disturb(samples, disturb)
    with bar("scoring", quiet=as_json) as advance:
        report = evaluate_checkpoint(
            checkpoint,
            samples,
            context=context,
            modalities=modalities.split(",") if modalities else None,
            device=device,
            advance=advance,
        )
    if as_json:
        print(json.dumps(report))
        return
    table = Table("metric", "value", "95 % interval", title=f"{_samples(report['n'])} of {data}")
    for name, value in report.items():
        if isinstance(value, dict):
            low, high = value["ci95"]
            table.add_row(name, _number(value["value"]), f"{_number(low)} to {_number(high)}")
    Console().print(table)
    if report.get("unscored"):
        unread = _samples(report["unscored"])
        print(f"Counted as 0, without a modality that the model reads: {unread}.")


def info(checkpoint: CheckpointArgument = "default", as_json: JsonOption = False) -> None:
    """Describe a checkpoint: sizes, encoders, data; with --json its whole configuration."""
    from semi_iin.checkpoint import describe, load

    described = describe(load(checkpoint))
    if as_json:
        print(json.dumps(described))
        return
    table = Table("", Column(overflow="fold"), show_header=False, title=described["name"])
    for name, value in _summary(described):
        table.add_row(name, value)
    Console().print(table)


def _summary(described: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Rows that fit a screen, of what `checkpoint.describe` gives."""
    weights, model = described["weights"], described["model"]
    provenance = described.get("provenance", {})
    yield "path", described["path"]
    yield "size", f"{described['bytes'] / 1e6:.1f} MB"
    yield (
        "model",
        f"{weights.get('model', 0):,} weights; {model['variant']}, hidden {model['hidden']}, "
        f"{model['heads']} heads, {model['classes']} classes",
    )
    for modality, encoder in described.get("encoders", {}).items():
        source = encoder.get("source", "trained from random weights")
        stored = weights.get(f"{modality}_encoder", 0)
        yield modality, f"{encoder['kind']}; {source}; {stored:,} weights stored"
    samples = provenance.get("samples") if isinstance(provenance, dict) else None
    if isinstance(samples, dict):
        yield "model trained on", ", ".join(f"{part} {n:,}" for part, n in samples.items() if n)
    yield "more", "--json, and README.md in its folder"


def export(
    checkpoint: CheckpointArgument,
    to: Annotated[Path, typer.Option("--to", help="The file to write.")],
    format: Annotated[
        str | None,
        typer.Option(help="torch or onnx; default: by the file's suffix.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write Semi-IIN (without its encoders) for another runtime, and check its outputs."""
    from semi_iin import export as exporting
    from semi_iin.checkpoint import load

    chosen = format or ("onnx" if to.suffix == ".onnx" else "torch")
    loaded = load(checkpoint)
    name = str(loaded.config.get("name", loaded.path.name))
    exported = exporting.export(loaded.build_model(), to, chosen, name)  # type: ignore[arg-type]
    if as_json:
        print(json.dumps(vars(exported) | {"path": str(exported.path)}))
        return
    print(
        f"{exported.path}: {exported.format}, at most {exported.largest_difference:.1e} away from "
        "the model"
    )


def convert(
    kind: Annotated[
        str,
        typer.Argument(help="fab-net (face encoder), or semi-iin (the paper's released model)."),
    ],
    published: Annotated[Path, typer.Argument(help="The published file (.pth or .pt).")],
    to: Annotated[
        Path, typer.Option("--to", help="A .safetensors file for fab-net, else a checkpoint.")
    ],
) -> None:
    """Convert published weights to safetensors, without running the code in their file."""
    from semi_iin.encoders.fab_net import convert_fab_net
    from semi_iin.paper_weights import convert_release

    converters = {"fab-net": convert_fab_net, "semi-iin": convert_release}
    if kind not in converters:
        raise SemiIINError(f"KIND is {kind!r}, but it must be one of {', '.join(converters)}")
    print(converters[kind](published, to))


def release(
    run: Annotated[Path, typer.Argument(help="Directory of a finished run.")],
    config: Annotated[Path, typer.Option(help="The run's configuration.")] = Path(
        "configs/default-checkpoint.toml"
    ),
    data_root: Annotated[
        Path | None,
        typer.Option(help="Folder of the data; default: the configuration's.", show_default=False),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            help="Checkpoint to write; default: the one in this package.",
            show_default=False,
        ),
    ] = None,
    dtype: DtypeOption = "float32",
) -> None:
    """Measure a run's checkpoint on the validation data, write its model card, and install it."""
    from semi_iin import release as releasing
    from semi_iin.checkpoint import DEFAULT
    from semi_iin.settings import read_config

    settings = read_config(config)
    root = data_root or Path(settings.data_root)
    with stage_bars() as report:
        metrics = releasing.release(run, settings, root, to or DEFAULT, report, dtype=dtype)
    print(json.dumps(metrics, indent=1))


def report(
    checkpoint: CheckpointArgument = "default",
    data_root: Annotated[Path, typer.Option(help="Folder of the data sets.")] = Path(
        "../shared/data"
    ),
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Also write the numbers to this JSON file.", show_default=False),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="Also measure clips composed of the reported parts of this run's data.",
            show_default=False,
        ),
    ] = None,
    only: ReportedOption = None,
    disturb: Annotated[
        str | None,
        typer.Option(
            help="Texts alone, bare and with these shares of their words lost, run together or "
            "replaced, as in 0,0.05,0.15.",
            show_default=False,
        ),
    ] = None,
    dtype: DtypeOption = "float32",
) -> None:
    """Measure a checkpoint on all reported data, as Markdown tables with intervals."""
    from semi_iin.experiments.reported import (
        calibration_table,
        composed,
        composed_table,
        measure,
        table,
    )
    from semi_iin.settings import read_config

    with stage_bars() as show:
        metrics = measure(
            checkpoint,
            data_root,
            only=only or (),
            disturb=shares(disturb, "--disturb") if disturb else (),
            dtype=dtype,
            report=show,
        )
        if config is not None:
            cache = run_directory(None, f"report-{Path(checkpoint).name}")
            metrics |= composed(checkpoint, read_config(config), data_root, cache, show)
    if to is not None:
        to.write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    tables = [table(metrics), composed_table(metrics), calibration_table(metrics)]
    print("\n\n".join(part for part in tables if part))


def _samples(count: int) -> str:
    return f"{count} sample" if count == 1 else f"{count} samples"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
