// How the host's page describes who is in the room.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  actionsOf, headline, inOrder, recorderText, sharingOf, stateOf,
} from "../../streamer/room/static/guests.js";

const guest = (changes) => ({
  state: "joined", connected: true, agreed: ["text", "vision"], shares: ["text", "vision"], left_at: null,
  removed: false, forget: false, ...changes,
});

test("a person's state in a few words", () => {
  assert.equal(stateOf(guest({})), "is in");
  assert.equal(stateOf(guest({ connected: false })), "is in, connection lost");
  assert.equal(stateOf(guest({ state: "waiting" })), "waits to be admitted");
  const left = { state: "left", left_at: "2026-05-03T09:00:00Z" };
  assert.match(stateOf(guest(left)), /^left at \S+/);
  assert.match(stateOf(guest({ ...left, removed: true, forget: true })), /^was removed at .*to be deleted$/);
});

test("what is switched off is named", () => {
  assert.equal(sharingOf(guest({})), "shares words and face");
  assert.equal(sharingOf(guest({ shares: ["text"] })), "shares words; has switched off face");
  assert.equal(sharingOf(guest({ shares: [] })), "shares nothing; has switched off words and face");
  assert.equal(sharingOf(guest({ state: "left", shares: [] })), "shared words and face");
});

test("the host may admit or refuse who waits, remove who is in, and nothing with who has left", () => {
  const acts = (state) => actionsOf(guest({ state })).map(({ act, label }) => `${label}: ${act}`);
  assert.deepEqual(acts("waiting"), ["Admit: admit", "Refuse: remove"]);
  assert.deepEqual(acts("joined"), ["Remove: remove"]);
  assert.deepEqual(acts("left"), []);
});

test("who waits comes first, who has left last, the others as they came", () => {
  const people = [["a", "left"], ["b", "joined"], ["c", "waiting"], ["d", "agreed"]];
  const order = inOrder(people.map(([name, state]) => guest({ name, state }))).map(({ name }) => name);
  assert.deepEqual(order, ["c", "b", "d", "a"]);
});

test("the headline counts who is in and who waits", () => {
  assert.equal(headline({ phase: "waiting", guests: [] }), "The session has not started. 0 people are in.");
  const guests = [guest({}), guest({ state: "waiting" }), guest({ state: "left" })];
  assert.equal(headline({ phase: "started", guests }), "The session is running. 1 person is in, 1 waiting.");
});

test("the host reads whether the room records, since when, and what it has recorded", () => {
  const room = (recording, ...times) => recorderText({ recorded: "values", recording, recorded_times: times });
  const [nine, ten] = ["2026-05-03T09:00:00Z", "2026-05-03T10:00:00Z"];
  assert.match(recorderText({ recorded: "nothing", recording: false, recorded_times: [] }), /cannot record.*--record DIR/);
  assert.equal(room(false), "Nothing is recorded yet.");
  assert.match(room(true, [nine, ten], [ten, null]), /^The session is being recorded, since \S+/);
  assert.match(room(false, [nine, ten]), /^Not being recorded. Recorded so far: \S.* to \S.*\.$/);
  assert.match(room(false, [nine, null]), / to the end\.$/);
});
