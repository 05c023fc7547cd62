import assert from "node:assert/strict";
import { test } from "node:test";

import {
  alarmText, nextAlert, previousAlert, standingAt, turnedMs, wordsBefore,
} from "../../streamer/dashboard/static/alarms.js";

const entries = [
  { participant_id: "bo", begin_ms: 10_000, end_ms: 20_000 },
  { participant_id: "ana", begin_ms: 15_000, end_ms: null },
];

test("an alert stands from its beginning until before its end", () => {
  const standing = (moment) => standingAt(entries, moment).map((entry) => entry.participant_id);
  assert.deepEqual([9.9, 10, 15, 19.9, 20].map(standing),
    [[], ["bo"], ["bo", "ana"], ["bo", "ana"], ["ana"]]);
  assert.deepEqual(standing(null), ["ana"]);
});

test("the next and the previous alert go through all of them, and end", () => {
  const next = (seconds) => nextAlert(entries, seconds)?.begin_ms ?? null;
  const previous = (seconds) => previousAlert(entries, seconds)?.begin_ms ?? null;
  assert.deepEqual([0, 9.9, 10, 15].map(next), [10_000, 10_000, 15_000, null]);
  assert.deepEqual([60, 16, 15, 11, 0].map(previous), [15_000, 10_000, 10_000, null, null]);
});

// Records before an alert, the newest first, one a second up to `end_s`.
function back(end_s, ...valences) {
  return valences.map((valence, at) => ({ valence, end_ms: (end_s - at) * 1000 }));
}

const negative = { kind: "sustained_negative", threshold: -1, begin_ms: 30_000 };

test("a sustained negative valence turned when it fell below the threshold", () => {
  assert.equal(turnedMs(negative, back(30, -1.5, -1.2, null, -1.1, -1, -2)), 27_000);
  assert.equal(turnedMs(negative, [...back(30, -1.5), ...back(14, -1.5)]), 30_000);
  assert.equal(turnedMs(negative, []), 30_000);
});

test("a drop turned when its alert began", () => {
  assert.equal(turnedMs({ ...negative, kind: "sharp_drop" }, back(30, -1.5, -1.2)), 30_000);
});

function line(participant_id, start_s, text) {
  const words = text.split(" ").map((word, at) => {
    const start_ms = start_s * 1000 + at * 300;
    return { text: word, start_ms, end_ms: start_ms + 250, confidence: 0.9 };
  });
  return { participant_id, start_ms: start_s * 1000, words };
}

test("the words before an alert are the last eight of whoever spoke last", () => {
  const lines = [line("ana", 1, "good morning"), line("bo", 20, "we have lost the deal with them and the money too")];
  assert.deepEqual(wordsBefore(lines, 23_200),
    { participant_id: "bo", text: "…the deal with them and the money too" });
  assert.deepEqual(wordsBefore(lines, 20_700), { participant_id: "bo", text: "we have lost" });
  assert.deepEqual(wordsBefore(lines, 2_000), { participant_id: "ana", text: "good morning" });
  assert.equal(wordsBefore(lines, 17_000), null); // too long ago
  assert.equal(wordsBefore(lines, 500), null);
  assert.equal(wordsBefore([], 500), null);
});

const said = { participant_id: "bo", text: "we lost" };
const drop = { participant_id: "bo", kind: "sharp_drop", begin_ms: 30_000, end_ms: null, text: "bo fell sharply" };

test("an alert that stands tells since when, and after which words", () => {
  const text = (entry, changes) => alarmText(entry, { turned_ms: 30_000, said: null, now_ms: 50_000, ...changes });
  assert.equal(text(drop), "bo fell sharply 20 s ago");
  assert.equal(text(drop, { said }), "bo fell sharply 20 s ago, after “we lost”");
  assert.equal(text(drop, { said, now_ms: null }), "bo fell sharply, after “we lost”");
  assert.equal(text({ ...drop, kind: "sustained_negative" }, { turned_ms: 20_000 }), "bo turned negative 30 s ago");
  assert.equal(text({ ...drop, participant_id: null }, { said }),
    "The meeting fell sharply 20 s ago, after bo said “we lost”");
});

test("people are called by the names that people see", () => {
  const names = { bo: "Bo Ek", ana: "Ana Berg" };
  const text = (by) => alarmText(drop, { turned_ms: 30_000, said: { ...said, participant_id: by }, now_ms: null, names });
  assert.equal(text("bo"), "Bo Ek fell sharply, after “we lost”");
  assert.equal(text("ana"), "Bo Ek fell sharply, after Ana Berg said “we lost”");
});

test("an alert by a rule has the rule, and since when", () => {
  const own = { ...drop, kind: "rule", text: "bo: valence below 1 for 5 s" };
  const text = (now_ms) => alarmText(own, { turned_ms: 30_000, said: null, now_ms });
  assert.equal(text(50_000), "bo: valence below 1 for 5 s, 20 s ago");
  assert.equal(text(null), "bo: valence below 1 for 5 s");
});

test("an alert that has ended has its length, and the words before it", () => {
  const ended = { ...drop, end_ms: 40_000, text: "bo fell sharply, down for 10 s" };
  assert.equal(alarmText(ended, { turned_ms: 30_000, said, now_ms: 90_000 }),
    "bo fell sharply, down for 10 s, after “we lost”");
});
