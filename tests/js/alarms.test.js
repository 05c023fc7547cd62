import assert from "node:assert/strict";
import { test } from "node:test";

import { standingAt } from "../../streamer/dashboard/static/alarms.js";

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
