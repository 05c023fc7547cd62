import assert from "node:assert/strict";
import { test } from "node:test";

import {
  chosenMoment, oldestMoment, playFrom, shownRange, snapped,
} from "../../streamer/dashboard/static/timeline.js";

const range = (view, tracks = []) => shownRange({ moment: null, ended: false, ...view }, tracks);
const whole = { first: 0, end: [1, 2, 3] };
const trimmed = (first) => ({ first, end: [first + 1, first + 2] });

test("a young session has a timeline of a minute, or of the span where that is shorter", () => {
  assert.deepEqual(range({ span: 300, end: 0 }), [0, 60]);
  assert.deepEqual(range({ span: 300, end: 59 }), [0, 60]);
  assert.deepEqual(range({ span: 300, end: 61 }), [0, 61]);
  assert.deepEqual(range({ span: 30, end: 10 }), [0, 30]);
});

test("a short session that has ended fills its timeline", () => {
  assert.deepEqual(range({ span: 300, end: 20, ended: true }), [0, 20]);
  assert.deepEqual(range({ span: 300, end: 0, ended: true }), [0, 1]);
});

test("without a chosen moment the timeline ends with the session", () => {
  assert.deepEqual(range({ span: 300, end: 1000 }), [700, 1000]);
});

test("a chosen moment is in the middle, but the timeline does not leave the session", () => {
  assert.deepEqual(range({ span: 300, end: 1000, moment: 500 }), [350, 650]);
  assert.deepEqual(range({ span: 300, end: 1000, moment: 20 }), [0, 300]);
  assert.deepEqual(range({ span: 300, end: 1000, moment: 990 }), [700, 1000]);
});

test("everything begins at 0, or at the oldest slot of the trimmed tracks", () => {
  assert.deepEqual(range({ span: 0, end: 4 }), [0, 10]);
  assert.deepEqual(range({ span: 0, end: 9000 }, [whole]), [0, 9000]);
  assert.deepEqual(range({ span: 0, end: 9000 }, [whole, trimmed(700), trimmed(600)]), [601, 9000]);
});

test("the oldest moment reads any iterable of tracks once", () => {
  assert.equal(oldestMoment(new Set([trimmed(40), trimmed(50)]).values()), 41);
  assert.equal(oldestMoment([]), 0);
});

test("choosing the last whole second follows the newest again", () => {
  assert.equal(chosenMoment(89, 90.7), 89);
  assert.equal(chosenMoment(90, 90.7), null);
  assert.equal(chosenMoment(Infinity, 90.7), null);
  assert.equal(chosenMoment(-4, 90.7), 0);
});

test("playing starts at the chosen moment, and anew from the end", () => {
  assert.equal(playFrom(30, 90), 30);
  assert.equal(playFrom(null, 90), 0);
  assert.equal(playFrom(90, 90), 0);
});

test("a click near a tick means the nearest alert", () => {
  const alerts = [{ begin_ms: 10_000 }, { begin_ms: 14_000 }];
  assert.equal(snapped(11.9, 3, alerts), 10);
  assert.equal(snapped(12.1, 3, alerts), 14);
  assert.equal(snapped(11.9, 1, alerts), 11.9);
  assert.equal(snapped(11.9, 3, []), 11.9);
});
