// Alerts at a moment: which of them stand. Knows no document. An entry is one of alerts.js.

// The entries that have begun and not ended at `moment` (seconds); null is the newest.
export function standingAt(entries, moment) {
  const now_ms = moment === null ? Infinity : moment * 1000;
  return entries.filter(({ begin_ms, end_ms }) => begin_ms <= now_ms && (end_ms === null || end_ms > now_ms));
}
