"""The live table and the summary in a terminal (Rich): Sentiment in, text out.

Knows no Kafka and no clock but the records' own event time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import NamedTuple

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.text import Text

from streamer.alert_entries import Entry, alert_entries, alert_text
from streamer.cli.tables import NewestWords, add_names, add_numbers, new_table, newest_words
from streamer.clock import clock
from streamer.conversation import Conversation, SpeechTimes, silence_text
from streamer.counted import counted, percent
from streamer.plain_text import printable
from streamer.records import Alert, Sentiment, Session, SessionSentiment
from streamer.session_ids import name_of
from streamer.shown_names import merged, relation, shown
from streamer.unsure import RecentWords

COLOURS = {"negative": "red", "neutral": "yellow", "positive": "green", None: "bright_black"}
BAR_CELLS = 9
WORDS_CELLS = 19
LIVE_NAME_CELLS = 16
FROM = (("audio", "A"), ("text", "T"), ("vision", "V"))
ALERTS_SHOWN = 4


class _Moment(NamedTuple):
    """A window with evidence, as the summary shows it."""

    valence: float
    end_ms: int
    words: str


@dataclass
class _Row:
    """What the summary needs of one participant, without keeping its records.

    Attributes:
        last: the record of the newest window.
        moments: by window, its highest revision and what that says; None without evidence.
        words: what hides the profanity of which the recogniser is unsure.
    """

    last: Sentiment
    moments: dict[int, tuple[int, _Moment | None]] = field(default_factory=dict)
    words: RecentWords = field(default_factory=RecentWords)

    def add(self, sentiment: Sentiment) -> None:
        """Take in a record; a lower revision of a window changes nothing."""
        index, revision, valence = sentiment.window_index, sentiment.revision, sentiment.valence
        if revision < self.moments.get(index, (0, None))[0]:
            return
        self.words.add(sentiment)
        words = newest_words(self.words_of(sentiment), WORDS_CELLS)
        moment = None if valence is None else _Moment(valence, sentiment.end_ms, words)
        self.moments[index] = revision, moment
        if index >= self.last.window_index:
            self.last = sentiment

    def words_of(self, sentiment: Sentiment) -> str:
        """The words of a window as people read them."""
        return printable(self.words.text_of(sentiment))

    def scored(self) -> list[_Moment]:
        """The windows with evidence."""
        return [moment for _, moment in self.moments.values() if moment is not None]


@dataclass
class Board:
    """Everything live_table, built up record by record.

    `length_s` is how long the session is; None for what is live.
    """

    title: str
    length_s: float | None = None
    rows: dict[str, _Row] = field(default_factory=dict)
    session: SessionSentiment | None = None
    alerts: list[Alert] = field(default_factory=list)
    speech: SpeechTimes = field(default_factory=SpeechTimes)
    meeting: dict[int, tuple[int, float | None]] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    _latest: Text = field(default_factory=Text)

    def add(self, record: Sentiment | SessionSentiment | Alert | Session) -> None:
        """Take in one published record."""
        if isinstance(record, Session):
            session_id = record.session_id
            self.sessions[session_id] = merged(self.sessions.get(session_id), record)
            named = [f"{who} is shown as {name}" for who, name in record.names.items()]
            self._latest = Text(printable("; ".join([*named, *self._relations(record)])))
        elif isinstance(record, Sentiment):
            row = self.rows.setdefault(record.participant_id, _Row(record))
            row.add(record)
            self.speech.add(record)
            who = Text(self._who(record.participant_id))
            words = Text(newest_words(row.words_of(record), WORDS_CELLS))
            self._latest = Text("  ").join([who, *self._now(record), words])
        elif isinstance(record, SessionSentiment):
            if self.session is None or record.window_index >= self.session.window_index:
                self.session = record
            self._note_meeting(record)
            self._latest = self._session_line(record)
        else:
            self.alerts.append(record)
            style = "bold red" if record.state == "raised" else ""
            text = printable(alert_text(record, self.names))
            self._latest = Text(f"{clock(record.end_ms)}  {text}", style=style)

    @property
    def names(self) -> dict[str, str]:
        """The names that people see, by participant."""
        return {who: name for each in self.sessions.values() for who, name in each.names.items()}

    def _relations(self, session: Session) -> Iterator[str]:
        """Who turned out to be whom, in words."""
        for person in session.participants:
            if text := relation(person, self.names):
                yield f"{person.participant_id} {text}"

    def _who(self, participant_id: str) -> str:
        return printable(shown(self.names, participant_id))

    def _note_meeting(self, record: SessionSentiment) -> None:
        """Keep the newest revision of each window's valence, for the mean."""
        if record.revision >= self.meeting.get(record.window_index, (0, None))[0]:
            self.meeting[record.window_index] = record.revision, record.valence

    def latest_line(self) -> Text:
        """The newest record as one line, for output that is not a terminal; empty for nothing."""
        return self._latest

    def live(self) -> RenderableType:
        """The table of now."""
        table = new_table(self.title, gap=1, expand=True)
        add_names(table, "who", LIVE_NAME_CELLS)
        for heading in ("time", "valence", "label", "/min", "from"):
            table.add_column(heading, no_wrap=True)
        table.add_column("words", ratio=1)
        for name, row in sorted(self.rows.items()):
            words = NewestWords(row.words_of(row.last))
            table.add_row(Text(self._who(name)), *self._now(row.last), words)
        parts: list[RenderableType] = [table, ""]
        if self.session is not None:
            parts.append(self._session_line(self.session))
        if self.length_s:
            parts.append(self._progress(self.length_s))
        entries = alert_entries(self.alerts, self.names)
        parts += [_alert_line(entry) for entry in entries[-ALERTS_SHOWN:]]
        return Group(*parts)

    def summary(self) -> RenderableType:
        """What happened, per participant, once it is over."""
        table = new_table("Summary")
        add_names(table, "who")
        add_numbers(table, "windows", "evidence", "mean")
        for heading in ("lowest", "highest"):
            table.add_column(heading, overflow="fold")
        for name, row in sorted(self.rows.items()):
            scored = row.scored()
            mean = f"{fmean(each.valence for each in scored):+z.2f}" if scored else "no evidence"
            table.add_row(
                Text(self._who(name)),
                str(len(row.moments)),
                str(len(scored)),
                mean,
                _moment(min(scored, key=lambda each: each.valence, default=None)),
                _moment(max(scored, key=lambda each: each.valence, default=None)),
            )
        known = [valence for _, valence in self.meeting.values() if valence is not None]
        if known:
            counts = str(len(self.meeting)), str(len(known))
            table.add_row("the meeting", *counts, f"{fmean(known):+z.2f}")
        parts: list[RenderableType] = [table]
        conversation = self.speech.conversation()
        if conversation.participants:
            parts += ["", talk_table(conversation, self.names)]
        if entries := alert_entries(self.alerts, self.names):
            parts += ["", Panel(Group(*map(_alert_line, entries)), title="Alerts")]
        return Group(*parts)

    def _progress(self, length_s: float) -> RenderableType:
        """How much of the session has been published of everybody: a bar and minutes."""
        ends_s = [
            length_s if row.last.final else row.last.end_ms / 1000 for row in self.rows.values()
        ]
        if not ends_s and self.session is not None:
            ends_s = [self.session.end_ms / 1000]
        done_s = min([length_s, *ends_s]) if ends_s else 0.0
        bar = ProgressBar(total=length_s, completed=done_s, width=40)
        clocks = f" {clock(round(done_s * 1000))} of {clock(round(length_s * 1000))}"
        return Columns([bar, Text(clocks)])

    def _now(self, sentiment: Sentiment) -> Iterable[Text]:
        colour = COLOURS[sentiment.polarity]
        yield Text(clock(sentiment.end_ms))
        yield valence_bar(sentiment.valence)
        yield Text(printable(sentiment.label or "no evidence"), style=colour)
        trend = sentiment.trend_per_min
        yield Text("" if trend is None else f"{trend:+z.1f}")
        yield Text("".join(letter if name in sentiment.evidence else "·" for name, letter in FROM))

    def _session_line(self, session: SessionSentiment) -> Text:
        value = "" if session.valence is None else f"{session.valence:+z.2f} "
        spread = "" if session.spread is None else f", spread {session.spread:.2f}"
        people = f" over {counted(session.participants, 'participant')}{spread}"
        return Text(f"meeting  {value}{session.mood}{people if session.participants else ''}")


@dataclass
class Boards:
    """The tables of sessions that run together, by the session's id."""

    of: dict[str, Board]
    _latest: str = ""

    def add(self, record: Sentiment | SessionSentiment | Alert | Session) -> None:
        """Take in one published record of one of the sessions."""
        self._latest = record.session_id
        self.of[record.session_id].add(record)

    def latest_line(self) -> Text:
        """The newest record as one line, behind its session's name where there are several."""
        if not self._latest:
            return Text()
        line = self.of[self._latest].latest_line()
        if len(self.of) == 1 or not line:
            return line
        return Text("  ").join([Text(printable(name_of(self._latest))), line])

    def live(self) -> RenderableType:
        """The tables of now."""
        return Group(*(board.live() for board in self.of.values()))

    def summary(self) -> RenderableType:
        """What happened in each session, once it is over."""
        if len(self.of) == 1:
            return Group(*(board.summary() for board in self.of.values()))
        return Group(
            *(part for board in self.of.values() for part in (Text(board.title), board.summary()))
        )


def _alert_line(entry: Entry) -> Text:
    style = "bold red" if entry.end_ms is None else ""
    return Text(f"{clock(entry.begin_ms)}  {printable(entry.text)}", style=style)


def talk_table(conversation: Conversation, names: Mapping[str, str]) -> RenderableType:
    """Who spoke how long; what a turn and an interruption is stands in docs/records.md."""
    if not any(talk.talk_ms for talk in conversation.participants):
        return Text(silence_text(conversation))
    table = new_table("Who spoke", caption=silence_text(conversation), caption_justify="left")
    add_names(table, "who")
    add_numbers(table, "talk\ntime", "share", "turns", "longest", "interrupts", "silent\nfor")
    for talk in conversation.participants:
        table.add_row(
            Text(printable(shown(names, talk.participant_id))),
            clock(talk.talk_ms),
            "" if talk.share is None else percent(talk.share),
            str(talk.turns),
            clock(talk.longest_turn_ms),
            str(talk.interruptions),
            clock(talk.longest_silence_ms),
        )
    return table


def valence_bar(valence: float | None) -> Text:
    """A bar from -3 to 3 with the value beside it; empty without evidence."""
    if valence is None:
        return Text("·" * BAR_CELLS + "      ")
    place = round((valence + 3) / 6 * (BAR_CELLS - 1))
    middle = (BAR_CELLS - 1) // 2
    low, high = min(place, middle), max(place, middle)
    cells = "".join("█" if low <= i <= high else "·" for i in range(BAR_CELLS))
    colour = "green" if valence >= 0.5 else "red" if valence < -0.5 else "yellow"
    return Text(f"{cells} {valence:+z.2f}", style=colour)


def _moment(moment: _Moment | None) -> Text:
    if moment is None:
        return Text("-")
    return Text(f"{moment.valence:+z.2f} at {clock(moment.end_ms)} {moment.words}")
