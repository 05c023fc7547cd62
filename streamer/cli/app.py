"""The Typer apps, and the console on standard error."""

from __future__ import annotations

import typer
from rich.console import Console

app = typer.Typer(
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
screen = Console(stderr=True)
