// Who said what, when: the words that records carry, as lines. Knows no document.
//
// `streamer/recording/transcript.py` does the same; tests/golden/transcript.json holds both to the same
// lines.

import { shownName } from "./format.js";
import { shownWord } from "./unsure.js";

const PAUSE_MS = 1_000; // a longer pause begins a line
const MAX_WORDS = 40; // a longer line is parted: after a sentence in its second half, where one ends there
const SENTENCE_END = /[.!?…。！？]["'”’»)]*$/;

// The lines of one participant's records, of which there is one for each window (null for none): what
// was said without a pause, with the record that carries its last word.
export function linesOf(records) {
  const said = [];
  for (const record of records) {
    for (const word of record?.spoken?.words ?? []) said.push({ word, record });
  }
  said.sort((a, b) => a.word.start_ms - b.word.start_ms);
  const lines = [];
  for (const { word, record } of said) {
    const line = lines[lines.length - 1];
    if (line === undefined || word.start_ms - line.last_ms > PAUSE_MS || isFull(line.words)) {
      lines.push(newLine(word, record));
      continue;
    }
    line.text += ` ${shownWord(word)}`;
    line.words.push(word);
    line.last_ms = word.end_ms;
    line.end_ms = Math.max(line.end_ms, word.end_ms);
    line.record = record;
  }
  return lines;
}

function isFull(words) {
  return words.length >= MAX_WORDS
    || (words.length >= MAX_WORDS / 2 && SENTENCE_END.test(words[words.length - 1].text));
}

function newLine(word, record) {
  const { start_ms, end_ms } = word;
  const text = shownWord(word);
  return { participant_id: record.participant_id, start_ms, end_ms, last_ms: end_ms, text, words: [word], record };
}

// The lines of several participants by time.
export function inOrder(lists) {
  return lists.flat().sort((a, b) => a.start_ms - b.start_ms
    || (a.participant_id < b.participant_id ? -1 : 1));
}

// The lines in which somebody says `query`, or that are of somebody whose name contains it.
export function matching(lines, query, names = {}) {
  const wanted = query.trim().toLocaleLowerCase();
  if (wanted === "") return lines;
  return lines.filter(({ text, participant_id }) => text.toLocaleLowerCase().includes(wanted)
    || shownName(names, participant_id).toLocaleLowerCase().includes(wanted));
}

// The index of the line that is spoken, or was last, at `seconds`; -1 before the first.
export function lineAt(lines, seconds) {
  let low = 0;
  let high = lines.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (lines[middle].start_ms <= seconds * 1000) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

// At most `count` lines: the newest, or those around the line `current` where it is not null.
export function shownPart(lines, current, count) {
  const first = current === null ? lines.length - count : current - (count >> 1);
  const from = Math.max(0, Math.min(first, lines.length - count));
  return { from, lines: lines.slice(from, from + count) };
}
