// The people of a session: who is speaking, who has left, who stands out, and in which order and in
// how many columns their tiles stand. Knows no document.
//
// A person has a `name`, `heard_ms` (when they first spoke, Infinity while they have not), `alarmed`
// (whether an alert stands) and a `polarity`.

const SPEAKING_MS = 1_500; // so long after the end of speech somebody still counts as speaking
const APART = 1.5; // in valence
const MOST_OUT = 2;
const ATTENTION = ["negative", "none", "neutral", "positive"];
const collator = new Intl.Collator(undefined, { numeric: true });

const ORDERS = {
  name: () => 0,
  heard: (one, other) => one.heard_ms - other.heard_ms,
  attention: (one, other) => Number(other.alarmed) - Number(one.alarmed) || rank(one) - rank(other),
};

function rank({ polarity }) {
  return ATTENTION.indexOf(polarity ?? "none");
}

function byName(one, other) {
  return collator.compare(one.name, other.name) || (one.name < other.name ? -1 : 1);
}

// The people by name in the reader's language, by their first words, or with alerts and negative
// moods first. Within `heard` and `attention` they stand by name, so that values alone move nobody.
export function ordered(people, order) {
  const compare = ORDERS[order] ?? ORDERS.name;
  return [...people].sort((one, other) => compare(one, other) || byName(one, other));
}

// Those who stand out: whose valence is APART or more from the mean of the others, the furthest first
// at most MOST_OUT and fewer than half: who stands out is an exception. A person also has a `valence`,
// null without evidence.
export function standingOut(people) {
  const known = people.filter(({ valence }) => valence !== null);
  if (known.length < 3) return [];
  const total = known.reduce((sum, { valence }) => sum + valence, 0);
  const apart = ({ valence }) => Math.abs(valence - (total - valence) / (known.length - 1));
  return known.filter((person) => apart(person) >= APART)
    .sort((one, other) => apart(other) - apart(one) || byName(one, other))
    .slice(0, Math.min(MOST_OUT, Math.ceil(known.length / 2) - 1));
}

// How many tiles stand side by side where there is room: two rows up to ten people, then rows of up
// to five.
export function columnsOf(count) {
  if (count <= 3) return Math.max(count, 1);
  return Math.ceil(count / Math.max(2, Math.ceil(count / 5)));
}

// When somebody first spoke, by a record and by what was known before.
export function heardMs(record, before) {
  return Math.min(before, ...(record.spoken?.speech ?? []).map((span) => span.start_ms));
}

// Whether the participant of a record speaks at `seconds`.
export function isSpeaking(record, seconds) {
  const now_ms = seconds * 1000;
  return (record?.spoken?.speech ?? [])
    .some(({ start_ms, end_ms }) => start_ms <= now_ms && now_ms - end_ms < SPEAKING_MS);
}

// The state beside a name at `seconds`, which is null where nothing follows: "speaking", whose voice
// theirs turned out to be (`into`), "left", or "".
export function presenceText(record, seconds, into = null) {
  if (seconds !== null && isSpeaking(record, seconds)) return "speaking";
  if (into !== null) return `is ${into}`;
  const isOver = seconds !== null && record?.final && record.end_ms < seconds * 1000 - SPEAKING_MS;
  return isOver ? "left" : "";
}
