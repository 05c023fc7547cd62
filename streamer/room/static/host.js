// The host's page: who is in the room and what they share; admitting, removing, start and end.
//
// The host's token stands behind `#` in the address and goes out in the Authorization header only.

import { ask } from "./asking.js";
import { actionsOf, consentOf, headline, inOrder, recorderText, sharingOf, stateOf } from "./guests.js";
import { named } from "./stay.js";

const POLL_MS = 1000;
const CONFIRM_MS = 4000;
const part = (id) => document.getElementById(id);
const secret = location.hash.slice(1);
let over = false;
let asking = "";

async function call(path, method = "GET") {
  show(await (await ask(`api/host${path}`, { method, secret })).json());
}

function complain(error) {
  part("problem").textContent = error.message;
  part("problem").hidden = false;
}

// Shows the room. A person's line stays the same element, so that a focused button keeps its focus.
function show(room) {
  over = room.phase === "ended";
  document.title = part("title").textContent = `Host ${room.session}`;
  const text = headline(room);
  if (part("status").textContent !== text) part("status").textContent = text;
  part("room").hidden = false;
  part("begin").hidden = room.phase !== "waiting";
  part("stop").hidden = over;
  showRecording(room);
  showTrouble(room);
  part("invite").hidden = over || !room.join;
  if (room.join) showInvitation(new URL(room.join, location.href).href);
  part("live").hidden = !room.live;
  if (room.live) part("live").href = room.live;
  part("statement").textContent = room.statement;
  part("version").textContent = room.version;
  part("used").textContent = named(room.modalities);
  part("published").textContent = room.persons ? "values of each person and of the meeting" : "values of the meeting only";
  part("nobody").hidden = room.guests.length > 0;
  inOrder(room.guests).forEach((guest, place) => {
    const line = document.getElementById(`guest-${guest.key}`) ?? newLine(guest);
    if (part("guests").children[place] !== line) part("guests").insertBefore(line, part("guests").children[place] ?? null);
    describe(line, guest, room.version);
  });
}

function showRecording(room) {
  const text = recorderText(room);
  if (part("recording").textContent !== text) part("recording").textContent = text;
  part("recording").classList.toggle("on", room.recording);
  const can = room.recorded !== "nothing" && !over;
  const before = document.activeElement;
  part("record").hidden = !can || room.recording;
  part("stop-recording").hidden = !can || !room.recording;
  if (can && (before === part("record") || before === part("stop-recording"))) {
    part(room.recording ? "stop-recording" : "record").focus();
  }
}

// What does not work in the room's process, such as its recorder.
function showTrouble({ problems }) {
  const text = problems.join(" ");
  part("trouble").hidden = text === "";
  if (part("trouble").textContent !== text) part("trouble").textContent = text;
}

function showInvitation(address) {
  if (part("join").href === address) return;
  part("join").href = part("join").textContent = address;
}

function newLine(guest) {
  const line = document.createElement("li");
  line.id = `guest-${guest.key}`;
  for (const name of ["name", "state", "sharing", "consent"]) {
    const text = document.createElement(name === "name" ? "strong" : "span");
    text.className = name;
    line.append(text, " ");
  }
  line.append(document.createElement("span"));
  return line;
}

function describe(line, guest, version) {
  const texts = { name: guest.name, state: stateOf(guest), sharing: sharingOf(guest), consent: consentOf(guest, version) };
  for (const [name, text] of Object.entries(texts)) {
    const element = line.querySelector(`.${name}`);
    if (element.textContent !== text) element.textContent = text;
  }
  line.dataset.state = guest.state;
  const actions = actionsOf(guest);
  const wanted = actions.map(({ act }) => act).join();
  if (line.dataset.actions === wanted) return;
  line.dataset.actions = wanted;
  line.lastChild.replaceChildren(...actions.map((action) => button(guest, action)));
}

function button(guest, { act, label }) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = `${label} ${guest.name}`;
  made.addEventListener("click", () => {
    if (act === "remove" && !confirmed(made, guest.key)) return;
    call(`/guests/${guest.key}/${act}`, "POST").then(keepFocus).catch(complain);
  });
  return made;
}

// A button that has done its work is gone; the focus goes on at the list.
function keepFocus() {
  if (document.activeElement === document.body) part("people").focus();
}

// The first press asks, the second within a few seconds does it: what it ends cannot be undone.
function confirmed(pressed, what) {
  pressed.dataset.label ??= pressed.textContent;
  if (asking === what) {
    asking = "";
    pressed.textContent = pressed.dataset.label;
    return true;
  }
  asking = what;
  pressed.textContent = `Press again: ${pressed.dataset.label}`;
  setTimeout(() => {
    if (asking === what) asking = "";
    pressed.textContent = pressed.dataset.label;
  }, CONFIRM_MS);
  return false;
}

async function follow() {
  while (!over) {
    try {
      await call("");
      part("problem").hidden = true;
    } catch (error) {
      complain(error);
      if (error.status === 401) return;
    }
    await new Promise((resolve) => { setTimeout(resolve, POLL_MS); });
  }
}

for (const act of ["begin", "record", "stop-recording"]) {
  part(act).addEventListener("click", () => call(`/${act}`, "POST").catch(complain));
}
part("stop").addEventListener("click", () => {
  if (confirmed(part("stop"), "stop")) call("/stop", "POST").catch(complain);
});
follow();
