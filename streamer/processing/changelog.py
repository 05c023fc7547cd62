"""Writes a table's values to its changelog, and into the table once the broker has them.

What enters: values by key. What leaves: the keys whose values are stored. It knows no state.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

from aiokafka.errors import KafkaError
from faust.types import TP, Message

from streamer.kafka.connection import RepeatFilter
from streamer.kafka.refusals import explain, is_refusal
from streamer.processing.clock import Clock

refused_log = logging.getLogger(f"{__name__}.refused")
refused_log.addFilter(RepeatFilter())


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
        answers = await asyncio.gather(
            *(self._send(key, *value) for key, value in values.items()), return_exceptions=True
        )
        places: dict[bytes, Any] = {}
        for key, answer in zip(values, answers, strict=True):
            # What was refused with others in a batch may pass alone.
            failed = isinstance(answer, BaseException)
            place = await self._send_alone(key, *values[key]) if failed else answer
            if place is not None:
                places[key] = place
        self._table.apply_changelog_batch(
            [self._event(key, values[key][1], place) for key, place in places.items()]
        )
        return set(places)

    async def _send(self, key: bytes, partition: int, value: bytes | None) -> Any:
        """Return where the changelog contains the value, once the broker has it."""
        answer = await self._table.changelog_topic.send(
            key=key,
            value=value,
            partition=partition,
            key_serializer="raw",
            value_serializer="raw",
            force=True,
        )
        # When the app ends, nobody waits any more; Faust cannot answer a cancelled message.
        return await asyncio.shield(answer)

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
