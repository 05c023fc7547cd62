import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { alertEntries, lengthText } from "../../streamer/dashboard/static/alerts.js";

const cases = JSON.parse(readFileSync(new URL("../golden/alert_entries.json", import.meta.url)));

for (const { case: name, alerts, entries } of cases) {
  test(`alerts: ${name}`, () => {
    const found = alertEntries(alerts).map(({ begin_ms, end_ms, text, why }) => [begin_ms, end_ms, text, why]);
    assert.deepEqual(found, entries);
  });
}

test("who has a name is called by it", () => {
  const names = { ana: "Ana Berg" };
  const record = { participant_id: "ana", kind: "sharp_drop", state: "raised", end_ms: 8_000 };
  assert.deepEqual(alertEntries([record], names).map(({ text }) => text), ["Ana Berg fell sharply"]);
  assert.equal(alertEntries([record], names)[0].participant_id, "ana");
});

test("a length is in seconds, or in minutes and seconds", () => {
  assert.equal(lengthText(59_400), "59 s");
  assert.equal(lengthText(59_600), "1 min 0 s");
  assert.equal(lengthText(125_000), "2 min 5 s");
});
