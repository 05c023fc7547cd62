import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Track } from "../../streamer/dashboard/static/store.js";
import {
  inOrder, lineAt, linesOf, matching, shownPart,
} from "../../streamer/dashboard/static/transcript.js";

const cases = JSON.parse(readFileSync(new URL("../golden/transcript.json", import.meta.url)));

// A published record with words given as [text, start_ms, end_ms, confidence].
function recordOf({ participant_id, valence, words }) {
  const spoken = { words: words.map(([text, start_ms, end_ms, confidence]) => ({ text, start_ms, end_ms, confidence })) };
  return { participant_id, valence, spoken };
}

for (const { case: name, records, lines } of cases) {
  test(`transcript: ${name}`, () => {
    const tracks = new Map();
    for (const record of records.map(recordOf)) {
      const own = tracks.get(record.participant_id) ?? [];
      tracks.set(record.participant_id, [...own, record]);
    }
    const found = inOrder([...tracks.values()].map(linesOf));
    assert.deepEqual(found.map((line) => [
      line.participant_id, line.start_ms, line.end_ms, line.text, line.record.valence,
    ]), lines);
  });
}

test("a long line is parted, and windows without a record or words are left out", () => {
  const words = Array.from({ length: 41 }, (_, at) => ["word", at * 300, at * 300 + 200]);
  const record = recordOf({ participant_id: "ana", valence: 1, words });
  const lines = linesOf([null, { participant_id: "ana" }, { spoken: null }, record]);
  assert.deepEqual(lines.map((line) => line.start_ms), [0, 40 * 300]);
});

const lines = ["ana", "bo", "ana", "bo"].map((participant_id, at) => (
  { participant_id, start_ms: at * 1000, text: `Sentence ${at}` }));

test("a search finds words and names, in any case", () => {
  assert.equal(matching(lines, " ").length, 4);
  assert.deepEqual(matching(lines, "sentence 2"), [lines[2]]);
  assert.deepEqual(matching(lines, "BO"), [lines[1], lines[3]]);
  assert.deepEqual(matching(lines, "nothing"), []);
  assert.deepEqual(matching(lines, "berg", { ana: "Ana Berg" }), [lines[0], lines[2]]);
});

test("the line at a moment is the last one that has begun", () => {
  assert.deepEqual([-1, 0, 0.9, 1, 99].map((seconds) => lineAt(lines, seconds)), [-1, 0, 0, 1, 3]);
  assert.equal(lineAt([], 5), -1);
});

test("the part shown is the newest, or surrounds the line chosen", () => {
  const many = Array.from({ length: 10 }, (_, at) => at);
  assert.deepEqual(shownPart(many, null, 4), { from: 6, lines: [6, 7, 8, 9] });
  assert.deepEqual(shownPart(many, 5, 4), { from: 3, lines: [3, 4, 5, 6] });
  assert.deepEqual(shownPart(many, -1, 4), { from: 0, lines: [0, 1, 2, 3] });
  assert.deepEqual(shownPart(many, 9, 4), { from: 6, lines: [6, 7, 8, 9] });
  assert.deepEqual(shownPart(many, 0, 40), { from: 0, lines: many });
});

test("a word that a later revision carries again is in the transcript once", () => {
  const good = ["good", 100, 300];
  const first = recordOf({ participant_id: "ana", valence: 1, words: [good] });
  const again = recordOf({ participant_id: "ana", valence: -1, words: [good, ["day", 500, 900]] });
  const track = new Track();
  const slot = { window_index: 4, end_ms: 5000, uncertainty: 0.25 };
  track.add({ ...first, ...slot, revision: 0 });
  track.add({ ...again, ...slot, revision: 1 });
  assert.deepEqual(linesOf(track.records).map((line) => line.text), ["good day"]);
});
