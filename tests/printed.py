"""What Rich prints, as text without colours."""

from __future__ import annotations

from rich.console import Console, RenderableType


def printed(renderable: RenderableType, width: int = 80) -> str:
    """Return what a terminal of `width` columns shows."""
    console = Console(width=width, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()
