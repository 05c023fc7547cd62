// A stay in the room: what is shared, why somebody waits or is out, what a reload keeps.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  changed, delayMs, drop, endedBecause, keep, kept, named, needsImage, needsSound, recordingText,
  waitingFor,
} from "../../streamer/room/static/stay.js";

class Memory {
  items = new Map();
  getItem(name) { return this.items.get(name) ?? null; }
  setItem(name, value) { this.items.set(name, value); }
  removeItem(name) { this.items.delete(name); }
}

test("words and voice need the microphone, the face needs the camera", () => {
  assert.deepEqual([["text"], ["audio"], ["vision"], []].map(needsSound), [true, true, false, false]);
  assert.deepEqual([["text"], ["audio"], ["vision"], []].map(needsImage), [false, false, true, false]);
});

test("what is shared is named in one order", () => {
  assert.equal(named([]), "nothing");
  assert.equal(named(["vision"]), "face");
  assert.equal(named(["vision", "text"]), "words and face");
  assert.equal(named(["vision", "audio", "text"]), "words, voice and face");
});

test("no more is ever shared than was agreed to", () => {
  assert.deepEqual(changed(["text", "vision"], ["text", "vision"], "vision", false), ["text"]);
  assert.deepEqual(changed(["text"], ["text", "vision"], "vision", true), ["text", "vision"]);
  assert.deepEqual(changed(["text"], ["text"], "vision", true), ["text"]);
});

test("attempts to connect again come at once, then ever later, at most every eight seconds", () => {
  assert.deepEqual([0, 1, 2, 3, 4, 5, 50].map(delayMs), [0, 1000, 2000, 4000, 8000, 8000, 8000]);
});

test("a person reads whom they wait for", () => {
  assert.match(waitingFor({ state: "waiting", phase: "started" }), /asked to admit/);
  assert.match(waitingFor({ state: "agreed", phase: "waiting" }), /not started/);
  assert.equal(waitingFor({ state: "agreed", phase: "started" }), "");
  assert.equal(waitingFor({ state: "waiting", phase: "ended" }), "");
});

test("a person reads why the stay is over", () => {
  assert.equal(endedBecause({ state: "joined", phase: "started", removed: false }), "");
  assert.match(endedBecause({ state: "left", phase: "started", removed: true }), /removed/);
  assert.match(endedBecause({ state: "joined", phase: "ended", removed: false }), /session has ended/);
  assert.match(endedBecause({ state: "left", phase: "started", removed: false }), /stay has ended/);
});

test("a reload keeps the stay of the same link, and nothing after leaving", () => {
  const storage = new Memory();
  assert.equal(kept(storage, "token"), null);
  keep(storage, "token", { ticket: "secret", name: "Ana", media: {} });
  assert.deepEqual(kept(storage, "token"), { token: "token", ticket: "secret", name: "Ana" });
  assert.equal(kept(storage, "of another session"), null);
  drop(storage);
  assert.equal(kept(storage, "token"), null);
  storage.setItem("streamer-stay", "{");
  assert.equal(kept(storage, "token"), null);
});

test("who is in, or is about to join, reads whether the session is being recorded", () => {
  assert.equal(recordingText({ recorded: true, recording: true }), "This session is being recorded.");
  assert.equal(recordingText({ recorded: true, recording: false }), "This session is not being recorded now.");
  assert.equal(recordingText({ recorded: false, recording: false }), "");
});
