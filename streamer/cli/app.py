"""The Typer apps, and the console on standard error."""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from streamer.plain_text import without_secrets

UsageError: Any = typer.BadParameter.__base__
"""The error of a wrong argument or command, which typer does not export by its name."""


class Commands(TyperGroup):
    """The commands; an error in their arguments is shown without secrets of addresses."""

    def invoke(self, ctx: Any) -> Any:
        """Parse and run a command."""
        try:
            return super().invoke(ctx)
        except UsageError as error:
            error.message = without_secrets(error.message)
            raise


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Streaming multimodal sentiment: from cameras, microphones and files to Kafka topics.",
)
config_app = typer.Typer(no_args_is_help=True, help="Print the settings.")
app.add_typer(config_app, name="config")
models_app = typer.Typer(no_args_is_help=True, help="List, fetch and verify published weights.")
app.add_typer(models_app, name="models")
dead_letter_app = typer.Typer(
    no_args_is_help=True, help="List, show and retry unreadable messages."
)
app.add_typer(dead_letter_app, name="dead-letter")
topics_app = typer.Typer(no_args_is_help=True, help="List and create the system's topics.")
app.add_typer(topics_app, name="topics")
speakers_app = typer.Typer(no_args_is_help=True, help="Name the people of a session.")
app.add_typer(speakers_app, name="speakers")
screen = Console(stderr=True)
