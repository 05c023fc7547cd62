"""The commands of the experiments; each writes tables as Markdown and CSV."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from semi_iin.cli.options import (
    CheckpointArgument,
    ConfigArgument,
    DeviceOption,
    FormatOption,
    LabelsOption,
    RootOption,
    RunOption,
    SeedsOption,
    SplitOption,
    TableOption,
    numbers,
    read_samples,
    run_directory,
)
from semi_iin.cli.progress import bar, screen, stage_bars
from semi_iin.errors import SemiIINError

if TYPE_CHECKING:
    from semi_iin.experiments.reporting import Row


def ablate(
    config: ConfigArgument,
    seeds: SeedsOption = 5,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Rows whose name contains this; may be repeated.", show_default=False),
    ] = None,
    to: TableOption = None,
    run: RunOption = None,
    data_root: RootOption = None,
) -> None:
    """Train the model's variants with several seeds."""
    from semi_iin.experiments.ablation import ABLATION
    from semi_iin.experiments.ablation import ablate as train_rows
    from semi_iin.experiments.bench import Bench
    from semi_iin.settings import read_config

    settings = read_config(config)
    directory = run_directory(run, settings.name)
    rows = {
        name: changes
        for name, changes in ABLATION.items()
        if not only or any(word in name for word in only)
    }
    if not rows:
        raise SemiIINError(f"no row of the ablation contains --only; rows: {'; '.join(ABLATION)}")
    with stage_bars() as report:
        bench, _ = Bench.prepare(settings, directory, "ablation", data_root, report)
        records = train_rows(bench, range(seeds), rows, report)
    _write(records, to or directory / "ablation")


def robustness(
    config: ConfigArgument,
    seeds: SeedsOption = 5,
    to: TableOption = None,
    run: RunOption = None,
    data_root: RootOption = None,
) -> None:
    """Withhold, contradict or corrupt each modality, for Semi-IIN and for global attention."""
    from semi_iin.experiments.bench import Bench
    from semi_iin.experiments.robustness import robustness as compare
    from semi_iin.settings import read_config

    settings = read_config(config)
    directory = run_directory(run, settings.name)
    with stage_bars() as report:
        bench, _ = Bench.prepare(settings, directory, "robustness", data_root, report)
        records = compare(bench, range(seeds), report)
    _write(records, to or directory / "robustness")


def same_utterance(
    config: ConfigArgument,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            help="Markdown file of the tables; default: in the directory of the run.",
            show_default=False,
        ),
    ] = None,
    run: RunOption = None,
    data_root: RootOption = None,
) -> None:
    """Train Semi-IIN, its variants and its parts on real clips, in cross-validation."""
    from semi_iin.experiments import same_utterance as experiment

    settings = experiment.read_same_utterance(config)
    directory = run_directory(run, settings.name)
    with stage_bars() as report:
        tables = experiment.same_utterance(settings, directory, data_root, report)
    text = "\n".join(f"{title}:\n\n{table}\n" for title, table in tables.items())
    target = to or directory / "same-utterance.md"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    print(text)
    _tell(target)


def sweep_k(
    config: ConfigArgument,
    ks: Annotated[str, typer.Option(help="Values of k, as in 10,40,160.")] = "5,10,20,40,80,160",
    shares: Annotated[str, typer.Option(help="Shares of the unlabeled data.")] = "0.25,0.5,1",
    seeds: SeedsOption = 5,
    to: TableOption = None,
    run: RunOption = None,
    data_root: RootOption = None,
) -> None:
    """Self-train over k and the share of unlabeled data; also draws a plot."""
    from semi_iin import self_training
    from semi_iin.experiments import sweep
    from semi_iin.experiments.bench import Bench
    from semi_iin.settings import read_config

    settings = read_config(config)
    directory = run_directory(run, settings.name)
    target = to or directory / "sweep_k"
    k_values = [int(value) for value in numbers(ks, "--ks")]
    share_values = numbers(shares, "--shares")
    if min(k_values) < 1 or not all(0 < share <= 1 for share in share_values):
        raise SemiIINError("every k must be at least 1, and every share above 0 and at most 1")
    with stage_bars() as report:
        bench, prepared = Bench.prepare(settings, directory, "sweep_k", data_root, report)
        unlabeled, _ = self_training.unlabeled_examples(settings, prepared, directory, report)
        records = sweep.sweep_k(
            bench, unlabeled, range(seeds), k_values, share_values, settings.self_training, report
        )
    _write(records, target)
    sweep.plot_sweep(records, target.with_suffix(".png"))
    _tell(target.with_suffix(".png"))


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
    """Measure how far the gate relies on inter-modal interaction; also draws a plot.

    With --config, labelled texts are also composed with voices and faces of the same sign, where
    the run's data have voices and faces without words.
    """
    from semi_iin.checkpoint import RUN_CHECKPOINT, load
    from semi_iin.device import find_device
    from semi_iin.examples import measured_examples
    from semi_iin.experiments import gates as measuring
    from semi_iin.experiments.evaluation import encode_samples
    from semi_iin.features import Encoders
    from semi_iin.parts import read_parts
    from semi_iin.settings import read_config

    if (data is None) == (config is None):
        raise SemiIINError("gates needs either --data or --config")
    torch_device = find_device(device)
    loaded = load(checkpoint)
    encoders = Encoders.build(loaded.config.get("encoders", {}), loaded.tensors).to(torch_device)
    folder = loaded.path.parent if loaded.path.name == RUN_CHECKPOINT else None
    target = to or (folder or Path("runs") / loaded.path.name) / "gates"
    if config is not None:
        settings = read_config(config)
        parts = read_parts(settings, data_root or Path(settings.data_root))
        reported = [(part.name, part.reported) for part in parts]
        with stage_bars() as report:
            examples = measured_examples(reported, encoders, target.parent, settings.seed, report)
    else:
        samples = read_samples(data or Path(), format, split, labels)
        with bar("encoding") as advance:
            examples = encode_samples(encoders, samples, advance)
    if not examples:
        raise SemiIINError("the data have no labelled samples that the checkpoint can read")
    with bar("gates") as advance:
        records = measuring.gate_shares(loaded.build_model().to(torch_device), examples, advance)
    for by in ("modalities", "class", "intensity"):
        rows = measuring.summarise_gates(records, by)
        _write(rows, target.with_name(f"{target.name}_by_{by}"))
    measuring.plot_gates(records, target.with_suffix(".png"))
    _tell(target.with_suffix(".png"))


def _write(records: "list[Row]", path: Path) -> None:
    """Write a table of records, and print it."""
    from semi_iin.experiments.reporting import markdown, write_table

    write_table(records, path)
    print(markdown(records))
    _tell(path.with_suffix(".md"), path.with_suffix(".csv"))


def _tell(*paths: Path) -> None:
    """Print where something was written, on standard error."""
    screen.print(f"Written: {', '.join(map(str, paths))}", highlight=False, soft_wrap=True)
