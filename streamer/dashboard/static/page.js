// The page: records from the stream go into tracks, and the screen is drawn from them, at most once
// a frame. The words come from describe.js and status.js, the interval shown from timeline.js.

import { alarmText, nextAlert, previousAlert, standingAt, turnedMs, wordsBefore } from "./alarms.js";
import { AlertList } from "./alertlist.js";
import { Card } from "./card.js";
import { nextCommands, startSteps, stepMark } from "./checklist.js";
import { keep, kept } from "./choices.js";
import { tallyText } from "./describe.js";
import { arrange, byId, resizeList, setText } from "./dom.js";
import { clock, shownName } from "./format.js";
import { Notifier } from "./notifier.js";
import { columnsOf, ordered, presenceText, standingOut } from "./people.js";
import { Player } from "./player.js";
import { SessionList, sessionAddress } from "./sessionlist.js";
import {
  bannerOf, exactly, healthRows, linkOf, noticesOf, onlySession, recordingOf, sessionFacts, titleOf,
} from "./status.js";
import { keepLong } from "./store.js";
import { connect } from "./stream.js";
import { chosenMoment, playFrom, shownRange } from "./timeline.js";
import { Words } from "./words.js";

const FEW = 4; // so many people have room for larger timelines
const MANY = 7; // from so many on the tiles are narrower: the mood is below the name

const query = new URLSearchParams(location.search);
const session = query.get("session"); // an id, or a name: the newest session of that name

const cards = new Map(); // participant, or null for the meeting → Card
const view = {
  link: "connecting", // or "up", "down"
  status: null, // the newest from the server
  record: null, // the session's own, where it has come
  clockShiftMs: 0, // the server's clock less this one
  live: false, // whether all stored records have come
  moment: null, // the chosen moment in seconds; null follows the newest
  end: 0, // of the session so far, in seconds
  ended: false,
  span: 300, // seconds shown; 0 for everything
  names: {}, // that people see, by participant
};
let drawScheduled = false;

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

// Show who turned out to be whom, and who was taken for whom; both by participant.
function showRelations(merged, parted) {
  const nameOf = (id) => (id === undefined ? null : shownName(view.names, id));
  for (const [name, card] of cards) if (name !== null) card.relate(nameOf(merged[name]), nameOf(parted[name]));
}

// Show the participants of a session by the names that it has now.
function showNames(names) {
  if (JSON.stringify(names) === JSON.stringify(view.names)) return;
  view.names = names;
  words.names = names;
  for (const [name, card] of cards) if (name !== null) card.rename(shownName(names, name));
  alerts.rename(names);
}

function people() {
  return [...cards.values()].filter((card) => card.name !== null);
}

// Of the people who are there at `seconds`: how many are of which mood, and who stands out.
function showTally(seconds) {
  const there = people()
    .filter(({ shown }) => shown !== null && presenceText(shown, seconds) !== "left");
  const out = standingOut(there.map((card) => (
    { card, name: card.shownName, valence: card.shown.valence, polarity: card.shown.polarity })));
  const meeting = cards.get(null);
  meeting?.showTally(tallyText(there.map(({ shown }) => shown)));
  meeting?.showOut(out);
  for (const card of people()) card.setOut(out.some((person) => person.card === card));
}

// Put the tiles in the chosen order, unless somebody is using one of them or a media file plays: to
// move it would take the focus, or stop the file.
function arrangeCards() {
  const parent = byId("cards");
  parent.classList.toggle("few", people().length <= FEW);
  parent.classList.toggle("many", people().length >= MANY);
  parent.style.setProperty("--columns", columnsOf(people().length));
  if (parent.contains(document.activeElement) || player.playing) return;
  const facts = people().map(({ shownName: name, heard_ms, alarmed, root, shown }) => (
    { name, heard_ms, alarmed, root, polarity: shown?.polarity ?? null }));
  arrange(parent, ordered(facts, byId("order").value).map(({ root }) => root));
}

const words = new Words((name) => cards.get(name).track.records, choose, scheduleDraw);
const alerts = new AlertList(jump);
const sessionList = new SessionList(scheduleDraw);
const notifier = new Notifier(byId("notify"));

// --- events of the stream

function onRecords(records) {
  for (const record of records) {
    if (record.topic === "smoothed") addToTrack(record.participant_id, record);
    else if (record.topic === "session_smoothed") addToTrack(null, record);
    else if (record.topic === "alerts") onAlert(record);
    else if (record.topic === "sessions") view.record = record;
  }
  showTitle();
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
  view.end = 0;
  view.record = null;
  scheduleDraw();
}

function onAlert(alert) {
  if (!alerts.add(alert) || !view.live || alert.state !== "raised") return;
  const text = sentence(alerts.entryOf(alert), null);
  setText(byId("announcer"), text);
  notifier.tell(text, () => jump(alert.end_ms / 1000));
}

// What an alert is about, since when (before `now_ms`; null leaves it out) and after which words.
function sentence(entry, now_ms) {
  const back = cards.get(entry.participant_id)?.track.back(entry.begin_ms / 1000) ?? [];
  const turned_ms = turnedMs(entry, back);
  return alarmText(entry, { turned_ms, said: wordsBefore(words.lines, turned_ms), now_ms, names: view.names });
}

function onStatus(status) {
  view.status = status;
  view.clockShiftMs = status.now_ms - Date.now();
  if (status.recorded) keepLong();
  const only = session === null && !query.has("all") ? onlySession(status) : null;
  if (only !== null) location.replace(sessionAddress(only));
  view.ended = session !== null && (status.sessions[0]?.ended ?? false);
  showTitle();
  scheduleDraw();
}

// The title of the tab, which is renewed in the background too, where nothing is drawn.
function showTitle() {
  if (session === null) return;
  const standing = view.ended ? [] : standingAt(alerts.entries, null);
  document.title = titleOf(view.status?.sessions[0]?.name ?? session, standing.length);
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
  const banner = bannerOf({ link, status, session, summary, hasCards: cards.size > 0, hasAll: view.live, now_ms });
  showBanner(banner);
  showStart(startSteps({ session, status, summary, record: view.record, hasCards: cards.size > 0, link }));
  showCommands(nextCommands({ session, status }));
  if (status !== null) showNotices(noticesOf(status));
  if (status !== null) showHealth(healthRows(status, summary, now_ms));
  const shownLink = linkOf({ link, status, summary });
  byId("link").className = shownLink.state;
  setText(byId("link"), shownLink.text);
  if (session === null) {
    if (status !== null) sessionList.draw(status, now_ms);
    return;
  }
  byId("session").hidden = cards.size === 0;
  byId("session").classList.toggle("old", banner.warn);
  showSession(summary, now_ms);
  showCards(status?.conversation ?? null);
  words.draw(moment);
  alerts.draw((entry) => sentence(entry, view.ended ? null : view.end * 1000));
}

function showSession(summary, now_ms) {
  byId("all").hidden = Boolean(view.status?.only);
  const name = summary?.name ?? session;
  setText(byId("title"), name);
  if (summary !== null) setText(byId("facts"), sessionFacts(summary, now_ms));
  const recording = recordingOf(summary);
  setText(byId("recording"), recording.text);
  byId("recording").classList.toggle("on", recording.on);
  if (summary !== null) showNames(summary.names ?? {});
  if (summary !== null) showRelations(summary.merged ?? {}, summary.parted ?? {});
  showPlaying(summary);
  showMoment();
  showAlertSteps();
}

function showCards(conversation) {
  const { moment } = view;
  const tracks = [...cards.values()].map((card) => card.track);
  const [from, to] = shownRange(view, tracks);
  const standing = standingAt(alerts.entries, moment);
  for (const card of cards.values()) {
    const isOwn = (entry) => entry.participant_id === card.name;
    card.setAlerts(card.name === null ? alerts.entries : alerts.entries.filter(isOwn), standing.some(isOwn));
    card.showTalk(conversation);
    card.draw(from, to, moment, view.ended ? null : view.end);
  }
  showTally(moment ?? view.end);
  arrangeCards();
}

function showBanner({ text, warn }) {
  const element = byId("banner");
  element.hidden = text === "";
  element.classList.toggle("warn", warn);
  setText(element, text);
}

function showStart(steps) {
  byId("start").hidden = steps === null;
  const items = resizeList(byId("steps"), "step", steps?.length ?? 0);
  steps?.forEach((step, at) => {
    items[at].className = step.state;
    setText(items[at].querySelector(".mark"), stepMark(step));
    setText(items[at].querySelector(".what"), step.text);
    setText(items[at].querySelector("code"), step.command ?? "");
  });
}

function showCommands(commands) {
  byId("next").hidden = commands.length === 0;
  const items = resizeList(byId("commands"), "command", commands.length);
  commands.forEach(([command, text], at) => {
    setText(items[at].querySelector("code"), command);
    setText(items[at].querySelector(".what"), text);
  });
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

// --- the moment shown, and playing a session that has ended

const player = new Player((seconds) => { view.moment = seconds; scheduleDraw(); }, scheduleDraw);

function showPlaying(summary) {
  const button = byId("play");
  button.hidden = !view.ended;
  byId("playback").hidden = !view.ended;
  for (const id of ["mute", "captions"]) byId(id).hidden = !view.status?.media?.length;
  setText(byId("newest"), view.ended ? "To the end" : "Newest");
  button.setAttribute("aria-pressed", String(player.playing));
  setText(button, player.playing ? "Pause" : "Play");
  for (const participant of view.status?.media ?? []) {
    const card = cards.get(participant);
    if (!card) continue;
    if (!card.hasMedia) {
      const address = `api/media?${new URLSearchParams({ session: exactly(summary), participant })}`;
      const begin_ms = view.status.media_begin_ms?.[participant] ?? 0;
      card.addMedia(player.add(participant, address, begin_ms / 1000, card.shownName));
    }
    player.setLines(participant, words.linesOf(participant));
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

// Go to an alert, and play from there where there is something to play.
function jump(seconds) {
  choose(seconds);
  if (view.ended && view.moment !== null && !player.playing) player.play(view.moment, view.end);
}

function alertBefore() {
  return previousAlert(alerts.entries, view.moment ?? view.end);
}

function alertAfter() {
  return nextAlert(alerts.entries, view.moment ?? view.end);
}

function showAlertSteps() {
  for (const [id, entry] of [["previous-alert", alertBefore()], ["next-alert", alertAfter()]]) {
    byId(id).hidden = alerts.entries.length === 0;
    byId(id).disabled = entry === null;
  }
}

byId("play").addEventListener("click", () => {
  if (player.playing) {
    player.stop();
    return;
  }
  player.play(playFrom(view.moment, view.end), view.end);
  scheduleDraw();
});
byId("previous-alert").addEventListener("click", () => jump(alertBefore().begin_ms / 1000));
byId("next-alert").addEventListener("click", () => jump(alertAfter().begin_ms / 1000));
byId("rate").addEventListener("change", (event) => player.setRate(Number(event.target.value)));
byId("mute").addEventListener("click", () => {
  player.setMuted(!player.muted);
  byId("mute").setAttribute("aria-pressed", String(player.muted));
});
byId("captions").addEventListener("click", () => {
  keep("captions", player.captioned ? "no" : "yes");
  showCaptions(!player.captioned);
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

function showCaptions(captioned) {
  player.setCaptioned(captioned);
  byId("captions").setAttribute("aria-pressed", String(captioned));
}

showCaptions(kept("captions", "no") === "yes");
byId("order").value = kept("order", "name");
byId("detailed").checked = kept("detailed", "no") === "yes";
showDetails(byId("detailed").checked);
connect(session, { onStatus, onRecords, onReset, onLive, onLink });
scheduleDraw();
