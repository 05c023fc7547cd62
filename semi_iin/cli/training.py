"""The commands that train a checkpoint."""

from pathlib import Path
from typing import Annotated

import typer

from semi_iin.cli.options import (
    CheckpointArgument,
    ConfigArgument,
    FormatOption,
    RootOption,
    RunOption,
    run_directory,
)
from semi_iin.cli.progress import screen, stage_bars
from semi_iin.errors import SemiIINError


def new(
    file: Annotated[Path, typer.Argument(help="TOML file to write.")],
    data: Annotated[
        Path, typer.Option("--data", help="A file or a folder of labelled data.")
    ] = Path("texts.csv"),
    format: FormatOption = None,
) -> None:
    """Write a configuration with every setting, its default and what it means."""
    from semi_iin.data.formats import FORMATS, guess_format
    from semi_iin.template import template

    chosen = format or guess_format(data)
    if chosen not in FORMATS:
        raise SemiIINError(f"there is no data format {chosen!r}: use one of {', '.join(FORMATS)}")
    try:
        with file.open("x", encoding="utf-8") as target:
            target.write(template(file.stem, str(data), chosen))
    except FileExistsError:
        raise SemiIINError(f"{file} exists: name another file, or remove it") from None
    except OSError as error:
        raise SemiIINError(f"{file} cannot be written: {error.strerror}") from None
    print(file)
    screen.print(f"Edit it, then train: semi-iin train {file}", highlight=False, soft_wrap=True)


def train(config: ConfigArgument, run: RunOption = None, data_root: RootOption = None) -> None:
    """Train encoders and Semi-IIN from a configuration; resumes a stopped run."""
    from semi_iin import run as runs
    from semi_iin.settings import read_config

    settings = read_config(config)
    with stage_bars() as report:
        path = runs.train(
            settings, run_directory(run, settings.name), data_root=data_root, report=report
        )
    print(path)


def calibrate(
    checkpoint: CheckpointArgument,
    config: ConfigArgument,
    run: RunOption = None,
    data_root: RootOption = None,
) -> None:
    """Calibrate a checkpoint again, on the selection parts of the run that trained it."""
    from semi_iin import run as runs
    from semi_iin.settings import read_config

    settings = read_config(config)
    directory = run_directory(run, settings.name)
    with stage_bars() as report:
        path = runs.calibrate(checkpoint, settings, directory, data_root=data_root, report=report)
    print(path)


def self_train(config: ConfigArgument, run: RunOption = None, data_root: RootOption = None) -> None:
    """Train, label the unlabeled data with the trained model, and retrain; in rounds."""
    from semi_iin import self_training
    from semi_iin.settings import read_config

    settings = read_config(config)
    with stage_bars() as report:
        path, rounds = self_training.train(
            settings, run_directory(run, settings.name), data_root=data_root, report=report
        )
    for outcome in rounds:
        metrics = "  ".join(f"{name} {value:.4f}" for name, value in outcome.metrics.items())
        count = len(outcome.pseudo_labels)
        screen.print(f"round {outcome.number}: {count} pseudo-labels  {metrics}")
    print(path)
