// Words that the recogniser is unsure of: which are marked, and which are hidden. Knows no document.
//
// A word has a `text` and a `confidence`, 0 to 1.

const SURE = 0.5; // from this confidence on a word is shown like any other
const HIDDEN = "[…]";
const PROFANE = new RegExp(`^(?:${[
  "(?:mother)?fuck\\p{L}*", "(?:bull|horse|dip)?shit\\p{L}*", "bitch\\p{L}*", "cunts?", "(?:ass|arse)(?:holes?|es)?",
  "bastards?", "dick(?:s|heads?)?", "cock(?:s|suckers?|sucking)?", "pricks?", "puss(?:y|ies)", "whores?",
  "sluts?", "wank\\p{L}*", "twats?", "bollocks", "piss(?:ed|ing)?", "nigg(?:er|a)s?", "fag(?:s|gots?)?", "retards?",
].join("|")})$`, "iu"); // English: the language of the recogniser that runs by default

function bare(text) {
  return text.replace(/[^\p{L}]/gu, "").toLocaleLowerCase();
}

function isProfane(text) {
  return PROFANE.test(bare(text));
}

// Words as runs of text, each with whether it is `unsure`: to be marked.
export function partsOf(words) {
  const parts = [];
  for (const { text, confidence = 1 } of words) {
    const unsure = confidence < SURE;
    const shown = unsure && isProfane(text) ? HIDDEN : text;
    const last = parts[parts.length - 1];
    if (last?.unsure === unsure) last.text += ` ${shown}`;
    else parts.push({ text: shown, unsure });
  }
  return parts;
}

// A window's text without profanity, except for words of which the recogniser was sure.
// `recentWords()` gives the words with their confidence.
export function cleanText(text, recentWords) {
  const tokens = text.split(" ");
  if (!tokens.some(isProfane)) return text;
  const isSure = ({ confidence = 1 }) => confidence >= SURE;
  const sure = new Set(recentWords().filter(isSure).map((word) => bare(word.text)));
  return tokens.map((token) => (isProfane(token) && !sure.has(bare(token)) ? HIDDEN : token)).join(" ");
}
