import assert from "node:assert/strict";
import { test } from "node:test";

import {
  clock, counted, duration, polarityClass, polarityMark, signed, wallClock,
} from "../../streamer/dashboard/static/format.js";

test("a number has its sign, and a real minus", () => {
  assert.equal(signed(0.4), "+0.40");
  assert.equal(signed(-1.254), "−1.25");
  assert.equal(signed(2, 0), "+2");
});

test("a number that rounds to zero has no sign", () => {
  for (const value of [0, -0, 0.004, -0.004]) assert.equal(signed(value), "0.00");
  assert.equal(signed(-0.005001), "−0.01");
});

test("a session's clock shows hours only from one hour on", () => {
  const cases = [[0, "0:00"], [9.4, "0:09"], [59.5, "1:00"], [754, "12:34"], [3599, "59:59"],
    [3600, "1:00:00"], [36_061, "10:01:01"]];
  for (const [seconds, text] of cases) assert.equal(clock(seconds), text);
});

test("a clock never shows a time before the session", () => assert.equal(clock(-3), "0:00"));

test("a duration has the unit that suits its length", () => {
  const cases = [[-500, "0 s"], [400, "0 s"], [119_000, "119 s"], [120_000, "2 minutes"],
    [7_199_000, "120 minutes"], [7_200_000, "2 hours"], [172_799_000, "48 hours"],
    [172_800_000, "2 days"], [864_000_000, "10 days"]];
  for (const [ms, text] of cases) assert.equal(duration(ms), text);
});

test("a wall clock has the date and the time of day in the reader's zone", () => {
  const ms = Date.UTC(2024, 4, 17, 21, 30);
  assert.equal(wallClock(ms, "en-GB", "UTC"), "17 May 2024, 21:30 UTC");
  assert.equal(wallClock(ms, "en-GB", "Asia/Tokyo"), "18 May 2024, 06:30 GMT+9");
});

test("a count agrees with its noun", () => {
  assert.equal(counted(0, "alert"), "no alerts");
  assert.equal(counted(1, "alert"), "1 alert");
  assert.equal(counted(2, "alert"), "2 alerts");
});

test("each polarity has a mark of its own, and so has no evidence", () => {
  assert.deepEqual(["positive", "neutral", "negative", "divided", null].map(polarityMark),
    ["▲", "●", "▼", "◆", "○"]);
  assert.equal(polarityClass("negative"), "negative");
  assert.equal(polarityClass(null), "none");
});
