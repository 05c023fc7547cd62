"""Rooms on one server: a source of windows, as any capture, with the server around it.

What enters: rooms. What leaves: their links, once they can be opened; their windows, through each
room's own way to the broker.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from streamer import metrics
from streamer.config import Config
from streamer.dashboard import following
from streamer.room.server import Address, Server
from streamer.room.session import RoomCapture
from streamer.room.site import Links, Site


@dataclass
class Rooms:
    """Serves rooms until each one has ended.

    Attributes:
        rooms: one or more, each of its own session.
        address: where they are served.
        config: with the broker's address.
        on_links: gets the links of each room once they can be opened.
        page: whether the rooms have a live page.
    """

    rooms: Sequence[RoomCapture]
    address: Address
    config: Config
    on_links: Callable[[Sequence[Links]], None]
    page: bool = True

    @property
    def counters(self) -> Counter[str]:
        """What was dropped, late, lost or damaged, of those who have left."""
        return sum((room.counters for room in self.rooms), Counter[str]())

    @property
    def published(self) -> Counter[str]:
        """How many windows of each participant went out; of all rooms where names repeat."""
        return sum((room.published for room in self.rooms), Counter[str]())

    def stop(self) -> None:
        """Ask everybody to end; what is captured is flushed. Callable from any thread."""
        for room in self.rooms:
            room.stop()

    async def run(self) -> None:
        """Let people in until every room has ended.

        Raises:
            ConfigError: the address cannot be bound.
            BrokerError: the broker refuses a window, or did not take the last after a `stop`.
        """
        try:
            async with contextlib.AsyncExitStack() as stack:
                server = await stack.enter_async_context(await self._server(stack))
                async with asyncio.TaskGroup() as tasks:
                    for room in self.rooms:
                        tasks.create_task(room.run())
                    for room in self.rooms:
                        await room.opened.wait()
                    metrics.ready()
                    self.on_links(server.links())
        except* Exception as group:
            raise group.exceptions[0] from None

    async def _server(self, stack: contextlib.AsyncExitStack) -> Server:
        feed = await stack.enter_async_context(following(self.config)) if self.page else None
        paths = paths_of([room.name for room in self.rooms])
        sites = [
            Site(room, self.config, path=path, feed=feed)
            for room, path in zip(self.rooms, paths, strict=True)
        ]
        return Server(sites, self.address, self.config)


def paths_of(names: Sequence[str]) -> list[str]:
    """Return the path of each room's addresses: none of a single one, else one from its name."""
    if len(names) == 1:
        return [""]
    paths: list[str] = []
    for name in names:
        word = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "room"
        path, number = f"/{word}", 1
        while path in paths:
            number += 1
            path = f"/{word}-{number}"
        paths.append(path)
    return paths
