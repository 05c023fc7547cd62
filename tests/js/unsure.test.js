import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import {
  BEGINNINGS, cleanText, HIDDEN, partsOf, SURE, WORDS,
} from "../../streamer/dashboard/static/unsure.js";

const golden = JSON.parse(readFileSync(new URL("../golden/unsure.json", import.meta.url)));
const asWords = (pairs) => pairs.map(([text, confidence]) => ({ text, confidence }));

test("the page has the rule of reports and captions", () => {
  assert.deepEqual({ sure: SURE, hidden: HIDDEN, beginnings: BEGINNINGS, words: WORDS }, golden.rule);
});

for (const { case: name, words, parts } of golden.parts) {
  test(`unsure words: ${name}`, () => {
    assert.deepEqual(partsOf(asWords(words)).map(({ text, unsure }) => [text, unsure]), parts);
  });
}

for (const { case: name, text, words, shown } of golden.texts) {
  test(`a window's text: ${name}`, () => {
    assert.equal(cleanText(text, () => asWords(words)), shown);
  });
}

test("a word without a confidence is sure", () => {
  assert.deepEqual(partsOf([{ text: "shit" }]), [{ text: "shit", unsure: false }]);
});

test("the words are looked up only for a text with profanity", () => {
  const never = () => assert.fail("not needed");
  assert.equal(cleanText("good morning", never), "good morning");
});
