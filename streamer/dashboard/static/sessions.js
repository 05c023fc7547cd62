// The list of sessions: search, the small image of a course, the trend of meetings of one name. Knows
// no document.

import { counted, shownName, signed } from "./format.js";

const HIGHEST = 2; // the valence at the top of an image; the bottom is its negative

// The sessions whose id, name or people contain `query`, in any case.
export function matchingSessions(sessions, query) {
  const wanted = query.trim().toLocaleLowerCase();
  return sessions.filter(({ session_id, name, participants, names }) => (
    [session_id, name, ...participants, ...participants.map((id) => shownName(names, id))]
      .some((text) => text.toLocaleLowerCase().includes(wanted))));
}

// How many of the sessions are found; "" while nothing is searched.
export function foundText(found, all, query) {
  return query.trim() === "" ? "" : `${counted(found, "session")} of ${all}`;
}

// The line of an image of valences, as an SVG path in `width` by `height`; parted where one is null.
export function coursePath(values, width, height) {
  const x = (at) => ((at + 0.5) / values.length * width).toFixed(1);
  const y = (value) => ((1 - Math.max(-1, Math.min(1, value / HIGHEST))) * height / 2).toFixed(1);
  let path = "";
  values.forEach((value, at) => {
    if (value === null) return;
    const alone = (values[at - 1] ?? null) === null;
    path += `${alone ? "M" : "L"}${x(at)} ${y(value)}${alone ? "h.1" : ""}`;
  });
  return path;
}

// An image of valences in words; "" for none.
export function courseText(values) {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return "";
  const [lowest, highest] = [Math.min(...known), Math.max(...known)].map((value) => signed(value));
  return `from ${signed(known[0])} to ${signed(known[known.length - 1])}, lowest ${lowest}, highest ${highest}`;
}

// How the mean changes over the meetings of one name.
export function trendText({ means, per_meeting }) {
  return `${counted(means.length, "meeting")}, ${signed(per_meeting)} a meeting`;
}
