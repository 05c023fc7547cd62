"""A recorded session as one HTML page that needs nothing else: no script, no network.

What enters: a `Recording`. What leaves: text. Pure. Every name and word is escaped, and a content
security policy forbids the page to load or run anything.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from html import escape

from streamer.alert_entries import alert_entries, alert_text
from streamer.clock import clock, date_and_time
from streamer.conversation import silence_text
from streamer.recording.figures import mean_valence
from streamer.recording.recorded import Recording
from streamer.recording.transcript import transcript
from streamer.records import Alert, IdentifiedBy, Sentiment, SessionSentiment
from streamer.shown_names import shown

__all__ = ["html", "moments"]

MOMENTS = 5
APART_MS = 15_000
"""Least time between two shown moments of one person."""
POINTS = 1200
"""A line has at most so many points; more are averaged."""
RAW_POINTS = 600
KNOWN_BY: Mapping[IdentifiedBy, str] = {
    "source": "a source of their own",
    "transcript": "the transcript",
    "channel": "the channel",
    "diarization": "the voice",
}
WIDTH, HEIGHT, LEFT, TOP = 1000, 150, 64, 12

_STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#59636e;--line:#d1d9e0;--paper:#fff;
--pos:#0072b2;--neg:#c4500a;--mid:#6e7781}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9aa4ae;--line:#3d444d;
--paper:#0d1117;--pos:#56b4e9;--neg:#f28e4b;--mid:#9aa4ae}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:0 auto;
max-width:64rem;padding:1.5rem}
h1{margin:0 0 .25rem}h2{margin:2rem 0 .5rem}p.soft,figcaption{color:var(--soft)}
table{border-collapse:collapse;width:100%}.wide{overflow-x:auto}
th,td{text-align:left;padding:.3rem .6rem .3rem 0;border-bottom:1px solid var(--line);
vertical-align:top}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;
white-space:nowrap}
figure{margin:1rem 0}svg{width:100%;height:auto;display:block}
svg text{font:13px system-ui,sans-serif;fill:var(--soft)}
.axis{stroke:var(--line);stroke-width:1}.zero{stroke:var(--mid);stroke-width:1}
.band{fill:var(--pos);opacity:.18}.smooth{fill:none;stroke:var(--pos);stroke-width:2;
stroke-linejoin:round}.raw{fill:var(--mid);opacity:.55}.alarm{stroke:var(--neg);stroke-width:2;
stroke-dasharray:4 3}.cleared{stroke:var(--mid);stroke-width:1;stroke-dasharray:2 4}
.positive{color:var(--pos)}.negative{color:var(--neg)}
@media(max-width:40rem){svg text{font-size:24px}}
@media print{body{max-width:none}}
"""


def html(recording: Recording) -> str:
    """The report: facts, timelines, participants, talk times, moments, alerts and words."""
    name = escape(recording.summary.name)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{name} · sentiment</title><style>{_STYLE}</style></head><body>",
        f"<header><h1>{name}</h1>{_facts(recording)}</header><main>",
        "<h2>Timeline</h2>",
        "".join(_timelines(recording)),
        "<h2>Participants</h2>",
        _participants(recording),
        "<h2>Who spoke</h2>",
        _talk(recording),
        "<h2>Most positive moments</h2>",
        _moments(recording, best=True),
        "<h2>Most negative moments</h2>",
        _moments(recording, best=False),
        "<h2>Alerts</h2>",
        _alerts(recording),
        "<h2>Transcript</h2>",
        _transcript(recording),
        "</main><footer><p class=soft>Valence runs from -3 (negative) to 3 (positive): a model's "
        "guess at the sentiment expressed, not knowledge of what anybody felt.</p></footer>",
        "</body></html>\n",
    ]
    return "\n".join(parts)


def moments(sentiments: Iterable[Sentiment], *, best: bool) -> list[Sentiment]:
    """The MOMENTS highest (or lowest) values with words, a person's own APART_MS apart.

    The highest are above zero, the lowest below: a session without a negative moment has none.
    """
    sign = 1.0 if best else -1.0
    spoken = [s for s in sentiments if s.valence is not None and s.text and s.valence * sign > 0]
    chosen: list[Sentiment] = []
    for sentiment in sorted(
        spoken, key=lambda s: (-sign * (s.valence or 0.0), s.end_ms, s.window_id)
    ):
        if all(
            other.participant_id != sentiment.participant_id
            or abs(other.end_ms - sentiment.end_ms) >= APART_MS
            for other in chosen
        ):
            chosen.append(sentiment)
        if len(chosen) == MOMENTS:
            break
    return chosen


# --- parts of the page --------------------------------------------------------------------------


def _facts(recording: Recording) -> str:
    about = recording.summary
    facts = [] if about.session_id == about.name else [escape(about.session_id)]
    if about.started_at is not None:
        facts.append(f"started {date_and_time(about.started_at, UTC, seconds=True)}")
    facts.append(f"{clock(about.duration_ms)} long")
    facts.append(f"{len(recording.participants)} participants")
    if about.live is not None:
        facts.append("live" if about.live else "replayed from a recording")
    if about.models:
        facts.append(f"model {escape(', '.join(about.models))}")
    if about.asr:
        facts.append(f"words from {escape(about.asr)}")
    if about.consent:
        facts.append(f"consent: {escape(about.consent)}")
    unfinished = "" if about.complete else " The recording is not complete."
    return f"<p class=soft>{' · '.join(facts)}.{unfinished}</p>"


def _timelines(recording: Recording) -> Iterable[str]:
    span_ms = max(recording.summary.duration_ms, 1)
    if recording.session_sentiments:
        yield _figure("everybody", recording.session_sentiments, span_ms, _marks(recording, None))
    for name in recording.participants:
        called, own = shown(recording.names, name), recording.of(name)
        yield _figure(called, own, span_ms, _marks(recording, name))
    if not recording.sentiments and not recording.session_sentiments:
        yield "<p class=soft>Nothing was recorded.</p>"


def _marks(recording: Recording, participant: str | None) -> list[tuple[Alert, str]]:
    """Return a participant's alerts, each with its sentence."""
    own = [alert for alert in recording.alerts if alert.participant_id == participant]
    return [(alert, alert_text(alert, recording.names)) for alert in own]


def _figure(
    name: str,
    points: Sequence[Sentiment] | Sequence[SessionSentiment],
    span_ms: int,
    alerts: Sequence[tuple[Alert, str]],
) -> str:
    def x(time_ms: float) -> float:
        return LEFT + time_ms / span_ms * (WIDTH - LEFT - 8)

    def y(valence: float) -> float:
        return TOP + (3 - max(-3.0, min(3.0, valence))) / 6 * HEIGHT

    bottom = TOP + HEIGHT
    average = mean_valence(points)
    mean = "no evidence" if average is None else f"mean {average:+z.2f}"
    meeting = [point for point in points if isinstance(point, SessionSentiment)]
    if any(point.divided for point in meeting):
        known = sum(point.valence is not None for point in meeting)
        mean += f", divided {sum(point.divided for point in meeting) / known:.0%} of the time"
    drawn = [
        f'<svg viewBox="0 0 {WIDTH} {bottom + 24}" role="img" '
        f'aria-label="Valence of {escape(name)} over time, {mean}">'
    ]
    for level in (-3, 0, 3):
        style = "zero" if level == 0 else "axis"
        drawn.append(f'<path class="{style}" d="M{LEFT} {y(level):.1f}H{WIDTH - 8}"/>')
        drawn.append(
            f'<text x="{LEFT - 8}" y="{y(level) + 4:.1f}" text-anchor="end">{level}</text>'
        )
    for tick_ms in _ticks(span_ms):
        drawn.append(f'<text x="{x(tick_ms):.1f}" y="{bottom + 18}">{clock(tick_ms)}</text>')
    for run in _runs(points):
        upper = [f"{x(t):.1f} {y(v + u):.1f}" for t, v, u in run]
        lower = [f"{x(t):.1f} {y(v - u):.1f}" for t, v, u in reversed(run)]
        drawn.append(f'<path class="band" d="M{"L".join(upper + lower)}Z"/>')
        line = "L".join(f"{x(t):.1f} {y(v):.1f}" for t, v, _ in run)
        drawn.append(f'<path class="smooth" d="M{line}h.1"/>')
    raw = [(p.end_ms, p.valence_raw) for p in points if isinstance(p, Sentiment)]
    if len(raw) <= RAW_POINTS:
        drawn += [
            f'<circle class="raw" cx="{x(time):.1f}" cy="{y(value):.1f}" r="2"/>'
            for time, value in raw
            if value is not None
        ]
    for alert, text in alerts:
        style = "alarm" if alert.state == "raised" else "cleared"
        drawn.append(
            f'<path class="{style}" d="M{x(alert.end_ms):.1f} {TOP}V{bottom}">'
            f"<title>{escape(text)}</title></path>"
        )
    return f"<figure><figcaption>{escape(name)}, {mean}</figcaption>{''.join(drawn)}</svg></figure>"


def _runs(
    points: Sequence[Sentiment] | Sequence[SessionSentiment],
) -> list[list[tuple[float, float, float]]]:
    """Time, valence and uncertainty, parted where there is no evidence, thinned to POINTS."""
    runs: list[list[tuple[float, float, float]]] = [[]]
    for point in points:
        if point.valence is None:
            runs.append([])
        else:
            runs[-1].append((point.end_ms, point.valence, point.uncertainty or 0.0))
    step = math.ceil(len(points) / POINTS) or 1
    return [_thinned(run, step) for run in runs if run]


def _thinned(run: list[tuple[float, float, float]], step: int) -> list[tuple[float, float, float]]:
    if step == 1:
        return run
    groups = [run[at : at + step] for at in range(0, len(run), step)]
    return [
        (
            statistics.fmean(point[0] for point in group),
            statistics.fmean(point[1] for point in group),
            statistics.fmean(point[2] for point in group),
        )
        for group in groups
    ]


def _ticks(span_ms: int) -> list[int]:
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
    step_ms = next((1000 * s for s in steps if span_ms / (1000 * s) <= 10), 1000 * 86400)
    return list(range(0, span_ms - step_ms // 4, step_ms))


def _participants(recording: Recording) -> str:
    head = ("who", "known by", "windows", "with evidence", "mean", "spread", "lowest", "highest")
    shares = ("negative", "neutral", "positive")
    rows = []
    for name in recording.participants:
        own = recording.of(name)
        known = [sentiment.valence for sentiment in own if sentiment.valence is not None]
        cells = [str(len(own)), f"{len(known) / len(own):.0%}"]
        if known:
            figures = (statistics.fmean(known), statistics.pstdev(known), min(known), max(known))
            cells += [f"{figures[0]:+z.2f}", f"{figures[1]:.2f}"]
            cells += [f"{value:+z.2f}" for value in figures[2:]]
            cells += [
                f"{sum(o.polarity == share for o in own) / len(known):.0%}" for share in shares
            ]
        else:
            cells += [""] * 7
        rows.append([escape(shown(recording.names, name)), _identity(own), *cells])
    return _table((*head, *shares), rows, numbers_from=2)


def _identity(sentiments: Sequence[Sentiment]) -> str:
    """How a participant of at least one record is known, and how sure that is on average."""
    sure = [s.identity_confidence for s in sentiments if s.identity_confidence is not None]
    known_by = KNOWN_BY[sentiments[-1].identified_by]
    return f"{known_by}, {statistics.fmean(sure):.0%} sure" if sure else known_by


def _moments(recording: Recording, *, best: bool) -> str:
    chosen = moments(recording.sentiments, best=best)
    if not chosen:
        return "<p class=soft>None.</p>"
    style = "positive" if best else "negative"
    rows = [
        [
            clock(sentiment.end_ms),
            f"<b class={style}>{sentiment.valence:+z.2f}</b>",
            escape(shown(recording.names, sentiment.participant_id)),
            f"“{escape(sentiment.text)}”",
        ]
        for sentiment in chosen
    ]
    return _table(("time", "valence", "who", "words"), rows)


def _alerts(recording: Recording) -> str:
    entries = alert_entries(recording.alerts, recording.names)
    if not entries:
        return "<p class=soft>None.</p>"
    rows = [
        [
            clock(entry.begin_ms),
            "" if entry.end_ms is None else clock(entry.end_ms),
            escape(entry.text),
        ]
        for entry in entries
    ]
    return _table(("from", "to", "what"), rows)


def _talk(recording: Recording) -> str:
    conversation = recording.conversation
    if not conversation.participants:
        return "<p class=soft>The records do not tell when somebody speaks.</p>"
    head = (
        *("who", "talk time", "share", "turns", "longest turn"),
        *("interruptions", "longest silence"),
    )
    rows = [
        [
            escape(shown(recording.names, talk.participant_id)),
            clock(talk.talk_ms),
            "" if talk.share is None else f"{talk.share:.0%}",
            str(talk.turns),
            clock(talk.longest_turn_ms),
            str(talk.interruptions),
            clock(talk.longest_silence_ms),
        ]
        for talk in conversation.participants
    ]
    return _table(head, rows, numbers_from=1) + f"<p class=soft>{silence_text(conversation)}</p>"


def _transcript(recording: Recording) -> str:
    lines = transcript(recording.sentiments)
    if not lines:
        return "<p class=soft>The records contain no words with times.</p>"
    rows = [
        [
            clock(line.start_ms),
            escape(shown(recording.names, line.participant_id)),
            f"<span class={line.polarity or 'none'}>{escape(line.text)}</span>",
        ]
        for line in lines
    ]
    return _table(("time", "who", "words"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers_from: int = 99) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=n' if at >= numbers_from else ''}>{cell}</{tag}>"
            for at, cell in enumerate(cells)
        )

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return (
        f"<div class=wide><table><thead><tr>{line(head, 'th')}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )
