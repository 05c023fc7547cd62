"""Writes a table's values to its changelog, and into the table once the broker has them.

What enters: values by key. What leaves: the keys whose values are stored. It knows no state.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from aiokafka.errors import KafkaError
from faust.types import TP, Message

from streamer.kafka.connection import RepeatFilter
from streamer.kafka.refusals import explain, is_refusal
from streamer.processing.clock import Clock

refused_log = logging.getLogger(f"{__name__}.refused")
refused_log.addFilter(RepeatFilter())


async def _all_done(answers: Collection[asyncio.Future[Any]]) -> None:
    """Wait for answers, and leave them alone if nobody waits any more, as when the app ends.

    Faust cannot answer a message whose future is cancelled.
    """
    if answers:
        await asyncio.wait(answers)


class Changelog:
    """The changelog of one table.

    A value that the broker refuses for its own sake is logged and counted as `states_refused`; the
    others are stored.
    """

    def __init__(self, app: Any, table: Any, clock: Clock, counters: Counter[str]) -> None:
        """Store the parts; no I/O."""
        self._app = app
        self._table = table
        self._clock = clock
        self._counters = counters

    async def write(self, values: Mapping[bytes, tuple[int, bytes | None]]) -> set[bytes]:
        """Store values, each with its partition; None deletes the key.

        Returns:
            The keys whose values the changelog and the table now contain.

        Raises:
            KafkaError: the broker cannot store values at the moment.
        """
        answers = {key: await self._begin(key, *value) for key, value in values.items()}
        await _all_done([answer for answer in answers.values() if answer is not None])
        places: dict[bytes, Any] = {}
        for key, answer in answers.items():
            # What was refused with others in a batch may pass alone.
            if answer is None or answer.cancelled() or answer.exception() is not None:
                place = await self._send_alone(key, *values[key])
            else:
                place = answer.result()
            if place is not None:
                places[key] = place
        self._table.apply_changelog_batch(
            [self._event(key, values[key][1], place) for key, place in places.items()]
        )
        return set(places)

    async def _begin(
        self, key: bytes, partition: int, value: bytes | None
    ) -> asyncio.Future[Any] | None:
        """Send a value; return the broker's answer, None if the value could not be sent."""
        try:
            return await self._give(key, partition, value)
        except KafkaError:
            return None

    async def _give(self, key: bytes, partition: int, value: bytes | None) -> asyncio.Future[Any]:
        """Give a value to Faust's producer; return the broker's answer."""
        answer = await self._table.changelog_topic.send(
            key=key,
            value=value,
            partition=partition,
            key_serializer="raw",
            value_serializer="raw",
            force=True,
        )
        done: asyncio.Future[Any] = asyncio.ensure_future(answer)
        return done

    async def _send(self, key: bytes, partition: int, value: bytes | None) -> Any:
        """Return where the changelog contains the value, once the broker has it."""
        answer = await self._give(key, partition, value)
        await _all_done([answer])
        return answer.result()

    async def _send_alone(self, key: bytes, partition: int, value: bytes | None) -> Any:
        """As `_send`; None if the broker refuses the value for its own sake."""
        try:
            return await self._send(key, partition, value)
        except KafkaError as error:
            if not is_refusal(error):
                raise
            self._counters["states_refused"] += 1
            refused_log.error(
                "The broker refuses the state of %r for %s (%s); it is in this worker's memory "
                "only and begins anew after a restart, as do others that are refused.",
                key,
                self._table.changelog_topic_name,
                explain(error),
            )
            return None

    def _event(self, key: bytes, value: bytes | None, place: Any) -> Any:
        """Return the change as a recovering worker reads it, so that both have the same table."""
        message = Message(
            place.topic,
            place.partition,
            place.offset,
            timestamp=self._clock.wall_ms() / 1000,
            timestamp_type=0,
            headers=None,
            key=key,
            value=value,
            checksum=None,
            tp=TP(place.topic, place.partition),
        )
        return self._app.create_event(key, value, None, message)
