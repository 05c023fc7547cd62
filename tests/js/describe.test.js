import assert from "node:assert/strict";
import { test } from "node:test";

import {
  chartLabel, evidenceParts, gateText, identityText, labelText, participantsText,
  silenceText, spreadText, talkText, tipText, trendText, uncertaintyText, valueText,
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

test("the trend's arrow is level up to 0.05 a minute", () => {
  const trend = (trend_per_min) => trendText({ trend_per_min });
  assert.equal(trend(0.4), "↗ +0.40 a minute");
  assert.equal(trend(0.051), "↗ +0.05 a minute");
  assert.equal(trend(0.05), "→ +0.05 a minute");
  assert.equal(trend(0), "→ 0.00 a minute");
  assert.equal(trend(-0.05), "→ −0.05 a minute");
  assert.equal(trend(-0.2), "↘ −0.20 a minute");
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
  assert.equal(talkText(conversation, "cy"), "0:00 in 0 turns");
  assert.equal(talkText(conversation, "di"), "");
  assert.equal(talkText(null, "ana"), "");
});

test("how long nobody spoke is told where it is known who speaks when", () => {
  assert.equal(silenceText(conversation), "for 0:12, in 1 silence");
  assert.equal(silenceText({ ...conversation, participants: [] }), "");
  assert.equal(silenceText(null), "");
});
