"""One guest's stay: a connection, the time without one, and the next connection.

What enters: offers of the guest's browser. What leaves: frames into the inbox, and the stay's end:
when the guest or the host ends it, or when a lost connection has not come back in time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from streamer.room.inbox import Inbox
from streamer.room.peer import TICK_S, MakePeer, Peer
from streamer.room.people import Guest, Refused


class Stay:
    """A guest in the room, from joining to leaving; belongs to one event loop.

    Attributes:
        guest: who.
        inbox: takes the guest's media.
        begin_ns: session time at which the stay began.
        source: the kind of sender.
        entered: whether a connection was ever answered.
        ended: set when the stay has ended.
    """

    def __init__(
        self,
        guest: Guest,
        inbox: Inbox,
        begin_ns: int,
        source: str,
        make_peer: MakePeer,
        rejoin_s: float,
    ) -> None:
        """Begin without a connection.

        Args:
            guest: who.
            inbox: takes the guest's media.
            begin_ns: session time.
            source: the kind of sender, for the session's record.
            make_peer: makes a connection.
            rejoin_s: a lost connection ends the stay after so long.
        """
        self.guest = guest
        self.inbox = inbox
        self.begin_ns = begin_ns
        self.source = source
        self.entered = False
        self.ended = asyncio.Event()
        self._make_peer = make_peer
        self._rejoin_s = rejoin_s
        self._peer: Peer | None = None
        self._came = asyncio.Event()
        self._connecting = asyncio.Lock()

    @property
    def connected(self) -> bool:
        """Whether there is a connection, or one is being made."""
        return self._peer is not None or self._connecting.locked()

    async def connect(self, offer: str) -> str:
        """Return the answer to an offer, whose connection takes the place of the last one.

        Raises:
            Refused: it cannot be answered, or the stay has ended.
        """
        async with self._connecting:
            peer = self._make_peer(self.inbox)
            answer = await peer.answer(offer)
            if self._peer is not None:
                await self._peer.close()
            if self.ended.is_set():
                await peer.close()
                raise Refused(404, "Nobody is in the room with this ticket.")
            if self.entered:
                self.inbox.renew()
            self.entered, self._peer = True, peer
            self._came.set()
            return answer

    async def attend(self) -> None:
        """Receive until the stay ends, or no connection has come back in time."""
        ticking = asyncio.create_task(self._tick())
        try:
            while await self._is_back():
                await self._receive()
        finally:
            ticking.cancel()
            self.end()
            if self._peer is not None:
                await self._peer.close()
                self._peer = None

    def end(self) -> None:
        """Take nothing more; a second time changes nothing."""
        self.inbox.end()
        self.ended.set()

    async def _receive(self) -> None:
        self._came.clear()
        peer = self._peer
        assert peer is not None
        await _first(peer.run(), self.ended.wait())
        await peer.close()
        if self._peer is peer:
            self._peer = None

    async def _is_back(self) -> bool:
        """Whether there is a connection; waits for one as long as it may be away."""
        if not self._came.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._rejoin_s):
                    await _first(self._came.wait(), self.ended.wait())
        return self._came.is_set() and not self.ended.is_set()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.inbox.tick()


async def _first(*waits: Coroutine[Any, Any, object]) -> None:
    """Wait for one of several; the others are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    for task in tasks:
        if task.done() and not task.cancelled():
            task.result()
