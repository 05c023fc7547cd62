// The page: what the stream brings goes into tracks, and a few times a second onto the screen.
//
// Text from records reaches the document through textContent alone.

import { Chart, clock, signed } from "./chart.js";
import { Player } from "./player.js";
import { Track, keepLong } from "./store.js";
import { connect } from "./stream.js";

const STALE_S = 15;
const ALERTS_SHOWN = 200;
const MARKS = { positive: "▲", neutral: "●", negative: "▼", none: "○" };
const MODALITIES = [["audio", "voice"], ["text", "words"], ["vision", "face"]];
const STAGES = [["capture", "Capture"], ["queue", "Queue"], ["inference", "Inference"],
  ["smoothing", "Smoothing"], ["total", "In all"]];

const byId = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const session = query.get("session");

const cards = new Map(); // participant, or null for the meeting → Card
const alerts = new Map(); // alert_id and state → record
const view = { link: "connecting", status: null, clockShift: 0, live: false, moment: null, end: 0,
  ended: false, span: 300, old: false };
let dirty = false;

// --- text

function ago(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.round(s / 60)} minutes`;
  return s < 172_800 ? `${Math.round(s / 3600)} hours` : `${Math.round(s / 86_400)} days`;
}

function wallClock(ms) {
  return new Date(ms).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function mood(element, polarity) {
  const name = polarity ?? "none";
  element.classList.remove("positive", "neutral", "negative", "none");
  element.classList.add(name);
  return MARKS[name];
}

// --- one participant, or the meeting

class Card {
  constructor(name) {
    this.name = name;
    this.track = new Track();
    this.dirty = true;
    this.seen = true;
    this.described = -Infinity;
    this.root = byId("card").content.firstElementChild.cloneNode(true);
    this.root.classList.toggle("meeting", name === null);
    this.part = (kind) => this.root.querySelector(`.${kind}`);
    if (name !== null) this.root.dataset.name = name;
    set(this.part("name"), name ?? "The meeting as a whole");
    place(this.root, name);
    this.chart = new Chart(this.part("chart"), choose);
    watcher.observe(this.root);
    owners.set(this.root, this);
  }

  draw(from, to) {
    if (!this.seen) return;
    this.dirty = false;
    this.chart.show(this.track, from, to, view.moment);
    const record = view.moment === null ? this.track.last : this.track.at(view.moment);
    if (record !== null) this.#tell(record);
    if (performance.now() - this.described > 5_000) this.#describe(record, from, to);
  }

  #tell(record) {
    const now = this.part("now");
    const { valence, uncertainty, trend_per_min: trend } = record;
    set(this.part("mark"), mood(now, record.polarity));
    const value = this.part("value");
    value.dataset.window = record.window_index;
    value.dataset.valence = valence ?? "";
    set(value, valence === null ? "" : signed(valence));
    set(this.part("label"), record.label ?? "no evidence");
    set(this.part("uncertainty"), uncertainty === null ? "–" : `± ${uncertainty.toFixed(2)}`);
    const arrow = trend > 0.05 ? "↗" : trend < -0.05 ? "↘" : "→";
    set(this.part("trend"), trend === null ? "–" : `${arrow} ${signed(trend)} a minute`);
    if (this.name === null) {
      const { participants, spread } = record;
      set(this.part("counted"), participants === 1 ? "1 participant" : `${participants} participants`);
      set(this.part("spread"), spread === null ? "–" : spread.toFixed(2));
      return;
    }
    this.#evidence(record);
    this.#gate(record.gate);
    set(this.part("words"), record.text);
  }

  #evidence(record) {
    const spans = MODALITIES.map(([modality, name]) => {
      const counted = record.evidence.includes(modality);
      const share = Math.round(record.presence[modality] * 100);
      return [counted, counted ? `${name} ${share} %` : `no ${name}`];
    });
    const told = spans.map(([, text]) => text).join(", ");
    const evidence = this.part("evidence");
    if (evidence.dataset.told === told) return;
    evidence.dataset.told = told;
    evidence.replaceChildren(...spans.map(([counted, text]) => {
      const span = document.createElement("span");
      span.className = counted ? "present" : "absent";
      span.textContent = text;
      return span;
    }));
  }

  #gate(gate) {
    const meter = this.root.querySelector("meter");
    meter.hidden = gate === null;
    if (gate === null) {
      set(this.part("gate-words"), "–");
      return;
    }
    const inter = Math.round(gate.val * 100);
    meter.value = gate.val;
    set(this.part("gate-words"), inter >= 50 ? `all together ${inter} %` : `each alone ${100 - inter} %`);
    this.part("gate").title = "Share of the interaction between voice, words and face (all together) "
      + "against the interaction within each of them (each alone)";
  }

  #describe(record, from, to) {
    this.described = performance.now();
    const now = record?.valence ?? null;
    const told = now === null ? "no evidence now" : `${signed(now)}, ${record.label}`;
    this.part("chart").setAttribute("aria-label",
      `Valence of ${this.name ?? "the meeting"} from ${clock(from)} to ${clock(to)}: ${told}`);
  }
}

const owners = new WeakMap();
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const card = owners.get(entry.target);
    if (!card) continue;
    card.seen = entry.isIntersecting;
    if (card.seen) wake(card);
  }
}, { rootMargin: "200px" });

// The meeting first, then the participants by name.
function place(root, name) {
  const after = [...cards.entries()].filter(([other]) => other !== null && name !== null
    ? other > name : name === null);
  const next = after.map(([, card]) => card.root)
    .sort((a, b) => (a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1))[0];
  byId("cards").insertBefore(root, next ?? null);
}

function cardOf(name) {
  let card = cards.get(name);
  if (!card) {
    card = new Card(name);
    cards.set(name, card);
  }
  return card;
}

// --- what the stream brings

function onRecords(records) {
  for (const record of records) {
    if (record.topic === "smoothed") take(record.participant_id, record);
    else if (record.topic === "session_smoothed") take(null, record);
    else if (record.topic === "alerts") onAlert(record);
  }
  wake();
}

function take(name, record) {
  const card = cardOf(name);
  if (!card.track.add(record)) return;
  card.dirty = true;
  view.end = Math.max(view.end, record.end_ms / 1000);
}

function onReset() {
  for (const card of cards.values()) {
    card.chart.destroy();
    watcher.unobserve(card.root);
    card.root.remove();
  }
  cards.clear();
  alerts.clear();
  view.end = 0;
  wake();
}

function onAlert(alert) {
  const key = `${alert.alert_id} ${alert.state}`;
  if (alerts.has(key)) return;
  alerts.set(key, alert);
  if (alerts.size > ALERTS_SHOWN) alerts.delete(alerts.keys().next().value);
  if (view.live) set(byId("announcer"), alert.message);
  listAlerts();
}

function listAlerts() {
  const newest = [...alerts.values()].sort((a, b) => b.end_ms - a.end_ms);
  byId("no-alerts").hidden = newest.length > 0;
  byId("alerts").replaceChildren(...newest.map((alert) => {
    const item = document.createElement("li");
    const when = document.createElement("span");
    when.className = "when";
    when.textContent = clock(alert.end_ms / 1000);
    const what = document.createElement("span");
    const raised = alert.state === "raised";
    what.className = raised ? "negative" : "quiet";
    what.textContent = ` ${raised ? "▲" : "✓"} ${alert.message}`;
    item.append(when, what);
    return item;
  }));
}

function onStatus(status) {
  view.status = status;
  view.clockShift = status.now_ms - Date.now();
  if (status.recorded) keepLong();
  const only = status.sessions.length === 1 && session === null && !query.has("all");
  if (only) location.replace(`./?${new URLSearchParams({ session: status.sessions[0].session_id })}`);
  wake();
}

function onLink(up) {
  view.link = up ? "up" : "down";
  wake();
}

// --- the screen

function wake(card) {
  if (card) card.dirty = true;
  if (dirty) return;
  dirty = true;
  requestAnimationFrame(() => {
    dirty = false;
    draw();
  });
}

function range() {
  const { span, moment, end } = view;
  if (span === 0) return [oldest(), Math.max(end, 10)];
  if (end <= span) return [0, Math.max(end, view.ended ? 1 : Math.min(span, 60))];
  if (moment === null) return [end - span, end];
  const from = Math.min(Math.max(moment - span / 2, 0), end - span);
  return [from, from + span];
}

// The beginning, or the oldest moment that is still kept of a very long session.
function oldest() {
  const begins = [...cards.values()].filter(({ track }) => track.first > 0).map(({ track }) => track.end[0]);
  return begins.length ? Math.min(...begins) : 0;
}

function draw() {
  const summary = view.status?.sessions.find((one) => one.session_id === session) ?? null;
  banner(summary);
  health(summary);
  const link = byId("link");
  link.className = view.link;
  const over = view.link === "down" && summary?.ended;
  set(link, over ? "Not connected"
    : { up: "Connected", down: "Connection lost, trying again …", connecting: "Connecting …" }[view.link]);
  if (session === null) {
    listSessions(view.status?.sessions ?? []);
    return;
  }
  facts(summary);
  play(summary);
  scrubber();
  const [from, to] = range();
  for (const card of cards.values()) card.draw(from, to);
}

function facts(summary) {
  byId("session").hidden = cards.size === 0;
  byId("session").classList.toggle("old", view.old);
  set(byId("title"), session);
  document.title = `${session} · Sentiment`;
  byId("all").hidden = false;
  if (summary === null) return;
  const people = summary.participants.length;
  const told = [state(summary), people === 1 ? "1 participant" : `${people} participants`];
  if (summary.started_ms !== null) told.splice(1, 0, `began ${wallClock(summary.started_ms)}`);
  set(byId("facts"), told.join(" · "));
}

function state(summary) {
  if (summary.recorded) return summary.complete === false ? "recorded, not to its end" : "recorded";
  if (summary.ended) return "ended";
  if (age(summary) > STALE_S * 1000) return "silent";
  return summary.live === false ? "replay" : "live";
}

function age(summary) {
  return Date.now() + view.clockShift - summary.updated_ms;
}

// One sentence for what is not as it should be; the first that applies.
function banner(summary) {
  const { link, status } = view;
  const element = byId("banner");
  let text = "";
  let warn = true;
  const broker = status?.broker;
  const silent = summary !== null && !summary.ended && age(summary) > STALE_S * 1000;
  if (link === "down" && summary?.ended) {
    [text, warn] = ["This session has ended, and the page's server with it. What came stays here.", false];
  } else if (link === "down") {
    text = status === null
      ? "The page's server does not answer; trying again."
      : "The connection to the page's server is lost; trying again. What is shown is from before.";
  } else if (status === null) {
    [text, warn] = ["Connecting …", false];
  } else if (summary?.recorded) {
    [text, warn] = ["", false];
  } else if (broker.state === "down") {
    text = `The broker at ${broker.address} has not answered for ${ago(status.now_ms - broker.since_ms)}; trying again.`;
    if (cards.size || status.sessions.length) text += " What is shown is from before.";
  } else if (broker.state === "connecting") {
    [text, warn] = [`Connecting to the broker at ${broker.address} …`, false];
  } else if (broker.state === "none") {
    text = session !== null ? `No session ${session} is recorded here.`
      : status.sessions.length ? "" : "Nothing is recorded here, and no broker is followed.";
  } else if (session === null && status.sessions.length === 0) {
    [text, warn] = [`No session yet on ${broker.address}. Waiting for one to begin.`, false];
  } else if (session !== null && cards.size === 0) {
    [text, warn] = [`Nothing yet of session ${session}. Waiting for its first window.`, false];
  } else if (silent) {
    text = `Nothing new for ${ago(age(summary))}. What is shown is from before.`;
  } else if (summary?.ended && !summary.recorded) {
    [text, warn] = ["This session has ended.", false];
  }
  view.old = warn && text !== "";
  element.hidden = text === "";
  element.classList.toggle("warn", warn);
  set(element, text);
}

// What a stage has before it, and how long it took for the newest records.
function work(stage) {
  if (stage === undefined) return "";
  if ("windows_per_s" in stage) return `${stage.windows_per_s.toFixed(1)} windows a second`;
  if (stage.waiting === null) return "has not begun";
  return stage.waiting === 0 ? "nothing waits" : `${stage.waiting} waiting`;
}

function took(latency) {
  if (latency === undefined) return "";
  return `${Math.round(latency.median)} ms (95 %: ${Math.round(latency.p95)} ms)`;
}

function health(summary) {
  const { status } = view;
  if (status === null) return;
  const told = STAGES.map(([stage, name]) => [name, [work(status.stages[stage]), took(status.latency_ms[stage])]
    .filter(Boolean).join(", ")]).filter(([, text]) => text);
  if (summary !== null && !summary.recorded) told.push(["Newest record", `${ago(age(summary))} ago`]);
  if (status.broker.state === "none") told.push(["Broker", "none: recorded sessions only"]);
  else told.push(["Not yet read", String(status.lag)], ["Broker", `${status.broker.address}, ${{ up: "answers", down: "away", connecting: "connecting" }[status.broker.state]}`]);
  const list = byId("health");
  while (list.children.length < told.length) {
    list.append(byId("fact").content.firstElementChild.cloneNode(true));
  }
  while (list.children.length > told.length) list.lastElementChild.remove();
  told.forEach(([name, text], at) => {
    set(list.children[at].querySelector("dt"), name);
    set(list.children[at].querySelector("dd"), text);
  });
}

function listSessions(sessions) {
  byId("list").hidden = sessions.length === 0;
  const rows = byId("rows");
  while (rows.children.length < sessions.length) {
    rows.append(byId("row").content.firstElementChild.cloneNode(true));
  }
  while (rows.children.length > sessions.length) rows.lastElementChild.remove();
  sessions.forEach((one, at) => {
    const row = rows.children[at];
    const link = row.querySelector("a");
    link.setAttribute("href", `./?${new URLSearchParams({ session: one.session_id })}`);
    set(link, one.session_id);
    set(row.querySelector(".state"), state(one));
    set(row.querySelector(".began"), one.started_ms === null ? "" : wallClock(one.started_ms));
    set(row.querySelector(".length"), clock(one.end_ms / 1000));
    set(row.querySelector(".who"), one.participants.join(", "));
    const cell = row.querySelector(".mood");
    const mark = mood(cell, one.polarity);
    const value = one.valence === null ? "" : ` ${signed(one.valence)}`;
    const raised = one.alerts ? `, ${one.alerts} ${one.alerts === 1 ? "alert" : "alerts"}` : "";
    if (one.recorded) set(cell, `${value ? `mean${value}` : "–"}${raised}`);
    else set(cell, one.label === null ? `–${raised}` : `${mark}${value} ${one.label}${raised}`);
  });
}

// --- the moment shown

const player = new Player((seconds) => { view.moment = seconds; wake(); }, () => wake());

// A session that is over can be played, with its recordings where there are any.
function play(summary) {
  const button = byId("play");
  view.ended = summary?.ended ?? false;
  button.hidden = !view.ended;
  set(byId("newest"), view.ended ? "To the end" : "Newest");
  button.setAttribute("aria-pressed", String(player.playing));
  set(button, player.playing ? "Pause" : "Play");
  for (const participant of view.status?.media ?? []) {
    const card = cards.get(participant);
    if (!card || card.hasMedia) continue;
    card.hasMedia = true;
    const media = card.part("media");
    media.hidden = false;
    media.append(player.add(participant, `api/media?${new URLSearchParams({ session, participant })}`));
  }
}

byId("play").addEventListener("click", () => {
  if (player.playing) {
    player.stop();
    return;
  }
  const begin = view.moment ?? 0;
  player.play(begin < view.end ? begin : 0, view.end);
  wake();
});

function scrubber() {
  const scrub = byId("scrub");
  const end = Math.floor(view.end);
  if (Number(scrub.max) !== end) scrub.max = String(end);
  const at = view.moment ?? end;
  if (Math.abs(Number(scrub.value) - at) >= 0.5) scrub.value = String(at);
  scrub.setAttribute("aria-valuetext", clock(at));
  set(byId("moment"), clock(at));
  byId("newest").disabled = view.moment === null;
}

function choose(seconds) {
  const newest = seconds >= Math.floor(view.end);
  view.moment = newest ? null : Math.max(0, seconds);
  if (newest && player.playing) player.stop();
  else player.seek(newest ? view.end : view.moment);
  wake();
}

byId("scrub").addEventListener("input", (event) => choose(Number(event.target.value)));
byId("newest").addEventListener("click", () => choose(Infinity));
byId("span").addEventListener("change", (event) => {
  view.span = Number(event.target.value);
  wake();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const card of cards.values()) card.chart.redraw();
});
setInterval(() => wake(), 1000); // ages grow although nothing comes

connect(session, { onStatus, onRecords, onReset, onLive: () => { view.live = true; document.body.dataset.live = "yes"; }, onLink });
wake();
