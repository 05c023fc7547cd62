import assert from "node:assert/strict";
import { test } from "node:test";

import {
  columnsOf, heardMs, isSpeaking, ordered, presenceText, standingOut,
} from "../../streamer/dashboard/static/people.js";

function person(name, changes = {}) {
  return { name, heard_ms: Infinity, alarmed: false, polarity: "neutral", ...changes };
}

function recordOf(end_ms, spans, changes = {}) {
  return { end_ms, spoken: { speech: spans.map(([start, end]) => ({ start_ms: start, end_ms: end })) }, ...changes };
}

const names = (people, order) => ordered(people, order).map(({ name }) => name);

test("people stand by name in the reader's collation, in every order of arrival", () => {
  for (const arrivals of [["Zoë", "ana", "Émile", "Dan", "p10", "p9"], ["p9", "p10", "Dan", "Émile", "ana", "Zoë"]]) {
    assert.deepEqual(names(arrivals.map((name) => person(name)), "name"), ["ana", "Dan", "Émile", "p9", "p10", "Zoë"]);
  }
});

test("names that collate alike still have one order", () => {
  const alike = ["e\u0301", "\u00e9"].map((name) => person(name)); // one letter, written in two ways
  assert.deepEqual(names(alike, "name"), names([...alike].reverse(), "name"));
});

test("an order that this page does not have is by name", () => {
  assert.deepEqual(names([person("bo"), person("ana")], "age"), ["ana", "bo"]);
});

test("first heard first; those who have not spoken stand by name behind", () => {
  const people = [person("dan"), person("ana"), person("cy", { heard_ms: 500 }), person("bo", { heard_ms: 9 })];
  assert.deepEqual(names(people, "heard"), ["bo", "cy", "ana", "dan"]);
});

test("alerts, then negative moods, then missing evidence need attention", () => {
  const people = [person("ana", { polarity: "positive" }), person("bo", { polarity: null }), person("cy"),
    person("dan", { polarity: "negative" }), person("eve", { polarity: "positive", alarmed: true }),
    person("al", { polarity: "negative" })];
  assert.deepEqual(names(people, "attention"), ["eve", "al", "dan", "bo", "cy", "ana"]);
});

const out = (valences) => standingOut(Object.entries(valences)
  .map(([name, valence]) => person(name, { valence }))).map(({ name }) => name);

test("who is far from the mean of the others stands out, the furthest first, two and no half at most", () => {
  assert.deepEqual(out({ ana: 0.5, bo: -1.6, cy: 0.6, dan: 0.4 }), ["bo"]);
  assert.deepEqual(out({ ana: 2.4, bo: -2.5, cy: 0.1, dan: 0.2 }), ["bo"], "two would be half");
  assert.deepEqual(out({ ana: 2.4, bo: -2.5, cy: 0.1, dan: 0.2, eve: 0.1 }), ["bo", "ana"]);
  assert.deepEqual(out({ a: 2.5, b: 2.5, c: -2.5, d: -2.5, e: 0, f: 0 }), ["a", "b"]);
  assert.deepEqual(out({ ana: 0.5, bo: 1.9, cy: 0.6 }), [], "1.35 is not far");
});

test("of two people nobody stands out, and nobody without evidence", () => {
  assert.deepEqual(out({ ana: 2, bo: -2 }), []);
  assert.deepEqual(out({ ana: 2, bo: -2, cy: null }), []);
  assert.deepEqual(out({}), []);
});

test("tiles stand in even rows", () => {
  const counts = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 16];
  assert.deepEqual(counts.map(columnsOf), [1, 1, 2, 3, 2, 3, 3, 4, 4, 5, 5, 4, 4, 5, 4]);
});

test("somebody was first heard at their earliest speech, which may be reported late", () => {
  assert.equal(heardMs(recordOf(1000, []), Infinity), Infinity);
  assert.equal(heardMs({ spoken: null }, Infinity), Infinity);
  assert.equal(heardMs(recordOf(4000, [[3200, 3900], [3950, 4000]]), Infinity), 3200);
  assert.equal(heardMs(recordOf(4000, [[1200, 1900]]), 3200), 1200);
});

test("somebody speaks until a second and a half after the end of their speech", () => {
  const record = recordOf(4000, [[3200, 3900]]);
  assert.deepEqual([3.1, 3.2, 4, 5.3, 5.4].map((seconds) => isSpeaking(record, seconds)),
    [false, true, true, true, false]);
  assert.equal(isSpeaking(null, 4), false);
  assert.equal(isSpeaking({ spoken: null }, 4), false);
});

test("a name has the state speaking or left beside it, or none", () => {
  assert.equal(presenceText(recordOf(4000, [[3200, 3900]]), 4), "speaking");
  assert.equal(presenceText(recordOf(4000, []), 4), "");
  assert.equal(presenceText(recordOf(4000, [], { final: true }), 5.5), "");
  assert.equal(presenceText(recordOf(4000, [], { final: true }), 5.6), "left");
  assert.equal(presenceText(null, 5), "");
  assert.equal(presenceText(recordOf(4000, [[3200, 3900]], { final: true }), null), "");
});

test("beside a voice that turned out to be somebody else's stands whose, but while it speaks", () => {
  assert.equal(presenceText(recordOf(4000, []), 4, "Ana"), "is Ana");
  assert.equal(presenceText(recordOf(4000, [], { final: true }), null, "Ana"), "is Ana");
  assert.equal(presenceText(recordOf(4000, [[3200, 3900]]), 4, "Ana"), "speaking");
});
