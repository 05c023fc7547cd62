// The raised and the cleared record of one alert as one entry, in plain words. Knows no document.
//
// `streamer/alert_entries.py` does the same; tests/golden/alert_entries.json holds both to the same
// words.

import { shownName } from "./format.js";

// A length in milliseconds as "25 s" or "2 min 5 s".
export function lengthText(ms) {
  const seconds = Math.round(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  return minutes ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

// An entry for each raised record, by time: participant_id (null for the meeting), kind, rule,
// threshold, begin_ms, end_ms (null while it stands), text, and why: what a rule watches. A cleared record ends the latest alert of its
// kind, participant and rule. `names` are those that people see, by participant.
export function alertEntries(records, names = {}) {
  const raised = new Map();
  const entries = [];
  const inOrder = [...records].sort((a, b) => a.end_ms - b.end_ms
    || Number(a.state === "raised") - Number(b.state === "raised"));
  for (const record of inOrder) {
    const key = JSON.stringify([record.participant_id, record.kind, record.rule ?? null]);
    const before = raised.get(key);
    raised.delete(key);
    if (before !== undefined) entries.push(entryOf(before, record.end_ms, names));
    if (record.state === "raised") raised.set(key, record);
  }
  for (const record of raised.values()) entries.push(entryOf(record, null, names));
  return entries.sort((a, b) => a.begin_ms - b.begin_ms);
}

function entryOf(raised, end_ms, names) {
  const { participant_id, kind, rule, threshold, end_ms: begin_ms } = raised;
  const who = participant_id === null ? "The meeting" : shownName(names, participant_id);
  const negative = kind === "sustained_negative";
  const entry = { participant_id, kind, rule, threshold, begin_ms, end_ms, why: whyOf(raised) };
  if (kind === "rule") {
    const length = end_ms === null ? "" : `, for ${lengthText(end_ms - begin_ms)}`;
    return { ...entry, text: `${who}: ${rule}${length}` };
  }
  if (end_ms === null) return { ...entry, text: `${who} ${negative ? "is negative" : "fell sharply"}` };
  const stayed = negative ? "stayed negative" : "fell sharply, down";
  return { ...entry, text: `${who} ${stayed} for ${lengthText(end_ms - begin_ms)}` };
}

function whyOf({ number = null, value = null, threshold }) {
  if (number === null || value === null) return "";
  return `${number} ${value > threshold ? "above" : "below"} ${threshold}`;
}
