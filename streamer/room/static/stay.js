// What a stay in the room is, without the document: what is shared, what is shown, what is kept over
// a reload, how long a lost connection waits before the next attempt.

export const SHARES = { text: "words", audio: "voice", vision: "face" };
const KEPT = "streamer-stay";

export const needsSound = (shares) => shares.includes("text") || shares.includes("audio");
export const needsImage = (shares) => shares.includes("vision");

// "words", "words and face", "words, voice and face"; "nothing".
export function named(shares) {
  const names = Object.keys(SHARES).filter((each) => shares.includes(each)).map((each) => SHARES[each]);
  const last = names.pop();
  return names.length ? `${names.join(", ")} and ${last}` : last ?? "nothing";
}

// What is shared after one thing is switched on or off; never more than was agreed to.
export function changed(shares, agreed, share, on) {
  return agreed.filter((each) => (each === share ? on : shares.includes(each)));
}

// Milliseconds before attempt 0, 1, 2, … to connect again.
export function delayMs(attempt) {
  return attempt === 0 ? 0 : Math.min(1000 * 2 ** (attempt - 1), 8000);
}

// What a person who waits, or whose stay is over, reads; empty while they may join or are in.
export function waitingFor({ state, phase }) {
  if (state === "left" || phase === "ended") return "";
  if (state === "waiting") return "The host has been asked to admit you. You join as soon as that happens.";
  return phase === "waiting" ? "The host has not started the session yet. You join as soon as it starts." : "";
}

export function endedBecause({ state, phase, removed }) {
  if (removed) return "The host has removed you. Nothing of you is captured any more.";
  if (phase === "ended") return "The session has ended. Nothing of you is captured any more.";
  return state === "left" ? "Your stay has ended. Nothing of you is captured any more." : "";
}

// Whether a room that can record does so now; empty for a room that cannot.
export function recordingText({ recorded, recording }) {
  if (recording) return "This session is being recorded.";
  return recorded ? "This session is not being recorded now." : "";
}

// The stay that this tab had, for a reload: only of the same link.
export function keep(storage, token, { ticket, name }) {
  storage.setItem(KEPT, JSON.stringify({ token, ticket, name }));
}

export function kept(storage, token) {
  try {
    const stay = JSON.parse(storage.getItem(KEPT));
    return stay?.token === token && stay.ticket ? stay : null;
  } catch {
    return null;
  }
}

export function drop(storage) {
  storage.removeItem(KEPT);
}
