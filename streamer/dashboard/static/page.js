// The page: records from the stream go into tracks, and the screen is drawn from them, at most once
// a frame. The words come from describe.js and status.js, the interval shown from timeline.js.

import { standingAt } from "./alarms.js";
import { alertEntries, alertText } from "./alerts.js";
import { Card } from "./card.js";
import { keep, kept } from "./choices.js";
import { tallyText } from "./describe.js";
import { arrange, byId, resizeList, setPolarity, setText } from "./dom.js";
import { clock, moodOf, shownName } from "./format.js";
import { ordered, presenceText } from "./people.js";
import { Player } from "./player.js";
import {
  bannerOf, exactly, healthRows, linkOf, moodText, noticesOf, onlySession, sessionCells,
  sessionFacts,
} from "./status.js";
import { keepLong } from "./store.js";
import { connect } from "./stream.js";
import { chosenMoment, playFrom, shownRange } from "./timeline.js";
import { Words } from "./words.js";

const ALERTS_SHOWN = 200;
const FEW = 4; // so many people have room for larger timelines

const query = new URLSearchParams(location.search);
const session = query.get("session"); // an id, or a name: the newest session of that name

const cards = new Map(); // participant, or null for the meeting → Card
const alerts = new Map(); // alert_id and state → record
let entries = []; // of the alerts, by time
const view = {
  link: "connecting", // or "up", "down"
  status: null, // the newest from the server
  clockShiftMs: 0, // the server's clock less this one
  live: false, // whether all stored records have come
  moment: null, // the chosen moment in seconds; null follows the newest
  end: 0, // of the session so far, in seconds
  ended: false,
  span: 300, // seconds shown; 0 for everything
  names: {}, // that people see, by participant
};
let drawScheduled = false;

function sessionAddress(summary) {
  return `./?${new URLSearchParams({ session: exactly(summary) })}`;
}

// --- the cards

const cardOfElement = new WeakMap();
const visibility = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const card = cardOfElement.get(entry.target);
    if (!card) continue;
    card.visible = entry.isIntersecting;
    if (card.visible) scheduleDraw();
  }
}, { rootMargin: "200px" });

function cardOf(name) {
  if (!cards.has(name)) addCard(name);
  return cards.get(name);
}

function addCard(name) {
  const card = new Card(name, choose);
  byId(name === null ? "meeting" : "cards").append(card.root);
  card.setDetailed(byId("detailed").checked);
  cardOfElement.set(card.root, card);
  visibility.observe(card.root);
  cards.set(name, card);
  if (name !== null) card.rename(shownName(view.names, name));
}

// Show the participants of a session by the names that it has now.
function showNames(names) {
  if (JSON.stringify(names) === JSON.stringify(view.names)) return;
  view.names = names;
  words.names = names;
  for (const [name, card] of cards) if (name !== null) card.rename(shownName(names, name));
  listAlerts();
}

function people() {
  return [...cards.values()].filter((card) => card.name !== null);
}

// How many of the people who are there at `seconds` are of which mood.
function showTally(seconds) {
  const shown = people().map((card) => card.shown)
    .filter((record) => record !== null && presenceText(record, seconds) !== "left");
  cards.get(null)?.showTally(tallyText(shown));
}

// Put the tiles in the chosen order, unless somebody is using one of them or a media file plays: to
// move it would take the focus, or stop the file.
function arrangeCards() {
  const parent = byId("cards");
  parent.classList.toggle("few", people().length <= FEW);
  if (parent.contains(document.activeElement) || player.playing) return;
  const facts = people().map(({ shownName: name, heard_ms, alarmed, root, shown }) => (
    { name, heard_ms, alarmed, root, polarity: shown?.polarity ?? null }));
  arrange(parent, ordered(facts, byId("order").value).map(({ root }) => root));
}

const words = new Words(choose, scheduleDraw);

// --- events of the stream

function onRecords(records) {
  for (const record of records) {
    if (record.topic === "smoothed") addToTrack(record.participant_id, record);
    else if (record.topic === "session_smoothed") addToTrack(null, record);
    else if (record.topic === "alerts") onAlert(record);
  }
  scheduleDraw();
}

function addToTrack(name, record) {
  if (!cardOf(name).add(record)) return;
  view.end = Math.max(view.end, record.end_ms / 1000);
  words.note(name, record);
}

function onReset() {
  for (const card of cards.values()) {
    visibility.unobserve(card.root);
    card.remove();
  }
  cards.clear();
  words.clear();
  alerts.clear();
  listAlerts();
  view.end = 0;
  scheduleDraw();
}

function onAlert(alert) {
  const key = `${alert.alert_id} ${alert.state}`;
  if (alerts.has(key)) return;
  alerts.set(key, alert);
  if (alerts.size > ALERTS_SHOWN) alerts.delete(alerts.keys().next().value);
  if (view.live && alert.state === "raised") {
    setText(byId("announcer"), alertText(alert, view.names));
  }
  listAlerts();
}

function listAlerts() {
  byId("no-alerts").hidden = alerts.size > 0;
  entries = alertEntries(alerts.values(), view.names);
  const items = resizeList(byId("alerts"), "alert", entries.length);
  [...entries].reverse().forEach(({ begin_ms, end_ms, text }, at) => {
    const button = items[at].querySelector("button");
    button.dataset.seconds = begin_ms / 1000;
    setText(button.querySelector(".when"), clock(begin_ms / 1000));
    setText(button.querySelector(".what"), text);
    button.querySelector(".what").classList.toggle("negative", end_ms === null);
  });
}

function onStatus(status) {
  view.status = status;
  view.clockShiftMs = status.now_ms - Date.now();
  if (status.recorded) keepLong();
  const only = session === null && !query.has("all") ? onlySession(status) : null;
  if (only !== null) location.replace(sessionAddress(only));
  scheduleDraw();
}

function onLive() {
  view.live = true;
  document.body.dataset.live = "yes";
}

function onLink(up) {
  view.link = up ? "up" : "down";
  scheduleDraw();
}

// --- the screen

function scheduleDraw() {
  if (drawScheduled) return;
  drawScheduled = true;
  requestAnimationFrame(() => {
    drawScheduled = false;
    draw();
  });
}

function draw() {
  const { link, status, moment } = view;
  const sessions = status?.sessions ?? [];
  const summary = session === null ? null : sessions[0] ?? null;
  const now_ms = Date.now() + view.clockShiftMs;
  const banner = bannerOf({ link, status, session, summary, hasCards: cards.size > 0, now_ms });
  showBanner(banner);
  if (status !== null) showNotices(noticesOf(status));
  if (status !== null) showHealth(healthRows(status, summary, now_ms));
  const shownLink = linkOf({ link, status, summary });
  byId("link").className = shownLink.state;
  setText(byId("link"), shownLink.text);
  if (session === null) {
    listSessions(sessions, now_ms);
    return;
  }
  byId("session").hidden = cards.size === 0;
  byId("session").classList.toggle("old", banner.warn);
  byId("all").hidden = false;
  const name = summary?.name ?? session;
  setText(byId("title"), name);
  document.title = `${name} · Sentiment`;
  if (summary !== null) setText(byId("facts"), sessionFacts(summary, now_ms));
  if (summary !== null) showNames(summary.names ?? {});
  showPlaying(summary);
  showMoment();
  const tracks = [...cards.values()].map((card) => card.track);
  const [from, to] = shownRange(view, tracks);
  const standing = standingAt(entries, moment);
  for (const card of cards.values()) {
    const isOwn = (entry) => entry.participant_id === card.name;
    card.setAlerts(card.name === null ? entries : entries.filter(isOwn), standing.some(isOwn));
    card.showTalk(status?.conversation ?? null);
    card.draw(from, to, moment, view.end);
  }
  showTally(moment ?? view.end);
  arrangeCards();
  words.draw((name) => cards.get(name).track.records, moment);
}

function showBanner({ text, warn }) {
  const element = byId("banner");
  element.hidden = text === "";
  element.classList.toggle("warn", warn);
  setText(element, text);
}

function showNotices(notices) {
  const list = byId("notices");
  list.hidden = notices.length === 0;
  const items = resizeList(list, "notice", notices.length);
  notices.forEach(({ text, warn }, at) => {
    items[at].classList.toggle("warn", warn);
    setText(items[at], text);
  });
}

function showHealth(healthTexts) {
  const items = resizeList(byId("health"), "fact", healthTexts.length);
  healthTexts.forEach(([name, text], at) => {
    setText(items[at].querySelector("dt"), name);
    setText(items[at].querySelector("dd"), text);
  });
}

function listSessions(sessions, now_ms) {
  byId("list").hidden = sessions.length === 0;
  const rows = resizeList(byId("rows"), "row", sessions.length);
  sessions.forEach((summary, at) => {
    const link = rows[at].querySelector("a");
    link.setAttribute("href", sessionAddress(summary));
    setText(link, summary.name);
    link.title = summary.session_id;
    for (const [className, text] of Object.entries(sessionCells(summary, now_ms))) {
      setText(rows[at].querySelector(`.${className}`), text);
    }
    const mood = rows[at].querySelector(".mood");
    setPolarity(mood, moodOf(summary));
    setText(mood, moodText(summary));
  });
}

// --- the moment shown, and playing a session that has ended

const player = new Player((seconds) => { view.moment = seconds; scheduleDraw(); }, scheduleDraw);

function showPlaying(summary) {
  const button = byId("play");
  view.ended = summary?.ended ?? false;
  button.hidden = !view.ended;
  setText(byId("newest"), view.ended ? "To the end" : "Newest");
  button.setAttribute("aria-pressed", String(player.playing));
  setText(button, player.playing ? "Pause" : "Play");
  for (const participant of view.status?.media ?? []) {
    const card = cards.get(participant);
    if (!card || card.hasMedia) continue;
    const address = `api/media?${new URLSearchParams({ session: exactly(summary), participant })}`;
    const begin_ms = view.status.media_begin_ms?.[participant] ?? 0;
    card.addMedia(player.add(participant, address, begin_ms / 1000, card.shownName));
  }
}

function showMoment() {
  const scrub = byId("scrub");
  const end = Math.floor(view.end);
  if (Number(scrub.max) !== end) scrub.max = String(end);
  const moment = view.moment ?? end;
  if (Math.abs(Number(scrub.value) - moment) >= 0.5) scrub.value = String(moment);
  scrub.setAttribute("aria-valuetext", clock(moment));
  setText(byId("moment"), clock(moment));
  byId("newest").disabled = view.moment === null;
}

function choose(seconds) {
  view.moment = chosenMoment(seconds, view.end);
  if (view.moment === null && player.playing) player.stop();
  else player.seek(view.moment ?? view.end);
  scheduleDraw();
}

byId("play").addEventListener("click", () => {
  if (player.playing) {
    player.stop();
    return;
  }
  player.play(playFrom(view.moment, view.end), view.end);
  scheduleDraw();
});
byId("alerts").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) choose(Number(button.dataset.seconds));
});
byId("scrub").addEventListener("input", (event) => choose(Number(event.target.value)));
byId("newest").addEventListener("click", () => choose(Infinity));
byId("span").addEventListener("change", (event) => {
  view.span = Number(event.target.value);
  scheduleDraw();
});
byId("order").addEventListener("change", (event) => {
  keep("order", event.target.value);
  scheduleDraw();
});
byId("detailed").addEventListener("change", (event) => {
  keep("detailed", event.target.checked ? "yes" : "no");
  showDetails(event.target.checked);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const card of cards.values()) card.chart.redraw();
});
setInterval(scheduleDraw, 1000); // ages grow even when no record comes

function showDetails(detailed) {
  for (const card of cards.values()) card.setDetailed(detailed);
  byId("stages").open = detailed;
  scheduleDraw();
}

byId("order").value = kept("order", "name");
byId("detailed").checked = kept("detailed", "no") === "yes";
showDetails(byId("detailed").checked);
connect(session, { onStatus, onRecords, onReset, onLive, onLink });
scheduleDraw();
