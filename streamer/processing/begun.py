"""A coroutine that is run up to its first wait by whoever has it, before it becomes a task.

Most coroutines that Faust makes a task of wait for nothing, and a task costs more than they do.
"""

from __future__ import annotations

import types
from collections.abc import Coroutine, Generator
from typing import Any


class Begun:
    """A coroutine that has run up to its first wait, or to its end.

    It must not look for the task that it is run by, which changes behind the first wait.

    Attributes:
        is_done: whether it has ended.
    """

    def __init__(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run it; raise what it raises."""
        self._work = work
        self._waits_for: Any = None
        self.is_done = False
        try:
            self._waits_for = work.send(None)
        except StopIteration:
            self.is_done = True

    async def rest(self) -> None:
        """Run it from its first wait to its end; raise what it raises."""
        if not self.is_done:
            await _rest(self._work, self._waits_for)


@types.coroutine
def _rest(work: Coroutine[Any, Any, Any], waits_for: Any) -> Generator[Any, Any, None]:
    """Wait for what a coroutine waits for, as a task does that runs it from its beginning."""
    while True:
        failure: BaseException | None = None
        try:
            yield waits_for
        except BaseException as error:
            failure = error
        try:
            waits_for = work.send(None) if failure is None else work.throw(failure)
        except StopIteration:
            return
