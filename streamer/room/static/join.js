// The join page: terms, agreement, then camera and microphone, then WHIP.
//
// The token stands behind `#` in the address and goes out in the Authorization header only. Nothing
// is asked of the camera or the microphone before the person has agreed.

const part = (id) => document.getElementById(id);
const form = part("agree");
let terms = null;
let stay = null;

async function ask(path, { method = "GET", secret, body, type, keepalive = false }) {
  const headers = { Authorization: `Bearer ${secret}` };
  if (type) headers["Content-Type"] = type;
  const response = await fetch(path, { method, headers, body, keepalive });
  if (!response.ok) throw new Error((await response.text()).trim());
  return response;
}

function say(text) {
  part("status").textContent = text;
}

function complain(error) {
  part("problem").textContent = error.message;
  part("problem").hidden = false;
}

function shares() {
  return [...form.querySelectorAll("input[name=share]:checked")].map((box) => box.value);
}

const needsSound = (chosen) => chosen.includes("text") || chosen.includes("audio");
const needsImage = (chosen) => chosen.includes("vision");

function showDevices() {
  part("microphones").hidden = !needsSound(shares());
  part("cameras").hidden = !needsImage(shares());
}

// Names of devices are there once the browser has given access before.
async function listDevices() {
  for (const device of await navigator.mediaDevices.enumerateDevices()) {
    const list = { audioinput: part("microphone"), videoinput: part("camera") }[device.kind];
    if (list && device.deviceId && device.label) list.append(new Option(device.label, device.deviceId));
  }
}

async function start() {
  if (!navigator.mediaDevices || !window.RTCPeerConnection) {
    throw new Error("Browsers give camera and microphone only on localhost or over HTTPS. "
      + "Ask the host for an address that begins with https://.");
  }
  const response = await ask("api/terms", { secret: location.hash.slice(1) });
  terms = await response.json();
  document.title = part("title").textContent = `Join ${terms.session}`;
  part("statement").textContent = terms.statement;
  for (const label of form.querySelectorAll("[data-share]")) {
    const offered = terms.shares.includes(label.dataset.share);
    label.hidden = !offered;
  }
  form.hidden = false;
  showDevices();
  await listDevices();
}

function device(id) {
  return id ? { deviceId: { exact: id } } : true;
}

async function openDevices(chosen) {
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: needsSound(chosen) && device(part("microphone").value),
      video: needsImage(chosen) && device(part("camera").value),
    });
  } catch (error) {
    throw new Error(`The browser gave no camera or microphone (${error.name}). Allow them for this `
      + "page, close other programs that use them, or share less.");
  }
}

function gathered(connection) {
  return new Promise((resolve) => {
    const look = () => connection.iceGatheringState === "complete" && resolve();
    connection.addEventListener("icegatheringstatechange", look);
    look();
  });
}

async function join() {
  const chosen = shares();
  if (!chosen.length) throw new Error("Choose at least one of what you share.");
  const media = await openDevices(chosen);
  const connection = new RTCPeerConnection();
  try {
    const secret = location.hash.slice(1);
    const body = JSON.stringify({ name: part("name").value, shares: chosen, version: terms.version });
    const agreed = await (await ask("api/agree", { method: "POST", secret, body, type: "application/json" })).json();
    for (const track of media.getTracks()) connection.addTransceiver(track, { direction: "sendonly", streams: [media] });
    await connection.setLocalDescription(await connection.createOffer());
    await gathered(connection);
    const response = await ask("whip", {
      method: "POST", secret: agreed.ticket, body: connection.localDescription.sdp, type: "application/sdp",
    });
    const resource = response.headers.get("Location").slice(1);
    stay = { media, connection, resource, ticket: agreed.ticket, name: agreed.name };
    connection.addEventListener("connectionstatechange", connectionChanged);
    await connection.setRemoteDescription({ type: "answer", sdp: await response.text() });
  } catch (error) {
    connection.close();
    for (const track of media.getTracks()) track.stop();
    stay = null;
    throw error;
  }
  showInside();
}

function connectionChanged() {
  if (stay?.connection.connectionState === "connected") say(`You are in, as ${stay.name}.`);
  if (stay?.connection.connectionState === "disconnected") say("The connection is interrupted.");
  if (stay?.connection.connectionState === "failed") end("The connection is lost. Join again.");
}

function showInside() {
  const [sound, image] = [stay.media.getAudioTracks()[0], stay.media.getVideoTracks()[0]];
  form.hidden = true;
  part("inside").hidden = false;
  part("preview").hidden = part("blind").hidden = !image;
  part("preview").srcObject = image ? stay.media : null;
  part("mute").hidden = part("level").hidden = !sound;
  for (const [id, track] of [["mute", sound], ["blind", image]]) {
    part(id).setAttribute("aria-pressed", "false");
    part(id).onclick = () => {
      track.enabled = !track.enabled;
      part(id).setAttribute("aria-pressed", String(!track.enabled));
    };
  }
  if (sound) showLevel(stay);
  say("Connecting …");
  part("leave").focus();
}

function showLevel(shown) {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(shown.media).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const draw = () => {
    if (stay !== shown) {
      context.close();
      return;
    }
    analyser.getFloatTimeDomainData(samples);
    part("meter").value = Math.min(1, 2 * Math.max(...samples.map(Math.abs)));
    setTimeout(draw, 100);
  };
  draw();
}

// Stops the devices at once; the room is told also where the page is being closed.
function end(message) {
  const { media, connection, resource, ticket } = stay;
  stay = null;
  for (const track of media.getTracks()) track.stop();
  connection.close();
  ask(resource, { method: "DELETE", secret: ticket, keepalive: true }).catch(() => {});
  part("preview").srcObject = null;
  part("inside").hidden = true;
  form.hidden = false;
  part("agreed").checked = false;
  say(message);
  part("name").focus();
}

form.addEventListener("change", showDevices);
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button[type=submit]");
  button.disabled = true;
  part("problem").hidden = true;
  await join().catch(complain);
  button.disabled = false;
});
part("leave").addEventListener("click", () => end("You have left. Nothing of you is captured any more."));
window.addEventListener("pagehide", () => stay && end(""));
start().catch(complain);
