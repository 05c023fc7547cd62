// A record in words: what a card, a timeline and an alert say of it. Knows no document.
//
// A record is a Sentiment, a SessionSentiment or an Alert, with the names that it has on its topic.

import { clock, counted, percent, signed } from "./format.js";

const MODALITIES = [["audio", "voice"], ["text", "words"], ["vision", "face"]];
const STEADY_PER_MIN = 0.25; // a trend up to this size is steady
const POLAR = 0.5; // the size of valence from which on it is positive or negative
const MOODS = ["positive", "neutral", "negative", null];

export function valueText({ valence }) {
  return valence === null ? "" : signed(valence);
}

// A meeting of opposite moods has no label that fits anybody.
export function labelText({ label, divided }) {
  return divided ? "divided" : label ?? "no evidence";
}

export function uncertaintyText({ uncertainty }) {
  return uncertainty === null ? "–" : `± ${uncertainty.toFixed(2)}`;
}

// Where a trend goes: its arrow and a word.
function wayOf(trend) {
  if (trend > STEADY_PER_MIN) return ["↗", "rising"];
  return trend < -STEADY_PER_MIN ? ["↘", "falling"] : ["→", "steady"];
}

export function trendText({ trend_per_min: trend }) {
  return trend === null ? "–" : `${wayOf(trend)[0]} ${signed(trend)} a minute`;
}

// Where the mood is going, in a word; "" where that is not known.
export function goingText({ trend_per_min: trend }) {
  return trend === null ? "" : wayOf(trend).join(" ");
}

function polarityOf(valence) {
  if (valence < -POLAR) return "negative";
  return valence >= POLAR ? "positive" : "neutral";
}

// How sure the polarity is: "sure" where one uncertainty more or less does not change it, otherwise
// what it may be as well. A divided meeting has its spread instead; "" where nothing is known.
export function sureText({ valence, uncertainty, divided, spread }) {
  if (divided) return `spread ${spread.toFixed(2)}`;
  if (valence === null || uncertainty === null) return "";
  const ends = [valence - uncertainty, valence + uncertainty].map(polarityOf);
  const others = ends.filter((polarity) => polarity !== polarityOf(valence));
  return others.length ? `perhaps ${others.join(" or ")}` : "sure";
}

// How many people are of which mood, by one record of each; "" for nobody.
export function tallyText(records) {
  const counts = MOODS.map((mood) => records.filter(({ polarity }) => polarity === mood).length);
  return MOODS.map((mood, at) => [counts[at], mood ?? "without evidence"])
    .filter(([count]) => count > 0).map(([count, mood]) => `${count} ${mood}`).join(", ");
}

export function participantsText({ participants }) {
  return counted(participants, "participant");
}

export function spreadText({ spread }) {
  return spread === null ? "–" : spread.toFixed(2);
}

// One part a modality, in the order of MODALITIES: whether it contributed, and its text.
export function evidenceParts({ evidence, presence }) {
  return MODALITIES.map(([modality, name]) => {
    const present = evidence.includes(modality);
    const percent = Math.round(presence[modality] * 100);
    return { present, text: present ? `${name} ${percent} %` : `no ${name}` };
  });
}

// Which interaction the model leans on: between the modalities, or within each of them.
export function gateText(gate) {
  if (gate === null) return "–";
  const inter = Math.round(gate.val * 100);
  return inter >= 50 ? `all together ${inter} %` : `each alone ${100 - inter} %`;
}

const KNOWN_BY = {
  transcript: "Known by the transcript",
  channel: "Known by the channel",
  diarization: "Known by the voice",
};

// How a participant of a shared recording is known; empty for one with a source of their own. `from`
// is whom they were taken for before, or null.
export function identityText({ identified_by: by, identity_confidence: sure = null }, from = null) {
  const text = KNOWN_BY[by] ?? "";
  const surely = text && sure !== null ? `, ${Math.round(sure * 100)} % sure` : "";
  return `${text}${surely}${text && from !== null ? `, at first taken for ${from}` : ""}`;
}

// The accessible name of a timeline from `from` to `to` (seconds). `name` is null for the meeting,
// `record` is null before the first one.
export function chartLabel(name, record, from, to) {
  const valence = record?.valence ?? null;
  const value = valence === null ? "no evidence now" : `${signed(valence)}, ${labelText(record)}`;
  return `Valence of ${name ?? "the meeting"} from ${clock(from)} to ${clock(to)}: ${value}`;
}

// The text at the pointer: `end` in seconds, `raw` the window's own valence or null.
export function tipText({ valence, uncertainty }, end, raw) {
  const value = valence === null ? "no evidence" : signed(valence);
  const band = valence === null || uncertainty === null ? "" : ` ± ${uncertainty.toFixed(2)}`;
  const own = raw === null ? "" : `, by itself ${signed(raw)}`;
  return `${clock(end)}  ${value}${band}${own}`;
}

// How long somebody spoke: of the conversation in a status, which may be null; "" where that is not
// known. A share is of everybody's talk time.
export function talkText(conversation, name) {
  const talk = conversation?.participants.find((each) => each.participant_id === name);
  if (talk === undefined) return "";
  if (talk.talk_ms === 0) return "nothing";
  const share = talk.share === null ? "" : `, ${percent(talk.share)} of all`;
  const turns = talk.turns ? ` in ${counted(talk.turns, "turn")}` : ", within the turns of others";
  const cutIns = talk.interruptions ? `, ${counted(talk.interruptions, "interruption")}` : "";
  return `${clock(talk.talk_ms / 1000)}${share}${turns}${cutIns}`;
}

// Times in which nobody spoke; "" where it is not known who speaks when.
export function silenceText(conversation) {
  if (!conversation?.participants.length) return "";
  const { participants, silences, silence_ms } = conversation;
  if (participants.every(({ talk_ms }) => talk_ms === 0)) return "nobody spoke";
  if (silences === 0) return "none of 2 s or more";
  return `${silences}, ${clock(silence_ms / 1000)} ${silences === 1 ? "long" : "together"}`;
}
