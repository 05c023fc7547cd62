// Numbers, times and counts as the page writes them. Knows no document and no records.

const MARKS = { positive: "▲", neutral: "●", negative: "▼", divided: "◆", none: "○" };

// A number with its sign: "+0.40", "−1.25"; a zero after rounding has none.
export function signed(value, digits = 2) {
  const rounded = Math.abs(value).toFixed(digits);
  if (Number(rounded) === 0) return rounded;
  return (value < 0 ? "−" : "+") + rounded;
}

// Seconds of a session as m:ss, from one hour on as h:mm:ss.
export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const h = Math.floor(whole / 3600);
  const m = Math.floor(whole / 60) % 60;
  const s = String(whole % 60).padStart(2, "0");
  return h ? `${h}:${String(m).padStart(2, "0")}:${s}` : `${m}:${s}`;
}

// A duration in milliseconds, in the unit that suits its length.
export function duration(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.round(s / 60)} minutes`;
  return s < 172_800 ? `${Math.round(s / 3600)} hours` : `${Math.round(s / 86_400)} days`;
}

// Unix milliseconds as date and time of day with the zone's name, in the reader's language and time
// zone by default.
export function wallClock(ms, locales = [], timeZone = undefined) {
  return new Date(ms).toLocaleString(locales, {
    year: "numeric", month: "short", day: "numeric", hour: "numeric", minute: "2-digit",
    timeZoneName: "short", timeZone,
  });
}

// The name that people see of a participant: the id where nobody stated one. `names` is a summary's,
// which an older server does not send.
export function shownName(names, id) {
  return Object.hasOwn(names ?? {}, id) ? names[id] : id;
}

// "1 participant", "2 participants", "no participants".
export function counted(count, noun) {
  if (count === 0) return `no ${noun}s`;
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

// A share from 0 to 1: "75 %"; "under 1 %" where that would be "0 %".
export function percent(share) {
  const whole = Math.round(share * 100);
  return share > 0 && whole === 0 ? "under 1 %" : `${whole} %`;
}

// The CSS class of a polarity, or of "divided"; null, no evidence, has one too.
export function polarityClass(polarity) {
  return polarity ?? "none";
}

// The mood of a record or a summary: "divided" for a meeting of opposite moods, else its polarity.
export function moodOf({ divided, polarity }) {
  return divided ? "divided" : polarity;
}

// The mark that stands beside the colour of a polarity.
export function polarityMark(polarity) {
  return MARKS[polarityClass(polarity)];
}
