"""Arguments and options that several commands share, and reading the data that they name."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from semi_iin.errors import SemiIINError

if TYPE_CHECKING:
    from semi_iin.data.samples import Sample

CheckpointArgument = Annotated[
    str,
    typer.Argument(
        help="A checkpoint directory, or the name of one in this package, as `default`."
    ),
]
ConfigArgument = Annotated[Path, typer.Argument(help="TOML file of the run, see configs/.")]
RunOption = Annotated[
    Path | None,
    typer.Option("--run", help="Directory of the run; default runs/NAME.", show_default=False),
]
RootOption = Annotated[
    Path | None,
    typer.Option(
        help="The folder that the configuration's data paths are relative to; default: its own "
        "`data_root`.",
        show_default=False,
    ),
]
DataOption = Annotated[Path, typer.Option("--data", help="A file or a folder of labelled data.")]
FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="text-csv, clips, features, ravdess, crema-d, expression-npz, emobank, goemotions, "
        "dailydialog or emorynlp; default: by the kind of data.",
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
    bool, typer.Option(help="Read the speaker's earlier words, where the data have them.")
]
ReportedOption = Annotated[
    list[str] | None,
    typer.Option(
        "--only", help="Only this data set, as mosi; may be repeated.", show_default=False
    ),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
DtypeOption = Annotated[
    str,
    typer.Option(
        help="float32; or bfloat16 or float16, which some processors compute several times as fast."
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on standard output, nothing else.")
]
TableOption = Annotated[
    Path | None,
    typer.Option(
        "--to",
        help="Path of the tables, without suffix; default: in the directory of the run.",
        show_default=False,
    ),
]
SeedsOption = Annotated[int, typer.Option(min=1, help="Number of seeds, counted from 0.")]


def run_directory(run: Path | None, name: str) -> Path:
    """Return the directory of a run: the given one, or runs/NAME."""
    return run if run is not None else Path("runs") / name


def numbers(text: str, option: str) -> list[float]:
    """Parse an option's numbers with commas between.

    Raises:
        SemiIINError: naming the option.
    """
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise SemiIINError(f"{option} takes numbers with commas between, not {text!r}") from None


def shares(text: str, option: str) -> list[float]:
    """Parse an option's shares with commas between, each in [0, 1].

    Raises:
        SemiIINError: naming the option.
    """
    values = numbers(text, option)
    if not all(0 <= value <= 1 for value in values):
        raise SemiIINError(f"{option} takes shares from 0 to 1, not {text!r}")
    return values


def read_samples(
    data: Path,
    format: str | None,
    split: str | None,
    labels: Path | None = None,
    scale: str = "valence",
) -> "list[Sample]":
    """Read the samples that a command's options name.

    Raises:
        SemiIINError: for data that cannot be read, or have no samples.
    """
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
