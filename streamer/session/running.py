"""Capturing a session: one thread per participant, one event loop that publishes.

What enters: a plan. What leaves: `Window` records, and one `Session` record at the start and one at
the end, through a producer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from streamer import metrics
from streamer.capture.pace import Pace
from streamer.plain_text import public_address
from streamer.records import NS_PER_MS, Participant
from streamer.session.delivery import Capturing, Facts
from streamer.session.one_reading import share
from streamer.session.participant import Pipeline


@dataclass
class Capture(Capturing):
    """Runs a plan: `await run()` returns when every window has been acknowledged by the broker."""

    pace: Pace | None = None

    async def run(self) -> None:
        """Capture every participant to the end of its sources or until `stop`.

        Raises:
            SourceError: a source cannot be read.
            BrokerError: the broker refuses a window, or did not take the last after a `stop`.
        """
        pace = self.pace or Pace(self.plan.speed)
        pipelines = [
            await asyncio.to_thread(Pipeline, self.plan, spec, self.config, pace)
            for spec in self.plan.participants
        ]
        share(pipelines)
        self._asr = [pipeline.asr_name for pipeline in pipelines]
        await self._announce("started")
        metrics.ready()
        pool = ThreadPoolExecutor(len(pipelines), thread_name_prefix="capture")
        try:
            async with asyncio.TaskGroup() as tasks:
                for pipeline in pipelines:
                    tasks.create_task(self._delivery.participant(pipeline, pool))
        except* Exception as group:
            raise group.exceptions[0] from None
        finally:
            self.stop()
            pool.shutdown(wait=False)
        for pipeline in pipelines:
            self.counters.update(pipeline.counters)
        await self._announce("ended")

    def _facts(self, *, ended: bool) -> Facts:
        return Facts(list(self._people(ended=ended)), self._asr)

    def _people(self, *, ended: bool) -> Iterator[Participant]:
        for spec in self.plan.participants:
            yield Participant(
                spec.participant_id,
                tuple(map(public_address, spec.sources)),
                self.published[spec.participant_id] if ended else None,
                self.plan.begins_ns.get(spec.participant_id, 0) // NS_PER_MS,
                spec.identified_by,
            )
