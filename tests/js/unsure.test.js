import assert from "node:assert/strict";
import { test } from "node:test";

import { cleanText, partsOf } from "../../streamer/dashboard/static/unsure.js";

const word = (text, confidence) => ({ text, confidence });

test("words below a confidence of a half are marked, in runs", () => {
  const words = [word("we", 0.9), word("shipped", 0.5), word("the", 0.49), word("thing,", 0.1), word("today", 1)];
  assert.deepEqual(partsOf(words), [
    { text: "we shipped", unsure: false },
    { text: "the thing,", unsure: true },
    { text: "today", unsure: false },
  ]);
  assert.deepEqual(partsOf([]), []);
});

test("a word without a confidence is sure", () => {
  assert.deepEqual(partsOf([{ text: "shit" }]), [{ text: "shit", unsure: false }]);
});

test("profanity is hidden where the recogniser is unsure of it, and only then", () => {
  assert.deepEqual(partsOf([word("Shit!", 0.49)]), [{ text: "[…]", unsure: true }]);
  assert.deepEqual(partsOf([word("Shit!", 0.5)]), [{ text: "Shit!", unsure: false }]);
});

test("words that only begin like profanity are shown", () => {
  for (const text of ["class", "assess", "Scunthorpe", "cocktail", "Dickens", "shiitake", "passed", "retarding"]) {
    assert.deepEqual(partsOf([word(text, 0.1)]), [{ text, unsure: true }]);
  }
});

test("a window's text shows profanity only where the recogniser was sure of the word", () => {
  const text = "this is Bullshit, really";
  assert.equal(cleanText(text, () => [word("bullshit,", 0.8)]), text);
  assert.equal(cleanText(text, () => [word("bullshit,", 0.3)]), "this is […] really");
  assert.equal(cleanText(text, () => []), "this is […] really");
});

test("the words are looked up only for a text with profanity", () => {
  const never = () => assert.fail("not needed");
  assert.equal(cleanText("good morning", never), "good morning");
});
