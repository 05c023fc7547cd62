"""Progress bars on standard error."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from semi_iin.loop import Progress as StageProgress

screen = Console(stderr=True, markup=False)


@contextmanager
def bar(description: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Show one bar; yield a function that takes the number done, and of all."""
    with _progress(quiet) as progress:
        task = progress.add_task(description, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def stage_bars() -> Iterator[Callable[["StageProgress"], None]]:
    """Show a bar for each stage of a training run, one below the other; yield a `loop.Report`."""
    with _progress(False) as progress:
        tasks: dict[str, TaskID] = {}

        def report(state: "StageProgress") -> None:
            if state.stage not in tasks:
                tasks[state.stage] = progress.add_task(state.stage, total=state.steps)
            words = [state.stage]
            if not math.isnan(state.loss):
                words.append(f"loss {state.loss:.3f}")
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
