// The server's status in words: sessions, broker, stages. Knows no document and no clock.
//
// A status is what `api/status` and the event `status` contain; a summary is one of its `sessions`.
// The parameter `now_ms` is the server's time now, Unix milliseconds.

import { labelText } from "./describe.js";
import {
  clock, counted, duration, moodOf, polarityMark, shownName, signed, wallClock,
} from "./format.js";

const STALE_MS = 15_000; // a live session without news for so long is silent
const STAGES = [["capture", "Capture"], ["queue", "Queue"], ["inference", "Inference"],
  ["smoothing", "Smoothing"], ["total", "In all"]];
const WORKERS = [["inference", "streamer infer"], ["smoothing", "streamer process"]];
const SLOW = 0.9; // of real time
const LONG_MS = 1_000; // a stage that takes longer for a window is named when the records are slow
const BROKER_STATES = { up: "answers", down: "away", connecting: "connecting" };
const LINKS = { up: "Connected", down: "Connection lost, trying again …", connecting: "Connecting …" };
const KEPT = "The records received so far stay on this page.";
const STALE = "The records shown are not up to date.";

function ageMs(summary, now_ms) {
  return now_ms - summary.updated_ms;
}

// A session in one word or two.
export function sessionState(summary, now_ms) {
  if (summary.recorded) return summary.complete === false ? "recorded, not to its end" : "recorded";
  if (summary.ended) return "ended";
  if (ageMs(summary, now_ms) > STALE_MS) return "silent";
  return summary.live === false ? "replay" : "live";
}

// State, begin, participants and the mean of a recorded session in one line. `began` writes Unix
// milliseconds.
export function sessionFacts(summary, now_ms, began = wallClock) {
  const facts = [sessionState(summary, now_ms)];
  if (summary.started_ms !== null) facts.push(`began ${began(summary.started_ms)}`);
  facts.push(counted(summary.participants.length, "participant"));
  if (summary.recorded && summary.valence !== null) facts.push(`mean ${signed(summary.valence)}`);
  return facts.join(" · ");
}

// Whether the session is recorded, where its host starts and stops that: the `text`, and whether it is
// `on`.
export function recordingOf(summary) {
  const times = summary?.recorded_times ?? null;
  const off = { text: "", on: false };
  if (times === null) return off;
  const over = summary.recorded || summary.ended;
  if (!over) {
    const on = times.length > 0 && times.at(-1).end_ms === null;
    return { text: on ? "Being recorded" : "Not being recorded", on };
  }
  const isWhole = times.length === 1 && times[0].begin_ms === 0 && times[0].end_ms === null;
  if (isWhole || times.length === 0) return off;
  const parts = times.map(({ begin_ms, end_ms }) => (
    `${clock(begin_ms / 1000)} to ${end_ms === null ? "the end" : clock(end_ms / 1000)}`));
  return { text: `Recorded: ${parts.join(", ")}`, on: false };
}

// A session's mood in the list of sessions: the newest of a session on the topics, the mean of a
// recorded one; and how many alerts it has.
export function moodText(summary) {
  const value = summary.valence === null ? "" : ` ${signed(summary.valence)}`;
  const alerts = summary.alerts ? `, ${counted(summary.alerts, "alert")}` : "";
  if (summary.recorded) return `${value ? `mean${value}` : "–"}${alerts}`;
  if (summary.label === null) return `–${alerts}`;
  return `${polarityMark(moodOf(summary))}${value} ${labelText(summary)}${alerts}`;
}

// The cells of a row in the list of sessions, by their CSS class; the mood has its own function.
export function sessionCells(summary, now_ms, began = wallClock) {
  return {
    state: sessionState(summary, now_ms),
    began: summary.started_ms === null ? "" : began(summary.started_ms),
    length: clock(summary.end_ms / 1000),
    who: summary.participants.map((id) => shownName(summary.names, id)).join(", "),
  };
}

// The connection to the server, and through it to the broker: its `text`, and its `state`
// "connecting", "up" or "down". `status` and `summary` may be null.
export function linkOf({ link, status, summary }) {
  const state = status?.broker.state;
  const needsBroker = link === "up" && !summary?.recorded;
  if (needsBroker && state === "down") return { text: "The broker is away", state: "down" };
  if (needsBroker && state === "connecting") {
    return { text: "Connecting to the broker …", state: "connecting" };
  }
  const over = link === "down" && summary?.ended;
  return { text: over ? "Not connected" : LINKS[link], state: link };
}

// The stages that have no worker although `goesOn` or messages wait, in a sentence; "" for none.
function absentText({ stages, broker }, goesOn) {
  const absent = WORKERS.filter(([stage]) => stages[stage]?.workers === 0
    && (goesOn || stages[stage].waiting !== 0));
  if (absent.length === 0) return "";
  const names = absent.map(([stage]) => `${stage} worker`).join(" and no ");
  const commands = absent.map(([, command]) => command).join(" and ");
  return `No ${names} is running on ${broker.address}; start one with ${commands}.`;
}

// The first stage with messages that wait, in a sentence; "" for none.
function waitingText(stages) {
  const busy = WORKERS.find(([stage]) => stages[stage] && stages[stage].waiting !== 0);
  if (busy === undefined) return "";
  const { waiting } = stages[busy[0]];
  if (waiting === null) return `Windows wait for ${busy[0]}, which has not begun.`;
  return `${counted(waiting, "window")} ${waiting === 1 ? "waits" : "wait"} for ${busy[0]}.`;
}

// How slowly the records come and which stage takes longest; "" for real time and faster.
function slowText({ speed }, latency_ms) {
  if (!isSlow(speed)) return "";
  const stages = STAGES.filter(([stage]) => stage !== "total" && latency_ms[stage]?.median > LONG_MS)
    .sort(([one], [other]) => latency_ms[other].median - latency_ms[one].median);
  const longest = stages.length
    ? ` ${stages[0][1]} takes longest: ${Math.round(latency_ms[stages[0][0]].median)} ms a window.` : "";
  return `The records come at ${speedText(speed)}.${longest}`;
}

function isSlow(speed) {
  return typeof speed === "number" && speed < SLOW;
}

function speedText(speed) {
  return `${speed.toFixed(speed < 10 ? 1 : 0)} of real time`;
}

// One sentence for what is not as it should be, the first that applies; an empty text for none.
// `warn`: whether what is shown may be out of date. `session` is null on the list of sessions;
// `status` is null before the first; `hasCards`: whether there are records of the session, `hasAll`:
// whether all that are stored have come.
export function bannerOf({ link, status, session, summary, hasCards, hasAll, now_ms }) {
  const warning = (text) => ({ text, warn: text !== "" });
  const notice = (text) => ({ text, warn: false });
  if (link === "down" && summary?.ended) {
    return notice(`This session has ended, and the page's server with it. ${KEPT}`);
  }
  if (link === "down" && status === null) {
    return warning("The page's server does not answer; trying again.");
  }
  if (link === "down") {
    return warning(`The connection to the page's server is lost; trying again. ${STALE}`);
  }
  if (status === null) return notice("Connecting …");
  if (summary?.recorded && !hasCards) return notice(hasAll ? "This recording has no window." : "Reading the recording …");
  if (summary?.recorded) return notice("");
  const { broker, sessions } = status;
  if (broker.state === "down") {
    const shown = hasCards || sessions.length ? ` ${STALE}` : "";
    const time = duration(status.now_ms - broker.since_ms);
    return warning(`The broker at ${broker.address} has not answered for ${time}; trying again.${shown}`);
  }
  if (broker.state === "connecting") return notice(`Connecting to the broker at ${broker.address} …`);
  if (broker.state === "none") {
    if (session !== null) return warning(`No session ${session} is recorded here.`);
    return warning(sessions.length ? "" : "Nothing is recorded here, and no broker is followed.");
  }
  const goesOn = (each) => !each.ended && !each.recorded && ageMs(each, now_ms) <= STALE_MS;
  const absent = absentText(status, (summary === null ? sessions : [summary]).some(goesOn));
  if (summary?.ended) {
    const rest = absent || (hasCards ? "" : waitingText(status.stages) || "It has no scored window.");
    return { text: `This session has ended. ${rest}`.trimEnd(), warn: absent !== "" && !hasCards };
  }
  if (absent !== "") return warning(absent);
  if (session === null && sessions.length === 0) {
    return notice(`No session yet on ${broker.address}. Waiting for one to begin.`);
  }
  if (session !== null && !hasCards) {
    const waiting = waitingText(status.stages) || "Waiting for its first window.";
    return notice(`Nothing yet of session ${session}. ${waiting}`);
  }
  if (summary === null) return notice("");
  const age = ageMs(summary, now_ms);
  if (age > STALE_MS) return warning(`Nothing new for ${duration(age)}. ${STALE}`);
  return notice(slowText(summary, status.latency_ms));
}

// What the process that serves the page reports of its own work, problems first.
export function noticesOf(status) {
  const texts = (list, warn) => (list ?? []).map((text) => ({ text, warn }));
  return [...texts(status.problems, true), ...texts(status.notices, false)];
}

// The backlog or the rate of a stage.
function workText(stage) {
  if (stage === undefined) return "";
  if ("windows_per_s" in stage) return `${stage.windows_per_s.toFixed(1)} windows a second`;
  if (stage.workers === 0) {
    return stage.waiting ? `no worker, ${stage.waiting} waiting` : "no worker";
  }
  if (stage.waiting === null) return "has not begun";
  return stage.waiting === 0 ? "nothing waits" : `${stage.waiting} waiting`;
}

// How long a stage took for the newest records.
function latencyText(latency) {
  if (latency === undefined) return "";
  return `${Math.round(latency.median)} ms (95 %: ${Math.round(latency.p95)} ms)`;
}

// The rows of the footer, [name, text], without the stages of which nothing is known.
export function healthRows(status, summary, now_ms) {
  const rows = STAGES.map(([stage, name]) => {
    const texts = [workText(status.stages[stage]), latencyText(status.latency_ms[stage])];
    return [name, texts.filter(Boolean).join(", ")];
  }).filter(([, text]) => text !== "");
  if (summary !== null && !summary.recorded) {
    rows.push(["Newest record", `${duration(ageMs(summary, now_ms))} ago`]);
  }
  if (summary !== null && !summary.ended && isSlow(summary.speed)) rows.push(["Speed", speedText(summary.speed)]);
  if (status.public) return rows;
  const { broker } = status;
  if (broker.state === "none") return [...rows, ["Broker", "none: recorded sessions only"]];
  rows.push(["Not yet read", String(status.lag)]);
  rows.push(["Broker", `${broker.address}, ${BROKER_STATES[broker.state]}`]);
  return rows;
}

// The title of the page: how many alerts stand, and the session.
export function titleOf(name, standing) {
  return `${standing ? `(${counted(standing, "alert")}) ` : ""}${name} · Sentiment`;
}

// The only session there is, which the page opens by itself; null when there is a choice.
export function onlySession(status) {
  return status.sessions.length === 1 ? status.sessions[0] : null;
}

// The text that finds this session and no newer one: its id, marked where it equals a name.
export function exactly({ session_id, name }) {
  return session_id === name ? `=${session_id}` : session_id;
}
