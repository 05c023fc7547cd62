import assert from "node:assert/strict";
import { test } from "node:test";

import {
  chartLabel, evidenceParts, gateText, goingText, identityText, labelText, participantsText,
  silenceText, spreadText, sureText, talkText, tallyText, tipText, trendText, uncertaintyText, valueText,
} from "../../streamer/dashboard/static/describe.js";

const sentiment = { valence: -1.25, uncertainty: 0.256, label: "negative", trend_per_min: 0.4 };
const silent = { valence: null, uncertainty: null, label: null, trend_per_min: null };

test("a record with evidence shows value, label and uncertainty", () => {
  assert.equal(valueText(sentiment), "−1.25");
  assert.equal(labelText(sentiment), "negative");
  assert.equal(uncertaintyText(sentiment), "± 0.26");
});

test("a record without evidence says so and shows no number", () => {
  assert.equal(valueText(silent), "");
  assert.equal(labelText(silent), "no evidence");
  assert.equal(uncertaintyText(silent), "–");
  assert.equal(trendText(silent), "–");
});

test("a valence of zero is a value, not missing evidence", () => {
  assert.equal(valueText({ valence: 0 }), "0.00");
  assert.match(chartLabel("ana", { valence: 0, label: "neutral" }, 0, 60), /0\.00, neutral$/);
});

test("a trend of up to a quarter a minute is steady", () => {
  const both = (trend_per_min) => [trendText({ trend_per_min }), goingText({ trend_per_min })];
  assert.deepEqual(both(0.4), ["↗ +0.40 a minute", "↗ rising"]);
  assert.deepEqual(both(0.251), ["↗ +0.25 a minute", "↗ rising"]);
  assert.deepEqual(both(0.25), ["→ +0.25 a minute", "→ steady"]);
  assert.deepEqual(both(0), ["→ 0.00 a minute", "→ steady"]);
  assert.deepEqual(both(-0.25), ["→ −0.25 a minute", "→ steady"]);
  assert.deepEqual(both(-0.4), ["↘ −0.40 a minute", "↘ falling"]);
  assert.deepEqual(both(null), ["–", ""]);
});

test("a mood is sure where its uncertainty reaches no other polarity", () => {
  const sure = (valence, uncertainty) => sureText({ valence, uncertainty });
  assert.equal(sure(1, 0.5), "sure");
  assert.equal(sure(1, 0.51), "perhaps neutral");
  assert.equal(sure(-1, 0.5), "perhaps neutral"); // −0.5 is neutral, and 0.5 positive
  assert.equal(sure(-1, 0.4), "sure");
  assert.equal(sure(-1, 2), "perhaps positive");
  assert.equal(sure(0.4, 0.2), "perhaps positive");
  assert.equal(sure(0, 0.6), "perhaps negative or positive");
  assert.equal(sure(null, null), "");
  assert.equal(sure(1, null), "");
  assert.equal(sureText({ valence: 0, uncertainty: 0.1, divided: true, spread: 2.104 }), "spread 2.10");
});

test("people are counted by their mood", () => {
  const moods = (...polarities) => tallyText(polarities.map((polarity) => ({ polarity })));
  assert.equal(moods("negative", "positive", null, "positive"), "2 positive, 1 negative, 1 without evidence");
  assert.equal(moods("neutral"), "1 neutral");
  assert.equal(moods(), "");
});

test("the meeting shows its participants and their spread", () => {
  assert.equal(participantsText({ participants: 1 }), "1 participant");
  assert.equal(participantsText({ participants: 3 }), "3 participants");
  assert.equal(spreadText({ spread: 0.75 }), "0.75");
  assert.equal(spreadText({ spread: null }), "–");
});

test("evidence names every modality in the model's order, the absent ones too", () => {
  const presence = { vision: 0.004, audio: 0.746, text: 1 };
  assert.deepEqual(evidenceParts({ evidence: ["text", "audio"], presence }), [
    { present: true, text: "voice 75 %" },
    { present: true, text: "words 100 %" },
    { present: false, text: "no face" },
  ]);
});

test("a participant of a shared recording is known by something, and more or less surely", () => {
  assert.equal(identityText({ identified_by: "source", identity_confidence: null }), "");
  assert.equal(identityText({}), "");
  assert.equal(identityText({ identified_by: "channel", identity_confidence: null }),
    "Known by the channel");
  assert.equal(identityText({ identified_by: "diarization", identity_confidence: 0.834 }),
    "Known by the voice, 83 % sure");
  assert.equal(identityText({ identified_by: "diarization" }, "Ana"),
    "Known by the voice, at first taken for Ana");
});

test("the gate names the greater share", () => {
  assert.equal(gateText({ val: 0.63 }), "all together 63 %");
  assert.equal(gateText({ val: 0.5 }), "all together 50 %");
  assert.equal(gateText({ val: 0.494 }), "each alone 51 %");
  assert.equal(gateText({ val: 0 }), "each alone 100 %");
  assert.equal(gateText(null), "–");
});

test("a timeline's accessible name has its owner, interval and value", () => {
  assert.equal(chartLabel("ana", sentiment, 5, 65),
    "Valence of ana from 0:05 to 1:05: −1.25, negative");
  assert.equal(chartLabel(null, silent, 0, 60),
    "Valence of the meeting from 0:00 to 1:00: no evidence now");
  assert.equal(chartLabel("bo", null, 0, 60), "Valence of bo from 0:00 to 1:00: no evidence now");
});

test("the text at the pointer omits what the window does not have", () => {
  assert.equal(tipText(sentiment, 46, -1.5), "0:46  −1.25 ± 0.26, by itself −1.50");
  assert.equal(tipText(sentiment, 46, null), "0:46  −1.25 ± 0.26");
  assert.equal(tipText({ valence: 1, uncertainty: null }, 46, null), "0:46  +1.00");
  assert.equal(tipText({ valence: null, uncertainty: 0.3 }, 46, null), "0:46  no evidence");
});

test("a meeting of opposite moods is divided, whatever its label", () => {
  assert.equal(labelText({ label: "neutral", divided: true }), "divided");
  assert.equal(labelText({ label: "neutral", divided: false }), "neutral");
  assert.match(chartLabel(null, { valence: 0, label: "neutral", divided: true }, 0, 60), /divided$/);
});

const conversation = {
  participants: [
    { participant_id: "ana", talk_ms: 45_000, share: 0.746, turns: 3, interruptions: 0 },
    { participant_id: "bo", talk_ms: 15_000, share: 0.254, turns: 1, interruptions: 2 },
    { participant_id: "cy", talk_ms: 0, share: null, turns: 0, interruptions: 0 },
  ],
  silences: 1,
  silence_ms: 12_000,
};

test("who spoke how long, of all, in how many turns", () => {
  assert.equal(talkText(conversation, "ana"), "0:45, 75 % of all in 3 turns");
  assert.equal(talkText(conversation, "bo"), "0:15, 25 % of all in 1 turn, 2 interruptions");
  assert.equal(talkText(conversation, "cy"), "nothing");
  assert.equal(talkText(conversation, "di"), "");
  const [ana] = conversation.participants;
  const little = { ...ana, talk_ms: 900, share: 0.002, turns: 0, interruptions: 0 };
  assert.equal(talkText({ participants: [little] }, "ana"), "0:01, under 1 % of all, within the turns of others");
  assert.equal(talkText(null, "ana"), "");
});

test("how long nobody spoke is told where it is known who speaks when", () => {
  assert.equal(silenceText(conversation), "1, 0:12 long");
  assert.equal(silenceText({ ...conversation, silences: 3 }), "3, 0:12 together");
  assert.equal(silenceText({ ...conversation, silences: 0, silence_ms: 0 }), "none of 2 s or more");
  const [, , cy] = conversation.participants;
  assert.equal(silenceText({ ...conversation, participants: [cy] }), "nobody spoke");
  assert.equal(silenceText({ ...conversation, participants: [] }), "");
  assert.equal(silenceText(null), "");
});
