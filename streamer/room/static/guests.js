// How the host's page describes people and the session; without the document.

import { named } from "./stay.js";

const time = (moment) => new Date(moment).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

// One line on where a person is.
export function stateOf(guest) {
  if (guest.state === "waiting") return "waits to be admitted";
  if (guest.state === "agreed") return "is about to join";
  if (guest.state === "joined") return guest.connected ? "is in" : "is in, connection lost";
  const how = guest.removed ? "was removed" : "left";
  return `${how} at ${time(guest.left_at)}${guest.forget ? "; recording is to be deleted" : ""}`;
}

// What a person shares now, and what of the agreement they have switched off.
export function sharingOf(guest) {
  const off = guest.agreed.filter((each) => !guest.shares.includes(each));
  const now = named(guest.shares);
  if (guest.state === "left") return `shared ${named(guest.agreed)}`;
  return off.length ? `shares ${now}; has switched off ${named(off)}` : `shares ${now}`;
}

export function consentOf(guest, version) {
  return `agreed at ${time(guest.given_at)} to text ${version}`;
}

// Whether the room records, and what it has recorded so far.
export function recorderText({ recorded, recording, recorded_times: times }) {
  if (recorded === "nothing") return "This room cannot record. To record, begin it with --record DIR.";
  if (recording) return `The session is being recorded, since ${time(times.at(-1)[0])}.`;
  const before = times.map(([begin, end]) => `${time(begin)} to ${end ? time(end) : "the end"}`);
  return before.length ? `Not being recorded. Recorded so far: ${before.join(", ")}.` : "Nothing is recorded yet.";
}

// What the host may do with a person.
export function actionsOf(guest) {
  if (guest.state === "left") return [];
  const remove = { act: "remove", label: guest.state === "waiting" ? "Refuse" : "Remove" };
  return guest.state === "waiting" ? [{ act: "admit", label: "Admit" }, remove] : [remove];
}

// Who needs the host first: those who wait, those who are in, those who have left.
export function inOrder(guests) {
  const rank = { waiting: 0, agreed: 1, joined: 1, left: 2 };
  return [...guests].sort((a, b) => rank[a.state] - rank[b.state]);
}

export function headline({ phase, guests }) {
  const inside = guests.filter((guest) => guest.state === "joined").length;
  const waiting = guests.filter((guest) => guest.state === "waiting").length;
  const session = { waiting: "The session has not started.", started: "The session is running.", ended: "The session has ended." };
  const people = inside === 1 ? "1 person is in" : `${inside} people are in`;
  return `${session[phase]} ${people}${waiting ? `, ${waiting} waiting` : ""}.`;
}
