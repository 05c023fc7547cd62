"""The application: every command, and errors as one sentence with an exit code."""

import sys
from collections.abc import Sequence

import typer
from rich.text import Text

from semi_iin.cli import checkpoints, experiments, training
from semi_iin.cli.progress import screen
from semi_iin.errors import SemiIINError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train, measure and export Semi-IIN, a multimodal sentiment model.",
)
app.command()(training.new)
app.command()(training.train)
app.command("self-train")(training.self_train)
app.command()(training.calibrate)
app.command()(checkpoints.features)
app.command()(checkpoints.evaluate)
app.command()(experiments.ablate)
app.command()(experiments.robustness)
app.command("same-utterance")(experiments.same_utterance)
app.command("sweep-k")(experiments.sweep_k)
app.command()(experiments.gates)
app.command()(checkpoints.info)
app.command()(checkpoints.export)
app.command()(checkpoints.convert)
app.command()(checkpoints.release)
app.command()(checkpoints.report)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; print an error that a user can cause as one sentence.

    Args:
        arguments: without the program's name; None = those of the process.

    Raises:
        SystemExit: always, with the exit code.
    """
    try:
        app(arguments)
    except SemiIINError as error:
        sentence = Text.assemble(("error:", "red"), f" {error}")
        screen.print(sentence, highlight=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
