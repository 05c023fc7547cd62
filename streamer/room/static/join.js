// The join page: terms, agreement, a preview, then joining; coming back after a lost connection or a
// reload; sharing less; leaving.
//
// The token stands behind `#` in the address and goes out in the Authorization header only. Nothing
// is asked of the camera or the microphone before the person has agreed.

import { ask, send } from "./asking.js";
import { Connection } from "./connection.js";
import { Devices, showLevel } from "./devices.js";
import {
  changed, delayMs, drop, endedBecause, keep, kept, named, needsImage, needsSound, recordingText,
  waitingFor,
} from "./stay.js";

const POLL_MS = 1500;
const PATIENCE_MS = 2500;
const part = (id) => document.getElementById(id);
const token = location.hash.slice(1);
const devices = new Devices((kind) => part(kind === "audio" ? "microphone" : "camera").value);
let terms = null;
let chosen = [];
let stay = null;
let last = null;
let over = false; // the session has ended
let endLevel = () => {};

const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
const kindsOf = (shares) => ({ audio: needsSound(shares), video: needsImage(shares) });

function say(text) {
  part("status").textContent = text;
}

function complain(error) {
  part("problem").textContent = error.message;
  part("problem").hidden = false;
}

// The session's name, behind `Join` until the person is in.
function showTitle() {
  document.title = part("title").textContent = stay?.wasIn ? terms.session : `Join ${terms.session}`;
}

// Whether the session is being recorded; a screen reader reads out each change.
function showRecording(recording) {
  const text = recordingText({ recorded: terms.recorded, recording });
  if (part("recording").textContent !== text) part("recording").textContent = text;
  part("recording").classList.toggle("on", recording);
}

// Shows one step of the page and moves the focus to it, so that a screen reader goes on there.
function show(id, focus) {
  for (const step of document.querySelectorAll(".step")) step.hidden = step.id !== id;
  part("problem").hidden = true;
  part(focus)?.focus();
}

// Runs what a button does; a failure is shown, and the button cannot be pressed twice meanwhile.
function on(id, event, act) {
  part(id).addEventListener(event, async (happening) => {
    happening.preventDefault();
    const button = happening.submitter ?? (event === "click" ? part(id) : {});
    button.disabled = true;
    part("problem").hidden = true;
    try {
      await act();
    } catch (error) {
      complain(error);
    } finally {
      button.disabled = false;
      if (document.activeElement === document.body) button.focus?.();
    }
  });
}

// --- before joining

async function start() {
  if (!navigator.mediaDevices || !window.RTCPeerConnection) {
    throw new Error("Browsers give camera and microphone only on localhost or over HTTPS. "
      + "Ask the host for an address that begins with https://.");
  }
  terms = await (await ask("api/terms", { secret: token })).json();
  showTitle();
  showRecording(terms.recording);
  followRecording();
  part("statement").textContent = terms.statement;
  for (const label of document.querySelectorAll("#agree [data-share]")) {
    label.hidden = !terms.shares.includes(label.dataset.share);
  }
  if (!await comeBack()) show("agree");
}

// Who has not joined learns by the terms whether the session is being recorded.
async function followRecording() {
  while (!over) {
    await sleep(POLL_MS);
    if (stay !== null || over) continue;
    const now = await ask("api/terms", { secret: token }).then((answer) => answer.json(), () => null);
    if (now && stay === null) showRecording(now.recording);
  }
}

// A reload: the same person may go on, with the consent that was given.
async function comeBack() {
  const before = kept(sessionStorage, token);
  const now = before && await look(before.ticket).catch(() => null);
  if (!now || endedBecause(now)) {
    drop(sessionStorage);
    return false;
  }
  stay = { ...before, agreed: now.agreed, shares: now.shares, wasIn: now.state === "joined" };
  part("was").textContent = `You were here as ${stay.name}, and shared ${named(stay.shares)}. `
    + "Nothing is captured until you go on.";
  show("again", "rejoin");
  return true;
}

async function look(ticket) {
  const now = await (await ask("api/stay", { secret: ticket })).json();
  over = now.phase === "ended";
  showRecording(now.recording);
  return now;
}

async function agree() {
  chosen = [...document.querySelectorAll("#agree input[name=share]:checked")].map((box) => box.value)
    .filter((share) => terms.shares.includes(share));
  if (!chosen.length) throw new Error("Choose at least one of what you share.");
  await devices.want(kindsOf(chosen));
  await listDevices();
  part("cameras").hidden = !needsImage(chosen);
  part("microphones").hidden = !needsSound(chosen);
  mirror("mirror", "sound", "level");
  say("");
  show("ready", "ready");
  part("ready").querySelector("button").focus();
}

// Names of devices are there once the browser has given access.
async function listDevices() {
  for (const id of ["microphone", "camera"]) part(id).length = 1;
  for (const device of await navigator.mediaDevices.enumerateDevices()) {
    const list = { audioinput: part("microphone"), videoinput: part("camera") }[device.kind];
    if (list && device.deviceId && device.label) list.append(new Option(device.label, device.deviceId));
  }
}

async function choose(kind) {
  devices.stop(kind);
  await devices.want(kindsOf(chosen));
  mirror("mirror", "sound", "level");
}

// Shows the person's own camera and sound level, where they are on.
function mirror(video, sound, meter) {
  const { audio, video: image } = devices.tracks;
  endLevel();
  part(video).hidden = !image;
  part(video).srcObject = image ? new MediaStream([image]) : null;
  part(sound).hidden = !audio;
  endLevel = audio ? showLevel(audio, part(meter)) : () => {};
}

async function join() {
  const wish = { name: part("name").value, shares: chosen, version: terms.version };
  const given = await send("api/agree", "POST", token, wish);
  stay = { ticket: given.ticket, name: given.name, agreed: chosen, shares: chosen };
  keep(sessionStorage, token, stay);
  await enter(stay);
}

// Waits for the host where that is needed, then connects.
async function enter(mine) {
  for (;;) {
    const now = await look(mine.ticket);
    if (stay !== mine) return;
    const because = endedBecause(now);
    if (because) {
      end(because);
      return;
    }
    if (now.ready) break;
    say(waitingFor(now));
    if (part("lobby").hidden) show("lobby", "cancel");
    await sleep(POLL_MS);
    if (stay !== mine) return;
  }

  await open(mine, mine.shares);
  if (stay !== mine) return;
  say("Connecting …");
  showInside();
  watch(mine);
  try {
    await connect(mine);
  } catch (error) {
    if (error.status === 0) {
      reconnect(mine);
      return;
    }
    stay = null;
    drop(sessionStorage);
    mine.connection.close();
    say("");
    showTitle();
    show("agree", "name");
    throw error;
  }
}

// --- in the room

async function connect(mine) {
  mine.connection?.close();
  const kinds = Object.entries(kindsOf(mine.agreed)).filter(([, needed]) => needed).map(([kind]) => kind);
  const connection = new Connection(kinds, devices.tracks, (state) => changedState(mine, connection, state));
  mine.connection = connection;
  mine.connecting = true;
  try {
    await connection.open(async (offer) => {
      const response = await ask("whip", { method: "POST", secret: mine.ticket, body: offer, type: "application/sdp" });
      mine.wasIn = true;
      showTitle();
      return response.text();
    });
  } finally {
    mine.connecting = false;
  }
}

async function changedState(mine, connection, state) {
  if (stay !== mine || mine.connection !== connection) return;
  if (state === "connected") say(`You are in, as ${mine.name}.`);
  if (state === "disconnected") {
    await sleep(PATIENCE_MS);
    if (stay !== mine || mine.connection !== connection || connection.peer.connectionState === "connected") return;
    reconnect(mine);
  }
  if (state === "failed" || state === "closed") reconnect(mine);
}

// The same person, with the same consent, until it works or the stay is over.
async function reconnect(mine) {
  if (mine.reconnecting) return;
  mine.reconnecting = true;
  say("The connection is lost. Connecting again …");
  for (let attempt = 0; stay === mine; attempt += 1) {
    await Promise.race([sleep(delayMs(attempt)), attempt && new Promise((resolve) => {
      window.addEventListener("online", resolve, { once: true });
    })].filter(Boolean));
    if (stay !== mine) return;
    try {
      await connect(mine);
      break;
    } catch (error) {
      if (error.status === 401 || error.status === 404) {
        const now = await look(mine.ticket).catch(() => ({}));
        if (stay === mine) end(endedBecause(now) || "You were away too long, and your stay has ended. Join again.");
        return;
      }
    }
  }
  mine.reconnecting = false;
}

// Asks now and then whether the host ended the stay or the session, and whether the room still has
// the connection: it can end there without a sign here.
async function watch(mine) {
  let missed = 0; // how often, in a row, the room had no connection
  for (;;) {
    await sleep(POLL_MS);
    if (stay !== mine) return;
    const now = await look(mine.ticket).catch(() => null);
    if (stay !== mine) return;
    if (now) showLive(now);
    missed = now?.state === "joined" && !now.connected && !mine.connecting ? missed + 1 : 0;
    if (missed > 1) reconnect(mine);
    if (now && mine.unsent) await tell(mine).catch(() => {});
    const because = now && endedBecause(now);
    if (because) {
      end(because);
      return;
    }
  }
}

function showInside() {
  for (const label of document.querySelectorAll("#sharing [data-share]")) {
    label.hidden = !stay.agreed.includes(label.dataset.share);
  }
  showSharing();
  show("inside", "leave");
}

function showSharing() {
  for (const box of document.querySelectorAll("#sharing input")) box.checked = stay.shares.includes(box.value);
  mirror("preview", "heard", "meter");
  for (const [id, track] of [["mute", devices.tracks.audio], ["blind", devices.tracks.video]]) {
    part(id).hidden = !track;
    part(id).setAttribute("aria-pressed", String(Boolean(track && !track.enabled)));
  }
}

// The live page, where the people in the room may see it.
function showLive({ live }) {
  part("live").hidden = !live;
  if (live) part("live").href = live;
}

function toggle(kind, id) {
  const track = devices.tracks[kind];
  track.enabled = !track.enabled;
  part(id).setAttribute("aria-pressed", String(!track.enabled));
}

// What is withdrawn stops in the browser first; what is given again is opened after the room agrees.
async function share(box) {
  const mine = stay;
  const before = mine.shares;
  const shares = changed(before, mine.agreed, box.value, box.checked);
  try {
    if (box.checked) await open(mine, shares);
    mine.shares = shares;
    if (!box.checked) await apply(mine);
    await tell(mine);
    if (box.checked) await apply(mine);
    if (stay === mine) say(`You share ${named(shares)}.`);
  } catch (error) {
    if (stay !== mine) return;
    mine.unsent = error.status === 0 && !box.checked;
    if (!mine.unsent) mine.shares = before;
    await apply(mine).catch(() => {});
    complain(mine.unsent
      ? new Error("The room does not answer. It is told as soon as it does; leave to stop everything now.") : error);
  }
}

// Opens and stops devices as `shares` need; none stays open for a stay that has ended meanwhile.
async function open(mine, shares) {
  if (stay !== mine) return;
  await devices.want(kindsOf(shares));
  if (stay !== mine) devices.stopAll();
}

async function tell(mine) {
  await send("api/stay", "PUT", mine.ticket, { shares: mine.shares });
  mine.unsent = false;
}

// Sends and shows what is shared, and stops the devices that nothing needs.
async function apply(mine) {
  await open(mine, mine.shares);
  if (stay !== mine) return;
  await mine.connection.replace(devices.tracks);
  showSharing();
}

// --- leaving

// Stops the devices at once.
function end(message) {
  const mine = stay;
  last = mine;
  stay = null;
  devices.stopAll();
  endLevel();
  mine?.connection?.close();
  drop(sessionStorage);
  for (const id of ["preview", "mirror"]) part(id).srcObject = null;
  part("agreed").checked = false;
  part("recorded").hidden = part("forget").hidden = !(terms.recorded && mine?.wasIn);
  part("return").hidden = over;
  if (over) part("recording").hidden = true;
  say(message);
  show("over", over ? "forget" : "return");
}

function leave(message) {
  const { ticket } = stay;
  end(message);
  return ask("api/stay", { method: "DELETE", secret: ticket, keepalive: true }).catch((error) => {
    if (error.status === 0) throw new Error("The room does not answer; your stay ends there by itself.");
  });
}

async function forget() {
  await ask("api/forget", { method: "POST", secret: last.ticket });
  part("forget").hidden = part("recorded").hidden = true;
  say("What this recording holds of you is deleted when the session ends.");
  part("return").focus();
}

on("agree", "submit", agree);
on("ready", "submit", join);
on("back", "click", async () => {
  devices.stopAll();
  endLevel();
  show("agree", "name");
});
on("microphone", "change", () => choose("audio"));
on("camera", "change", () => choose("video"));
on("cancel", "click", () => leave("You have left."));
on("rejoin", "click", () => enter(stay));
on("quit", "click", () => leave("You have left. Nothing of you is captured any more."));
on("leave", "click", () => leave("You have left. Nothing of you is captured any more."));
on("return", "click", async () => { say(""); showTitle(); show("agree", "name"); });
on("forget", "click", forget);
on("mute", "click", () => toggle("audio", "mute"));
on("blind", "click", () => toggle("video", "blind"));
part("sharing").addEventListener("change", (event) => share(event.target));
window.addEventListener("pagehide", () => {
  devices.stopAll();
  stay?.connection?.close();
});
window.addEventListener("pageshow", (event) => event.persisted && location.reload());
start().catch(complain);
