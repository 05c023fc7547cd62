"""A recorded session as one HTML page that needs nothing else: no script, no network.

What enters: a `Recording`. What leaves: text. Pure. Every name and word is escaped, and a content
security policy forbids the page to load or run anything.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, tzinfo
from html import escape

from streamer.alert_entries import Entry, alert_entries, alert_text
from streamer.clock import clock, date_and_time
from streamer.conversation import silence_text
from streamer.counted import counted, percent
from streamer.recorded_times import in_words, is_whole
from streamer.recording.figures import divided_share, mean_valence, moments, thirds
from streamer.recording.outline import outline
from streamer.recording.recorded import Recording
from streamer.recording.transcript import quote, transcript
from streamer.records import Alert, IdentifiedBy, Sentiment, SessionSentiment
from streamer.shown_names import relation, shown
from streamer.spans import Span
from streamer.unsure import Part

__all__ = ["html", "moments"]

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
POLAR = 0.5
"""From here on valence is positive, below its opposite negative."""
UNBROKEN = 20
"""Most characters of a name that stands in one line."""
LEGEND = (
    "Line: smoothed valence, from -3 to 3. Band: its uncertainty. Dots: each window by itself. "
    "Dashed line: an alert begins; dotted: it ends. Tinted: positive above, negative below."
)
UNTOLD = " Grey: not recorded."

_STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#59636e;--line:#d1d9e0;--paper:#fff;
--pos:#0072b2;--neg:#c4500a;--mid:#6e7781}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9aa4ae;--line:#3d444d;
--paper:#0d1117;--pos:#56b4e9;--neg:#f28e4b;--mid:#9aa4ae}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:0 auto;
max-width:64rem;padding:1.5rem}
h1{margin:0 0 .25rem}h2{margin:2rem 0 .5rem}.soft,figcaption{color:var(--soft)}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.3rem .6rem .3rem 0;border-bottom:1px solid var(--line);
vertical-align:top}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;
white-space:nowrap}
figure{margin:1rem 0}svg{width:100%;height:auto;display:block;overflow:visible}
svg text{font:13px system-ui,sans-serif;fill:var(--soft)}
.up{fill:var(--pos);opacity:.08}.down{fill:var(--neg);opacity:.09}
.untold{fill:var(--mid);opacity:.25}.axis{stroke:var(--line);stroke-width:1}.zero{stroke:var(--mid);stroke-width:1}
.band{fill:var(--pos);opacity:.18}.smooth{fill:none;stroke:var(--pos);stroke-width:2;
stroke-linejoin:round}.raw{fill:var(--mid);opacity:.55}.alarm{stroke:var(--neg);stroke-width:2;
stroke-dasharray:4 3}.cleared{stroke:var(--mid);stroke-width:1;stroke-dasharray:2 4}
.positive{color:var(--pos)}.negative{color:var(--neg)}.unsure{color:var(--soft)}.who{white-space:nowrap}
p.outline{font-size:1.1rem;margin:.75rem 0}.pair{display:grid;gap:0 2rem;
grid-template-columns:repeat(auto-fit,minmax(20rem,1fr))}
.words p{margin:.15rem 0;padding-left:7rem;text-indent:-7rem}.words time{display:inline-block;
text-indent:0;width:3.5rem;color:var(--soft);font-variant-numeric:tabular-nums}
@media screen and (max-width:52rem){.stack thead{position:absolute;clip-path:inset(50%)}
.stack tr{display:grid;grid-template-columns:1fr 1fr;gap:0 1.5rem;padding:.4rem 0;
border-bottom:1px solid var(--line)}
.stack td{display:flex;justify-content:space-between;padding:0;border:0}
.stack td:not(.n){grid-column:1/-1}.stack td:first-child{font-weight:600}
.stack td:not(:first-child)::before{content:attr(data-head);color:var(--soft)}}
@media screen and (max-width:40rem){body{padding:.75rem}svg text{font-size:30px}h1{font-size:1.5rem}
.smooth,.alarm{stroke-width:5}.cleared{stroke-width:3}
.pair{grid-template-columns:1fr}table{font-size:.9rem}th.n{white-space:normal}
.words p{padding-left:1rem;text-indent:-1rem}.words time{width:auto;margin-right:.5rem}}
@page{margin:12mm}
@media print{:root{color-scheme:light;--ink:#000;--soft:#444;--line:#bbb;--paper:#fff;--pos:#0072b2;
--neg:#c4500a;--mid:#6e7781}
body{max-width:none;padding:0;font-size:8.5pt;line-height:1.3}h1{font-size:15pt}
h2{font-size:10.5pt;margin:3mm 0 1mm;break-after:avoid}p.outline{font-size:9.5pt;margin:2mm 0}
th,td{padding:.2mm 2mm .2mm 0}tr,figure,.words p{break-inside:avoid}
.lines{display:grid;grid-template-columns:1fr 1fr;gap:0 4mm}figure{margin:1mm 0}
svg text{font-size:22px}.smooth,.alarm{stroke-width:4}.cleared{stroke-width:2}
.pair{grid-template-columns:1fr 1fr;break-inside:avoid}.words{columns:2;column-gap:6mm}
.words p{padding-left:18mm;text-indent:-18mm}.words time{width:8mm}}
"""


def html(recording: Recording, zone: tzinfo | None = UTC) -> str:
    """The report: outline, timelines, thirds, participants, talk times, moments, alerts, words.

    Args:
        recording: what is reported.
        zone: of the wall-clock times; None for this machine's.
    """
    name = escape(recording.summary.name)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{name} · sentiment</title><style>{_STYLE}</style></head><body>",
        f"<header><h1>{name}</h1>{_facts(recording, zone)}</header><main>",
        f"<p class=outline>{escape(outline(recording))}</p>",
        "<h2>Timeline</h2>",
        f"<div class=lines>{''.join(_timelines(recording))}</div>",
        f"<p class=soft>{LEGEND}{UNTOLD if recording.unrecorded else ''}</p>",
        "<h2>From third to third</h2>",
        _thirds(recording),
        "<h2>Participants</h2>",
        _participants(recording),
        "<h2>Who spoke</h2>",
        _talk(recording),
        "<div class=pair><section><h2>Most positive moments</h2>",
        _moments(recording, best=True),
        "</section><section><h2>Most negative moments</h2>",
        _moments(recording, best=False),
        "</section></div><h2>Alerts</h2>",
        _alerts(recording),
        "<h2>Transcript</h2>",
        _transcript(recording),
        "</main><footer><p class=soft>Valence runs from -3 (negative) to 3 (positive): a model's "
        "guess at the sentiment expressed, not knowledge of what anybody felt.</p></footer>",
        "</body></html>\n",
    ]
    return "\n".join(parts)


# --- parts of the page --------------------------------------------------------------------------


def _facts(recording: Recording, zone: tzinfo | None) -> str:
    about = recording.summary
    facts = [] if about.session_id == about.name else [escape(about.session_id)]
    if about.started_at is not None:
        facts.append(f"started {date_and_time(about.started_at, zone, seconds=True)}")
    facts.append(f"{clock(about.duration_ms)} long")
    if recording.participants:
        facts.append(counted(len(recording.participants), "participant"))
    if about.live is not None:
        facts.append("live" if about.live else "replayed from a recording")
    if about.models:
        facts.append(f"model {escape(', '.join(about.models))}")
    if about.asr:
        facts.append(f"words from {escape(about.asr)}")
    if about.consent:
        facts.append(f"consent: {escape(about.consent)}")
    if not is_whole(about.recorded_times):
        facts.append(f"recorded: {in_words(about.recorded_times or (), about.duration_ms)}")
    unfinished = "" if about.complete else " The recording is not complete."
    return f"<p class=soft>{' · '.join(facts)}.{unfinished}</p>"


def _timelines(recording: Recording) -> Iterable[str]:
    if recording.session_sentiments:
        yield _figure("everybody", recording, recording.session_sentiments, None)
    for name in recording.participants:
        yield _figure(shown(recording.names, name), recording, recording.of(name), name)
    if not recording.sentiments and not recording.session_sentiments:
        yield "<p class=soft>Nothing was recorded.</p>"


def _marks(recording: Recording, participant: str | None) -> list[tuple[Alert, str]]:
    """Return a participant's alerts, each with its sentence."""
    own = [alert for alert in recording.alerts if alert.participant_id == participant]
    return [(alert, alert_text(alert, recording.names)) for alert in own]


def _figure(
    name: str,
    recording: Recording,
    points: Sequence[Sentiment] | Sequence[SessionSentiment],
    participant: str | None,
) -> str:
    span_ms = max(recording.summary.duration_ms, 1)

    def x(time_ms: float) -> float:
        return LEFT + time_ms / span_ms * (WIDTH - LEFT - 8)

    def y(valence: float) -> float:
        return TOP + (3 - max(-3.0, min(3.0, valence))) / 6 * HEIGHT

    bottom = TOP + HEIGHT
    average = mean_valence(points)
    mean = "no evidence" if average is None else f"mean {average:+z.2f}"
    share = divided_share(point for point in points if isinstance(point, SessionSentiment))
    if share:
        mean += f", divided {percent(share)} of the time"
    drawn = [
        f'<svg viewBox="0 0 {WIDTH} {bottom + 24}" role="img" '
        f'aria-label="Valence of {escape(name)} over time, {mean}">'
    ]
    for zone, high, low in (("up", 3.0, POLAR), ("down", -POLAR, -3.0)):
        drawn.append(
            f'<path class="{zone}" d="M{LEFT} {y(high):.1f}H{WIDTH - 8}V{y(low):.1f}H{LEFT}Z"/>'
        )
    for level in (-3, 0, 3):
        style = "zero" if level == 0 else "axis"
        drawn.append(f'<path class="{style}" d="M{LEFT} {y(level):.1f}H{WIDTH - 8}"/>')
        drawn.append(
            f'<text x="{LEFT - 8}" y="{y(level) + 4:.1f}" text-anchor="end">{level}</text>'
        )
    drawn += [
        f'<path class="untold" d="M{x(low):.1f} {TOP}H{x(high):.1f}V{bottom}H{x(low):.1f}Z">'
        "<title>not recorded</title></path>"
        for low, high in recording.unrecorded
    ]
    for tick_ms in _ticks(span_ms):
        drawn.append(f'<text x="{x(tick_ms):.1f}" y="{bottom + 18}">{clock(tick_ms)}</text>')
    for run in _runs(points, recording.unrecorded):
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
    for alert, text in _marks(recording, participant):
        style = "alarm" if alert.state == "raised" else "cleared"
        drawn.append(
            f'<path class="{style}" d="M{x(alert.end_ms):.1f} {TOP}V{bottom}">'
            f"<title>{escape(text)}</title></path>"
        )
    return f"<figure><figcaption>{escape(name)}, {mean}</figcaption>{''.join(drawn)}</svg></figure>"


def _runs(
    points: Sequence[Sentiment] | Sequence[SessionSentiment], unrecorded: Sequence[Span]
) -> list[list[tuple[float, float, float]]]:
    """Time, valence and uncertainty, thinned to POINTS.

    They are parted where there is no evidence, and where nothing is recorded.
    """
    runs: list[list[tuple[float, float, float]]] = [[]]
    ahead = [low for low, _ in unrecorded]
    for point in points:
        if ahead and point.end_ms > ahead[0]:
            ahead = [low for low in ahead if low >= point.end_ms]
            runs.append([])
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


def _thirds(recording: Recording) -> str:
    """The mean of everybody and of each person in each third of the session."""
    lines: list[tuple[str, Sequence[Sentiment | SessionSentiment]]] = []
    if recording.session_sentiments:
        lines.append(("everybody", recording.session_sentiments))
    lines += [(shown(recording.names, name), recording.of(name)) for name in recording.participants]
    means = {who: thirds(records, recording.summary.duration_ms) for who, records in lines}
    if not any(mean is not None for parts in means.values() for mean in parts):
        return "<p class=soft>No window has evidence.</p>"
    rows = [
        [escape(who), *("–" if mean is None else f"{mean:+z.2f}" for mean in parts)]
        for who, parts in means.items()
    ]
    return _table(("mean of", "first third", "second third", "last third"), rows, numbers_from=1)


def _participants(recording: Recording) -> str:
    head = ("who", "known by", "windows", "with evidence", "mean", "spread", "lowest", "highest")
    shares = ("negative", "neutral", "positive")
    rows = []
    for name in recording.participants:
        own = recording.of(name)
        known = [sentiment.valence for sentiment in own if sentiment.valence is not None]
        cells = [str(len(own)), percent(len(known) / len(own))]
        if known:
            figures = (statistics.fmean(known), statistics.pstdev(known), min(known), max(known))
            cells += [f"{figures[0]:+z.2f}", f"{figures[1]:.2f}"]
            cells += [f"{value:+z.2f}" for value in figures[2:]]
            cells += [
                percent(sum(o.polarity == share for o in own) / len(known)) for share in shares
            ]
        else:
            cells += ["–"] * 7
        rows.append([_who(shown(recording.names, name)), _identity(recording, own), *cells])
    if not rows:
        return "<p class=soft>No records of single people.</p>"
    return _table((*head, *shares), rows, numbers_from=2, stacked=True)


def _identity(recording: Recording, sentiments: Sequence[Sentiment]) -> str:
    """How a participant of at least one record is known, and how sure that is on average."""
    sure = [s.identity_confidence for s in sentiments if s.identity_confidence is not None]
    known_by = KNOWN_BY[sentiments[-1].identified_by]
    parts = [known_by, f"{statistics.fmean(sure):.0%} sure" if sure else ""]
    for person in () if recording.session is None else recording.session.participants:
        if person.participant_id == sentiments[-1].participant_id:
            parts.append(escape(relation(person, recording.names)))
    return ", ".join(filter(None, parts))


def _moments(recording: Recording, *, best: bool) -> str:
    chosen = moments(recording.sentiments, best=best)
    if not chosen:
        return "<p class=soft>None.</p>"
    style = "positive" if best else "negative"
    rows = [
        [
            clock(sentiment.end_ms),
            f"<b class={style}>{sentiment.valence:+z.2f}</b>",
            _who(shown(recording.names, sentiment.participant_id)),
            f"“{escape(quote(sentiment, recording.sentiments))}”",
        ]
        for sentiment in chosen
    ]
    return _table(("time", "valence", "who", "words"), rows)


def _who(name: str) -> str:
    """A name beside words, which would else be broken at its spaces."""
    return f"<span class=who>{escape(name)}</span>" if len(name) <= UNBROKEN else escape(name)


def _alerts(recording: Recording) -> str:
    entries = alert_entries(recording.alerts, recording.names)
    if not entries:
        return "<p class=soft>None.</p>"
    rows = [
        [
            clock(entry.begin_ms),
            "the end" if entry.end_ms is None else clock(entry.end_ms),
            escape(entry.text) + _why(entry),
        ]
        for entry in entries
    ]
    return _table(("from", "to", "what"), rows)


def _why(entry: Entry) -> str:
    return f" <span class=soft>({escape(entry.why)})</span>" if entry.why else ""


def _talk(recording: Recording) -> str:
    conversation = recording.conversation
    if not conversation.participants:
        return "<p class=soft>The records do not tell when somebody speaks.</p>"
    if not any(talk.talk_ms for talk in conversation.participants):
        return f"<p class=soft>{silence_text(conversation)}</p>"
    head = (
        *("who", "talk time", "share", "turns", "longest turn"),
        *("interruptions", "longest silence"),
    )
    rows = [
        [
            escape(shown(recording.names, talk.participant_id)),
            clock(talk.talk_ms),
            "" if talk.share is None else percent(talk.share),
            str(talk.turns),
            clock(talk.longest_turn_ms),
            str(talk.interruptions),
            clock(talk.longest_silence_ms),
        ]
        for talk in conversation.participants
    ]
    table = _table(head, rows, numbers_from=1, stacked=True)
    return f"{table}<p class=soft>{silence_text(conversation)}</p>"


def _transcript(recording: Recording) -> str:
    lines = transcript(recording.sentiments)
    if not lines:
        return "<p class=soft>The records contain no words with times.</p>"
    said = [
        (
            line.start_ms,
            f"<p><time>{clock(line.start_ms)}</time> "
            f"<b>{escape(shown(recording.names, line.participant_id))}</b> "
            f"<span class={line.polarity or 'none'}>{_said(line.parts)}</span></p>",
        )
        for line in lines
    ]
    said += [
        (low, f"<p class=soft><time>{clock(low)}</time> not recorded until {clock(high)}</p>")
        for low, high in recording.unrecorded
    ]
    said.sort(key=lambda each: each[0])
    return f"<div class=words>{''.join(text for _, text in said)}</div>"


def _said(parts: Sequence[Part]) -> str:
    return " ".join(
        f"<i class=unsure>{escape(part.text)}</i>" if part.unsure else escape(part.text)
        for part in parts
    )


def _table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    numbers_from: int = 99,
    *,
    stacked: bool = False,
) -> str:
    """Return a table.

    Args:
        head: the columns' headings.
        rows: cells of HTML.
        numbers_from: the first column of numbers.
        stacked: on a phone each row is a block of its own, with a heading before each number.
    """
    kinds = [" class=n" if at >= numbers_from else "" for at in range(len(head))]
    names = [f' data-head="{name}"' if stacked else "" for name in head]
    top = "".join(f"<th scope=col{k}>{name}</th>" for k, name in zip(kinds, head, strict=True))
    body = "".join(
        "<tr>"
        + "".join(f"<td{k}{n}>{c}</td>" for k, n, c in zip(kinds, names, row, strict=True))
        + "</tr>"
        for row in rows
    )
    style = "stack" if stacked else "flat"
    return f"<table class={style}><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
