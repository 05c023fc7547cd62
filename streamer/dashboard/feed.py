"""The page's data: published records, numbered per session, bounded, resumable.

What enters: records from the topics (`follow`) or from anybody (`Feed.add`). What leaves: each
session's log, from which any number of readers take what comes after the place they know, and a
status for all of them. Knows neither HTTP nor what a page looks like.

A record is passed on with the names and values that it has on its topic, less the fields that a
page has no use for (OMITTED), so that every number shown is the published one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import secrets
import statistics
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from streamer import metrics, notices
from streamer.config import Config
from streamer.conversation import SpeechTimes
from streamer.dashboard.bodies import BLOCK, Bodies
from streamer.dashboard.course import Course
from streamer.dashboard.speed import Speed
from streamer.errors import BrokerError
from streamer.kafka.backlog import Backlog, Work
from streamer.kafka.consumer import Consumer
from streamer.kafka.duplicates import Duplicates
from streamer.kafka.policies import Policies, SessionPolicies
from streamer.kafka.probe import answers
from streamer.kafka.topics import ALERTS, SESSION_SMOOTHED, SESSIONS, SMOOTHED, Topic, topic_of
from streamer.notices import Notices
from streamer.policy import refusal
from streamer.recorded_times import gaps
from streamer.recording.figures import trends
from streamer.records import Alert, Sentiment, Session, SessionSentiment
from streamer.session_ids import name_of, newest
from streamer.shown_names import merged, relations

log = logging.getLogger("streamer.dashboard")

Shown = Sentiment | SessionSentiment | Alert | Session
BrokerState = Literal["connecting", "up", "down", "none"]

SHOWN: tuple[Topic[Any], ...] = (SMOOTHED, SESSION_SMOOTHED, ALERTS, SESSIONS)
OMITTED = (
    "schema_version",
    "session_id",
    "window_id",
    "class_probabilities",
    "latency_ms",
    "model",
    "session_participants",
)
"""Not passed on: said once elsewhere, or of no use to a page; they make up half of a record."""

MAX_RECORDS = 120_000
"""Of one session (2 hours of 10 participants at 1 Hz are 79,200, and revisions)."""
MAX_RECORDS_IN_ALL = 300_000
"""Of all sessions; whole sessions are forgotten, the one longest without news first."""
MAX_SESSIONS = 200
MAX_LISTED = 500
"""Sessions in a status, recorded ones included: the newest."""
REMEMBERED = 131_072
"""How many records are remembered to recognise a duplicate or an old revision."""
LATENCIES = 120
"""Records over which a session's stage latencies are summed up."""
LOOK_BACK = timedelta(hours=3)
"""How far back a server that starts reads the topics."""
BATCH_RECORDS = 500
BATCH_WAIT_MS = 100
RETRY_S = 2.0
STAGES_S = 2.0
"""How often the backlog of the stages is read."""
RATE_S = 10.0
"""Over how long the rate of new windows is taken."""
PROBE_S = 3.0
"""A broker that has sent nothing for so long is asked whether it is there."""


class SessionLog:
    """One session's records in order of arrival, numbered from 0 without a gap.

    A place in it is `token.number`; the token is new with every log, so that a place from before
    a server's restart is not mistaken for one of now.
    """

    def __init__(self, session_id: str, limit: int = MAX_RECORDS) -> None:
        """An empty log that keeps the newest `limit` records (up to BLOCK more)."""
        self.session_id = session_id
        self.updated_ms = 0
        self.end_ms = 0
        self.started_ms: int | None = None
        self.started: Session | None = None
        self.ended = False
        self.recorded = False
        self.participants: dict[str, Sentiment] = {}
        self.meeting: SessionSentiment | None = None
        self.course = Course()
        self.raised: dict[tuple[str | None, str, str | None], Alert] = {}
        self._token = secrets.token_hex(4)
        self._limit = limit
        self._first = 0
        self._bodies = Bodies()
        self._latencies: dict[str, deque[float]] = {}
        self._speed = Speed()
        self._speech = SpeechTimes()
        self._conversation: dict[str, Any] | None = None

    def __len__(self) -> int:
        return len(self._bodies)

    def add(self, record: Shown, timestamp_ms: int) -> None:
        """Append a record, published at `timestamp_ms` (Unix)."""
        self._bodies.append(encode(record))
        if len(self._bodies) >= self._limit + BLOCK:
            self._bodies.forget()
            self._first += BLOCK
        self.updated_ms = max(self.updated_ms, timestamp_ms)
        match record:
            case Session():
                self._know_session(record)
            case Sentiment():
                self._know_sentiment(record)
                self._speed.add(timestamp_ms, self.end_ms)
            case SessionSentiment():
                if self.meeting is None or record.window_index >= self.meeting.window_index:
                    self.meeting = record
                self.course.add(record)
                self._know_time(record)
                self._speed.add(timestamp_ms, self.end_ms)
            case Alert():
                self._know_alert(record)

    def place(self, number: int) -> str:
        """The place just after record `number`, as a client keeps it."""
        return f"{self._token}.{number}"

    def resume(self, place: str | None) -> tuple[int, bool]:
        """Where a client goes on: the next record's number, and whether nothing is missing.

        False when the place is of another log, or so old that records after it are forgotten:
        the client then has to begin anew with what is there.
        """
        token, _, number = (place or "").partition(".")
        if token != self._token or not re.fullmatch(r"\d{1,15}", number):
            return self._first, not place
        following = int(number) + 1
        if not self._first <= following <= self._first + len(self._bodies):
            return self._first, False
        return following, True

    def read(self, number: int, count: int) -> tuple[int, list[bytes]]:
        """At most `count` encoded records from `number` on; and the number that follows them.

        When `number` is forgotten it begins at the oldest: compare the numbers to notice it.
        """
        begin = max(number - self._first, 0)
        bodies = self._bodies.read(begin, count)
        return self._first + begin + len(bodies), bodies

    def summary(self) -> dict[str, Any]:
        """What a list of sessions shows of this one."""
        names = set(self.participants)
        mean, course = self.course.figures()
        if self.started is not None:
            names |= {person.participant_id for person in self.started.participants}
        return {
            "session_id": self.session_id,
            "name": name_of(self.session_id),
            "live": None if self.started is None else self.started.live,
            "ended": self.ended,
            "recorded": self.recorded,
            "started_ms": self.started_ms,
            "updated_ms": self.updated_ms,
            "end_ms": self.end_ms,
            "speed": self._speed.value(),
            "participants": sorted(names),
            "names": {} if self.started is None else self.started.names,
            **relations(() if self.started is None else self.started.participants),
            "valence": None if self.meeting is None else self.meeting.valence,
            "label": None if self.meeting is None else self.meeting.label,
            "polarity": None if self.meeting is None else self.meeting.polarity,
            "divided": self.meeting is not None and self.meeting.divided,
            "mean": mean,
            "course": course,
            "alerts": len(self.raised),
            "recorded_times": None if self.started is None else self.started.recorded_times,
        }

    def begins_ms(self) -> dict[str, int]:
        """Session time at which each participant's recordings begin, milliseconds."""
        people = () if self.started is None else self.started.participants
        return {person.participant_id: person.begin_ms for person in people}

    def latencies(self) -> dict[str, dict[str, float]]:
        """Median and 95th percentile of each stage's latency, milliseconds, of the newest."""
        return {
            stage: {
                "median": statistics.median(values),
                "p95": sorted(values)[round(0.95 * (len(values) - 1))],
            }
            for stage, values in self._latencies.items()
        }

    def conversation(self) -> dict[str, Any]:
        """Who spoke how long, as `streamer.conversation` defines it."""
        if self._conversation is None:
            times = self.started.recorded_times if self.started and self.recorded else None
            spoken = self._speech.conversation(gaps(times, self.end_ms))
            self._conversation = msgspec.to_builtins(spoken)
        return self._conversation

    def _know_session(self, session: Session) -> None:
        self.started = merged(self.started, session)
        self.started_ms = round(session.started_at.timestamp() * 1000)
        self.ended = self.started.state == "ended"

    def _know_sentiment(self, sentiment: Sentiment) -> None:
        known = self.participants.get(sentiment.participant_id)
        if known is None or sentiment.window_index >= known.window_index:
            self.participants[sentiment.participant_id] = sentiment
        self._speech.add(sentiment)
        self._conversation = None
        spent_ms = {} if sentiment.revision else sentiment.latency_ms  # revisions wait for words
        for stage, value in spent_ms.items():
            self._latencies.setdefault(stage, deque(maxlen=LATENCIES)).append(value)
        self._know_time(sentiment)

    def _know_time(self, record: Sentiment | SessionSentiment) -> None:
        self.end_ms = max(self.end_ms, record.end_ms)
        if self.started_ms is None:
            self.started_ms = round(record.event_time.timestamp() * 1000) - record.end_ms

    def _know_alert(self, alert: Alert) -> None:
        key = alert.participant_id, alert.kind, alert.rule
        self.raised.pop(key, None)
        if alert.state == "raised":
            self.raised[key] = alert


def encode(record: Shown) -> bytes:
    """A record as one line of JSON: which `topic` it is from, and its fields less OMITTED."""
    plain = msgspec.to_builtins(record)
    fields = {name: value for name, value in plain.items() if name not in OMITTED}
    return msgspec.json.encode({"topic": topic_of(record).kind, **fields})


class Feed:
    """The sessions' logs and the broker's state, shared by all that read them.

    One event loop; nothing here blocks. A reader never holds a writer up: each has its own place
    in the logs, and one that is slower than the log is long begins anew.

    Attributes:
        broker: the address, for people to read.
        version: grows with every change.
        lags: per topic, messages published and not yet read.
        stages: `capture` with its `windows_per_s`, the others with how much is `waiting` and how
            many `workers` there are, None where the broker does not list them.
    """

    def __init__(
        self,
        broker: str,
        notices: Notices = notices.PROCESS,
        stage: metrics.Metrics = metrics.PROCESS,
    ) -> None:
        """Empty, `connecting`; notices and problems are those of this process's stage."""
        self._notices = notices
        self._stage = stage
        self.broker = broker
        self.version = 0
        self.lags: dict[str, int] = {}
        self.stages: dict[str, dict[str, float | None]] = {}
        self.sessions: dict[str, SessionLog] = {}
        self._past: dict[str, dict[str, Any]] = {}
        self._newest: dict[str, str | None] = {}
        self._state: BrokerState = "connecting"
        self._since_ms = _now_ms()
        self._duplicates = Duplicates(REMEMBERED)
        self._news = asyncio.Event()

    @property
    def news(self) -> asyncio.Event:
        """Set at the next change. Take it before looking, then wait for it."""
        return self._news

    @property
    def state(self) -> BrokerState:
        """Whether the broker answers; `none` where only recordings are shown."""
        return self._state

    @state.setter
    def state(self, state: BrokerState) -> None:
        if state != self._state:
            self._state, self._since_ms = state, _now_ms()
            self._tell()

    @property
    def past(self) -> Mapping[str, Mapping[str, Any]]:
        """Summaries of the recorded sessions, newest first."""
        return self._past

    @past.setter
    def past(self, summaries: Iterable[dict[str, Any]]) -> None:
        past = {summary["session_id"]: summary | {"recorded": True} for summary in summaries}
        if past != self._past:
            self._past = past
            self._newest.clear()
            self._tell()

    def add(self, record: Shown, timestamp_ms: int) -> None:
        """Take in one published record; one that is known already changes nothing."""
        topic = topic_of(record)
        identity, revision = topic.identity(record)
        if not self._duplicates.is_new(f"{topic.kind} {identity}", revision):
            return
        if record.session_id not in self.sessions:
            self._newest.clear()
        session = self.sessions.pop(record.session_id, None) or SessionLog(record.session_id)
        session.add(record, timestamp_ms)
        self.sessions[record.session_id] = session
        self._forget()
        self._tell()

    def find(self, selector: str) -> str | None:
        """Return the id of the newest session that a selector means; None while there is none."""
        if selector not in self._newest:
            if len(self._newest) >= MAX_SESSIONS:
                self._newest.clear()
            self._newest[selector] = newest(selector, (*self.sessions, *self._past))
        return self._newest[selector]

    def status(self, selector: str | None) -> dict[str, Any]:
        """The broker, the stages, and the session asked for; without one all, newest first."""
        session_id = None if selector is None else self.find(selector)
        watched = self.sessions.get(session_id or "")
        names = [
            *reversed(self.sessions),
            *(name for name in self._past if name not in self.sessions),
        ]
        if selector is not None:
            names = [] if session_id is None else [session_id]
        sessions = [
            self.sessions[name].summary() if name in self.sessions else self._past[name]
            for name in names[:MAX_LISTED]
        ]
        return {
            "now_ms": _now_ms(),
            "broker": {"address": self.broker, "state": self._state, "since_ms": self._since_ms},
            "stages": self.stages,
            "lag": sum(self.lags.values()),
            "sessions": sessions,
            "trends": [] if selector is not None else _trends(sessions),
            "problems": self._stage.problems(),
            "notices": self._notices.newest(),
            "latency_ms": {} if watched is None else watched.latencies(),
            "conversation": None if watched is None else watched.conversation(),
        }

    def _forget(self) -> None:
        while len(self.sessions) > 1 and (
            len(self.sessions) > MAX_SESSIONS
            or sum(map(len, self.sessions.values())) > MAX_RECORDS_IN_ALL
        ):
            del self.sessions[next(iter(self.sessions))]
            self._newest.clear()

    def _tell(self) -> None:
        self.version += 1
        changed, self._news = self._news, asyncio.Event()
        changed.set()


async def follow(config: Config, feed: Feed) -> None:
    """Read the topics into `feed` until cancelled; a broker that is away is waited for.

    Records that their session does not allow to be shown are left out.

    Raises:
        ConfigError: the settings of the connection are wrong.
    """
    async with SessionPolicies(config) as policies:
        readers = (_read(config, topic, policies, feed) for topic in SHOWN)
        await asyncio.gather(*readers, _watch(config, feed))


async def _watch(config: Config, feed: Feed) -> None:
    """Update `feed.stages`; the readers notice the broker's state."""
    published: deque[tuple[float, int]] = deque()
    while True:
        with contextlib.suppress(BrokerError):
            async with Backlog(config) as backlog:
                while True:
                    feed.stages = stages(await backlog.read(), published, time.monotonic())
                    await asyncio.sleep(STAGES_S)
        feed.stages = {}
        published.clear()
        await asyncio.sleep(RETRY_S)


def stages(
    work: Mapping[str, Work], published: deque[tuple[float, int]], now_s: float
) -> dict[str, dict[str, float | None]]:
    """Return the status of each stage; `published` holds the windows of RATE_S."""
    status: dict[str, dict[str, float | None]] = {
        stage: {"waiting": backlog.waiting, "workers": backlog.workers}
        for stage, backlog in work.items()
    }
    if "inference" not in work:
        return status
    published.append((now_s, work["inference"].published))
    while now_s - published[0][0] > RATE_S:
        published.popleft()
    (from_s, before), (to_s, after) = published[0], published[-1]
    rate = max(after - before, 0) / (to_s - from_s) if to_s > from_s else 0.0
    status["capture"] = {"windows_per_s": rate}
    return status


async def _read(config: Config, topic: Topic[Any], policies: Policies, feed: Feed) -> None:
    start: datetime | Literal["earliest"] = datetime.now(UTC) - LOOK_BACK
    while True:
        try:
            async with Consumer[Any](config, topic, start=start) as reader:
                feed.state = "up"
                await _pass_on(reader, topic.kind, config.kafka.broker, policies, feed)
        except BrokerError as error:
            if feed.state != "down":
                log.warning("The page waits for the broker: %s", error)
            feed.state = "down"
        await asyncio.sleep(RETRY_S)


async def _pass_on(
    reader: Consumer[Any], kind: str, broker: str, policies: Policies, feed: Feed
) -> None:
    answered_s = time.monotonic()
    while True:
        received = await reader.batch(BATCH_RECORDS, BATCH_WAIT_MS)
        for message in received:
            if not refusal(await policies.policy(message.record.session_id), message.record):
                feed.add(message.record, message.timestamp_ms)
        if received:
            answered_s = time.monotonic()
            feed.state = "up"
            await reader.commit()
        elif time.monotonic() - answered_s > PROBE_S:
            answered_s = time.monotonic()
            feed.state = "up" if await asyncio.to_thread(answers, broker) else "down"
        feed.lags[kind] = reader.lag()


def _trends(sessions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The meetings of one name that are over: how their mean changes."""
    over = [each for each in sessions if each.get("ended") and each.get("mean") is not None]
    over.sort(key=lambda each: each["started_ms"] or 0)
    found = trends((each["name"], each["mean"]) for each in over)
    return [msgspec.to_builtins(each) for each in found]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def join(bodies: Sequence[bytes]) -> bytes:
    """Encoded records as one JSON array."""
    return b"[" + b",".join(bodies) + b"]"
