import assert from "node:assert/strict";
import { test } from "node:test";

import {
  bannerOf, exactly, healthRows, linkOf, moodText, noticesOf, onlySession, recordingOf,
  sessionCells,  sessionFacts, sessionState, titleOf,
} from "../../streamer/dashboard/static/status.js";

const NOW_MS = 1_000_000;
const began = (ms) => `at ${ms}`;

// A summary of a live session, as the server sends it, with `changes`.
function summaryWith(changes = {}) {
  return {
    session_id: "standup-20261126T145400Z-3f9a", name: "standup", updated_ms: NOW_MS - 2_000, started_ms: 900_000, end_ms: 61_000,
    participants: ["ana", "bo"], ended: false, live: true, recorded: false, complete: null,
    valence: 0.4, polarity: "positive", label: "weakly positive", alerts: 0, ...changes,
  };
}

function statusWith(broker, sessions = [summaryWith()]) {
  const up = { state: "up", address: "broker:9092", since_ms: NOW_MS - 90_000 };
  return { now_ms: NOW_MS, broker: { ...up, ...broker }, sessions, stages: {}, latency_ms: {}, lag: 3 };
}

function banner(changes) {
  return bannerOf({
    link: "up", status: statusWith(), session: "standup", summary: summaryWith(), hasCards: true,
    now_ms: NOW_MS, ...changes,
  });
}

const nothing = { text: "", warn: false };

test("a session is live, a replay, silent or ended", () => {
  const state = (changes) => sessionState(summaryWith(changes), NOW_MS);
  assert.equal(state({}), "live");
  assert.equal(state({ live: null }), "live");
  assert.equal(state({ live: false }), "replay");
  assert.equal(state({ updated_ms: NOW_MS - 15_000 }), "live");
  assert.equal(state({ updated_ms: NOW_MS - 15_001 }), "silent");
  assert.equal(state({ updated_ms: 0, ended: true }), "ended");
});

test("a recorded session is never silent, and says when its end is missing", () => {
  const state = (complete) => sessionState(
    summaryWith({ recorded: true, updated_ms: 0, ended: true, complete }), NOW_MS);
  assert.equal(state(true), "recorded");
  assert.equal(state(null), "recorded");
  assert.equal(state(false), "recorded, not to its end");
});

test("the facts are state, begin where it is known, and participants", () => {
  assert.equal(sessionFacts(summaryWith(), NOW_MS, began), "live · began at 900000 · 2 participants");
  const alone = summaryWith({ started_ms: null, participants: ["ana"] });
  assert.equal(sessionFacts(alone, NOW_MS, began), "live · 1 participant");
  const past = summaryWith({ started_ms: null, recorded: true });
  assert.equal(sessionFacts(past, NOW_MS, began), "recorded · 2 participants · mean +0.40");
});

test("a row of the list has state, begin, length and names", () => {
  assert.deepEqual(sessionCells(summaryWith(), NOW_MS, began),
    { state: "live", began: "at 900000", length: "1:01", who: "ana, bo" });
  assert.equal(sessionCells(summaryWith({ started_ms: null }), NOW_MS, began).began, "");
});

test("a live session's mood is its newest, with mark, value, label and alerts", () => {
  assert.equal(moodText(summaryWith()), "▲ +0.40 weakly positive");
  const divided = summaryWith({ valence: -0.07, polarity: "neutral", label: "neutral", divided: true });
  assert.equal(moodText(divided), "◆ −0.07 divided");
  assert.equal(moodText(summaryWith({ alerts: 1 })), "▲ +0.40 weakly positive, 1 alert");
  const silent = { valence: null, polarity: null, label: null };
  assert.equal(moodText(summaryWith({ ...silent, alerts: 2 })), "–, 2 alerts");
});

test("a recorded session's mood is its mean", () => {
  assert.equal(moodText(summaryWith({ recorded: true, alerts: 3 })), "mean +0.40, 3 alerts");
  assert.equal(moodText(summaryWith({ recorded: true, valence: 0 })), "mean 0.00");
  assert.equal(moodText(summaryWith({ recorded: true, valence: null })), "–");
});

test("a lost connection is tried again, except after the session's end", () => {
  const shown = (link, summary) => linkOf({ link, status: null, summary });
  assert.deepEqual(shown("up", null), { text: "Connected", state: "up" });
  assert.deepEqual(shown("connecting", null), { text: "Connecting …", state: "connecting" });
  for (const summary of [null, summaryWith()]) {
    assert.deepEqual(shown("down", summary), { text: "Connection lost, trying again …", state: "down" });
  }
  assert.deepEqual(shown("down", summaryWith({ ended: true })), { text: "Not connected", state: "down" });
});

test("without its broker the page is not connected, except for a recorded session", () => {
  const shown = (state, changes, link = "up") => linkOf(
    { link, status: statusWith({ state }), summary: summaryWith(changes) });
  assert.deepEqual(shown("down"), { text: "The broker is away", state: "down" });
  assert.deepEqual(shown("connecting"), { text: "Connecting to the broker …", state: "connecting" });
  assert.deepEqual(shown("up"), { text: "Connected", state: "up" });
  assert.deepEqual(shown("none"), { text: "Connected", state: "up" });
  assert.deepEqual(shown("down", { recorded: true }), { text: "Connected", state: "up" });
  assert.equal(shown("down", {}, "down").text, "Connection lost, trying again …");
});

test("while all is well there is no banner", () => {
  assert.deepEqual(banner({}), nothing);
  assert.deepEqual(banner({ session: null, summary: null, hasCards: false }), nothing);
  assert.deepEqual(banner({ summary: null }), nothing);
});

test("a lost server comes before everything else", () => {
  const down = statusWith({ state: "down" });
  const lost = banner({ link: "down", status: down });
  assert.match(lost.text, /^The connection to the page's server is lost; .* not up to date\.$/);
  assert.equal(lost.warn, true);
  const never = banner({ link: "down", status: null, summary: null });
  assert.deepEqual(never, { text: "The page's server does not answer; trying again.", warn: true });
  const over = banner({ link: "down", status: down, summary: summaryWith({ ended: true }) });
  assert.match(over.text, /^This session has ended, and the page's server with it\./);
  assert.equal(over.warn, false);
});

test("before the first status the page is connecting", () => {
  assert.deepEqual(banner({ link: "connecting", status: null, summary: null, hasCards: false }),
    { text: "Connecting …", warn: false });
});

test("a broker that is away is named, with how long", () => {
  const text = "The broker at broker:9092 has not answered for 90 s; trying again.";
  const status = statusWith({ state: "down" });
  assert.deepEqual(banner({ status }), { text: `${text} The records shown are not up to date.`, warn: true });
  const empty = { session: null, summary: null, hasCards: false };
  assert.equal(banner({ status: statusWith({ state: "down" }, []), ...empty }).text, text);
  assert.match(banner({ status, ...empty }).text, /not up to date\.$/); // the list of sessions is shown
  assert.deepEqual(banner({ status: statusWith({ state: "connecting" }) }),
    { text: "Connecting to the broker at broker:9092 …", warn: false });
});

test("a recorded session without records is being read, or has none", () => {
  const summary = summaryWith({ recorded: true, ended: true, updated_ms: 0 });
  assert.equal(banner({ summary, hasCards: false, hasAll: false }).text, "Reading the recording …");
  assert.equal(banner({ summary, hasCards: false, hasAll: true }).text, "This recording has no window.");
});

test("a recorded session does not depend on the broker", () => {
  const summary = summaryWith({ recorded: true, ended: true, updated_ms: 0 });
  for (const state of ["up", "down", "none"]) {
    assert.deepEqual(banner({ status: statusWith({ state }), summary }), nothing);
  }
});

test("without a broker only recorded sessions can be opened", () => {
  const list = { session: null, summary: null, hasCards: false };
  assert.deepEqual(banner({ ...list, session: "x", status: statusWith({ state: "none" }) }),
    { text: "No session x is recorded here.", warn: true });
  assert.deepEqual(banner({ ...list, status: statusWith({ state: "none" }, []) }),
    { text: "Nothing is recorded here, and no broker is followed.", warn: true });
  assert.deepEqual(banner({ ...list, status: statusWith({ state: "none" }) }), nothing);
});

test("an empty page says what it waits for", () => {
  assert.deepEqual(banner({ session: null, summary: null, hasCards: false, status: statusWith({}, []) }),
    { text: "No session yet on broker:9092. Waiting for one to begin.", warn: false });
  assert.deepEqual(banner({ hasCards: false }),
    { text: "Nothing yet of session standup. Waiting for its first window.", warn: false });
});

test("a session without news warns, one that has ended does not", () => {
  const updated_ms = NOW_MS - 200_000;
  assert.deepEqual(banner({ summary: summaryWith({ updated_ms }) }),
    { text: "Nothing new for 3 minutes. The records shown are not up to date.", warn: true });
  assert.deepEqual(banner({ summary: summaryWith({ updated_ms: NOW_MS - 15_000 }) }), nothing);
  assert.deepEqual(banner({ summary: summaryWith({ updated_ms, ended: true }) }),
    { text: "This session has ended.", warn: false });
});

// The stages with the workers and the waiting messages of inference and smoothing.
function stagesWith(inference, smoothing) {
  const stage = ([workers, waiting]) => ({ workers, waiting });
  return { inference: stage(inference), smoothing: stage(smoothing) };
}

test("a stage without a worker is named while work goes on or waits", () => {
  const text = (inference, smoothing, changes = {}) => {
    const status = { ...statusWith(), stages: stagesWith(inference, smoothing) };
    return banner({ status, ...changes });
  };
  const noInference = "No inference worker is running on broker:9092; start one with streamer infer.";
  assert.deepEqual(text([0, 0], [1, 0]), { text: noInference, warn: true });
  assert.deepEqual(text([0, null], [1, 0], { hasCards: false, summary: null }),
    { text: noInference, warn: true });
  assert.match(text([0, 3], [0, 0]).text,
    /^No inference worker and no smoothing worker is running .* streamer infer and streamer process\.$/);
  assert.deepEqual(text([1, 0], [2, 5]), nothing);
  assert.deepEqual(text([null, 9], [null, 0]), nothing); // the broker does not list workers
  const old = summaryWith({ updated_ms: NOW_MS - 16_000 });
  assert.match(text([0, 0], [1, 0], { summary: old }).text, /^Nothing new for 16 s/);
  assert.deepEqual(text([0, 7], [1, 0], { summary: old }), { text: noInference, warn: true });
});

test("a session that ended without a score says what it lacks", () => {
  const ended = (inference, hasCards) => banner({
    summary: summaryWith({ ended: true }), hasCards,
    status: { ...statusWith(), stages: stagesWith(inference, [1, 0]) },
  });
  const absent = "This session has ended. No inference worker is running on broker:9092; "
    + "start one with streamer infer.";
  assert.deepEqual(ended([0, null], false), { text: absent, warn: true });
  assert.deepEqual(ended([0, 2], true), { text: absent, warn: false });
  assert.deepEqual(ended([0, 0], true), { text: "This session has ended.", warn: false });
  assert.equal(ended([1, 1], false).text, "This session has ended. 1 window waits for inference.");
  assert.equal(ended([null, null], false).text,
    "This session has ended. Windows wait for inference, which has not begun.");
  assert.equal(ended([1, 0], false).text, "This session has ended. It has no scored window.");
});

test("what a session without records waits for is said", () => {
  const status = { ...statusWith(), stages: stagesWith([1, 12], [1, 0]) };
  assert.deepEqual(banner({ hasCards: false, status }),
    { text: "Nothing yet of session standup. 12 windows wait for inference.", warn: false });
});

test("records that come slower than real time are a notice with the slowest stage", () => {
  const status = statusWith();
  const text = (speed) => banner({ status, summary: summaryWith({ speed }) }).text;
  assert.equal(text(0.9), "");
  assert.equal(text(null), "");
  assert.equal(text(0.41), "The records come at 0.4 of real time.");
  status.latency_ms = { capture: { median: 1_200 }, inference: { median: 2_400.4 }, total: { median: 9e9 } };
  assert.equal(text(0.41), "The records come at 0.4 of real time. Inference takes longest: 2400 ms a window.");
  const speedRow = (summary) => healthRows(status, summary, NOW_MS).find(([name]) => name === "Speed");
  assert.deepEqual(speedRow(summaryWith({ speed: 0.41 })), ["Speed", "0.4 of real time"]);
  assert.equal(speedRow(summaryWith({ speed: 0.41, ended: true })), undefined);
  assert.equal(speedRow(summaryWith({ speed: 1 })), undefined);
});

test("the health rows say that a stage has no worker", () => {
  const status = { ...statusWith(), stages: stagesWith([0, 4], [0, 0]) };
  const rows = healthRows(status, null, NOW_MS);
  assert.deepEqual(rows.slice(0, 2), [["Inference", "no worker, 4 waiting"], ["Smoothing", "no worker"]]);
});

test("the health rows have backlog and latency, and omit unknown stages", () => {
  const status = statusWith();
  status.stages = { capture: { windows_per_s: 2 }, inference: { waiting: 0 },
    smoothing: { waiting: null }, queue: { waiting: 4 } };
  status.latency_ms = { inference: { median: 79.6, p95: 120.2 } };
  assert.deepEqual(healthRows(status, summaryWith(), NOW_MS), [
    ["Capture", "2.0 windows a second"],
    ["Queue", "4 waiting"],
    ["Inference", "nothing waits, 80 ms (95 %: 120 ms)"],
    ["Smoothing", "has not begun"],
    ["Newest record", "2 s ago"],
    ["Not yet read", "3"],
    ["Broker", "broker:9092, answers"],
  ]);
});

test("the health rows name the broker's state", () => {
  const rows = (state, summary = null) => healthRows(statusWith({ state }), summary, NOW_MS);
  assert.deepEqual(rows("down").at(-1), ["Broker", "broker:9092, away"]);
  assert.deepEqual(rows("connecting").at(-1), ["Broker", "broker:9092, connecting"]);
  assert.deepEqual(rows("none", summaryWith({ recorded: true })),
    [["Broker", "none: recorded sessions only"]]);
});

test("the title counts the alerts that stand", () => {
  assert.equal(titleOf("standup", 0), "standup · Sentiment");
  assert.equal(titleOf("standup", 1), "(1 alert) standup · Sentiment");
});

test("a single session opens by itself", () => {
  assert.equal(onlySession(statusWith()).name, "standup");
  assert.equal(onlySession(statusWith({}, [])), null);
  assert.equal(onlySession(statusWith({}, [summaryWith(), summaryWith()])), null);
});

test("a session is found by its id, which is marked where it equals a name", () => {
  assert.equal(exactly(summaryWith()), "standup-20261126T145400Z-3f9a");
  assert.equal(exactly(summaryWith({ session_id: "standup" })), "=standup");
});

test("problems come before notices, and neither is needed", () => {
  assert.deepEqual(noticesOf(statusWith()), []);
  const status = { ...statusWith(), problems: ["The disk is full."], notices: ["ana: very quiet."] };
  assert.deepEqual(noticesOf(status),
    [{ text: "The disk is full.", warn: true }, { text: "ana: very quiet.", warn: false }]);
});

test("a visitor's health rows name no broker", () => {
  const rows = healthRows({ ...statusWith(), public: true }, summaryWith(), NOW_MS);
  assert.deepEqual(rows, [["Newest record", "2 s ago"]]);
});

test("the page states whether the session is recorded, and later which times were", () => {
  const of = (changes, ...times) => recordingOf(summaryWith({
    recorded_times: times.map(([begin_ms, end_ms]) => ({ begin_ms, end_ms })), ...changes,
  }));
  assert.deepEqual(recordingOf(null), { text: "", on: false });
  assert.deepEqual(recordingOf(summaryWith({ recorded_times: null })), { text: "", on: false });
  assert.deepEqual(of({}, [0, 5000], [9000, null]), { text: "Being recorded", on: true });
  assert.deepEqual(of({}, [0, 5000]), { text: "Not being recorded", on: false });
  assert.deepEqual(of({}), { text: "Not being recorded", on: false });
  assert.deepEqual(of({ recorded: true }, [0, null]), { text: "", on: false });
  assert.deepEqual(of({ ended: true }), { text: "", on: false });
  assert.equal(of({ recorded: true }, [0, 5000], [65000, null]).text, "Recorded: 0:00 to 0:05, 1:05 to the end");
});
