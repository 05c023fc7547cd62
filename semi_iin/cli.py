"""The `semi-iin` command line: wiring only.

Progress goes to standard error, results to standard output. Exit codes: 0 done; 1 something that
was given cannot be used (one sentence says what); 2 a wrong argument; 130 interrupted.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from semi_iin.errors import SemiIINError

# Commands import what they need: `--help` and a wrong argument should not wait for torch.

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train, measure and export Semi-IIN, a multimodal sentiment model.",
)
screen = Console(stderr=True)

CheckpointArgument = Annotated[
    str, typer.Argument(help="A checkpoint directory, or `default` for the one that ships.")
]
ConfigArgument = Annotated[Path, typer.Argument(help="TOML file of the run, see configs/.")]
RunOption = Annotated[
    Path | None,
    typer.Option("--run", help="Directory of the run; default runs/NAME.", show_default=False),
]
RootOption = Annotated[
    Path | None,
    typer.Option(help="What the configuration's data paths are relative to.", show_default=False),
]
DataOption = Annotated[Path, typer.Option("--data", help="A file or a folder.")]
FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="text-csv, clips, features, ravdess or expression-npz; default: told by the data.",
        show_default=False,
    ),
]
LabelsOption = Annotated[
    Path | None, typer.Option(help="Label CSV of ready features.", show_default=False)
]
ScaleOption = Annotated[str, typer.Option(help="Scale of CSV labels: valence, or sst5.")]
SplitOption = Annotated[
    str | None,
    typer.Option(help="Only this part (train, valid, test); default: all.", show_default=False),
]
ContextOption = Annotated[
    bool, typer.Option(help="Read what was said before, where the data have it.")
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
JsonOption = Annotated[
    bool, typer.Option("--json", help="One JSON object on standard output, nothing else there.")
]
TableOption = Annotated[
    Path | None,
    typer.Option(
        "--to", help="Where to write, without suffix; default in the run.", show_default=False
    ),
]
SeedsOption = Annotated[int, typer.Option(min=1, help="Train with the seeds 0 to this, less one.")]


@app.command()
def train(config: ConfigArgument, run: RunOption = None, data_root: RootOption = None) -> None:
    """Train encoders and Semi-IIN as a configuration says; goes on where it was stopped."""
    from semi_iin import run as training

    settings = training.read_config(config)
    with _stages() as report:
        path = training.train(
            settings, _run_directory(run, settings.name), data_root=data_root, report=report
        )
    print(path)


@app.command("self-train")
def self_train(config: ConfigArgument, run: RunOption = None, data_root: RootOption = None) -> None:
    """Train, label the unlabeled with what is learned, and retrain; in rounds."""
    from semi_iin import self_training
    from semi_iin.run import read_config

    settings = read_config(config)
    with _stages() as report:
        path, rounds = self_training.train(
            settings, _run_directory(run, settings.name), data_root=data_root, report=report
        )
    for outcome in rounds:
        words = "  ".join(f"{name} {value:.4f}" for name, value in outcome.metrics.items())
        screen.print(f"round {outcome.number}: {len(outcome.kept)} pseudo-labels  {words}")
    print(path)


@app.command()
def features(
    checkpoint: CheckpointArgument,
    data: DataOption,
    to: Annotated[Path, typer.Option("--to", help="Folder of the arrays.")],
    format: FormatOption = None,
    split: SplitOption = None,
    context: ContextOption = True,
    device: DeviceOption = "auto",
) -> None:
    """Encode a data set once, to one array per sample; goes on where it was stopped."""
    from semi_iin.cache import extract
    from semi_iin.checkpoint import load
    from semi_iin.data.features import write_features
    from semi_iin.device import find_device
    from semi_iin.features import Encoders

    loaded = load(checkpoint)
    encoders = Encoders.build(loaded.config.get("encoders", {}), loaded.tensors)
    samples = _read(data, format, None, "valence", split)
    if not context:
        samples = [replace(sample, context=None) for sample in samples]
    with _bar("encoding", quiet=False) as advance:
        rows = extract(
            samples,
            encoders.to(find_device(device)),
            to / ".shards",
            report=advance,
        )
    write_features(to, samples, rows)
    print(to)


@app.command()
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
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Measure a checkpoint on labelled data, each metric with a bootstrap 95 % interval."""
    from semi_iin import experiments

    samples = _read(data, format, labels, scale, split)
    with _bar("scoring", quiet=as_json) as advance:
        report = experiments.evaluate_checkpoint(
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
    table = Table("metric", "value", "95 % interval", title=f"{report['n']} samples of {data}")
    for name, value in report.items():
        if isinstance(value, dict):
            low, high = value["ci95"]
            table.add_row(name, _number(value["value"]), f"{_number(low)} to {_number(high)}")
    Console().print(table)
    if report.get("unscored"):
        print(f"{report['unscored']} samples hold nothing the model can read; they count as 0.")


@app.command()
def ablate(
    config: ConfigArgument,
    seeds: SeedsOption = 5,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Rows whose name holds this; may be repeated.", show_default=False),
    ] = None,
    to: TableOption = None,
    run: RunOption = None,
    data_root: RootOption = None,
) -> None:
    """Train the model's variants over several seeds; a Markdown and a CSV table of the results."""
    from semi_iin import experiments
    from semi_iin.run import read_config

    settings = read_config(config)
    place = _run_directory(run, settings.name)
    rows = {
        name: changes
        for name, changes in experiments.ABLATION.items()
        if not only or any(word in name for word in only)
    }
    if not rows:
        known = "; ".join(experiments.ABLATION)
        raise SemiIINError(f"no row of the ablation is named so; there are: {known}")
    with _stages() as report:
        bench, _ = experiments.Bench.prepare(settings, place, "ablation", data_root, report)
        records = experiments.ablate(bench, range(seeds), rows, report)
    _write(records, to or place / "ablation")


@app.command()
def robustness(
    config: ConfigArgument,
    seeds: SeedsOption = 5,
    to: TableOption = None,
    run: RunOption = None,
    data_root: RootOption = None,
) -> None:
    """Withhold, contradict or spoil each modality: Semi-IIN beside global attention; a table."""
    from semi_iin import experiments
    from semi_iin.run import read_config

    settings = read_config(config)
    place = _run_directory(run, settings.name)
    with _stages() as report:
        bench, _ = experiments.Bench.prepare(settings, place, "robustness", data_root, report)
        records = experiments.robustness(bench, range(seeds), report)
    _write(records, to or place / "robustness")


@app.command("sweep-k")
def sweep_k(
    config: ConfigArgument,
    ks: Annotated[str, typer.Option(help="Values of k, as in 10,40,160.")] = "5,10,20,40,80,160",
    shares: Annotated[str, typer.Option(help="Shares of the unlabeled data.")] = "0.25,0.5,1",
    seeds: SeedsOption = 5,
    to: TableOption = None,
    run: RunOption = None,
    data_root: RootOption = None,
) -> None:
    """Self-train over k and the share of unlabeled data; a table and a plot."""
    from semi_iin import experiments, self_training
    from semi_iin.run import read_config

    settings = read_config(config)
    place = _run_directory(run, settings.name)
    numbers = [int(value) for value in _numbers(ks, "--ks")]
    parts = _numbers(shares, "--shares")
    if min(numbers) < 1 or not all(0 < part <= 1 for part in parts):
        raise SemiIINError("every k must be at least 1, and every share above 0 and at most 1")
    with _stages() as report:
        bench, ready = experiments.Bench.prepare(settings, place, "sweep_k", data_root, report)
        unlabeled, _ = self_training.unlabeled_examples(settings, ready, place, report)
        records = experiments.sweep_k(
            bench, unlabeled, range(seeds), numbers, parts, settings.self_training, report
        )
    _write(records, to or place / "sweep_k")
    experiments.plot_sweep(records, (to or place / "sweep_k").with_suffix(".png"))


@app.command()
def gates(
    checkpoint: CheckpointArgument,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Labelled texts, clips or features.", show_default=False),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="Instead: the reported parts of a run's data.", show_default=False),
    ] = None,
    format: FormatOption = None,
    labels: LabelsOption = None,
    split: SplitOption = None,
    to: TableOption = None,
    data_root: RootOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Tell how far the gate leans on inter-modal interaction; tables and a plot.

    With --config, labelled texts are also composed with voices and faces of like valence where
    the run's data have those apart.
    """
    from semi_iin import experiments
    from semi_iin.checkpoint import load
    from semi_iin.device import find_device
    from semi_iin.features import Encoders
    from semi_iin.run import gather, held_examples, read_config

    if (data is None) == (config is None):
        raise SemiIINError("gates needs either --data or --config")
    place = find_device(device)
    loaded = load(checkpoint)
    encoders = Encoders.build(loaded.config.get("encoders", {}), loaded.tensors).to(place)
    target = to or Path("runs") / loaded.path.name / "gates"
    if config is not None:
        settings = read_config(config)
        parts = gather(settings, data_root or Path(settings.data_root))
        held = [(part.name, part.reported) for part in parts]
        with _stages() as report:
            examples = held_examples(held, encoders, target.parent, settings.seed, report)
    else:
        samples = _read(data or Path(), format, labels, "valence", split)
        with _bar("encoding", quiet=False) as advance:
            examples = experiments.encode_samples(encoders, samples, advance)
    if not examples:
        raise SemiIINError("the data have no labelled samples that the checkpoint can read")
    with _bar("gates", quiet=False) as advance:
        records = experiments.gate_shares(loaded.build_model().to(place), examples, advance)
    for by in ("modalities", "class", "intensity"):
        rows = experiments.summarise_gates(records, by)
        experiments.write_table(rows, target.with_name(f"{target.name}_by_{by}"))
        print(experiments.markdown(rows))
    experiments.plot_gates(records, target.with_suffix(".png"))


@app.command()
def info(checkpoint: CheckpointArgument = "default", as_json: JsonOption = False) -> None:
    """Say what a checkpoint is: sizes, encoders, provenance, metrics."""
    from semi_iin.checkpoint import describe, load

    described = describe(load(checkpoint))
    if as_json:
        print(json.dumps(described))
        return
    table = Table("", "", show_header=False, title=described["name"])
    for name, value in described.items():
        shown = json.dumps(value, indent=1) if isinstance(value, dict) else str(value)
        table.add_row(name, f"{value:,}" if isinstance(value, int) else shown)
    Console().print(table)


@app.command()
def export(
    checkpoint: CheckpointArgument,
    to: Annotated[Path, typer.Option("--to", help="The file to write.")],
    format: Annotated[
        str | None,
        typer.Option(help="torch or onnx; default: told by the file's name.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write Semi-IIN (without its encoders) for another runtime, and check what it computes."""
    from semi_iin import export as exporting
    from semi_iin.checkpoint import load

    chosen = format or ("onnx" if to.suffix == ".onnx" else "torch")
    exported = exporting.export(load(checkpoint).build_model(), to, chosen)  # type: ignore[arg-type]
    if as_json:
        print(json.dumps(vars(exported) | {"path": str(exported.path)}))
        return
    print(
        f"{exported.path}: {exported.format}, at most {exported.largest_difference:.1e} away from "
        "the model"
    )


def main() -> None:
    """Run the command line; what a user can cause is told in one sentence."""
    try:
        app()
    except SemiIINError as error:
        screen.print(f"[red]error:[/red] {error}", highlight=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _read(
    data: Path, format: str | None, labels: Path | None, scale: str, split: str | None
) -> list[Any]:
    """Read labelled samples of a format that is given or told by the data."""
    from semi_iin.data.formats import guess_format, read

    chosen = format or guess_format(data)
    options: dict[str, Any] = {}
    if chosen in ("text-csv", "clips") and scale != "valence":
        options["scale"] = scale
    if chosen == "features" and labels is not None:
        options["labels"] = labels
    samples = read(data, chosen, split=split, **options)  # type: ignore[arg-type]
    if not samples:
        raise SemiIINError(f"{data} has no samples" + (f" in the part {split}" if split else ""))
    return samples


def _run_directory(run: Path | None, name: str) -> Path:
    return run if run is not None else Path("runs") / name


def _numbers(words: str, option: str) -> list[float]:
    try:
        return [float(word) for word in words.split(",")]
    except ValueError:
        raise SemiIINError(f"{option} takes numbers with commas between, not {words!r}") from None


def _write(records: list[dict[str, Any]], place: Path) -> None:
    """Write a table of records and show it."""
    from semi_iin import experiments

    experiments.write_table(records, place)
    print(experiments.markdown(records))


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


@contextmanager
def _bar(words: str, *, quiet: bool) -> Iterator[Any]:
    """A progress bar on standard error, as a function of how many are done and of how many."""
    with _progress(quiet) as progress:
        task = progress.add_task(words, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def _stages() -> Iterator[Any]:
    """Progress bars for the stages of a training run, one below the other."""
    with _progress(False) as progress:
        tasks: dict[str, Any] = {}

        def report(state: Any) -> None:
            if state.stage not in tasks:
                tasks[state.stage] = progress.add_task(state.stage, total=state.steps)
            words = [state.stage, *([f"loss {state.loss:.3f}"] if state.loss == state.loss else [])]
            words += [f"{name} {value:.3f}" for name, value in state.metrics.items()]
            progress.update(
                tasks[state.stage],
                completed=state.step,
                total=state.steps,
                description="  ".join(words),
            )

        yield report


def _progress(quiet: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=screen,
        disable=quiet,
    )


if __name__ == "__main__":
    main()
