// Which part of a session the timelines show, and which moment is chosen. Knows no document.

const SHORTEST_S = 60; // a young session's timeline is at least so long, or as long as the span
const MIN_ALL_S = 10; // the same where everything is shown

// The beginning, or the oldest moment that is still stored of a very long session, in seconds.
export function oldestMoment(tracks) {
  const starts = [...tracks].filter((track) => track.first > 0).map((track) => track.end[0]);
  return starts.length ? Math.min(...starts) : 0;
}

// The interval shown, [from, to] in seconds. `span` is its length, 0 for everything; `moment` is
// null while the newest is shown; `end` is the session's end so far.
export function shownRange({ span, moment, end, ended }, tracks) {
  if (span === 0) return [oldestMoment(tracks), Math.max(end, MIN_ALL_S)];
  if (end <= span) return [0, Math.max(end, ended ? 1 : Math.min(span, SHORTEST_S))];
  if (moment === null) return [end - span, end];
  const from = Math.min(Math.max(moment - span / 2, 0), end - span);
  return [from, from + span];
}

// The moment to show when `seconds` is chosen: null, the newest, from the last whole second on.
export function chosenMoment(seconds, end) {
  return seconds >= Math.floor(end) ? null : Math.max(0, seconds);
}

// Where playing begins: at the moment shown, or anew when that is the end.
export function playFrom(moment, end) {
  const begin = moment ?? 0;
  return begin < end ? begin : 0;
}

// The moment that a click at `seconds` means: the beginning of the nearest alert within `reach`.
export function snapped(seconds, reach, alerts) {
  const distance = (moment) => Math.abs(moment - seconds);
  const begins = alerts.map(({ begin_ms }) => begin_ms / 1000).filter((moment) => distance(moment) <= reach);
  return begins.sort((one, other) => distance(one) - distance(other))[0] ?? seconds;
}
