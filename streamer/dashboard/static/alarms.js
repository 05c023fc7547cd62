// Alerts at a moment and in a sentence: which stand, the next and the previous one, since when and after
// which words. Knows no document. An entry is one of alerts.js, a line one of transcript.js.

import { lengthText } from "./alerts.js";
import { shownName } from "./format.js";
import { lineAt } from "./transcript.js";
import { partsOf } from "./unsure.js";

const TURNS = { sustained_negative: "turned negative", sharp_drop: "fell sharply" };
const BEFORE_MS = 15_000; // words up to so long before an alert are told with it
const GAP_MS = 15_000; // a longer silence begins a negative time anew
const MOST_WORDS = 8;
const GRACE_S = 1.5; // so long after an alert's beginning the previous one is the one before it

// The entries that have begun and not ended at `moment` (seconds); null is the newest.
export function standingAt(entries, moment) {
  const now_ms = moment === null ? Infinity : moment * 1000;
  return entries.filter(({ begin_ms, end_ms }) => begin_ms <= now_ms && (end_ms === null || end_ms > now_ms));
}

// The entry that begins next after `seconds`; null for none.
export function nextAlert(entries, seconds) {
  return entries.find(({ begin_ms }) => begin_ms / 1000 > seconds) ?? null;
}

// The entry that began last before `seconds`; null for none.
export function previousAlert(entries, seconds) {
  return entries.filter(({ begin_ms }) => begin_ms / 1000 < seconds - GRACE_S).pop() ?? null;
}

// When the valence turned that an entry is about: a sustained negative valence is older than its
// alert. `back` has the records up to the alert, the newest first.
export function turnedMs({ kind, threshold, begin_ms }, back) {
  if (kind !== "sustained_negative") return begin_ms;
  let turned_ms = begin_ms;
  for (const { valence, end_ms } of back) {
    if (valence === null) continue;
    if (valence >= threshold || turned_ms - end_ms > GAP_MS) break;
    turned_ms = end_ms;
  }
  return turned_ms;
}

// The last words before `turned_ms`, and whose they are; null for none. `lines` are by time.
export function wordsBefore(lines, turned_ms) {
  const line = lines[lineAt(lines, turned_ms / 1000)];
  const words = (line?.words ?? [])
    .filter(({ start_ms, end_ms }) => start_ms < turned_ms && end_ms > turned_ms - BEFORE_MS);
  if (words.length === 0) return null;
  const cut = words.length > MOST_WORDS || words[0] !== line.words[0] ? "…" : "";
  const text = partsOf(words.slice(-MOST_WORDS)).map((part) => part.text).join(" ");
  return { participant_id: line.participant_id, text: cut + text };
}

// An alert in a sentence without a full stop. `said` is that of wordsBefore, `now_ms` the newest time
// of the session; null leaves out how long ago it began. `names` are those that people see.
export function alarmText(entry, { turned_ms, said, now_ms, names = {} }) {
  const event = eventText(entry, turned_ms, now_ms, names);
  if (said === null) return event;
  return said.participant_id === entry.participant_id
    ? `${event}, after “${said.text}”` : `${event}, after ${shownName(names, said.participant_id)} said “${said.text}”`;
}

function eventText({ participant_id, kind, end_ms, text }, turned_ms, now_ms, names) {
  if (end_ms !== null) return text;
  const who = participant_id === null ? "The meeting" : shownName(names, participant_id);
  const turn = TURNS[kind] && `${who} ${TURNS[kind]}`;
  if (now_ms === null) return turn ?? text;
  const length = lengthText(Math.max(now_ms - turned_ms, 0));
  return turn ? `${turn} ${length} ago` : `${text}, ${length} ago`;
}
