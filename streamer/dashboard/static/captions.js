// Captions of a media file: the lines of its participant's transcript, a few words at a time. Knows no
// document.

import { partsOf } from "./unsure.js";

const MOST_WORDS = 10;
const LINGER_MS = 1_000; // so long a caption stays after its last word, unless the next one begins

function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

// Words in WebVTT, in italics where the recogniser is unsure of them.
function marked({ text, unsure }) {
  return unsure ? `<i>${escaped(text)}</i>` : escaped(text);
}

// Captions of `lines`, with `start` and `end` in seconds of a file that begins `begin` seconds into the
// session, and `text` in WebVTT. What was said before the file begins is left out.
export function captionsOf(lines, begin) {
  const groups = lines.flatMap(({ words }) => {
    const count = Math.ceil(words.length / MOST_WORDS);
    return Array.from({ length: count }, (_, at) => words.slice(at * MOST_WORDS, (at + 1) * MOST_WORDS));
  });
  const captions = groups.map((words, at) => {
    const start_ms = words[0].start_ms;
    const next_ms = groups[at + 1]?.[0].start_ms ?? Infinity;
    const end_ms = Math.min(words[words.length - 1].end_ms + LINGER_MS, Math.max(next_ms, start_ms + 1));
    const text = partsOf(words).map(marked).join(" ");
    const inFile = (ms) => (ms - begin * 1000) / 1000;
    return { start: inFile(start_ms), end: inFile(end_ms), text };
  });
  return captions.filter(({ start }) => start >= 0);
}
