import assert from "node:assert/strict";
import { test } from "node:test";

import { Track } from "../../streamer/dashboard/static/store.js";
import * as recorded from "../../streamer/dashboard/static/store.js?recorded"; // its own length limit

function record(index, changes = {}) {
  return {
    window_index: index, end_ms: (index + 1) * 1000, revision: 0, valence: 1, uncertainty: 0.25,
    valence_raw: 1.5, ...changes,
  };
}

function trackOf(...indexes) {
  const track = new Track();
  for (const index of indexes) assert.equal(track.add(record(index)), true);
  return track;
}

const indexes = (track) => track.records.map((entry) => entry?.window_index ?? null);

test("a new track is empty", () => {
  const track = new Track();
  assert.equal(track.last, null);
  assert.equal(track.at(100), null);
});

test("a record fills one slot of every column", () => {
  const track = trackOf(0);
  const { end, valence, low, high, raw } = track;
  assert.deepEqual({ end, valence, low, high, raw },
    { end: [1], valence: [1], low: [0.75], high: [1.25], raw: [1.5] });
});

test("the band stays within the range of valence", () => {
  const track = new Track();
  track.add(record(0, { valence: 2.9 }));
  track.add(record(1, { valence: -2.9 }));
  assert.deepEqual([track.high[0], track.low[1]], [3, -3]);
});

test("a window without evidence is a gap in line and band, but has a record", () => {
  const track = new Track();
  track.add(record(0, { valence: null, valence_raw: null }));
  track.add(record(1, { uncertainty: null, valence_raw: undefined }));
  assert.deepEqual([track.valence, track.low, track.high, track.raw],
    [[null, 1], [null, null], [null, null], [null, null]]);
  assert.equal(track.at(1).window_index, 0);
});

test("every order of arrival gives the same track", () => {
  const expected = trackOf(2, 3, 4, 5);
  for (const order of [[5, 4, 3, 2], [3, 5, 2, 4], [4, 2, 5, 3]]) assert.deepEqual(trackOf(...order), expected);
});

test("a missing window stays a gap, whose end lies between its neighbours", () => {
  const track = trackOf(0, 4);
  assert.deepEqual(indexes(track), [0, null, null, null, 4]);
  assert.deepEqual(track.end, [1, 2, 3, 4, 5]);
  assert.equal(track.last.window_index, 4);
  assert.equal(track.at(3.5).window_index, 0);
});

test("a later revision replaces a record, an earlier one does not", () => {
  const track = trackOf(0);
  assert.equal(track.add(record(0, { revision: 2, valence: -1 })), true);
  assert.equal(track.add(record(0, { revision: 1, valence: 2 })), false);
  assert.deepEqual(track.valence, [-1]);
  assert.equal(track.records.length, 1);
});

test("the record at a moment is the newest whose window had ended", () => {
  const track = trackOf(3, 4, 5);
  const at = (seconds) => track.at(seconds)?.window_index ?? null;
  assert.deepEqual([3.9, 4, 4.9, 5, 5.9999995, 6, 1000].map(at), [null, 3, 3, 4, 5, 5, 5]);
});

test("a track is bounded: the oldest slots go, in all columns", () => {
  const track = new Track();
  for (let index = 0; index <= 8_400; index += 1) track.add(record(index));
  assert.equal(track.first, 601);
  for (const column of [track.records, track.end, track.valence, track.low, track.high, track.raw]) {
    assert.equal(column.length, 7_800);
  }
  assert.equal(track.end[0], 602);
  assert.equal(track.last.window_index, 8_400);
  assert.equal(track.add(record(600)), false);
});

test("a gap longer than a track begins it anew", () => {
  const track = trackOf(0, 1, 20_000);
  assert.deepEqual(indexes(track), [20_000]);
  assert.deepEqual(track.end, [20_001]);
});

test("a recorded session's track keeps ten hours", () => {
  recorded.keepLong();
  const track = new recorded.Track();
  for (let index = 0; index < 36_000; index += 1) track.add(record(index));
  assert.equal(track.first, 0);
  assert.equal(track.records.length, 36_000);
});

test("the records back from a moment leave out gaps", () => {
  const track = trackOf(0, 1, 4);
  assert.deepEqual([...track.back(5)].map((entry) => entry.window_index), [4, 1, 0]);
  assert.deepEqual([...track.back(4.5)].map((entry) => entry.window_index), [1, 0]);
  assert.deepEqual([...track.back(0.5)], []);
});
