import assert from "node:assert/strict";
import { test } from "node:test";

import { nextCommands, startSteps, stepMark } from "../../streamer/dashboard/static/checklist.js";

function statusWith(broker = {}, changes = {}) {
  return { now_ms: 100_000, sessions: [], stages: {},
    broker: { state: "up", address: "broker:9092", since_ms: 80_000, ...broker }, ...changes };
}

const record = { modalities: ["audio", "text"], asr: "whisper-tiny.en",
  participants: [{ participant_id: "ana" }, { participant_id: "bo" }] };

function steps(changes = {}) {
  return startSteps({ session: "standup", status: statusWith(), summary: null, record: null, hasCards: false,
    link: "up", ...changes });
}

const shown = (list) => list.map((step) => `${stepMark(step)} ${step.text}`);

test("a session that has not begun waits for everything but the broker", () => {
  assert.deepEqual(shown(steps()), [
    "✓ Broker: broker:9092 answers.",
    "… Session: standup has not begun.",
    "… Words: not known yet.",
    "… Model: not reported yet.",
    "… Smoothing: not reported yet.",
    "… First window: not scored yet.",
  ]);
});

test("a session that has begun has its people, its words and the queue of the model", () => {
  const stages = { capture: { windows_per_s: 2 }, inference: { workers: 1, waiting: 3 },
    smoothing: { workers: 1, waiting: 0 } };
  assert.deepEqual(shown(steps({ record, status: statusWith({}, { stages }) })).slice(1), [
    "✓ Session: has begun, with ana, bo. Capture sends 2.0 windows a second.",
    "✓ Words: by whisper-tiny.en.",
    "… Model: 3 windows in the queue.",
    "✓ Smoothing: ready.",
    "… First window: not scored yet.",
  ]);
});

test("a stage without a worker has the command that starts one", () => {
  const stages = { inference: { workers: 0, waiting: 3 }, smoothing: { workers: 1, waiting: null } };
  const [model, smoothing] = steps({ status: statusWith({}, { stages }) }).slice(3);
  assert.deepEqual(model,
    { state: "wrong", text: "Model: no worker is running.", command: "streamer infer --broker broker:9092" });
  assert.equal(smoothing.text, "Smoothing: has not begun.");
});

test("a session without words has them off, or lacks a recogniser", () => {
  const words = (changes) => steps({ record: { ...record, ...changes } })[2];
  assert.equal(words({ modalities: ["audio"], asr: "none" }).text, "Words: not used in this session.");
  assert.equal(words({ asr: "none" }).state, "wrong");
  assert.equal(words({ asr: "none" }).command, "streamer doctor");
  assert.equal(words({ participants: [], asr: "none" }).text, "Words: not known yet.");
});

test("while the broker does not answer it is the only step", () => {
  assert.deepEqual(shown(steps({ status: statusWith({ state: "down" }) })),
    ["✕ Broker: broker:9092 has not answered for 20 s. Where none is running, start one:"]);
  assert.deepEqual(shown(steps({ status: statusWith({ state: "connecting" }) })),
    ["… Broker: connecting to broker:9092."]);
});

test("there are no steps where there is nothing to wait for", () => {
  assert.equal(steps({ session: null }), null);
  assert.equal(steps({ status: null }), null);
  assert.equal(steps({ hasCards: true }), null);
  assert.equal(steps({ link: "down" }), null);
  assert.equal(steps({ summary: { ended: true } }), null);
  assert.equal(steps({ status: statusWith({ state: "none" }) }), null);
});

test("without a session the reader has commands for this broker", () => {
  const commands = (status) => nextCommands({ session: null, status }).map(([command]) => command);
  assert.deepEqual(commands(statusWith()), [
    'streamer run --broker broker:9092 --consent "…" --participant ana=webcam:0,mic:default',
    "streamer replay talk.mp4 --broker broker:9092",
    "streamer demo",
  ]);
  assert.equal(commands(statusWith({ state: "none" }))[0], "streamer dashboard --broker localhost:9092");
  assert.deepEqual(commands(statusWith({ state: "down" })), ["streamer broker --kafka"]);
  assert.deepEqual(commands(statusWith({}, { sessions: [{}] })), []);
  assert.deepEqual(commands(null), []);
  assert.deepEqual(nextCommands({ session: "standup", status: statusWith() }), []);
});

test("a visitor, who runs none of the processes, reads of the session only", () => {
  const visitor = (broker) => steps({ record, status: statusWith(broker, { public: true }) });
  assert.deepEqual(shown(visitor()), [
    "✓ Session: has begun, with ana, bo.",
    "✓ Words: by whisper-tiny.en.",
    "… First window: not scored yet.",
  ]);
  assert.equal(visitor({ state: "down" }), null);
});
