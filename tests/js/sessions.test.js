import assert from "node:assert/strict";
import { test } from "node:test";

import {
  coursePath, courseText, foundText, matchingSessions, trendText,
} from "../../streamer/dashboard/static/sessions.js";

const sessions = [
  { session_id: "standup-20260503T090000Z-3f9a", name: "standup", participants: ["ana", "bo"], names: { ana: "Ana Berg" } },
  { session_id: "retro", name: "retro", participants: ["cy"] },
];

test("a search finds ids, names and people, in any case", () => {
  const found = (query) => matchingSessions(sessions, query).map(({ name }) => name);
  assert.deepEqual(found(" "), ["standup", "retro"]);
  assert.deepEqual(["STAND", "3f9a", "berg", "bo", "cy", "nobody"].map(found),
    [["standup"], ["standup"], ["standup"], ["standup"], ["retro"], []]);
});

test("what a search finds is counted", () => {
  assert.equal(foundText(2, 2, ""), "");
  assert.equal(foundText(1, 2, "retro"), "1 session of 2");
  assert.equal(foundText(0, 2, "x"), "no sessions of 2");
});

test("a course is a line from left to right, +2 at the top, parted where nothing is known", () => {
  assert.equal(coursePath([2, 0, -3, null, 1], 100, 20), "M10.0 0.0h.1L30.0 10.0L50.0 20.0M90.0 5.0h.1");
  assert.equal(coursePath([], 100, 20), "");
  assert.equal(coursePath([null], 100, 20), "");
});

test("a course in words has its ends and its extremes", () => {
  assert.equal(courseText([null, 0.5, -1.25, 1, 0.25]), "from +0.50 to +0.25, lowest −1.25, highest +1.00");
  assert.equal(courseText([null]), "");
});

test("a trend has the number of meetings and the change from one to the next", () => {
  assert.equal(trendText({ means: [0.5, 0.25, 0], per_meeting: -0.25 }), "3 meetings, −0.25 a meeting");
});
