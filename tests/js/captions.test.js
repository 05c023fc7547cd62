import assert from "node:assert/strict";
import { test } from "node:test";

import { captionsOf } from "../../streamer/dashboard/static/captions.js";

function line(start_ms, ...texts) {
  return { words: texts.map((text, at) => (
    { text, start_ms: start_ms + at * 500, end_ms: start_ms + at * 500 + 400, confidence: 0.9 })) };
}

test("a caption stands from its first word until a second after its last", () => {
  assert.deepEqual(captionsOf([line(12_000, "good", "morning")], 10), [{ start: 2, end: 3.9, text: "good morning" }]);
});

test("a long line has several captions, one after the other", () => {
  const words = Array.from({ length: 12 }, (_, at) => `w${at}`);
  const captions = captionsOf([line(0, ...words), line(6_500, "yes")], 0);
  assert.deepEqual(captions.map(({ start, end }) => [start, end]), [[0, 5], [5, 6.5], [6.5, 7.9]]);
  assert.equal(captions[1].text, "w10 w11");
});

test("captions are text and not markup, and hide as the transcript does", () => {
  const words = [{ text: "<b>a&b", start_ms: 0, end_ms: 100 }, { text: "shit", start_ms: 200, end_ms: 300, confidence: 0.1 }];
  assert.equal(captionsOf([{ words }], 0)[0].text, "&lt;b&gt;a&amp;b <i>[…]</i>");
});

test("words before the file are left out", () => {
  assert.deepEqual(captionsOf([line(0, "early"), line(20_000, "later")], 10).map(({ text }) => text), ["later"]);
  assert.deepEqual(captionsOf([], 0), []);
});
