// Small steps on the document. Text is set through textContent alone, never as markup.

import { polarityClass } from "./format.js";

const POLARITIES = ["positive", "neutral", "negative", "divided", "none"];

export function byId(id) {
  return document.getElementById(id);
}

// Set a text where it differs, so that a screen reader announces changes only.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// A copy of the element in the template `id`.
export function fromTemplate(id) {
  return byId(id).content.firstElementChild.cloneNode(true);
}

// Give a list exactly `count` children, new ones from the template `id`; returns the children.
export function resizeList(list, id, count) {
  while (list.children.length < count) list.append(fromTemplate(id));
  while (list.children.length > count) list.lastElementChild.remove();
  return list.children;
}

export function setPolarity(element, polarity) {
  element.classList.remove(...POLARITIES);
  element.classList.add(polarityClass(polarity));
}

// Put the children of `parent` in the order of `elements`, which are all of them.
export function arrange(parent, elements) {
  elements.forEach((element, at) => {
    if (parent.children[at] !== element) parent.insertBefore(element, parent.children[at]);
  });
}

const partsOfElement = new WeakMap();

// Set a text of several parts, of which the `unsure` ones are marked, where it differs.
export function setParts(element, parts) {
  const key = JSON.stringify(parts);
  if (partsOfElement.get(element) === key) return;
  partsOfElement.set(element, key);
  element.replaceChildren(...parts.flatMap(({ text, unsure }, at) => {
    const shown = unsure ? marked(text) : text;
    return at === 0 ? [shown] : [" ", shown];
  }));
}

function marked(text) {
  const span = document.createElement("span");
  span.className = "unsure";
  span.title = "The recogniser is unsure of these words";
  span.textContent = text;
  return span;
}
