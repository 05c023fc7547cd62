// Words that the recogniser is unsure of: which are marked, and which are hidden. Knows no document.
//
// A word has a `text` and a `confidence`, 0 to 1. `streamer/unsure.py` does the same for reports and
// captions; tests/golden/unsure.json holds both to one rule.

export const SURE = 0.5; // from this confidence on a word is shown like any other
export const HIDDEN = "[…]"; // instead of profanity of which the recogniser is unsure
// English: the language of the recogniser that runs by default. A word with one of these beginnings is
// profanity, and so is each of WORDS as a whole.
export const BEGINNINGS = ["fuck", "motherfuck", "shit", "bullshit", "horseshit", "dipshit", "bitch", "wank"];
export const WORDS = [
  "cunt", "cunts", "ass", "asses", "asshole", "assholes", "arse", "arses", "arsehole",
  "arseholes", "bastard", "bastards", "dick", "dicks", "dickhead", "dickheads", "cock",
  "cocks", "cocksucker", "cocksuckers", "cocksucking", "prick", "pricks", "pussy", "pussies",
  "whore", "whores", "slut", "sluts", "twat", "twats", "bollocks", "piss", "pissed",
  "pissing", "nigger", "niggers", "nigga", "niggas", "fag", "fags", "faggot", "faggots",
  "retard", "retards",
];
const whole = new Set(WORDS);

function bare(text) {
  return text.replace(/[^\p{L}]/gu, "").toLocaleLowerCase("en");
}

function isProfane(text) {
  const word = bare(text);
  return whole.has(word) || BEGINNINGS.some((beginning) => word.startsWith(beginning));
}

function isUnsure({ confidence = 1 }) {
  return confidence < SURE;
}

// A word as people read it.
export function shownWord(word) {
  return isUnsure(word) && isProfane(word.text) ? HIDDEN : word.text;
}

// Words as runs of text, each with whether it is `unsure`: to be marked.
export function partsOf(words) {
  const parts = [];
  for (const word of words) {
    const unsure = isUnsure(word);
    const last = parts[parts.length - 1];
    if (last?.unsure === unsure) last.text += ` ${shownWord(word)}`;
    else parts.push({ text: shownWord(word), unsure });
  }
  return parts;
}

// A window's text without profanity, except for words of which the recogniser was sure.
// `recentWords()` gives the words with their confidence.
export function cleanText(text, recentWords) {
  const tokens = text.split(" ");
  if (!tokens.some(isProfane)) return text;
  const sure = new Set(recentWords().filter((word) => !isUnsure(word)).map((word) => bare(word.text)));
  return tokens.map((token) => (isProfane(token) && !sure.has(bare(token)) ? HIDDEN : token)).join(" ");
}
