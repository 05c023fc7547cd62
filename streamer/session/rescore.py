"""Old windows once more through inference and smoothing, as a new session.

What enters: a recorded session's windows, from disk or gathered from the windows topic. What
leaves: the same windows on the topics, as `session.Capture` would send them, and a `Session`
record before and after. Knows neither model nor smoothing: a newer model, or another setting, is
whatever the stages run with.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from streamer import metrics
from streamer.capture.pace import Pace
from streamer.config import Config
from streamer.errors import ConfigError
from streamer.kafka.consumer import Consumer
from streamer.kafka.producer import Producer
from streamer.kafka.topics import ALERTS, SESSION_SMOOTHED, SESSIONS, SMOOTHED, WINDOWS
from streamer.policy import Policy
from streamer.recording.reader import Recordings
from streamer.recording.writer import Writer
from streamer.records import Participant, Session, Window, wall_clock
from streamer.session.sending import InFlight, deliver, wait_for_delivery
from streamer.session_ids import name_of

__all__ = ["Rescoring", "choose_session", "gather"]

GATHERED = (WINDOWS, SMOOTHED, SESSION_SMOOTHED, ALERTS, SESSIONS)
FLUSH_EVERY = 200


async def gather(
    config: Config,
    folder: Path,
    start: Literal["earliest"] | datetime,
    end: datetime | None,
) -> Recordings:
    """Record the present contents of the topics into `folder`, windows included.

    Args:
        config: where the broker is.
        folder: an empty one.
        start: windows published from here on.
        end: windows published before it; None for all. What was made of them may be younger.

    Raises:
        BrokerError: the broker cannot be reached.
        RecordingError: the folder cannot be written.
    """
    writer = await asyncio.to_thread(Writer, folder)
    try:
        for topic in GATHERED:
            until_ms = end.timestamp() * 1000 if end and topic is WINDOWS else float("inf")
            first = "earliest" if topic is SESSIONS else start  # it says what may be made of them
            async with Consumer[Any](config, topic, start=first) as reader:
                count = 0
                async for received in reader.snapshot():
                    if received.timestamp_ms >= until_ms:
                        continue
                    writer.add(received.record)
                    count += 1
                    if count % FLUSH_EVERY == 0:
                        await asyncio.to_thread(writer.flush)
    finally:
        await asyncio.to_thread(writer.close)
    return Recordings(folder)


def choose_session(recordings: Recordings, selector: str | None) -> str:
    """Return the id of the session to score again: the selected one, or the only one with windows.

    Raises:
        RecordingError: there is no such session.
        ConfigError: there is none, or there are several and none was selected.
    """
    if selector is not None:
        return recordings.find(selector)
    names = [summary.session_id for summary in recordings.index() if summary.counts.get("windows")]
    if len(names) == 1:
        return names[0]
    if not names:
        raise ConfigError("There are no windows: they are stored for kafka.windows_retention_ms.")
    raise ConfigError(
        f"There are windows of {len(names)} sessions ({', '.join(sorted(names)[:5])}); "
        "name one with --recorded."
    )


@dataclass
class Rescoring:
    """A source for `run.run_stages`: `await run()` returns when every window is acknowledged.

    Windows of all participants go out in the order of event time. Each one says that those that
    are missing before it are not to be waited for; a participant's last one is `final`.

    Attributes:
        recordings: where the session is recorded.
        old: its id.
        new: the id under which it is scored again.
        policy: what the new session allows.
        pace: how fast.
        published: per participant, how many windows went out.
    """

    recordings: Recordings
    old: str
    new: str
    policy: Policy
    pace: Pace
    publisher: Producer
    in_flight: InFlight
    counters: Counter[str] = field(default_factory=Counter)
    published: Counter[str] = field(default_factory=Counter)
    _stop: threading.Event = field(default_factory=threading.Event)
    _sent: dict[str, int] = field(default_factory=dict)

    def stop(self) -> None:
        """Stop after the current window; callable from any thread."""
        self._stop.set()

    async def run(self) -> None:
        """Send every window, or those until `stop`.

        Raises:
            RecordingError: the session's windows were not recorded.
        """
        # Looked through before anything is sent: who is there, and where each one ends.
        last = await asyncio.to_thread(self._last_indices)
        before = self.recordings.read(self.old).session
        windows = await asyncio.to_thread(self.recordings.windows, self.old)
        first = await asyncio.to_thread(next, windows, None)
        if first is None:
            return
        await self._patiently(self.publisher.publish(self._record("started", before, first)))
        metrics.ready()
        window: Window | None = first
        while window is not None and not self._stop.is_set():
            await asyncio.to_thread(self.pace.wait, window.end_ns - first.end_ns, self._stop)
            await self._send(window, last)
            window = await asyncio.to_thread(next, windows, None)
        await self._patiently(self.publisher.publish(self._record("ended", before, first)))

    async def _patiently(self, work: Coroutine[Any, Any, object]) -> None:
        await wait_for_delivery(work, self.publisher, self._stop)

    def _last_indices(self) -> dict[str, int]:
        last: dict[str, int] = {}
        for participant, index in self.recordings.window_indices(self.old):
            last[participant] = max(index, last.get(participant, index))
        return last

    async def _send(self, window: Window, last: dict[str, int]) -> None:
        name, index = window.participant_id, window.window_index
        changed = msgspec.structs.replace(
            window,
            session_id=self.new,
            revision=0,
            skipped=index - self._sent.get(name, -1) - 1,
            final=index == last[name],
            session_participants=len(last),
        )
        await deliver(changed, self.publisher, self.in_flight, self._stop)
        self.published[name] += 1
        self._sent[name] = index

    def _record(
        self, state: Literal["started", "ended"], before: Session | None, first: Window
    ) -> Session:
        names = sorted(self.published) or [first.participant_id]
        people = before.participants if before else tuple(Participant(n, ()) for n in names)
        ended = state == "ended"
        return Session(
            session_id=self.new,
            state=state,
            started_at=wall_clock(first.session_start_unix_ns, 0),
            live=False,
            consent=before.consent if before else None,
            modalities=self.policy.modalities,
            publish=self.policy.publish,
            min_participants=self.policy.min_participants,
            participants=tuple(
                msgspec.structs.replace(
                    person, windows=self.published[person.participant_id] if ended else None
                )
                for person in people
            ),
            asr=before.asr if before else "",
            name=name_of(self.new),
            names=before.names if before else {},
            recorded_times=before.recorded_times if before else None,
        )
