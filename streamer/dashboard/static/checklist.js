// What a page without records waits for, step by step, and what its reader can type next. Knows no
// document.
//
// A step has a `state`, "done", "waiting" or "wrong", a `text`, and a `command` that helps or null. A
// status is that of status.js; `record` is the session's own record, null before it has come.

import { counted, duration, shownName } from "./format.js";

const MARKS = { done: "✓", waiting: "…", wrong: "✕" };

export function stepMark({ state }) {
  return MARKS[state];
}

function step(state, text, command = null) {
  return { state, text, command };
}

function brokerStep({ broker, now_ms }) {
  const { address, state, since_ms } = broker;
  if (state === "up") return step("done", `Broker: ${address} answers.`);
  if (state === "connecting") return step("waiting", `Broker: connecting to ${address}.`);
  const time = duration(now_ms - since_ms);
  return step("wrong", `Broker: ${address} has not answered for ${time}. Where none is running, start one:`,
    "streamer broker --kafka");
}

function workerStep(name, work, address, command) {
  if (work === undefined) return step("waiting", `${name}: not reported yet.`);
  const { workers, waiting } = work;
  if (workers === 0) return step("wrong", `${name}: no worker is running.`, `${command} --broker ${address}`);
  if (waiting === null) return step("waiting", `${name}: has not begun.`);
  if (waiting === 0) return step("done", `${name}: ready.`);
  return step("waiting", `${name}: ${counted(waiting, "window")} in the queue.`);
}

function sessionStep(session, record, rate) {
  if (record === null) return step("waiting", `Session: ${session} has not begun.`);
  const names = record.participants.map((person) => shownName(record.names, person.participant_id)).join(", ");
  const sent = rate > 0 ? ` Capture sends ${rate.toFixed(1)} windows a second.` : "";
  return step("done", `Session: has begun${names ? `, with ${names}` : ""}.${sent}`);
}

function wordsStep(record) {
  if (record === null || record.participants.length === 0) return step("waiting", "Words: not known yet.");
  if (!record.modalities.includes("text")) return step("done", "Words: not used in this session.");
  if (record.asr === "none" || record.asr === "") {
    return step("wrong", "Words: no recogniser; voice and face alone count. To see why:", "streamer doctor");
  }
  return step("done", `Words: by ${record.asr}.`);
}

// The steps until a session's first record; null where there is nothing to wait for.
export function startSteps({ session, status, summary, record, hasCards, link }) {
  if (session === null || status === null || link === "down" || hasCards) return null;
  if (status.broker.state === "none" || summary?.ended) return null;
  const { stages, broker } = status;
  const own = (...steps) => (status.public ? [] : steps); // for those who run the processes
  if (broker.state !== "up") return status.public ? null : [brokerStep(status)];
  return [
    ...own(brokerStep(status)),
    sessionStep(session, record, stages.capture?.windows_per_s ?? 0),
    wordsStep(record),
    ...own(
      workerStep("Model", stages.inference, broker.address, "streamer infer"),
      workerStep("Smoothing", stages.smoothing, broker.address, "streamer process"),
    ),
    step("waiting", "First window: not scored yet."),
  ];
}

// What to type where there is no session, [command, what it does]; none where there is one.
export function nextCommands({ session, status }) {
  if (session !== null || status === null || status.sessions.length > 0) return [];
  const { state, address } = status.broker;
  const demo = ["streamer demo", "plays a generated meeting on a page of its own"];
  if (state === "down") return [["streamer broker --kafka", "starts a broker on this machine"]];
  if (state === "none") {
    return [
      ["streamer dashboard --broker localhost:9092", "follows the sessions on a broker"],
      ["streamer record --broker localhost:9092", "records them, for this page to show later"],
      demo,
    ];
  }
  return [
    [`streamer run --broker ${address} --consent "…" --participant ana=webcam:0,mic:default`, "analyses a live session"],
    [`streamer replay talk.mp4 --broker ${address}`, "analyses a recording"],
    demo,
  ];
}
