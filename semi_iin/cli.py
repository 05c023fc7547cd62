"""The `semi-iin` command line: wiring only.

Progress goes to standard error, results to standard output. Exit codes: 0 done; 1 something that
was given cannot be used (one sentence says what); 2 a wrong argument; 130 interrupted.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
JsonOption = Annotated[
    bool, typer.Option("--json", help="One JSON object on standard output, nothing else there.")
]
SeedsOption = Annotated[int, typer.Option(min=1, help="Train with the seeds 0 to this, less one.")]


@app.command()
def train(config: ConfigArgument, run: RunOption = None, data_root: RootOption = None) -> None:
    """Train encoders and Semi-IIN as a configuration says; goes on where it was stopped."""
    from semi_iin import train as training

    settings = training.read_config(config)
    with _stages() as report:
        path = training.train(
            settings, _run_directory(run, settings.name), data_root=data_root, report=report
        )
    print(path)


@app.command()
def evaluate(
    checkpoint: CheckpointArgument,
    data: DataOption,
    format: FormatOption = None,
    labels: LabelsOption = None,
    scale: ScaleOption = "valence",
    split: SplitOption = None,
    context: Annotated[
        bool, typer.Option(help="Read what was said before, where the data have it.")
    ] = True,
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
    from semi_iin import data as reading

    chosen = format or _format_of(data)
    options: dict[str, Any] = {}
    if chosen in ("text-csv", "clips") and scale != "valence":
        options["scale"] = scale
    if chosen == "features" and labels is not None:
        options["labels"] = labels
    samples = reading.read(data, chosen, split=split, **options)  # type: ignore[arg-type]
    if not samples:
        raise SemiIINError(f"{data} has no samples" + (f" in the part {split}" if split else ""))
    return samples


def _format_of(data: Path) -> str:
    """The format that data look like."""
    if data.is_dir():
        known = ("together", "audio", "text", "visual")
        return "features" if any((data / name).is_dir() for name in known) else "ravdess"
    return "expression-npz" if data.suffix == ".npz" else "text-csv"


def _run_directory(run: Path | None, name: str) -> Path:
    return run if run is not None else Path("runs") / name


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
